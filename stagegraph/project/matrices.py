"""The matrices of a section of ``stages.toml`` -> an entry for each combination. ``matrix`` reads one matrix.

Entries with a glob stay globs; ``globs`` writes them out afterwards. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import schema
from .globs import Entry
from .matrix import Matrix, said, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tables import KeyPath, TableReader


class Matrices:
    """Writes out the matrices of one section. All methods raise ``ProjectError``."""

    def __init__(self, reader: TableReader, section: str) -> None:
        self._reader, self._section = reader, section
        self._entries: dict[str, Entry] = {}

    def entries(self) -> dict[str, Entry]:
        """Return the entries of the section by name; globs are among them."""
        for name, table in self._reader.tables[self._section].items():
            if not schema.is_family(name, table):
                self._add(name, Entry(table, (name,)), "")
                continue
            path = (self._section, name)
            self._check(path, self._reader.table(path, f"family of {self._section}"))
            if "matrix" in table:
                self._write_out(path, table)
            else:
                self._add(name, Entry(table, (name,)), "")
        return self._entries

    def _check(self, path: KeyPath, table: Mapping[str, Any]) -> None:
        name, error = path[1], self._reader.error
        has_placeholder = bool({"{", "}"} & {*name})
        if "matrix" in table and not has_placeholder:
            hint = "write a key of it in the name, in braces: {KEY}"
            raise error(
                (*path, "matrix"), f"{written(path)} has a matrix, but no placeholder in its name", hint
            )
        if has_placeholder and "matrix" not in table:
            hint = 'write the values: matrix = { KEY = ["VALUE", ...] }'
            raise error(path, f"{written(path)} has a placeholder in its name, but no matrix", hint)
        if isinstance(table.get("path"), list) and "*" not in name:
            what = f"{written(path)} is no glob, and has a list of paths"
            raise error((*path, "path"), what, "write one path")
        for item in table.get("exclude", ()):
            if isinstance(item, str) and "*" not in name:
                hint = "a string leaves out folders of a glob; for a matrix write { KEY = VALUE }"
                raise error((*path, "exclude"), f"{written(path)} is no glob, and excludes {item!r}", hint)
            if not isinstance(item, str) and "matrix" not in table:
                hint = 'a glob leaves out what its "*" stands for: exclude = ["NAME", ...]'
                raise error((*path, "exclude"), f"{written(path)} has no matrix, and excludes {item!r}", hint)

    def _write_out(self, path: KeyPath, table: Mapping[str, Any]) -> None:
        matrix, names = Matrix(self._reader, path, table), dict[str, str]()
        body = {key: value for key, value in table.items() if key != "matrix"}
        exclude = [item for item in body.pop("exclude", ()) if isinstance(item, str)]
        for words in matrix.combinations():
            name = matrix.text(path[1], words)
            if name in names:
                idle = [key for key in matrix.several() if f"{{{key}" not in path[1]]
                what = f"{written(path)}: {name!r} comes out for {names[name]} and for {said(words)}"
                hint = f"write {', '.join(f'{{{key}}}' for key in idle)} in the name, too"
                raise self._reader.error(path, what, hint if idle else "use each value once")
            names[name] = said(words)
            filled = matrix.filled(body, words) | ({"exclude": exclude} if exclude else {})
            self._add(name, Entry(filled, (path[1],)), f"exclude it: exclude = [{{ {_toml(words)} }}]")

    def _add(self, name: str, entry: Entry, hint: str) -> None:
        if name in self._entries:
            first, own = (written((self._section, each.origins[0])) for each in (self._entries[name], entry))
            path = (self._section, entry.origins[0])
            raise self._reader.error(
                path, f"{name!r} comes out of {first} and of {own}", hint or "rename one"
            )
        self._entries[name] = entry


def _toml(words: Mapping[str, str]) -> str:
    return ", ".join(f'{placeholder} = "{text}"' for placeholder, text in words.items())
