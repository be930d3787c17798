"""The text of a Dockerfile -> its instructions, as BuildKit's parser sees them. What single words mean.

The parser is a port of BuildKit's (PyPI ``e2b-dockerfile-utils``).
Pure. Knows nothing of stages or arguments; ``dockerfile`` does.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DockerfileError, nearest
from . import directives

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from e2b_dockerfile_utils import DockerfileInstruction, DockerfileSyntaxError

#: Every instruction that there is (Dockerfile reference, "Overview").
KNOWN = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_SAID_BEFORE = re.compile(r"Dockerfile parse error( on line \d+)?: ")

_UNKNOWN = re.compile(r"unknown instruction: (.*)")

# before another instruction, on the same line or continued on the next
_ONBUILD = re.compile(rf"\s*ONBUILD\s+(?=({'|'.join(KNOWN)})\s|[\\`]\s*$)", re.ASCII | re.IGNORECASE)

_QUOTING = re.compile(r"""["'\\`]|[^\0-\x7f]""")

_HALF = re.compile("[\ud800-\udfff]")  # of a pair; Go's JSON gives U+FFFD for it, too

_ARRAYS = ("ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME")

_SPACE = re.compile(r"[\t\v\f\r ]+")

_FIRST_WORD = re.compile(r"\s*\S+\s+")

_REFERENCE = "see https://docs.docker.com/reference/dockerfile/"

_MOUNT_KEYS = {"src": "source", "dst": "target", "destination": "target"}


class Instruction(NamedTuple):
    """One instruction as BuildKit parses it.

    ``canonical`` is the part of it that counts, as it is written. ``placed`` is the same with places instead
    of the names of images and build stages; () where there are no such names. ``original`` is its logical
    line, without comments and continuations. ``file`` (the Dockerfile's path) and ``line`` (from 1) are for
    messages only.
    """

    line: int
    cmd: str
    flags: tuple[str, ...]
    value: tuple[str, ...]
    canonical: tuple[object, ...]
    original: str
    has_heredoc: bool
    placed: tuple[object, ...] = ()
    file: str = ""

    def flag(self, name: str) -> str | None:
        """The value of ``--name=value``; the last counts; None where it is not given."""
        prefix = f"--{name}="
        found = [flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)]
        return found[-1] if found else None

    def error(self, what: str, hint: str = "") -> DockerfileError:
        """Return an error that names the file and line of this instruction."""
        return DockerfileError(f"{self.file}:{self.line}", what, hint)

    @property
    def logical_line(self) -> str:
        """Without inline files, which the parser may put behind it."""
        return self.original.partition("\n")[0]

    @property
    def heredocs(self) -> tuple[tuple[str, int, str], ...]:
        """Inline files: name, file descriptor, content."""
        found = self.canonical[5]
        assert isinstance(found, tuple)
        return found

    @property
    def open_heredocs(self) -> list[str]:
        """Contents of inline files of COPY and ADD in which variables count: their names have no quotes."""
        if self.cmd not in ("COPY", "ADD"):
            return []
        plain = {word.lstrip("0123456789").removeprefix("<<").removeprefix("-") for word in self.value}
        return [content for name, _, content in self.heredocs if name in plain]

    @property
    def expanded(self) -> Iterable[str]:
        """What BuildKit expands, inline files and the text of RUN apart.

        Each ``Expand`` of frontend/dockerfile/instructions/commands.go; of COPY, ADD and WORKDIR the whole
        line as well, for the step's name (``processCmdEnv``).
        """
        match self.cmd:
            case "COPY" | "ADD" | "WORKDIR":
                return self.logical_line, *self.flags, *self.value
            case "ARG":
                return [word.partition("=")[2] for word in self.value]
            case "ENV" | "LABEL" | "EXPOSE" | "VOLUME" | "USER" | "STOPSIGNAL":
                return self.value
            case "RUN":
                return [value for mount in mounts(self) for value in mount.values()]
            case _:
                return ()

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
    from e2b_dockerfile_utils import DockerfileSyntaxError

    if "\0" in text:  # no program and no file can have one in its name or its words
        raise DockerfileError(f"{name}:{text[: text.index(chr(0))].count(chr(10)) + 1}", "has a zero byte")
    try:
        instructions = tuple(i._replace(file=name) for i in _instructions(text))
    except DockerfileSyntaxError as error:
        raise _syntax_error(error, name) from None
    except RecursionError:  # of Python's JSON parser
        raise DockerfileError(name, "does not parse: JSON is nested too deeply") from None
    if not instructions:
        raise DockerfileError(name, "does not parse: file with no instructions", _REFERENCE)
    return instructions, directives.read(text, name)


def _syntax_error(error: DockerfileSyntaxError, name: str) -> DockerfileError:
    """The parser's error with the file's name and, where it is known, the line."""
    where = name if error.line is None else f"{name}:{error.line}"
    what = _SAID_BEFORE.sub("", str(error))
    if unknown := _UNKNOWN.fullmatch(what):
        if not (cmd := unknown[1].upper()):
            return DockerfileError(where, "nothing follows a line that is continued")
        return DockerfileError(where, f"unknown instruction {cmd}", nearest(cmd, KNOWN))
    return DockerfileError(where, f"does not parse: {what}", _REFERENCE)


