"""Text as GitHub Flavored Markdown, which pull requests and the summaries of CI jobs show. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..output import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: GitHub shows at most 1 MiB of a job's summary.
MOST_ROWS = 400


def code(value: str, *, in_table: bool = False) -> str:
    """Return a text that Markdown shows as it is: in as many backticks as it needs."""
    value = printable(value)
    if not value:
        return ""
    fence = "`"
    while fence in value:
        fence += "`"
    space = " " if value.startswith("`") or value.endswith("`") else ""
    shown = value.replace("|", "\\|") if in_table else value
    return f"{fence}{space}{shown}{space}{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, with ``MOST_ROWS`` rows at most; none without rows.

    Cells are Markdown already.
    """
    if not rows:
        return []
    lines = [
        "".join(f"| {cell} " if cell else "| " for cell in cells) + "|" for cells in (head, *rows[:MOST_ROWS])
    ]
    lines.insert(1, f"|{'---|' * len(head)}")
    return [*lines, *([f"\nand {len(rows) - MOST_ROWS} more"] if len(rows) > MOST_ROWS else []), ""]
