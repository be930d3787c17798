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

_DIRECTIVE = re.compile(r"#[ \t\f\r]*([a-zA-Z][a-zA-Z0-9]*)[ \t\f\r]*=[ \t\f\r]*(.+?)[ \t\f\r]*$")
_ARG_TRIGGER = re.compile(r"\s*ONBUILD\s+ARG\s", re.IGNORECASE)
_HTTP = re.compile(r"https?://")
# BuildKit's gitutil.ParseGitRef; a plain github.com/... is a path of the context to ADD
_GIT = re.compile(r"git://|ssh://|[\w.-]+@[\w.-]+:|https?://[^#?]*\.git([#?]|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
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
    instructions = tuple(_instruction(_with_heredocs(command, text)) for command in commands)
    for instruction in instructions:
        if instruction.cmd not in KNOWN:
            what = f"unknown instruction {instruction.cmd}"
            raise DockerfileError(f"{name}:{instruction.line}", what, nearest(instruction.cmd, KNOWN))
    return instructions, _directives(text, name)


def declared_args(instructions: Iterable[Instruction], name: str) -> set[str] | None:
    """Names of arguments that ARG declares, here or in a trigger; None where one is made of other values."""
    own = [triggered(i, name) if _ARG_TRIGGER.match(i.logical_line) else i for i in instructions]
    names = {word.partition("=")[0] for i in own if i.cmd == "ARG" for word in i.value}
    return None if any(set(name) & set("$\\\"'") for name in names) else names


def _with_heredocs(command: Any, text: str) -> Any:
    """An ONBUILD with the inline files of the instruction behind it, which the parser leaves out."""
    if command.cmd.upper() != "ONBUILD" or "<<" not in command.original:
        return command
    import dockerfile

    lines = "\n".join(text.split("\n")[command.start_line - 1 : command.end_line])
    directive = next(
        (f"# {key}={value}\n" for key, value in _leading(text.split("\n")) if key == "escape"), ""
    )
    inner = dockerfile.parse_string(directive + re.sub(r"^\s*ONBUILD\s*", "", lines, flags=re.IGNORECASE))
    return command._replace(heredocs=inner[0].heredocs)


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
