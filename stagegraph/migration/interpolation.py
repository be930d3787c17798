"""Variables in the values of a Compose file, and the file ``.env`` beside it. Pure.

The rules are those of https://docs.docker.com/reference/compose-file/interpolation/ and
https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")

_OPERATOR = re.compile(r":?[-?+]")


class Interpolation:
    """Replaces variables. ``used`` has the variables that were replaced, ``unset`` those without a value."""

    def __init__(self, variables: Mapping[str, str], where: str) -> None:
        self._variables, self._where = variables, where
        self.used: dict[str, str] = {}
        self.unset: set[str] = set()

    def tree(self, value: Any) -> Any:
        """Return a value of a Compose file with all variables replaced. Keys stay as they are."""
        if isinstance(value, dict):
            return {name: self.tree(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a text with its variables replaced.

        Raises ``ProjectError`` for a variable that must be set and is not, and for a form that Compose does
        not have.
        """
        result, rest = "", text
        while (place := rest.find("$")) >= 0:
            result, rest = result + rest[:place], rest[place + 1 :]
            if rest.startswith("$"):
                result, rest = f"{result}$", rest[1:]
            elif rest.startswith("{"):
                inner, rest = self._braced(rest[1:], text)
                result += self._expression(inner, text)
            elif name := _NAME.match(rest):
                result, rest = result + self._value(name[0]), rest[name.end() :]
            else:
                result += "$"
        return result + rest

    def _braced(self, rest: str, text: str) -> tuple[str, str]:
        """Return the inside of ``{...}``, and what follows it."""
        depth = 1
        for place, character in enumerate(rest):
            depth += {"{": rest[place - 1 : place] == "$", "}": -1}.get(character, 0)
            if depth == 0:
                return rest[:place], rest[place + 1 :]
        raise ProjectError(self._where, f"{text!r}: ${{ has no closing }}", "write $$ for a dollar sign")

    def _expression(self, inner: str, text: str) -> str:
        name = _NAME.match(inner)
        rest = inner[name.end() :] if name else inner
        operator = _OPERATOR.match(rest)
        if not name or (rest and not operator):
            what = f"{text!r}: ${{{inner}}} is no form that Compose has"
            raise ProjectError(self._where, what, "see docs.docker.com/reference/compose-file/interpolation")
        if not operator:
            return self._value(name[0])
        value, word = self._variables.get(name[0]), rest[operator.end() :]
        is_set = bool(value) if operator[0].startswith(":") else value is not None
        if operator[0].endswith("+"):
            return self.text(word) if is_set else ""
        if is_set:
            return self._value(name[0])
        if operator[0].endswith("?"):
            raise ProjectError(
                self._where, f"variable {name[0]} is not set: {self.text(word)}", f"{name[0]}=..."
            )
        return self.text(word)

    def _value(self, name: str) -> str:
        if name not in self._variables:
            self.unset.add(name)
            return ""
        self.used[name] = self._variables[name]
        return self._variables[name]


_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[_a-zA-Z][_a-zA-Z0-9.]*)\s*[=:]\s*(?P<rest>.*)")

_QUOTED = re.compile(r"""(?:'(?P<raw>[^']*)'|"(?P<quoted>(?:\\.|[^"\\])*)")(?>\s*)(?:(?<=\s)\#.*)?""")

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def env_file(text: str, variables: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the variables of an ``.env`` file, under those that are set already (``variables``)."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if not match or line.lstrip().startswith("#"):
            continue
        quoted = _QUOTED.fullmatch(match["rest"])
        if quoted and quoted["raw"] is not None:
            found[match["name"]] = quoted["raw"]
            continue
        value = re.split(r"\s#", match["rest"], maxsplit=1)[0].rstrip()
        if quoted:
            value = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted["quoted"])
        found[match["name"]] = Interpolation({**found, **variables}, where).text(value)
    return {**found, **variables}
