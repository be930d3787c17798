"""Tables of ``stages.toml``, each looked at with its keys and types checked; errors name the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dockerfile.variables import AUTOMATIC_ARGS
from ..errors import ProjectError, nearest
from . import schema

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from .positions import SourceMap

#: Seconds that a time limit may have: a year.
_LONGEST = 366 * 86400

#: Where a table or key stands: ``("stages", "blas", "args")``.
KeyPath = tuple[str, ...]


class TableReader:
    """The parsed file and where its keys are written."""

    def __init__(self, tables: dict[str, Any], lines: SourceMap) -> None:
        self.tables, self.lines = tables, lines

    def error(self, path: KeyPath, what: str, hint: str = "") -> ProjectError:
        return ProjectError(self.lines.where(*path), what, hint)

    def table(self, path: KeyPath, kind: str) -> dict[str, Any]:
        """The table at ``path``, its keys and their types checked against the kind's."""
        value: Any = self.tables
        for part in path:
            value = value.get(part, {})
        if not isinstance(value, dict):
            raise self.error(path, f"{'.'.join(path)} must be a table")
        known = schema.TABLES[kind]
        for key, item in value.items():
            if key not in known:
                what = f"unknown key {key!r} in {kind} [{'.'.join(path)}]"
                raise self.error((*path, key), what, nearest(key, known))
            if not _fits(item, known[key]):
                raise self.error((*path, key), f"{key} must be {schema.TYPE_NAMES[known[key]]}")
        return value

    def named(self, path: KeyPath, allowed: re.Pattern[str] = schema.NAME, hint: str = "") -> Iterator[str]:
        """Names of the tables below ``path``, each checked; ``hint`` tells what is allowed."""
        value = self.tables.get(path[0], {})
        for part in path[1:]:
            value = value.get(part, {})
        if not isinstance(value, dict):
            raise self.error(path, f"{'.'.join(path)} must be a table")
        for name in value:
            if not allowed.fullmatch(name):
                hint = hint or (
                    "use lower-case letters and digits, with single '-', '_' or '.' between them; 54 at most"
                )
                raise self.error((*path, name), f"{name!r} is not a name", hint)
            yield name

    def args(self, table: Mapping[str, Any], path: KeyPath) -> dict[str, str]:
        """Build arguments as strings."""
        result = {}
        for name, value in table.get("args", {}).items():
            where = (*path, "args", name)
            if name in AUTOMATIC_ARGS:
                raise self.error(where, f"argument {name} is set for each build and cannot be given")
            if isinstance(value, bool):
                result[name] = "true" if value else "false"
            elif isinstance(value, (str, int)):
                result[name] = str(value)
                if "\0" in result[name]:
                    raise self.error(where, f"argument {name} has a zero byte, which no program can be given")
            else:
                # a float is refused too: 3.10 would become 3.1
                raise self.error(
                    where, f"argument {name} must be a string or a whole number", "put it in quotes"
                )
        return result

    def check_timeout(self, table: Mapping[str, Any], path: KeyPath, key: str) -> None:
        if not 1 <= table.get(key, 1) <= _LONGEST:
            raise self.error((*path, key), f"{key} is in seconds, 1 at least and a year at most")


def _fits(item: object, kind: schema.Kind) -> bool:
    """Whether a value has the type that its key wants: a whole number is a number, true is none."""
    wanted = (int, float) if kind is float else kind
    return isinstance(item, wanted) and (kind is bool or not isinstance(item, bool))
