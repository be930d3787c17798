"""A matrix of ``stages.toml``: one entry that stands for several, one for each combination of its values.

Pure. ``families`` puts the entries in place. The rules are those that people know: every combination, in the
order of the values, as in bake (https://docs.docker.com/build/bake/matrices/). An exclusion leaves out every
combination that has its values, as in GitHub Actions.
"""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import nearest
from .schema import MATRIX_EXAMPLE
from .tables import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .tables import KeyPath, TableReader

    #: A combination: the text of each placeholder. A table of words has several placeholders:
    #: ``distro.name``, ``distro.suite``.
    Words = dict[str, str]

#: Keys whose values have placeholders that are filled in later, as a reference is made. A matrix fills in
#: its own there and leaves the others as they are.
FILLED_LATER = frozenset({"repo", "tags"})

#: The most combinations of one matrix.
MOST = 10_000

#: The name of a key of a matrix, and of a word in a table of words.
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

# Doubled braces first: each means one brace.
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Matrix:
    """The matrix of the entry at ``path``. All methods raise ``ProjectError`` for a value that is wrong."""

    def __init__(self, reader: TableReader, path: KeyPath, table: Mapping[str, Any]) -> None:
        self._reader, self._path = reader, path
        self._axes = {
            key: self._axis(key, values)
            for key, values in self._checked(table["matrix"], "the matrix", MATRIX_EXAMPLE)
        }
        count = prod(map(len, self._axes.values()))
        if count > MOST:
            raise self._error(
                ("matrix",), f"the matrix has {count} combinations; at most {MOST} are possible"
            )
        self._exclude: list[Any] = [item for item in table.get("exclude", ()) if not isinstance(item, str)]

    def combinations(self) -> list[Words]:
        """Return the combinations that are not excluded, the values of the last key changing first."""
        every = [
            {placeholder: text for words in chosen for placeholder, text in words.items()}
            for chosen in product(*self._axes.values())
        ]
        left_out: set[int] = set()
        for number, item in enumerate(self._exclude, 1):
            wanted = self._exclusion(item)
            found = {index for index, words in enumerate(every) if wanted.items() <= words.items()}
            if not found:
                what = f"exclusion {number} matches no combination: {said(wanted)}"
                raise self._error(("exclude",), what, "correct its values, or remove it")
            left_out |= found
        if len(left_out) == len(every):
            raise self._error(("exclude",), "every combination is excluded", "remove an exclusion")
        return [words for index, words in enumerate(every) if index not in left_out]

    def filled(self, value: Any, words: Words, *keys: str) -> Any:
        """Return a value of the entry with its placeholders filled in; ``keys`` is its path in the entry.

        Strings in lists and tables are filled in, too, and so are keys of tables.
        """
        if isinstance(value, str):
            return self.text(value, words, *keys)
        if isinstance(value, list):
            return [self.filled(item, words, *keys) for item in value]
        if not isinstance(value, dict):
            return value
        table: dict[str, Any] = {}
        for key, item in value.items():
            name = self.text(key, words, *keys, key)
            if name in table:
                raise self._error((*keys, key), f"two keys become {name!r} for {said(words)}")
            table[name] = self.filled(item, words, *keys, key)
        return table

    def text(self, text: str, words: Words, *keys: str) -> str:
        """Return a string with its placeholders filled in. ``{{`` and ``}}`` are braces."""
        later = bool(keys) and keys[0] in FILLED_LATER

        def replaced(token: re.Match[str]) -> str:
            placeholder = token[1]
            if placeholder in words:
                return words[placeholder]
            if later:
                return token[0]
            if placeholder is None and len(token[0]) == 2:
                return token[0][0]
            raise self._no_placeholder(text, placeholder, words, keys)

        return _TOKEN.sub(replaced, text) if "{" in text or "}" in text else text

    def several(self) -> list[str]:
        """Return the keys that have several values."""
        return [key for key, axis in self._axes.items() if len(axis) > 1]

    # -- values --------------------------------------------------------------------------------------

    def _error(self, keys: Iterable[str], what: str, hint: str = "") -> Exception:
        return self._reader.error((*self._path, *keys), f"{written(self._path)}: {what}", hint)

    def _checked(self, table: Mapping[str, Any], what: str, hint: str) -> Iterator[tuple[str, Any]]:
        """The items of a table whose keys are words."""
        if not table:
            raise self._error(("matrix",), f"{what} is empty", hint)
        for key, value in table.items():
            if not KEY.fullmatch(key):
                invalid = f"{key!r} cannot be a key of a matrix"
                raise self._error(("matrix", key), invalid, "use letters, digits, '_' and '-'")
            yield key, value

    def _axis(self, key: str, values: Any) -> list[Words]:
        """Return the words of each value of a key."""
        path = ("matrix", key)
        if not isinstance(values, list):
            raise self._error(path, f"{key} must be a list", f'{key} = ["VALUE", ...]')
        if not values:
            raise self._error(path, f"{key} has no values", f"give it one, or remove {key}")
        tables = [value for value in values if isinstance(value, dict)]
        if not tables:
            return [{key: self._word(path, value)} for value in values]
        first = tables[0]
        for number, value in enumerate(values, 1):
            if not isinstance(value, dict) or value.keys() != first.keys():
                what = f"value {number} of {key} does not have the words of the others: {', '.join(first)}"
                raise self._error(path, what, "give all values of a key the same words")
        hint = f'{key} = [{{ name = "VALUE" }}, ...]'
        return [
            {
                f"{key}.{name}": self._word((*path, name), word)
                for name, word in self._checked(value, f"a table of {key}", hint)
            }
            for value in tables
        ]

    def _word(self, path: KeyPath, value: object) -> str:
        """Return a value as text, as arguments of a stage are read."""
        if (text := as_text(value)) is None:
            what = f"a value of {'.'.join(path[1:])} is neither a string nor a whole number"
            raise self._error(path, what, "put it in quotes")
        return text

    def _exclusion(self, item: object) -> Words:
        """Return the words of an exclusion by their placeholders: ``{ distro.name = "humble" }``."""
        known = {placeholder for axis in self._axes.values() for placeholder in axis[0]}
        words: Words = {}
        for key, value in item.items() if isinstance(item, dict) else ():
            nested = (
                {f"{key}.{name}": word for name, word in value.items()} if isinstance(value, dict) else {}
            )
            for placeholder, word in (nested or {key: value}).items():
                if placeholder not in known:
                    what = f"exclude has {placeholder}, which is not in the matrix"
                    raise self._error(("exclude",), what, nearest(placeholder, known))
                words[placeholder] = self._word(("exclude", placeholder), word)
        if not words:
            raise self._error(("exclude",), "an exclusion is not a table of values", '{ distro = "humble" }')
        return words

    def _no_placeholder(self, text: str, placeholder: str | None, words: Words, keys: KeyPath) -> Exception:
        """Return the error for a placeholder that the matrix does not fill in."""
        if placeholder is None:
            what, hint = f"a single brace in {text!r}", "write {{ or }} for a brace"
        elif parts := [name for name in words if name.startswith(f"{placeholder}.")]:
            what = f"{{{placeholder}}} in {text!r} is a table of words"
            hint = f"write one of them: {', '.join(f'{{{name}}}' for name in parts)}"
        else:
            what = f"nothing is called {{{placeholder}}} in {text!r}"
            hint = f"{nearest(placeholder, words)}\n  write {{{{ and }}}} for braces"
        return self._error(keys, what, hint)


def written(path: KeyPath) -> str:
    """Return the header of a table as the file has it: ``[stages."{distro}-core"]``."""
    return f'[{path[0]}."{path[1]}"]'


def said(words: Mapping[str, str]) -> str:
    """Return a combination for a message: ``distro = humble, python = 3.13``."""
    return ", ".join(f"{placeholder} = {text}" for placeholder, text in words.items())
