"""The patterns of a stage's folder: ``.dockerignore``, and which words of a Dockerfile are patterns.

``.dockerignore`` is read and checked by a port of moby/patternmatcher (PyPI ``e2b-dockerfile-utils``). Its
regular expressions may need exponential time in Python, so ``glob`` matches the patterns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ContextError
from ..system import bounded
from .glob import matcher

if TYPE_CHECKING:
    from pathlib import Path

    from e2b_dockerfile_utils.dockerignore import PatternMatcher


class Ignore:
    """The patterns of an ignore file."""

    def __init__(self, lines: PatternMatcher) -> None:
        self._matcher = lines
        marked = [(pattern.startswith("!"), pattern) for pattern in lines.patterns]
        self._patterns = [(shows, matcher(pattern[shows:])) for shows, pattern in marked]
        self._folders: dict[str, tuple[bool, ...]] = {}

    @classmethod
    def read(cls, path: Path) -> Ignore:
        """Read an ignore file. Raises ``ContextError`` if it cannot be read or has a malformed pattern."""
        from e2b_dockerfile_utils.dockerignore import PatternMatcher

        try:
            text = bounded.read_path(path).decode("utf-8", "surrogateescape").removeprefix("\ufeff")
            # lines as in Go: str.splitlines also divides at other characters
            return cls(PatternMatcher([line.removesuffix("\r") for line in text.split("\n")]))
        except OSError as error:
            raise ContextError(str(path), f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ContextError(str(path), str(error)) from None

    def hides(self, path: str) -> bool:
        """Return True if ``path`` is hidden from the build."""
        hidden = False
        for (shows, _), matches in zip(self._patterns, self._matching(path), strict=True):
            hidden = not shows if matches else hidden
        return hidden

    def _matching(self, path: str) -> tuple[bool, ...]:
        """Return for each pattern whether it matches the path or a folder around it.

        As in patternmatcher's ``MatchesUsingParentResults``, a pattern that would change nothing at its place
        counts as one that does not match, also for what is below.
        """
        if path in self._folders:
            return self._folders[path]
        folder = path.rpartition("/")[0]
        above = self._matching(folder) if folder else (False,) * len(self._patterns)
        if folder:
            self._folders[folder] = above
        hidden, found = False, []
        for (shows, matches), is_above in zip(self._patterns, above, strict=True):
            found.append(is_above or (shows == hidden and matches(path)))
            hidden = not shows if found[-1] else hidden
        return tuple(found)

    def may_show_below(self, folder: str) -> bool:
        """Return True if a ``!`` line may show something below a hidden folder."""
        return self._matcher.may_match_under(folder)


def has_wildcard(word: str) -> bool:
    """Return True if BuildKit reads ``word`` as a pattern: ``*``, ``?`` or ``[`` without a backslash."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", word, flags=re.DOTALL)) is not None
