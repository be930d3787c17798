"""The images of a family that a commit makes due. This module uses nothing of the measured program.

An image is due if it is new, if an instruction of its Dockerfile changed, or if one of its parents is due. It
is also due if a file changed that COPY, ADD or a bind mount reaches, or an argument that it declares.
Comments, empty lines, the old spelling of ENV, and defaults that no instruction uses do not count, as for
BuildKit. The module understands what such families write; it does not know ``.dockerignore`` and the
directive ``escape``. In case of doubt, an image is due. So an error of this module shows as a miss. All
functions are pure.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_MOUNT = re.compile(r"--mount=(\S+)")


@dataclass(frozen=True)
class Folder:
    """One image at one commit.

    ``files`` are files that its build reaches, ``parents`` names of images. ``args`` are the arguments that
    it gets and declares.
    """

    instructions: tuple[str, ...]
    files: Mapping[str, str]
    parents: frozenset[str]
    args: Mapping[str, str]


def read(dockerfile: str, files: Mapping[str, str], args: Mapping[str, str] | None = None) -> Folder:
    """Read a Dockerfile that gets these arguments.

    ``files`` has all files of the folder, each with a word for its content and mode.
    """
    lines = tuple(_instructions(dockerfile))
    sources = [source for line in lines for source in _sources(line)]
    reached = {path: word for path, word in files.items() if any(_reaches(one, path) for one in sources)}
    given = {name: value for name, value in (args or {}).items() if name in {*_declared(lines)}}
    return Folder(_settled(lines, given), reached, frozenset(_parents(lines, given)), given)


def due(old: Mapping[str, Folder], new: Mapping[str, Folder], names: Mapping[str, str]) -> dict[str, bool]:
    """Return the images of ``new`` that are due after ``old``, with True if their own files changed.

    ``names`` maps a name in a Dockerfile to an image of the family. Any other name is an external image.
    """
    found = {image: True for image, folder in new.items() if not _same(old.get(image), folder)}
    todo = True
    while todo:
        todo = False
        for image, folder in new.items():
            if image not in found and any(names.get(parent) in found for parent in folder.parents):
                found[image], todo = False, True
    return found


def _same(old: Folder | None, new: Folder) -> bool:
    return old is not None and replace(old, parents=new.parents) == new


def _instructions(text: str) -> Iterator[str]:
    """Yield the instructions, each as one line. If there may be an inline file, yield every line."""
    if "<<" in text:
        yield from filter(str.strip, text.splitlines())
        return
    pending = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pending += line.rstrip()
        if pending.endswith("\\"):
            pending = pending[:-1]
        else:
            yield _one_spelling(pending.strip())
            pending = ""


def _one_spelling(line: str) -> str:
    """Write ``ENV NAME VALUE`` as ``ENV NAME=VALUE``. The image is the same, and so is its history."""
    words = line.split()
    old = len(words) == 3 and words[0].upper() == "ENV" and "=" not in words[1]
    return f"{words[0]} {words[1]}={words[2]}" if old else line


def _split(line: str) -> tuple[str, list[str], list[str]]:
    """Return the command of an instruction, its options and its words."""
    command, *words = line.split()
    count = next((place for place, word in enumerate(words) if not word.startswith("--")), len(words))
    rest = " ".join(words[count:])
    if rest.startswith("[") and command.upper() in ("COPY", "ADD"):
        return command.upper(), words[:count], json.loads(rest)
    return command.upper(), words[:count], words[count:]


def _mounts(options: list[str]) -> Iterator[dict[str, str]]:
    for option in options:
        if match := _MOUNT.match(option):
            yield dict(part.partition("=")[::2] for part in match[1].split(","))


def _sources(line: str) -> Iterator[str]:
    """Yield the paths that an instruction takes from the folder."""
    command, options, words = _split(line)
    if command in ("COPY", "ADD") and not any(option.startswith("--from=") for option in options):
        yield from (word for word in words[:-1] if "://" not in word)
    elif command == "RUN":
        for mount in _mounts(options):
            if mount.get("type", "bind") == "bind" and "from" not in mount:
                yield mount.get("source", mount.get("src", "."))


def _reaches(source: str, path: str) -> bool:
    """Return true if a source is the file, a folder above it, a pattern for one of these, or unknown."""
    wanted = [part for part in source.split("/") if part not in ("", ".")]
    parts = path.split("/")
    if any("$" in part for part in wanted):
        return True
    return len(wanted) <= len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _declared(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the arguments."""
    for command, _, words in map(_split, lines):
        if command == "ARG":
            yield from (word.partition("=")[0] for word in words)


def _head(lines: tuple[str, ...], given: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    """Return the number of instructions before the first FROM, and the values of their arguments."""
    args: dict[str, str] = {}
    for place, (command, _, words) in enumerate(map(_split, lines)):
        if command == "FROM":
            return place, args
        for name, _, value in (word.partition("=") for word in words if command == "ARG"):
            args[name] = given.get(name, _expanded(value.strip("\"'"), args))
    return len(lines), args


def _settled(lines: tuple[str, ...], given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the instructions with the values of arguments in FROM.

    There alone an argument before the first FROM counts, and where a later ARG takes its value over.
    """
    count, args = _head(lines, given)
    rest = [_expanded(line, args) if _split(line)[0] == "FROM" else line for line in lines[count:]]
    taken = {*_declared(lines[count:])}
    return (*(f"ARG {name}={value}" for name, value in args.items() if name in taken), *rest)


def _parents(lines: tuple[str, ...], given: Mapping[str, str]) -> Iterator[str]:
    """Yield the images that FROM, COPY --from= and RUN --mount=from= name, without own build stages."""
    parts = {"scratch"}
    count, args = _head(lines, given)
    for command, options, words in map(_split, lines[count:]):
        used = [option.removeprefix("--from=") for option in options if option.startswith("--from=")]
        used += [mount["from"] for mount in _mounts(options) if "from" in mount]
        used += words[:1] if command == "FROM" else []
        for name in (_expanded(word, args) for word in used):
            if name.lower() not in parts and not name.isdecimal():
                yield name
        if command == "FROM" and len(words) > 2:
            parts.add(words[2].lower())


def _expanded(word: str, args: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: args.get(match[1] or match[3]) or match[2] or "", word)
