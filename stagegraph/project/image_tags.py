"""``repo``, ``tags`` and ``prints`` of an image's table: read and checked as far as one image is concerned.

``tags`` compares the tags of all images.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import nearest
from . import schema, tags
from .model import PrintCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tables import KeyPath, TableReader

_PRINTS_HINT = 'write python = "python3 --version", or { command = "python3 --version", match = \'[0-9.]+\' }'


def repo(reader: TableReader, path: KeyPath, table: Mapping[str, Any], registry: str) -> str:
    """Return the repository of an image, "" for that of the project. Raises ``ProjectError``."""
    name = tags.expand(table.get("repo", ""), {"image": path[-1]})
    if "repo" in table and not schema.REPO.fullmatch(name):
        raise reader.error((*path, "repo"), f"{name!r} is not a repository name", schema.repo_hint(name))
    if name and registry and schema.has_host(name):
        what = f"repo has a host ({name}), and registry={registry} is another"
        raise reader.error((*path, "repo"), what, "write the repository without its host")
    return name


def templates(
    reader: TableReader, path: KeyPath, table: Mapping[str, Any], *, version: bool
) -> tuple[str, ...]:
    """Return the tags of an image with their placeholders. ``version``: the project has a version.

    Raises ``ProjectError``.
    """
    where, image, found = (*path, "tags"), path[-1], table.get("tags", [])
    if "tags" in table and not found:
        raise reader.error(where, f"image {image}: tags is empty", "remove it for the default tags")
    known = [*tags.PLACEHOLDERS, *(tags.PRINTS + name for name in table.get("prints", {}))]
    for text in found:
        if not isinstance(text, str):
            raise reader.error(where, f"image {image}: {text!r} is not a tag", 'write "1.2", with quotes')
        if not re.fullmatch(r"[\w.-]*", tags.without_placeholders(text), re.ASCII) or not text:
            what = f"image {image}: {text!r} is not a tag"
            raise reader.error(where, what, f"{tags.TAG_HINT}; placeholders such as {{platform}}")
        for placeholder in tags.placeholders(text):
            if not placeholder.startswith(tags.ARGS) and placeholder not in known:
                what = f"image {image}: tag {text!r} has an unknown placeholder {{{placeholder}}}"
                raise reader.error(where, what, nearest(placeholder, [*known, f"{tags.ARGS}NAME"]))
            if placeholder == "version" and not version:
                what = f"image {image}: {{version}} needs the version of the project"
                raise reader.error(where, what, 'write version = "1.2" or version = "git" under [project]')
        if found.count(text) > 1:
            raise reader.error(where, f"image {image}: tag {text!r} is there twice", "remove one of the two")
    return tuple(found)


def prints(reader: TableReader, path: KeyPath, table: Mapping[str, Any]) -> dict[str, PrintCommand]:
    """Return the commands whose output is part of tags, by name. Raises ``ProjectError``."""
    found: dict[str, PrintCommand] = {}
    for name in reader.named((*path, "prints")) if "prints" in table else ():
        where: KeyPath = (*path, "prints", name)
        value = table["prints"][name]
        one = reader.table(where, "print") if isinstance(value, dict) else {"command": value}
        match = one.get("match", "")
        if fault := _fault(match):
            what = f"match is not a regular expression: {fault}"
            raise reader.error((*where, "match"), what, "the rules are those of Python's re")
        command = one.get("command", "")
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        if not command or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise reader.error(where, f"image {path[-1]}: prints.{name} has no command", _PRINTS_HINT)
        if any("\0" in word for word in words):
            raise reader.error(where, f"image {path[-1]}: the command of prints.{name} has a zero byte")
        found[name] = PrintCommand(name, tuple(words), match, reader.lines.where(*where))
    return found


def _fault(match: str) -> str:
    """Return what is wrong with a regular expression; "" if nothing is.

    Python only warns of one that may mean something else in its next version.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            re.compile(match)
    except (re.error, OverflowError, FutureWarning) as error:
        return str(error)
    except RecursionError:
        return "nested too deep"
    return ""
