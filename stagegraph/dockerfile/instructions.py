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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from e2b_dockerfile_utils import DockerfileInstruction, DockerfileSyntaxError

#: Every instruction that there is (Dockerfile reference, "Overview").
KNOWN = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_DIRECTIVE = re.compile(r"#[ \t\f\r]*([a-zA-Z][a-zA-Z0-9]*)[ \t\f\r]*=[ \t\f\r]*(.+?)[ \t\f\r]*$")

_ARG_TRIGGER = re.compile(r"\s*ONBUILD\s+ARG\s", re.IGNORECASE)

_HTTP = re.compile(r"https?://")

# BuildKit's gitutil.ParseGitRef; a plain github.com/... is a path of the context to ADD
_GIT = re.compile(r"git://|ssh://|[\w.-]+@[\w.-]+:|https?://[^#?]*\.git([#?]|$)")

_COMMIT = re.compile(r"[0-9a-f]{40}")

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
    """One instruction as BuildKit parses it. ``line`` is 1-based and for people only.

    ``canonical`` is what counts of it as it is written; ``placed`` the same where it names images or parts,
    with their places in place of the names, else (). ``original`` is its logical line, without comments and
    continuations.
    """

    line: int
    cmd: str
    flags: tuple[str, ...]
    value: tuple[str, ...]
    canonical: tuple[object, ...]
    original: str
    has_heredoc: bool
    placed: tuple[object, ...] = ()

    def flag(self, name: str) -> str | None:
        """The value of ``--name=value``; the last counts; None where it is not given."""
        prefix = f"--{name}="
        found = [flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)]
        return found[-1] if found else None

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
        instructions = tuple(_instructions(text))
    except DockerfileSyntaxError as error:
        raise _syntax_error(error, name) from None
    except RecursionError:  # of Python's JSON parser
        raise DockerfileError(name, "does not parse: JSON is nested too deeply") from None
    if not instructions:
        raise DockerfileError(name, "does not parse: file with no instructions", _REFERENCE)
    return instructions, _directives(text, name)


def _syntax_error(error: DockerfileSyntaxError, name: str) -> DockerfileError:
    """The parser's error with the file's name and, where it is known, the line."""
    where = name if error.line is None else f"{name}:{error.line}"
    what = _SAID_BEFORE.sub("", str(error))
    if unknown := _UNKNOWN.fullmatch(what):
        if not (cmd := unknown[1].upper()):
            return DockerfileError(where, "nothing follows a line that is continued")
        return DockerfileError(where, f"unknown instruction {cmd}", nearest(cmd, KNOWN))
    return DockerfileError(where, f"does not parse: {what}", _REFERENCE)


def declared_args(instructions: Iterable[Instruction], name: str) -> set[str] | None:
    """Names of arguments that ARG declares, here or in a trigger; None where one is made of other values."""
    own = [triggered(i, name) if _ARG_TRIGGER.match(i.logical_line) else i for i in instructions]
    names = {word.partition("=")[0] for i in own if i.cmd == "ARG" for word in i.value}
    return None if any(set(name) & set("$\\\"'") for name in names) else names


def triggered(instruction: Instruction, name: str) -> Instruction:
    """What an ONBUILD makes of its child: the instruction behind it, at the line of the ONBUILD.

    As BuildKit keeps and reads it (``parseOnBuild``): the logical line, then the contents of inline files.
    """
    text = re.sub(r"^\s*ONBUILD\s*", "", instruction.logical_line, flags=re.IGNORECASE)
    text += "".join(f"\n{content}{word}" for word, _, content in instruction.heredocs)
    where = f"{name}:{instruction.line}"
    try:
        (trigger,) = parse(text, name)[0]
    except ValueError:
        raise DockerfileError(where, "ONBUILD takes one instruction") from None
    except DockerfileError as error:
        raise DockerfileError(where, f"ONBUILD: {error.what}", error.hint) from None
    return trigger._replace(line=instruction.line)


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


def _directives(text: str, name: str) -> dict[str, str]:
    """The parser directives ``syntax`` and ``escape``.

    BuildKit searches twice (frontend/dockerfile/parser/directives.go). Its parser takes ``escape`` from the
    comments that begin the file; whatever is no directive that it knows ends them, a ``#!`` line included.
    Its search for ``syntax`` passes over a ``#!`` line first.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    own = list(_leading(line.lstrip() for line in lines))
    names = [key for key, _ in own]
    if "escape" in names and "check" in names[: names.index("escape")]:
        what = "# escape= behind # check= is a directive for some versions of BuildKit, a comment for others"
        raise DockerfileError(f"{name}:1", what, "write # escape= first")
    others = _leading(lines[1:] if lines[0].startswith("#!") else lines)
    return {
        **{key: value for key, value in others if key == "syntax"},
        **{key: value for key, value in own if key == "escape"},
    }


def _leading(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        match = _DIRECTIVE.match(line.rstrip("\r"))
        if not match or match[1].lower() not in ("syntax", "escape", "check"):
            return
        yield match[1].lower(), match[2]


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


def is_remote(source: str) -> bool:
    """Whether ``ADD`` fetches this instead of looking it up in the context."""
    return bool(_HTTP.match(source) or _GIT.match(source))


def pinned(source: str, checksum: str) -> bool:
    """Whether what ``ADD`` fetches is fixed by a checksum or, for git, a commit."""
    if checksum:
        return True
    return bool(_GIT.match(source) and _COMMIT.fullmatch(source.partition("#")[2].partition(":")[0]))
