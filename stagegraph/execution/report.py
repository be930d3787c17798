"""What is going on, and what came of it: live lines on a terminal, plain lines elsewhere, a summary.

Everything goes to standard error but the summary, which is what a run answers. ``rich`` is imported only
once a build starts on a terminal.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..system.files import write_atomically
from ..system.text import human_size, human_time

if TYPE_CHECKING:
    from pathlib import Path

    from ..project.model import Node
    from ..store.record import Record

#: Seconds between two plain lines about the same node.
QUIET = 30.0


@dataclass
class _Running:
    since: float
    usual: float | None
    step: str = ""
    said: float = 0.0


@dataclass(frozen=True)
class _Done:
    node: str
    decision: str
    key: str
    digest: str
    seconds: float
    reason: str


class Report:
    """Collects events of one run from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._running: dict[Node, _Running] = {}
        self._done: dict[str, _Done] = {}
        self._images: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._undelivered: dict[str, str] = {}
        self._start = time.monotonic()
        self._live: Any = None
        self._terminal = sys.stderr.isatty() and not os.environ.get("CI")

    # -- events ----------------------------------------------------------------------------------

    def start(self, node: Node, usual: float | None) -> None:
        """A node's turn has come. ``usual`` is how many seconds its last build took."""
        with self._lock:
            self._running[node] = _Running(time.monotonic(), usual)

    def step(self, node: Node, step: str) -> None:
        with self._lock:
            running = self._running.setdefault(node, _Running(time.monotonic(), None))
            running.step = step = " ".join(step.split())
            if self._terminal:
                self._show()
                return
            now = time.monotonic()
            if not running.said or now - running.said > QUIET:
                running.said = now
                usual = f", usually {human_time(running.usual)}" if running.usual else ""
                short = textwrap.shorten(step, 100, placeholder=" ...")
                self._line(f"   {node}: {short} ({human_time(now - running.since)}{usual})")

    def done(self, node: Node, decision: str, record: Record, reason: str) -> None:
        with self._lock:
            running = self._running.pop(node, None)
            seconds = time.monotonic() - running.since if running else 0.0
            self._done[str(node)] = _Done(
                str(node), decision, record.key, record.digest, round(seconds, 1), reason
            )
            if decision != "reuse":
                self._line(f"   {node}: {_PAST[decision]} in {human_time(seconds)}")

    def failed(self, node: str, message: str) -> None:
        """A node could not be made, or, if it is done already, its image did not get where it should."""
        with self._lock:
            if node in self._done:
                self._undelivered[node] = message.splitlines()[0]
                return
            running = next((n for n in self._running if str(n) == node), None)
            since = self._running.pop(running).since if running else time.monotonic()
            self._done[node] = _Done(
                node, "failed", "", "", round(time.monotonic() - since, 1), message.splitlines()[0]
            )

    def image(self, tag: str, record: Record, size: int) -> None:
        """An image is where it should be; ``size`` is of its layers as stored (bytes)."""
        with self._lock:
            self._images[tag] = record.digest
            self._sizes[tag] = size

    def note(self, message: str) -> None:
        """Something that a user should know, and that is no fault."""
        with self._lock:
            self._line(message)

    def warn(self, message: str) -> None:
        with self._lock:
            self._line(f"warning: {message}")

    # -- output ----------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _show(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), get_renderable=self._table, refresh_per_second=2, transient=True
            )
            self._live.start()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        # rich calls this under a lock of its own, for which others wait while they hold this report's
        for node, running in list(self._running.items()):
            usual = f" / {human_time(running.usual)}" if running.usual else ""
            took = f"{human_time(time.monotonic() - running.since)}{usual}"
            table.add_row(str(node), took, Text(running.step))  # no markup in what a builder says
        return table

    def close(self) -> None:
        """End the live display; harmless when repeated."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def summary(self) -> str:
        """One line a decision with its nodes and reasons, then images and digests."""
        with self._lock:
            lines = []
            groups: dict[str, list[_Done]] = {}
            for item in self._done.values():
                groups.setdefault(item.decision, []).append(item)
            reused = groups.get("reuse", [])
            if reused:
                lines.append(f"reused: {', '.join(item.node for item in reused)}")
            for decision in ("pull", "build", "failed"):
                lines += [
                    f"{_PAST[decision]}: {i.node} in {human_time(i.seconds)}: {i.reason}"
                    for i in groups.get(decision, [])
                ]
            lines += [f"not delivered: {node}: {why}" for node, why in self._undelivered.items()]
            lines += [
                f"image: {tag} {digest} ({human_size(self._sizes[tag])} compressed)"
                for tag, digest in self._images.items()
            ]
            if lines:
                built, pulled = len(groups.get("build", [])), len(groups.get("pull", []))
                took = human_time(time.monotonic() - self._start)
                lines.append(f"{built} built, {pulled} pulled, {len(reused)} reused in {took}")
            return "\n".join(lines)

    def write(self, path: Path) -> None:
        """``last-run.json``: one line of JSON for machines."""
        with self._lock:
            nodes = [
                {
                    "node": i.node,
                    "decision": i.decision,
                    "key": i.key,
                    "digest": i.digest,
                    "seconds": i.seconds,
                    "reason": i.reason,
                }
                for i in self._done.values()
            ]
            data = {
                "schema": 1,
                "nodes": nodes,
                "images": self._images,
                "seconds": round(time.monotonic() - self._start, 1),
            }
        write_atomically(path, json.dumps(data).encode() + b"\n")


_PAST = {"reuse": "reused", "pull": "pulled", "build": "built", "failed": "failed"}
