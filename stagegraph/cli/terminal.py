"""The abilities of the terminal, or of what else takes the standard output."""

from __future__ import annotations

import sys

from ..system import terminal


def has_colours() -> bool:
    """Return whether to print colours on the standard output."""
    return terminal.has_colours(sys.stdout)


def has_lines() -> bool:
    """Return whether the encoding of the output has the lines of a tree."""
    return terminal.has_characters(sys.stdout, "├╌…")
