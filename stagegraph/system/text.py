"""Text for people: sizes, durations, lists, and lines that every terminal can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..output import masked, printable, without_sequences

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of a value that a message shows.
LIMIT = 160


def human_size(size: float) -> str:
    """Format bytes in powers of 1000, as docker does: ``81.2 MB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    unit = 0
    while size >= 999.95 and unit < len(units) - 1:  # or it would be rounded to 1000.0
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {units[unit]}" if unit else f"{size:.0f} B"


def human_time(seconds: float) -> str:
    """Format seconds: ``8.2 s``, ``3 min 05 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def rough_time(seconds: float) -> str:
    """Format an estimate, rounded up: ``40 s``, ``3 min``, ``1 h 10 min``."""
    if seconds <= 50:
        return f"{max(math.ceil(seconds / 10), 1) * 10} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def counted(number: int, noun: str) -> str:
    """Return a number and a regular noun in the right form: ``1 node``, ``2 nodes``, ``no nodes``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join the first ``most`` words and say how many more there are: ``a, b and 3 more``.

    One word more is shown, since "and 1 more" would be as long.
    """
    if len(words) <= most + 1:
        return separator.join(words)
    return f"{separator.join(words[:most])} and {len(words) - most} more"


def shortened(text: str, limit: int = LIMIT) -> str:
    """Put a text on one line of at most ``limit`` characters. No half of a secret stays."""
    text = " ".join(masked(text).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str) -> str:
    """Return a line of a program's output as a terminal shows it: without colours, and with nothing but text.

    What a carriage return overwrites is left out.
    """
    line = text.rstrip("\r\n").rpartition("\r")[2]
    return printable(without_sequences(line).expandtabs()).rstrip()
