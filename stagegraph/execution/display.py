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
    from ..project.model import Node

#: Seconds between two plain lines about the same node.
QUIET = 30.0


@dataclass
class _Line:
    """A node that is being worked on. ``usual``: the seconds of its last build, None if it has none."""

    since: float
    usual: float | None
    step: str = ""
    printed: float = 0.0


class Display:
    """Shows the nodes of a run. Not thread-safe: the caller holds a lock."""

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
            self._draw()
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

    def _draw(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = Live(
                console=console, get_renderable=self._table, refresh_per_second=2, transient=True
            )
            self._live.start()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        # rich calls this under its own lock; threads that hold the report's lock may wait for rich's
        for node, line in list(self._lines.items()):
            usual = f" / {human_time(line.usual)}" if line.usual else ""
            took = f"{human_time(time.monotonic() - line.since)}{usual}"
            table.add_row(str(node), took, Text(line.step))  # Text: a builder's output is not markup
        return table
