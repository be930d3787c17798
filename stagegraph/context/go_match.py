"""Go's ``filepath.Match``: the patterns in sources of COPY and ADD.

The time is at most the product of the lengths of pattern and path: as in Go, what stands between two stars
takes its first place, and is never moved afterwards. So a pattern may say no where a regular expression says
yes: ``*[^a]*b`` does not match ``x/yb``, since ``[^a]`` takes the ``x``, and no star takes the ``/``.

Go matches bytes, and reads characters of UTF-8 where a wildcard stands. So does this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SLASH = ord("/")

#: What Go reads for a byte that is no UTF-8.
_REPLACEMENT = 0xFFFD


class _Class(NamedTuple):
    """Ranges of characters, as ``[a-z]`` or ``[^a-z]``; one that runs backwards matches nothing."""

    negated: bool
    ranges: tuple[tuple[int, int], ...]

    def has(self, character: int) -> bool:
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


#: A byte, a class, or None for "?".
_Token = int | _Class | None


class _Piece(NamedTuple):
    """Tokens between stars; ``star``: any characters but "/" may stand before them."""

    star: bool
    tokens: tuple[_Token, ...]


class PathPattern:
    """A pattern. A malformed one matches nothing."""

    def __init__(self, pattern: str) -> None:
        self._pieces = _pieces(pattern)

    def matches(self, path: str) -> bool:
        """Return True if the pattern matches the whole path."""
        if self._pieces is None:
            return False
        data, place = path.encode("utf-8", "surrogateescape"), 0
        for index, piece in enumerate(self._pieces):
            is_last = index == len(self._pieces) - 1
            if piece.star and not piece.tokens:
                return b"/" not in data[place:]
            end = _end(piece.tokens, data, place)
            while end is None or (is_last and end < len(data)):
                if not piece.star or place == len(data) or data[place] == _SLASH:
                    return False
                place += 1
                end = _end(piece.tokens, data, place)
            place = end
        return place == len(data)

    def crosses(self) -> bool:
        """Return True if a class also matches "/", as ``[^a]`` does."""
        return any(
            isinstance(token, _Class) and token.has(_SLASH)
            for piece in self._pieces or ()
            for token in piece.tokens
        )


def _end(tokens: Sequence[_Token], data: bytes, place: int) -> int | None:
    """Return where the tokens end that begin at ``place``; None if they do not match there."""
    for token in tokens:
        if place == len(data):
            return None
        if isinstance(token, int):
            if data[place] != token:
                return None
            place += 1
            continue
        character, width = _character(data, place)
        if character == _SLASH if token is None else not token.has(character):
            return None
        place += width
    return place


def _character(data: bytes, place: int) -> tuple[int, int]:
    """Return the character at a place, and its length in bytes."""
    if data[place] < 0x80:
        return data[place], 1
    for width in (2, 3, 4):
        try:
            return ord(data[place : place + width].decode()), width
        except UnicodeDecodeError:
            continue
    return _REPLACEMENT, 1


def _pieces(pattern: str) -> list[_Piece] | None:
    """Divide a pattern at its stars; None if it is malformed."""
    pieces: list[_Piece] = []
    star, tokens = False, list[_Token]()
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            if tokens:
                pieces.append(_Piece(star, tuple(tokens)))
            star, tokens = True, []
        elif char == "[":
            parsed = _class(pattern, index)
            if parsed is None:
                return None
            tokens.append(parsed[0])
            index = parsed[1]
        elif char == "?":
            tokens.append(None)
        else:
            if char == "\\":
                if index == len(pattern):
                    return None
                char = pattern[index]
                index += 1
            tokens.extend(char.encode("utf-8", "surrogateescape"))
    if star or tokens:
        pieces.append(_Piece(star, tuple(tokens)))
    return pieces


def _class(pattern: str, index: int) -> tuple[_Class, int] | None:
    """Return a class and the index behind it; None if it is malformed. ``index`` is behind the bracket."""
    negated = pattern[index : index + 1] == "^"
    index += negated
    ranges: list[tuple[int, int]] = []
    while pattern[index : index + 1] != "]" or not ranges:
        low = high = _class_char(pattern, index)
        if low is not None and pattern[low[1] : low[1] + 1] == "-":
            high = _class_char(pattern, low[1] + 1)
        if low is None or high is None:
            return None
        index = high[1]
        ranges.append((low[0], high[0]))
    return _Class(negated, tuple(ranges)), index + 1


def _class_char(pattern: str, index: int) -> tuple[int, int] | None:
    """Return one character of a class, possibly after a backslash, and the index of the next one."""
    char = pattern[index : index + 1]
    if char in ("", "-", "]"):
        return None
    if char == "\\":
        index += 1
        char = pattern[index : index + 1]
    if not char or index + 1 == len(pattern) or "\ud800" <= char <= "\udfff":  # a byte that is no UTF-8
        return None
    return ord(char), index + 1
