"""The abilities of the terminal, or of what else takes the standard output."""

from __future__ import annotations

import os
import sys


def has_colours() -> bool:
    """Return whether to print colours: to a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def has_lines() -> bool:
    """Return whether the encoding of the output has the lines of a tree."""
    try:
        "├╌…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
