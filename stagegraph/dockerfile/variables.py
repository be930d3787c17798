"""Variables of a Dockerfile: which there are without being declared, and what a word that uses them means.

Pure. Values that only the build knows are unknown here, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import words
from .words import Piece

if TYPE_CHECKING:
    from .instructions import Instruction

_TARGET_ARGS = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")

_BUILD_ARGS = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT")

#: What BuildKit sets for each build (Dockerfile reference, "Automatic platform ARGs in the global scope").
AUTOMATIC_ARGS = frozenset((*_TARGET_ARGS, *_BUILD_ARGS))

#: What some versions of BuildKit set for each build and others do not (frontend/dockerfile/dockerfile2llb,
#: ``platform.go`` of 0.17 and 0.20), so their values are never known.
LATER_ARGS = frozenset(("TARGETSTAGE", "TARGETOSVERSION", "BUILDOSVERSION"))

#: Arguments that every build has without declaring them; their values are never part of a key
#: (Dockerfile reference, "Predefined ARGs").
PROXY_ARGS = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)

# Values that are not among the arguments: those above, and the epoch, which is an input of its own; and those
# that BuildKit keeps out of the environment (``nonEnvArgs``).
APART = PROXY_ARGS | {"SOURCE_DATE_EPOCH", "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"}

_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass
class Scope:
    """Variables at one point.

    ``closed``: nothing but these is set; else the environment of an image may add to them. ``environment``
    is what ENV has set so far, which becomes part of the image; None is a value that only the build knows.
    """

    values: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    closed: bool = False
    environment: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def scratch(cls) -> Scope:
        """Of a part that starts from nothing; BuildKit sets PATH and no more."""
        return cls(unknown={"PATH"}, closed=True)

    def copy(self) -> Scope:
        return Scope(dict(self.values), set(self.unknown), self.closed, dict(self.environment))

    def child(self) -> Scope:
        """Variables at the start of a part that is FROM this one, as it is at its end.

        BuildKit takes over the part's state, in which ARG and ENV are one list and the last of a name wins,
        and then adds each variable of the image's configuration (``toDispatchState``, "initialize base
        metadata from image conf"; the same from 0.12 to 0.32). So arguments stay to be seen, and ENV is set
        again: over an ARG of its name, whichever came last. The configuration also has what the image below
        sets; where that is not known, an ARG of the same name may lose to it.
        """
        scope = self.copy()
        if not self.closed:
            for name in self.values.keys() - self.environment.keys():
                scope.set(name, None)
        for name, value in self.environment.items():
            scope.set(name, value)
        return scope

    def set(self, name: str, value: str | None) -> None:
        """``None`` is a value that only the build knows."""
        if value is None:
            self.values.pop(name, None)
            self.unknown.add(name)
        else:
            self.values[name] = value
            self.unknown.discard(name)

    def lookup(self, name: str) -> Piece | None:
        """A variable's value; None where it is not set."""
        if name in self.values:
            return Piece(self.values[name])
        return None if self.closed and name not in self.unknown else Piece(known=False)


def variables(word: str) -> list[str]:
    """Names of the variables that a word could use."""
    return _VARIABLE.findall(word)


def expand(word: str, scope: Scope, escape: str, *, quotes: bool = True) -> str | None:
    """``word`` with variables and quotes resolved, or None where only the build can tell.

    Raises ``ValueError`` for a word that BuildKit's lexer refuses, ``EndsBuilderError`` for one at which a
    builder may end.
    """
    if not any(char in word for char in ("$", "'", '"', escape)):
        return word
    piece = words.process(word, scope.lookup, escape, quotes=quotes)
    return piece.text if piece.known else None


def check(instruction: Instruction, scope: Scope, escape: str) -> None:
    """Raise ``EndsBuilderError`` for an instruction at which a builder may end.

    All else that is wrong with a word, the builder tells.
    """
    said = [instruction.logical_line, *(content for _, _, content in instruction.heredocs)]
    if not any("${" in text and ("#" in text or "%" in text) for text in said):
        return
    if instruction.cmd == "RUN":
        text = instruction.logical_line
        for _, _, content in instruction.heredocs[:1]:
            text += f" ({content.strip().partition(chr(10))[0]}"  # as in the step's name
        words.check_shell(text, scope.lookup, escape)
    expanded = [(word, escape, True) for word in instruction.expanded]
    expanded += [(content, "\\", False) for content in instruction.open_heredocs]
    for word, token, quotes in expanded:
        try:
            expand(word, scope, token, quotes=quotes)
        except words.EndsBuilderError:
            raise
        except ValueError:
            continue
