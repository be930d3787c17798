"""Read tables of ``stages.toml``: check keys and types, and name the line in errors.

Knows nothing of what a table means. ``schema`` says which keys each kind of table has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dockerfile.variables import AUTOMATIC_ARGS
from ..errors import ProjectError, nearest
from ..system.text import shortened
from . import schema

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from .positions import SourceMap

#: The path of a table or key: ``("stages", "blas", "args")``.
KeyPath = tuple[str, ...]


class TableReader:
    """Reads the tables of a parsed file; ``lines`` has the line of each key."""

    def __init__(self, tables: dict[str, Any], lines: SourceMap) -> None:
        self.tables, self.lines = tables, lines

    def error(self, path: KeyPath, what: str, hint: str = "") -> ProjectError:
        """Return an error that names the line of the key at ``path``."""
        return ProjectError(self.lines.where(*path), what, hint)

    def table(self, path: KeyPath, kind: str) -> dict[str, Any]:
        """Return the table at ``path``, {} if there is none.

        Raises ``ProjectError`` if a key or the type of a value is not in the schema of this kind.
        """
        value = self._value(path)
        known = schema.TABLES[kind]
        for key, item in value.items():
            hint = schema.HINTS.get((kind, key), "")
            if key not in known:
                what = f"unknown key {key!r} in {kind} [{'.'.join(path)}]"
                raise self.error((*path, key), what, hint or nearest(key, known))
            if not _fits(item, known[key]):
                what = f"{key} must be {schema.TYPE_NAMES[known[key]]}"
                raise self.error((*path, key), what, hint or _form(key, item, known[key]))
        return value

    def named(self, path: KeyPath, allowed: re.Pattern[str] = schema.NAME, hint: str = "") -> Iterator[str]:
        """The names of the tables below ``path``.

        Raises ``ProjectError`` for a name that does not match ``allowed``; ``hint`` describes what does.
        """
        for name in self._value(path):
            if not allowed.fullmatch(name):
                hint = hint or (
                    "use lower-case letters and digits, with single '-', '_' or '.' between them; "
                    f"{schema.LONGEST_NAME} at most"
                )
                raise self.error((*path, name), f"{name!r} is not a name", hint)
            yield name

    def args(self, table: Mapping[str, Any], path: KeyPath) -> dict[str, str]:
        """Return the build arguments of a table as strings. Raises ``ProjectError`` for other types."""
        for name in table.get("args", {}):
            if name in AUTOMATIC_ARGS:
                what = f"argument {name} is set by BuildKit for each build and cannot be set here"
                raise self.error((*path, "args", name), what)
        return self.strings(table, path, "args", "argument")

    def strings(self, table: Mapping[str, Any], path: KeyPath, key: str, noun: str) -> dict[str, str]:
        """Return the values by name that a table has at ``key``, as strings; ``noun`` is one of them.

        Raises ``ProjectError`` for a value that is neither a string, a whole number, nor true or false.
        """
        result = {}
        for name, value in table.get(key, {}).items():
            where, text = (*path, key, name), as_text(value)
            if text is None:
                what = f"{noun} {name} must be a string or a whole number"
                raise self.error(where, what, "put it in quotes")
            if "\0" in text:
                raise self.error(where, f"{noun} {name} has a zero byte, which no {noun} can have")
            if len(f"{name}{text}".encode()) > schema.LONGEST_VALUE:
                what = f"{noun} {shortened(name)} has over {schema.LONGEST_VALUE} bytes, its name included"
                raise self.error(where, what, "put the text into a file, which the Dockerfile copies")
            result[name] = text
        return result

    def check_timeout(self, table: Mapping[str, Any], path: KeyPath, key: str) -> None:
        """Raise ``ProjectError`` for a time limit below a second or above a year."""
        if not 1 <= table.get(key, 1) <= schema.LONGEST_TIMEOUT:
            raise self.error((*path, key), f"{key} is in seconds: at least 1, at most a year")

    def _value(self, path: KeyPath) -> dict[str, Any]:
        value: Any = self.tables
        for key in path:
            value = value.get(key, {})
        if not isinstance(value, dict):
            raise self.error(path, f"{'.'.join(path)} must be a table")
        return value


def as_text(value: object) -> str | None:
    """Return a string, a whole number, true or false as text. Return None for any other value.

    A float has no text, since 3.10 would become 3.1.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


def _form(key: str, item: object, kind: schema.Kind) -> str:
    """Say how to write a value of another type; "" if that is not clear."""
    if kind is list and isinstance(item, str):
        return f'write {key} = ["{shortened(item)}"]'
    if kind is dict:
        return f'write {key} = {{ NAME = "VALUE" }}'
    if kind is str and isinstance(item, (int, float)) and not isinstance(item, bool):
        return f'put it in quotes: {key} = "{item}"'
    return "write it without quotes" if kind in (bool, int, float) and isinstance(item, str) else ""


def _fits(item: object, kind: schema.Kind) -> bool:
    """Return True if a value has this type. A whole number is a number; true and false are not."""
    wanted = (int, float) if kind is float else kind
    return isinstance(item, wanted) and (kind is bool or not isinstance(item, bool))
