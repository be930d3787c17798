"""The live display of a run: one line for each node that is being pulled or built.

On a terminal the lines are redrawn in place, by ``rich``, which is imported when the first node is drawn. On
a pipe, or with ``CI`` set, each node prints a plain line now and then. All output is on standard error.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..system.text import human_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..project.model import Node

#: Seconds between two plain lines about the same node.
QUIET = 30.0

#: The fewest columns in which a step is shown.
LEAST = 8


@dataclass
class _Line:
    """A node that is being worked on. ``usual``: the seconds of its last build, None if it has none."""

    since: float
    usual: float | None
    step: str = ""
    printed: float = 0.0


class Display:
    """Shows the nodes of a run. The caller holds a lock; only ``_table`` runs in a thread of rich."""

    def __init__(self) -> None:
        self._lines: dict[Node, _Line] = {}
        self._live: Any = None
        self._terminal = sys.stderr.isatty() and not os.environ.get("CI")

    def start(self, node: Node, usual: float | None) -> None:
        """Add a node. ``usual`` is how many seconds its last build took."""
        self._lines[node] = _Line(time.monotonic(), usual)

    def step(self, node: Node, step: str) -> None:
        """Show what happens to a node now."""
        line = self._lines.setdefault(node, _Line(time.monotonic(), None))
        line.step = " ".join(step.split())
        if self._terminal:
            self._start_live()
            return
        now = time.monotonic()
        if not line.printed or now - line.printed > QUIET:
            line.printed = now
            usual = f", usually {human_time(line.usual)}" if line.usual else ""
            short = textwrap.shorten(line.step, 100, placeholder=" ...")
            self.print(f"   {node}: {short} ({human_time(now - line.since)}{usual})")

    def end(self, name: str) -> float:
        """Remove a node. Return its seconds until now, 0 if it was not shown."""
        node = next((node for node in self._lines if str(node) == name), None)
        return time.monotonic() - self._lines.pop(node).since if node else 0.0

    def print(self, text: str) -> None:
        """Print a line that stays, above the live lines."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the live lines; harmless when repeated."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start_live(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = Live(
                console=console,
                get_renderable=lambda: self._table(console.width),
                refresh_per_second=2,
                transient=True,
            )
            self._live.start()

    def _table(self, width: int) -> Any:
        # rich calls this under its own lock; threads that hold the report's lock may wait for rich's
        rows = [(str(node), _took(line), line.step) for node, line in list(self._lines.items())]
        return table(rows, width)


def _took(line: _Line) -> str:
    usual = f" / {human_time(line.usual)}" if line.usual else ""
    return f"{human_time(time.monotonic() - line.since)}{usual}"


def table(rows: Sequence[tuple[str, str, str]], width: int) -> Any:
    """Return the lines for nodes: name, times and step, for a terminal of ``width`` columns.

    Names and times are never cut. The step gets the rest of the line. If that is too little to be read, it is
    left out. On a terminal that is too narrow for name and times, the times have a line of their own.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    texts = [[Text(cell) for cell in row] for row in rows]  # Text: a builder's output is not markup
    left = width - sum(max((row[column].cell_len for row in texts), default=0) + 2 for column in (0, 1))
    for name, took, step in texts:
        step.truncate(max(left, 0), overflow="ellipsis")
        if left < -2:  # the last column has no space after it
            grid.add_row(Text("\n  ").join([name, took]))
        else:
            grid.add_row(name, took, *([step] if left >= LEAST else []))
    return grid
