"""Steps of Dockerfiles that fetch what nothing pins: the key stays, and what they fetch changes.

Pure: texts in, findings out. A stage with ``archive = true`` has no findings: it says that it is built again
when the package date changes, and takes what is there then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..dockerfile.instructions import mounts
from ..dockerfile.shell import commands
from ..dockerfile.triggers import trigger_of
from ..errors import DockerfileError, nearest
from ..output import printable
from ..system.text import shortened
from .rules import RULES, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..dockerfile.dependencies import DockerfileAnalysis
    from ..dockerfile.instructions import Instruction
    from ..dockerfile.shell import Command

#: How to tie what a step fetches to the package date, where it cannot be pinned.
DATE = "or build it again with each package date: archive = true of the stage"

_IGNORE = re.compile(r"\s*#\s*lint:\s*ignore\s*=\s*([\w,-]+)")

_COMMENT = re.compile(r"\s*#")


class Finding(NamedTuple):
    """One thing that a step fetches. ``where`` is a file and a line, ``fix`` says how to pin it."""

    file: str
    line: int
    rule: str
    what: str
    fix: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


def lint(text: str, analysis: DockerfileAnalysis, *, archive: bool) -> Iterator[Finding]:
    """Yield the findings of one build of a Dockerfile with this text.

    ``archive``: ``stages.toml`` says that the stage depends on the package date. Raises ``DockerfileError``
    for a comment that names no rule.
    """
    copied, lines = list[str](), text.split("\n")
    for written in analysis.instructions:
        step = trigger_of(written) if written.cmd == "ONBUILD" else written
        copied += _brought(step)
        if step.cmd != "RUN" or step.flag("network") == "none" or archive:
            continue
        there = tuple(commands(step))
        context = Step(there, copied, analysis.installs_packages)
        for command, line in _located(there, lines, written.line):
            found = [(rule, what) for rule in RULES for what in rule.check(command, context)]
            ignored = _ignored(lines, {written.line, line}, written.file) if found else set[str]()
            for rule, what in found:
                if rule.name not in ignored:
                    said = printable(shortened(what))
                    yield Finding(written.file, line, rule.name, said, f"{rule.pin}; {DATE}")


def _brought(step: Instruction) -> Iterable[str]:
    """The files that an instruction brings into the build stage, as they are written."""
    if step.cmd in ("COPY", "ADD"):
        return step.sources
    binds = (mount for mount in mounts(step) if mount.get("type", "bind") == "bind")
    return [mount.get("source") or "." for mount in binds]


def _located(found: Sequence[Command], lines: Sequence[str], first: int) -> Iterator[tuple[Command, int]]:
    """Yield each command with its line. The commands are in the order of the text.

    A command whose first word is not in the text, as in a JSON array with escapes, has the line of the last
    one.
    """
    line, column = first, 0
    for command in found:
        place = _place(command.started, lines, line, column)
        if place:
            line, column = place
        yield command, line


def _place(word: str, lines: Sequence[str], line: int, column: int) -> tuple[int, int] | None:
    """Return the line of the next place of a word, and the column behind it."""
    pattern = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])")
    for number in range(line, len(lines) + 1):
        text = lines[number - 1]
        start = column if number == line else 0
        if (start or not _COMMENT.match(text)) and (match := pattern.search(text, start)):
            return number, match.end()
    return None


def _ignored(lines: Sequence[str], places: set[int], file: str) -> set[str]:
    """Return the rules that comments directly above these lines ignore."""
    names, known = set[str](), [rule.name for rule in RULES]
    for place in places:
        number = place - 1
        while number and _COMMENT.match(lines[number - 1]):
            if match := _IGNORE.match(lines[number - 1]):
                for name in filter(None, match[1].split(",")):
                    if name not in known:
                        raise DockerfileError(f"{file}:{number}", f"no rule {name!r}", nearest(name, known))
                    names.add(name)
            number -= 1
    return names
