"""The text of a Dockerfile -> its instructions, as BuildKit's parser sees them. What single words mean.

Pure. Knows nothing of stages or arguments; ``dockerfile`` does.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import DockerfileError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Every instruction that there is (Dockerfile reference, "Overview").
KNOWN = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_DIRECTIVE = re.compile(r"\s*#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$", re.ASCII)
_HTTP = re.compile(r"https?://")
# BuildKit's gitutil.ParseGitRef; a plain github.com/... is a path of the context to ADD
_GIT = re.compile(r"git://|ssh://|[\w.-]+@[\w.-]+:|https?://[^#?]*\.git([#?]|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOUNT_KEYS = {"src": "source", "dst": "target", "destination": "target"}


class Instruction(NamedTuple):
    """One instruction as BuildKit parses it. ``line`` is 1-based and for people only.

    ``canonical`` is what counts of it; ``original`` its logical line, without comments and continuations.
    """

    line: int
    cmd: str
    flags: tuple[str, ...]
    value: tuple[str, ...]
    canonical: tuple[object, ...]
    original: str
    has_heredoc: bool

    def flag(self, name: str) -> str | None:
        """The value of ``--name=value``; the last counts; None where it is not given."""
        prefix = f"--{name}="
        found = [flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)]
        return found[-1] if found else None

    @property
    def sources(self) -> list[str]:
        """What COPY and ADD take, inline files apart; not expanded."""
        return [word for word in self.value[:-1] if not (self.has_heredoc and word.startswith("<<"))]

    def __str__(self) -> str:
        return " ".join([self.cmd, *self.flags, *self.value])


@cache  # the platforms of a stage, and stages of one folder, ask for the same
def parse(text: str, name: str) -> tuple[tuple[Instruction, ...], Mapping[str, str]]:
    """Text -> instructions and the parser directives ``syntax`` and ``escape``.

    ``name`` is the Dockerfile's path. Raises ``DockerfileError`` with file and, if known, line.
    """
    import dockerfile

    if "\0" in text:  # where the parser would stop and BuildKit would not
        raise DockerfileError(f"{name}:{text[: text.index(chr(0))].count(chr(10)) + 1}", "has a zero byte")
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{name}:{line[1]}" if line else name
        hint = "see https://docs.docker.com/reference/dockerfile/"
        raise DockerfileError(where, f"does not parse: {error}", hint) from None
    instructions = tuple(_instruction(command) for command in commands)
    for instruction in instructions:
        if instruction.cmd not in KNOWN:
            what = f"unknown instruction {instruction.cmd}"
            raise DockerfileError(f"{name}:{instruction.line}", what, nearest(instruction.cmd, KNOWN))
    return instructions, _directives(text)


def declared_args(instructions: Iterable[Instruction]) -> set[str] | None:
    """Names of the arguments that ARG declares; None where a name is made of other values."""
    names = {word.partition("=")[0] for i in instructions if i.cmd == "ARG" for word in i.value}
    return None if any(set(name) & set("$\\\"'") for name in names) else names


def _instruction(command: Any) -> Instruction:
    cmd = command.cmd.upper()
    heredocs = tuple((h.name, h.file_descriptor, h.content) for h in command.heredocs)
    canonical: tuple[object, ...] = (
        cmd,
        (command.sub_cmd or "").upper(),
        command.json,
        command.flags,
        command.value,
        heredocs,
        # the parsed form leaves out the flags of the inner instruction
        command.original if cmd == "ONBUILD" else "",
    )
    return Instruction(
        command.start_line,
        cmd,
        tuple(command.flags),
        tuple(command.value),
        canonical,
        command.original,
        bool(heredocs),
    )


def _directives(text: str) -> dict[str, str]:
    """Parser directives: comments of the form ``# name=value`` before anything else but a ``#!`` line."""
    found: dict[str, str] = {}
    lines = text.removeprefix("\ufeff").split("\n")
    for line in lines[1:] if lines[0].startswith("#!") else lines:
        match = _DIRECTIVE.match(line)
        if not match:
            break
        found[match[1].lower()] = match[2]
    return {name: value for name, value in found.items() if name in ("syntax", "escape")}


def without_syntax(text: str) -> str:
    """The text without its directive ``syntax``; instructions keep the numbers of their lines.

    An empty comment stands behind the other directives instead: a comment before them would end them
    (BuildKit, frontend/dockerfile/parser/directives.go).
    """
    lines = text.removeprefix("\ufeff").split("\n")
    first = end = int(lines[0].startswith("#!"))
    while end < len(lines) and _DIRECTIVE.match(lines[end]):
        end += 1
    others = [line for line in lines[first:end] if not re.match(r"\s*#\s*syntax\s*=", line, re.IGNORECASE)]
    if len(others) == end - first:
        return text
    return "\n".join([*lines[:first], *others, *["#"] * (end - first - len(others)), *lines[end:]])


def mounts(instruction: Instruction) -> Iterator[dict[str, str]]:
    """Each ``RUN --mount=type=bind,from=x`` as a mapping; bare words (``readonly``) map to ""."""
    if instruction.cmd != "RUN":
        return
    for flag in instruction.flags:
        if flag.startswith("--mount="):
            fields: dict[str, str] = {}
            for part in next(csv.reader([flag.removeprefix("--mount=")]), []):
                key, _, value = part.partition("=")
                key = key.strip().lower()
                fields[_MOUNT_KEYS.get(key, key)] = value
            yield fields


def is_remote(source: str) -> bool:
    """Whether ``ADD`` fetches this instead of looking it up in the context."""
    return bool(_HTTP.match(source) or _GIT.match(source))


def pinned(source: str, checksum: str) -> bool:
    """Whether what ``ADD`` fetches is fixed by a checksum or, for git, a commit."""
    if checksum:
        return True
    return bool(_GIT.match(source) and _COMMIT.fullmatch(source.partition("#")[2].partition(":")[0]))
