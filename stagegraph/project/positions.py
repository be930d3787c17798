"""The line of each key in a TOML text, for error messages.

Python's ``tomllib`` keeps no positions. Knows nothing of projects and does not check the TOML syntax.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from ..errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""

_DOTTED = rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*"

_HEADER = re.compile(rf"\s*\[{_DOTTED}\]\s*(?:#.*)?$")

_LIST_HEADER = re.compile(rf"\s*\[\[{_DOTTED}\]\]\s*(?:#.*)?$")

_KEY = re.compile(rf"{_DOTTED}=")

# Strings of one line first, so that a quote in one does not open a string of many lines.
_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*')


class SourceMap:
    """The lines of keys and tables: ``("stages", "blas", "path") -> 7``.

    A key of an inline table has the line of the table. Raises ``ProjectError`` for a key or table that is
    written twice.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._lines: dict[tuple[str, ...], int] = {}
        self._within: dict[tuple[str, ...], int] = {}  # the first line of anything in it
        self._origins: Mapping[tuple[str, str], Sequence[str]] = {}
        table: tuple[str, ...] = ()
        lists = 0
        quote = ""  # opened by a string of several lines in an earlier line
        for number, line in enumerate(text.split("\n"), 1):
            inside, quote = quote, _open_quote(line.rstrip("\r"), quote)
            if inside:
                continue
            if match := _LIST_HEADER.match(line):
                lists += 1
                table = (*_split(match[1]), str(lists))
            elif match := _HEADER.match(line):
                table = _split(match[1])
                self._add(table, number)
            elif match := _KEY.match(line):
                self._add(table + _split(match[1]), number)

    def _add(self, path: tuple[str, ...], number: int) -> None:
        if path in self._lines:
            raise ProjectError(
                f"{self.name}:{number}",
                f"{'.'.join(path)} is written twice, first in line {self._lines[path]}",
                "keep one of them",
            )
        self._lines[path] = number
        for end in range(len(path)):
            self._within.setdefault(path[:end], number)

    def where(self, *path: str) -> str:
        """Return ``FILE:LINE`` of a key.

        Without a line of its own, it has that of the first key in it, else that of the nearest table around.
        """
        spellings = [path]
        if self._origins and len(path) > 1:
            spellings += [(path[0], name, *path[2:]) for name in self._origins.get((path[0], path[1]), ())]
        for end in range(len(path), 0, -1):
            for each in spellings:
                if line := self._lines.get(each[:end]) or self._within.get(each[:end]):
                    return f"{self.name}:{line}"
        return self.name

    def with_origins(self, origins: Mapping[tuple[str, str], Sequence[str]]) -> SourceMap:
        """Return these lines, also for entries that the file has under other names.

        ``origins`` has their names in the file: ``("stages", "humble-core") -> ["{distro}-core"]``. If an
        entry has a key under its own name and under another one, its own line comes first.
        """
        derived = copy.copy(self)
        derived._origins = origins
        return derived


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _open_quote(line: str, quote: str) -> str:
    """Return the quotes of a string that is open at the end of a line; ``quote`` is open at its start."""
    position = 0
    while True:
        if quote:
            end = line.find(quote, position)
            while quote == '"""' and end > 0 and line[end - 1] == "\\":
                end = line.find(quote, end + 1)
            if end < 0:
                return quote
            position, quote = end + 3, ""
            continue
        token = _TOKEN.search(line, position)
        if token is None or token[0].startswith("#"):
            return ""
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
