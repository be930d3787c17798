"""The text of a Dockerfile -> its instructions, as BuildKit's parser reads them.

Pure. The parser is a port of BuildKit's (PyPI ``e2b-dockerfile-utils``); this module adds what the port
lacks. Knows nothing of build stages or of the values of arguments.
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

#: All instructions (Dockerfile reference, "Overview").
KNOWN = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_PARSER_PREFIX = re.compile(r"Dockerfile parse error( on line \d+)?: ")

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

    ``canonical`` is what a key hashes: name, flags, words and inline files, with names as written. Comments,
    continuations, and white space between instructions and their words are not in it. The command line of a
    RUN, CMD or ENTRYPOINT in shell form is one word, and an ONBUILD is its whole line. ``placed`` is the same
    with places instead of the names of images and build stages; () where there are no such names.
    ``original`` is its logical line, without comments and continuations. ``file`` (the Dockerfile's path) and
    ``line`` (from 1) are for messages only.
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
        """Return the value of the last ``--name=value``; None if there is none."""
        prefix = f"--{name}="
        values = [flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)]
        return values[-1] if values else None

    def error(self, what: str, hint: str = "") -> DockerfileError:
        """Return an error that names the file and line of this instruction."""
        return DockerfileError(f"{self.file}:{self.line}", what, hint)

    @property
    def logical_line(self) -> str:
        """The line without its inline files, which the parser may append."""
        return self.original.partition("\n")[0]

    @property
    def heredocs(self) -> tuple[tuple[str, int, str], ...]:
        """The inline files: name, file descriptor, content."""
        heredocs = self.canonical[5]
        assert isinstance(heredocs, tuple)
        return heredocs

    @property
    def open_heredocs(self) -> list[str]:
        """The contents of inline files of COPY and ADD whose variables are expanded: names without quotes."""
        if self.cmd not in ("COPY", "ADD"):
            return []
        plain = {word.lstrip("0123456789").removeprefix("<<").removeprefix("-") for word in self.value}
        return [content for name, _, content in self.heredocs if name in plain]

    @property
    def expanded(self) -> Iterable[str]:
        """The words that BuildKit expands, without inline files and the text of RUN.

        They are those of each ``Expand`` in frontend/dockerfile/instructions/commands.go. Of COPY, ADD and
        WORKDIR, BuildKit also expands the whole line, for the step's name (``processCmdEnv``).
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
        """The sources of COPY and ADD, not expanded, without inline files."""
        return [word for word in self.value[:-1] if not (self.has_heredoc and word.startswith("<<"))]

    def __str__(self) -> str:
        return " ".join([self.cmd, *self.flags, *self.value])


@cache  # the platforms of a stage, and stages of one folder, have the same text
def parse(text: str, name: str) -> tuple[tuple[Instruction, ...], Mapping[str, str]]:
    """Return the instructions of a text, and its parser directives ``syntax`` and ``escape``.

    ``name`` is the Dockerfile's path. Raises ``DockerfileError`` with the file and, if known, the line.
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
    """Return the parser's error with the file's name and, if known, the line."""
    where = name if error.line is None else f"{name}:{error.line}"
    what = _PARSER_PREFIX.sub("", str(error))
    if unknown := _UNKNOWN.fullmatch(what):
        if not (cmd := unknown[1].upper()):
            return DockerfileError(where, "a continued line is followed by nothing")
        return DockerfileError(where, f"unknown instruction {cmd}", nearest(cmd, KNOWN))
    return DockerfileError(where, f"does not parse: {what}", _REFERENCE)


def _instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a text, with the triggers of ONBUILD parsed.

    The parser reads an ONBUILD as one line of text. BuildKit parses the trigger and its inline files
    (``parseSubCommand``, ``heredocCompoundDirectives`` in frontend/dockerfile/parser). So the word ONBUILD is
    removed, the parser reads the trigger, and the word is put back. A line that begins like a trigger, but is
    part of an inline file or a continued instruction, stays as it is.
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
    """Return the word ONBUILD and its trigger, if the trigger is on the next, continued line.

    Raises the parser's own error if no known instruction follows.
    """
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast

    word = _FIRST_WORD.match(onbuild.original)
    line = onbuild.original.removeprefix(word[0]) if word else ""
    try:
        parsed = parse_dockerfile_ast(f"# escape={escape}\n{line}").instructions
    except DockerfileSyntaxError as error:
        raise DockerfileSyntaxError(str(error), onbuild.start_line) from None
    if not word or not parsed:  # nothing, or a comment
        raise DockerfileSyntaxError("ONBUILD without an instruction", onbuild.start_line)
    return word[0], replace(parsed[0], start_line=onbuild.start_line)


def _without(lines: Sequence[str], starts: Mapping[int, str]) -> str:
    """Return the lines as one text. ``starts``, by line number, is removed from the start of these lines."""
    return "\n".join(line.removeprefix(starts.get(number, "")) for number, line in enumerate(lines, 1))


def _instruction(parsed: DockerfileInstruction, onbuild: str, escape: str) -> Instruction:
    """Return an instruction. ``onbuild`` is the text before it if it is a trigger, else ""."""
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
    """Return the words of an instruction as BuildKit divides them."""
    if parsed.json:
        return tuple(_HALF.sub("\ufffd", word) for word in parsed.args)
    if parsed.name in ("ENV", "LABEL"):  # the port adds the text between a name and its value
        return tuple(word for place, word in enumerate(parsed.args) if place % 3 != 2)
    if parsed.name not in ("ADD", "COPY") or not _QUOTING.search(parsed.original):
        return tuple(parsed.args)
    # The port keeps quoted words together; BuildKit's parseStringsWhitespaceDelimited does not. So parse the
    # line as a CMD without JSON, which the parser divides only into flags and the rest.
    from e2b_dockerfile_utils import parse_dockerfile_ast

    line = parsed.original.strip()[len(parsed.name) :]
    rest = parse_dockerfile_ast(f"# escape={escape}\nCMD{line}").instructions[0].args
    return tuple(_SPACE.split(rest[0])) if rest else ()


def _check_array(parsed: DockerfileInstruction) -> None:
    """Raise the parser's own error for text behind a JSON array.

    BuildKit before 0.15 drops it; later versions read the whole line as words of a shell
    (https://github.com/moby/buildkit/pull/5107).
    """
    from e2b_dockerfile_utils import DockerfileSyntaxError

    rest = " ".join(parsed.args[parsed.name == "HEALTHCHECK" :])
    if parsed.json or parsed.name not in _ARRAYS or not rest.startswith("["):
        return
    try:
        json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return
    what = "text after a JSON array, which versions of BuildKit read differently (for [ write test)"
    raise DockerfileSyntaxError(what, parsed.start_line)


def mounts(instruction: Instruction) -> Iterator[dict[str, str]]:
    """The fields of each ``--mount`` of a RUN. Raises ``DockerfileError``."""
    for flag in instruction.flags if instruction.cmd == "RUN" else ():
        if flag.startswith("--mount="):
            try:
                yield mount_fields(flag.removeprefix("--mount="))
            except csv.Error as error:
                raise instruction.error(f"a --mount cannot be read: {error}", _REFERENCE) from None


def mount_fields(text: str) -> dict[str, str]:
    """Return ``type=bind,from=x`` as a mapping; a word without a value (``readonly``) maps to ""."""
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
