"""Which paths a pattern means: Go's ``filepath.Match`` for sources, ``.dockerignore`` for what is hidden."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ContextError

if TYPE_CHECKING:
    from pathlib import Path

    from e2b_dockerfile_utils.dockerignore import PatternMatcher


class Ignore:
    """An ignore file in force."""

    def __init__(self, matcher: PatternMatcher) -> None:
        self._matcher = matcher

    @classmethod
    def read(cls, path: Path) -> Ignore:
        """Raises ``ContextError`` for a file that cannot be read or a pattern that is none."""
        from e2b_dockerfile_utils.dockerignore import PatternMatcher

        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
            # Go's idea of a line: str.splitlines knows more ends of line
            return cls(PatternMatcher([line.removesuffix("\r") for line in text.split("\n")]))
        except OSError as error:
            raise ContextError(str(path), f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ContextError(str(path), str(error)) from None

    def hides(self, path: str) -> bool:
        return self._matcher.matches(path)

    def may_show_below(self, folder: str) -> bool:
        """Whether a ``!`` line could let something through below a hidden folder."""
        return self._matcher.may_match_under(folder)


_NOTHING = re.compile(r"(?!)")


def has_wildcard(word: str) -> bool:
    """Whether BuildKit takes ``word`` for a pattern: a character of one that no backslash stands before."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", word, flags=re.DOTALL)) is not None


def path_match(pattern: str) -> re.Pattern[str]:
    """Go's ``filepath.Match`` for a path; a malformed pattern matches nothing."""
    pieces = _pieces(pattern)
    return _NOTHING if pieces is None else re.compile("".join(pieces), re.DOTALL)


def crosses(pattern: str) -> bool:
    """Whether a class of a pattern stands for "/" too, as ``[^a]`` does in Go's ``filepath.Match``."""
    pieces = _pieces(pattern) or []
    return any(piece != "/" and re.fullmatch(piece, "/", re.DOTALL) for piece in pieces)


def _pieces(pattern: str) -> list[str] | None:
    """A pattern as regular expressions, one for each character, class or wildcard; None if malformed."""
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
            found = _class(pattern, index)
            if found is None:
                return None
            out.append(found[0])
            index = found[1]
        elif char == "\\":
            if index == len(pattern):
                return None
            out.append(re.escape(pattern[index]))
            index += 1
        else:
            out.append(re.escape(char))
    return out


def _class(pattern: str, index: int) -> tuple[str, int] | None:
    """The rest of ``[a-z]`` or ``[^a-z]`` as a regular expression, and where it ends; None if malformed."""
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
        # a range that runs backwards is allowed and holds nothing
        ranges.append(f"{re.escape(low[0])}-{re.escape(high[0])}" if low[0] <= high[0] else "")
    held = "".join(ranges)
    if not held:
        return ("." if negated else "(?!)"), index + 1
    return f"[{'^' if negated else ''}{held}]", index + 1


def _class_char(pattern: str, index: int) -> tuple[str, int] | None:
    """One character of a class, maybe after a backslash, and where the next begins."""
    char = pattern[index : index + 1]
    if char in ("", "-", "]"):
        return None
    if char == "\\":
        index += 1
        char = pattern[index : index + 1]
    return (char, index + 1) if char and index + 1 < len(pattern) else None
