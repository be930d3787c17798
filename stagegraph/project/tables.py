"""Read tables of ``stages.toml``: check keys and types, and name the line in errors.

Knows nothing of what a table means. ``schema`` says which keys each kind of table has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dockerfile.variables import AUTOMATIC_ARGS
from ..errors import ProjectError, nearest
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
                raise self.error((*path, key), f"{key} must be {schema.TYPE_NAMES[known[key]]}", hint)
        return value

    def named(self, path: KeyPath, allowed: re.Pattern[str] = schema.NAME, hint: str = "") -> Iterator[str]:
        """The names of the tables below ``path``.

        Raises ``ProjectError`` for a name that does not match ``allowed``; ``hint`` describes what does.
        """
        for name in self._value(path):
            if not allowed.fullmatch(name):
                hint = hint or (
                    "use lower-case letters and digits, with single '-', '_' or '.' between them; 54 at most"
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
            where = (*path, key, name)
            if isinstance(value, bool):
                result[name] = "true" if value else "false"
            elif isinstance(value, (str, int)):
                result[name] = str(value)
                if "\0" in result[name]:
                    raise self.error(where, f"{noun} {name} has a zero byte, which no {noun} can have")
            else:
                # a float is refused too: 3.10 would become 3.1
                raise self.error(
                    where, f"{noun} {name} must be a string or a whole number", "put it in quotes"
                )
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


def _fits(item: object, kind: schema.Kind) -> bool:
    """Return True if a value has this type. A whole number is a number; true and false are not."""
    wanted = (int, float) if kind is float else kind
    return isinstance(item, wanted) and (kind is bool or not isinstance(item, bool))
