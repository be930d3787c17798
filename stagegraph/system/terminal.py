"""The abilities of what a program writes to: lines that are redrawn in place, and colours.

Lines are redrawn on a terminal that can move its cursor and has the ellipsis, and never with ``CI`` set:
services keep what a program prints as a file. ``NO_COLOR`` takes the colours away (https://no-color.org) and
leaves the lines.
"""

from __future__ import annotations

import os
from typing import TextIO


def is_live(stream: TextIO) -> bool:
    """Return whether lines on this stream can be redrawn in place."""
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return stream.isatty() and not is_dumb and not os.environ.get("CI") and has_characters(stream, "…")


def has_characters(stream: TextIO, text: str) -> bool:
    """Return whether the encoding of a stream has these characters."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def has_colours(stream: TextIO) -> bool:
    """Return whether text on this stream may have colours."""
    return is_live(stream) and not os.environ.get("NO_COLOR")
