"""Expand the words of one Dockerfile, with errors that name the line.

Pure. ``words`` has the lexer, ``variables`` the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import words
from .variables import expand
from .words import EndsBuilderError

if TYPE_CHECKING:
    from ..errors import DockerfileError
    from .instructions import Instruction
    from .variables import Scope


class Expander(NamedTuple):
    """Expands words of a Dockerfile with this escape character (``# escape=``)."""

    escape: str

    def expand(self, word: str, scope: Scope, instruction: Instruction) -> str | None:
        """Return ``word`` with variables and quotes resolved, or None where only the build knows the result.

        Raises ``DockerfileError`` for a word that BuildKit refuses or at which its builder may end.
        """
        try:
            return expand(word, scope, self.escape)
        except EndsBuilderError as error:
            raise _ends_builder(instruction, error) from None
        except ValueError as error:
            raise instruction.error(f"{word}: {error}") from None

    def check(self, instruction: Instruction, scope: Scope) -> None:
        """Raise ``DockerfileError`` for an instruction at which the builder may end.

        The builder itself reports everything else that is wrong with a word.
        """
        try:
            self._check(instruction, scope)
        except EndsBuilderError as error:
            raise _ends_builder(instruction, error) from None

    def _check(self, instruction: Instruction, scope: Scope) -> None:
        texts = [instruction.logical_line, *(content for _, _, content in instruction.heredocs)]
        if not any("${" in text and ("#" in text or "%" in text) for text in texts):
            return
        if instruction.cmd == "RUN":
            text = instruction.logical_line
            for _, _, content in instruction.heredocs[:1]:
                text += f" ({content.strip().partition(chr(10))[0]}"  # as in the step's name
            words.check_shell(text, scope.lookup, self.escape)
        expanded = [(word, self.escape, True) for word in instruction.expanded]
        expanded += [(content, "\\", False) for content in instruction.open_heredocs]
        for word, escape, quotes in expanded:
            try:
                expand(word, scope, escape, quotes=quotes)
            except EndsBuilderError:
                raise
            except ValueError:
                continue


def _ends_builder(instruction: Instruction, error: EndsBuilderError) -> DockerfileError:
    what = f"{error}: this pattern may be empty, and an empty one crashes the builder of Docker 26"
    return instruction.error(what, "double the # or %; without a * in the pattern the result is the same")
