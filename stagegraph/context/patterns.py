"""Patterns of paths: Go's ``filepath.Match`` for sources, and ``.dockerignore``.

``.dockerignore`` is read by a port of moby/patternmatcher (PyPI ``e2b-dockerfile-utils``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ContextError

if TYPE_CHECKING:
    from pathlib import Path

    from e2b_dockerfile_utils.dockerignore import PatternMatcher


class Ignore:
    """The patterns of an ignore file."""

    def __init__(self, matcher: PatternMatcher) -> None:
        self._matcher = matcher

    @classmethod
    def read(cls, path: Path) -> Ignore:
        """Read an ignore file. Raises ``ContextError`` if it cannot be read or has a malformed pattern."""
        from e2b_dockerfile_utils.dockerignore import PatternMatcher

        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
            # lines as in Go: str.splitlines also divides at other characters
            return cls(PatternMatcher([line.removesuffix("\r") for line in text.split("\n")]))
        except OSError as error:
            raise ContextError(str(path), f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ContextError(str(path), str(error)) from None

    def hides(self, path: str) -> bool:
        """Return True if ``path`` is hidden from the build."""
        return self._matcher.matches(path)

    def may_show_below(self, folder: str) -> bool:
        """Return True if a ``!`` line may show something below a hidden folder."""
        return self._matcher.may_match_under(folder)


_NOTHING = re.compile(r"(?!)")


def has_wildcard(word: str) -> bool:
    """Return True if BuildKit reads ``word`` as a pattern: ``*``, ``?`` or ``[`` without a backslash."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", word, flags=re.DOTALL)) is not None


def path_match(pattern: str) -> re.Pattern[str]:
    """Return Go's ``filepath.Match`` of a pattern; a malformed pattern matches nothing."""
    pieces = _pieces(pattern)
    return _NOTHING if pieces is None else re.compile("".join(pieces), re.DOTALL)


def crosses(pattern: str) -> bool:
    """Return True if a class of a pattern also matches "/", as ``[^a]`` does in Go's ``filepath.Match``."""
    pieces = _pieces(pattern) or []
    return any(piece != "/" and re.fullmatch(piece, "/", re.DOTALL) for piece in pieces)


def _pieces(pattern: str) -> list[str] | None:
    """Return a regular expression for each character, class or wildcard; None for a malformed pattern."""
    out: list[str] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            parsed = _class(pattern, index)
            if parsed is None:
                return None
            out.append(parsed[0])
            index = parsed[1]
        elif char == "\\":
            if index == len(pattern):
                return None
            out.append(re.escape(pattern[index]))
            index += 1
        else:
            out.append(re.escape(char))
    return out


def _class(pattern: str, index: int) -> tuple[str, int] | None:
    """Return ``[a-z]`` or ``[^a-z]`` as a regular expression, and its end; None if it is malformed.

    ``index`` is behind the opening bracket.
    """
    negated = pattern[index : index + 1] == "^"
    index += negated
    ranges: list[str] = []
    while pattern[index : index + 1] != "]" or not ranges:
        low = high = _class_char(pattern, index)
        if low is not None and pattern[low[1] : low[1] + 1] == "-":
            high = _class_char(pattern, low[1] + 1)
        if low is None or high is None:
            return None
        index = high[1]
        # a range that runs backwards is allowed and matches nothing
        ranges.append(f"{re.escape(low[0])}-{re.escape(high[0])}" if low[0] <= high[0] else "")
    characters = "".join(ranges)
    if not characters:
        return ("." if negated else "(?!)"), index + 1
    return f"[{'^' if negated else ''}{characters}]", index + 1


def _class_char(pattern: str, index: int) -> tuple[str, int] | None:
    """Return one character of a class, possibly after a backslash, and the index of the next one."""
    char = pattern[index : index + 1]
    if char in ("", "-", "]"):
        return None
    if char == "\\":
        index += 1
        char = pattern[index : index + 1]
    return (char, index + 1) if char and index + 1 < len(pattern) else None
