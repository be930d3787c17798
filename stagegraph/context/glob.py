"""One pattern of ``.dockerignore``, matched in time that grows with the path's length.

moby/patternmatcher translates a pattern into a regular expression, which Go matches without backtracking:
``**/`` is ``(.*/)?``, ``*`` is ``[^/]*``. Here all places of the pattern that a path may have reached are the
bits of one number (https://swtch.com/~rsc/regexp/regexp1.html); each character of the path moves them on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r"\*\*/?|\[\^?(?:\\.|[^\]\\])*\]|\\.|.", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return the test for a pattern that is clean and well formed.

    Patterns with no wildcard but ``**`` at one end are compared as texts, as patternmatcher does: its
    ``d/**`` also hides ``d/`` itself, and its ``**a`` hides ``b/xa``.
    """
    tokens = _TOKEN.findall(pattern)
    special = [token for token in tokens if token[0] in "*?[]\\"]
    if not special:
        return pattern.__eq__
    if len(special) == 1 and tokens[0] in ("**", "**/"):
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix[:1] == "/" and path == suffix[1:])
    if len(special) == 1 and tokens[-1] in ("**", "**/"):
        return lambda path: path.startswith(pattern[:-2])
    return Automaton(tokens).matches


class Automaton:
    """The places of a pattern as bits. Bit n is set while the path may continue with token n."""

    def __init__(self, tokens: list[str]) -> None:
        self._single: list[tuple[int, re.Pattern[str]]] = []
        #: Places that also reach the next one without a character; with ``_skips_two``, the one behind that.
        self._skips = self._skips_two = 0
        #: Places that stay where they are at any character but "/", or but a line feed (as "." in Go).
        self._stars = self._deep = 0
        self._folders = 0  # places that a "/" moves on
        self._steps: dict[str, tuple[int, int]] = {}
        bit = 1
        for index, piece in enumerate(tokens):
            is_deep, is_last = piece in ("**", "**/"), index == len(tokens) - 1
            if is_deep and not is_last:
                if index and tokens[index - 1] in ("**", "**/"):
                    continue  # the same as one of them
                self._skips |= bit
                self._skips_two |= bit
                bit <<= 1
                self._deep |= bit
                self._folders |= bit
            elif is_deep:
                self._skips |= bit
                self._deep |= bit
            elif piece == "*":
                self._skips |= bit
                self._stars |= bit
            else:
                self._single.append((bit, _single(piece)))
            bit <<= 1
        self._end = bit

    def matches(self, path: str) -> bool:
        """Return True if the pattern matches the whole path."""
        places = self._skipped(1)
        for character in path:
            moving, staying = self._steps.get(character) or self._step(character)
            places = self._skipped((places & moving) << 1 | places & staying)
            if not places:
                return False
        return bool(places & self._end)

    def _skipped(self, places: int) -> int:
        """Add the places that are reached without a character."""
        while True:
            more = places | (places & self._skips) << 1 | (places & self._skips_two) << 2
            if more == places:
                return places
            places = more

    def _step(self, character: str) -> tuple[int, int]:
        """Return the places that a character moves on, and those that it leaves where they are."""
        moving = sum(bit for bit, single in self._single if single.fullmatch(character))
        staying = self._stars if character != "/" else 0
        if character == "/":
            moving |= self._folders
        if character != "\n":
            staying |= self._deep
        self._steps[character] = moving, staying
        return moving, staying


def _single(piece: str) -> re.Pattern[str]:
    """Return a regular expression for one character."""
    if piece == "?":
        return re.compile("[^/]")
    if len(piece) > 1 and piece[0] == "[":
        return re.compile(piece)
    return re.compile(re.escape(piece[-1]))
