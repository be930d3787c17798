"""The colours and words of decisions, for all that draws: reuse green, pull blue, build yellow, failed red.

A colour never stands alone: the word stands beside it.
"""

from __future__ import annotations

#: What became of a node in a run, and what a run would do with it. This is the order of tables.
DONE = {"failed": "failed", "build": "built", "pull": "pulled", "reuse": "reused"}
TO_DO = {"failed": "fails", "build": "to build", "pull": "to pull", "reuse": "to reuse"}

#: Fill colours for pictures, light enough for black text.
FILLS = {"reuse": "#c8e6c9", "pull": "#bbdefb", "build": "#ffecb3", "failed": "#ffcdd2"}

#: The fill of external images, and of all others.
EXTERNAL, PLAIN = "#eceff1", "#ffffff"

#: Names of the same colours, as rich has them.
NAMES = {"reuse": "green", "pull": "blue", "build": "yellow", "failed": "red"}

#: Colours of a terminal (ECMA-48, "Select graphic rendition").
_CODES = {"reuse": "32", "pull": "34", "build": "33", "failed": "31", "focus": "1", "dim": "2"}


def painted(text: str, colour: str) -> str:
    """Return the text for a terminal that knows colours."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
