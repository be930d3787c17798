"""Parser directives of a Dockerfile: ``# syntax=`` and ``# escape=``.

Pure. Rules are BuildKit's (frontend/dockerfile/parser/directives.go;
https://docs.docker.com/reference/dockerfile/#parser-directives).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIRECTIVE = re.compile(r"#[ \t\f\r]*([a-zA-Z][a-zA-Z0-9]*)[ \t\f\r]*=[ \t\f\r]*(.+)$")


def read(text: str, name: str) -> dict[str, str]:
    """Return the parser directives ``syntax`` and ``escape`` of a text.

    BuildKit searches twice. Its parser takes ``escape`` from the comments at the start of the file; the first
    line that is not a known directive ends them, also a ``#!`` line. Its search for ``syntax`` skips a ``#!``
    line first. ``name`` is the Dockerfile's path. Raises ``DockerfileError`` where versions differ.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    own = list(_leading(line.lstrip() for line in lines))
    names = [key for key, _ in own]
    if "escape" in names and "check" in names[: names.index("escape")]:
        what = "# escape= after # check= is a directive only for some versions of BuildKit"
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
        yield match[1].lower(), match[2].rstrip(" \t\f\r") or match[2]


def without_syntax(text: str) -> str:
    """Return the text without its directive ``syntax``; instructions keep their line numbers.

    An empty comment after the other directives replaces it: a comment before them would end them.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    first = end = int(lines[0].startswith("#!"))
    while end < len(lines) and _DIRECTIVE.match(lines[end]):
        end += 1
    others = [line for line in lines[first:end] if not re.match(r"\s*#\s*syntax\s*=", line, re.IGNORECASE)]
    if len(others) == end - first:
        return text
    return "\n".join([*lines[:first], *others, *["#"] * (end - first - len(others)), *lines[end:]])