def _instructions(text: str) -> Iterator[Instruction]:
    """Instructions as the parser gives them, triggers of ONBUILD apart.

    The parser takes an ONBUILD for one line without meaning. BuildKit parses the trigger, its inline files
    included (``parseSubCommand``, ``heredocCompoundDirectives`` in frontend/dockerfile/parser). So the word
    ONBUILD is taken off, the parser reads the trigger, and the word is put back. A line that begins like a
    trigger and is part of an inline file or of a continued instruction stays as it is.
    """
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast

    lines = text.split("\n")
    triggers = {number: match[0] for number, line in enumerate(lines, 1) if (match := _ONBUILD.match(line))}
    ast = parse_dockerfile_ast(_without(lines, triggers))
    starts = {instruction.start_line for instruction in ast.instructions}
    if not starts.issuperset(triggers):
        triggers = {number: word for number, word in triggers.items() if number in starts}
        ast = parse_dockerfile_ast(_without(lines, triggers))
    for instruction in ast.instructions:
        onbuild = triggers.get(instruction.start_line, "")
        if instruction.name == "ONBUILD" and not onbuild:
            onbuild, instruction = _trigger(instruction, ast.escape_token)  # noqa: PLW2901
        if instruction.name == "ONBUILD":
            raise DockerfileSyntaxError("ONBUILD of ONBUILD", instruction.start_line)
        yield _instruction(instruction, onbuild, ast.escape_token)


def _trigger(onbuild: DockerfileInstruction, escape: str) -> tuple[str, DockerfileInstruction]:
    """The word ONBUILD and its trigger, where the word itself is continued on another line.

    Raises the parser's own error where no known instruction follows.
    """
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast

    word = _FIRST_WORD.match(onbuild.original)
    line = onbuild.original.removeprefix(word[0]) if word else ""
    try:
        found = parse_dockerfile_ast(f"# escape={escape}\n{line}").instructions
    except DockerfileSyntaxError as error:
        raise DockerfileSyntaxError(str(error), onbuild.start_line) from None
    if not word or not found:  # nothing, or a comment
        raise DockerfileSyntaxError("ONBUILD without an instruction", onbuild.start_line)
    return word[0], replace(found[0], start_line=onbuild.start_line)


def _without(lines: Sequence[str], starts: Mapping[int, str]) -> str:
    """The lines as one text; some without what they start with."""
    return "\n".join(line.removeprefix(starts.get(number, "")) for number, line in enumerate(lines, 1))


def _instruction(parsed: DockerfileInstruction, onbuild: str, escape: str) -> Instruction:
    """``onbuild`` is what stands before the instruction where it is a trigger, "" elsewhere."""
    _check_array(parsed)
    cmd, value = parsed.name, _value(parsed, escape)
    heredocs = tuple((h.name, h.file_descriptor, h.content) for h in parsed.heredocs)
    original = onbuild.lstrip() + parsed.original
    if heredocs:
        original += "\n" + "".join(f"{content}{name}\n" for name, _, content in heredocs)
    flags = tuple(parsed.flags)
    canonical: tuple[object, ...]
    if onbuild:  # the parsed form leaves out the flags of the trigger
        canonical = ("ONBUILD", cmd, parsed.json, (), value, heredocs, original)
        cmd, flags = "ONBUILD", ()
    else:
        canonical = (cmd, "", parsed.json, flags, value, heredocs, "")
    return Instruction(parsed.start_line, cmd, flags, value, canonical, original, bool(heredocs))


def _value(parsed: DockerfileInstruction, escape: str) -> tuple[str, ...]:
    """The words of an instruction as BuildKit divides them."""
    if parsed.json:
        return tuple(_HALF.sub("\ufffd", word) for word in parsed.args)
    if parsed.name in ("ENV", "LABEL"):  # the port adds what stands between a name and its value
        return tuple(word for place, word in enumerate(parsed.args) if place % 3 != 2)
    if parsed.name not in ("ADD", "COPY") or not _QUOTING.search(parsed.original):
        return tuple(parsed.args)
    # The port keeps words together that are quoted; BuildKit's parseStringsWhitespaceDelimited does not.
    # CMD without JSON is divided into flags and the rest of the line.
    from e2b_dockerfile_utils import parse_dockerfile_ast

    line = parsed.original.strip()[len(parsed.name) :]
    rest = parse_dockerfile_ast(f"# escape={escape}\nCMD{line}").instructions[0].args
    return tuple(_SPACE.split(rest[0])) if rest else ()


def _check_array(parsed: DockerfileInstruction) -> None:
    """Text behind a JSON array: before 0.15 BuildKit drops it, since then all is words of a shell.

    https://github.com/moby/buildkit/pull/5107. Raises the parser's own error.
    """
    from e2b_dockerfile_utils import DockerfileSyntaxError

    rest = " ".join(parsed.args[parsed.name == "HEALTHCHECK" :])
    if parsed.json or parsed.name not in _ARRAYS or not rest.startswith("["):
        return
    try:
        json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return
    what = "text behind a JSON array, which versions of BuildKit read differently (for [ write test)"
    raise DockerfileSyntaxError(what, parsed.start_line)


def mounts(instruction: Instruction) -> Iterator[dict[str, str]]:
    """The fields of each ``RUN --mount``."""
    for flag in instruction.flags if instruction.cmd == "RUN" else ():
        if flag.startswith("--mount="):
            yield mount_fields(flag.removeprefix("--mount="))


def mount_fields(text: str) -> dict[str, str]:
    """``type=bind,from=x`` as a mapping; bare words (``readonly``) map to ""."""
    fields: dict[str, str] = {}
    for part in next(csv.reader([text]), []):
        key, _, value = part.partition("=")
        key = key.strip().lower()
        fields[_MOUNT_KEYS.get(key, key)] = value
    return fields


def from_names(instruction: Instruction) -> Iterator[str]:
    """The names in ``--from`` of COPY and ADD, and in ``from`` of the mounts of a RUN."""
    if instruction.cmd in ("COPY", "ADD") and (name := instruction.flag("from")):
        yield name
    for mount in mounts(instruction):
        if name := mount.get("from"):
            yield name
