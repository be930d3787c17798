"""The events of one run, and its results: the summary, and ``last-run.json`` for machines."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ..system.text import human_size, human_time
from .display import Display
from .events import NodeResult, Timeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ..docker.progress import StepTime
    from ..project.model import Node
    from ..store.record import Record

_PAST = {"reuse": "reused", "pull": "pulled", "build": "built", "failed": "failed"}


class Report:
    """Collects the events of one run from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._display = Display()
        self._done: dict[str, NodeResult] = {}
        self._images: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._undelivered: dict[str, str] = {}
        self._start = time.monotonic()
        self._begun: dict[str, float] = {}  # when work on each node began, for ``timeline``
        self.timeline = Timeline()

    # -- events ----------------------------------------------------------------------------------

    def start(self, node: Node, usual: float | None) -> None:
        """Work on a node begins. ``usual`` is how many seconds its last build took."""
        with self._lock:
            self._begun[str(node)] = self.timeline.now()
            self._display.start(node, usual)

    def step(self, node: Node, step: str) -> None:
        """A node has reached a step."""
        with self._lock:
            self._begun.setdefault(str(node), self.timeline.now())
            self._display.step(node, step)

    def span(self, kind: str, node: object, name: str) -> AbstractContextManager[None]:
        """Measure the time of a block; see ``events.Event``."""
        return self.timeline.span(kind, node, name)

    def steps(self, node: Node, steps: Sequence[StepTime]) -> None:
        """A call of the builder has ended; these are its steps."""
        self.timeline.add_steps(node, steps, self._begun.get(str(node), 0.0))

    def done(
        self,
        node: Node,
        decision: str,
        record: Record,
        reason: str,
        *,
        changes: tuple[str, ...] = (),
        image_bytes: int | None = None,
    ) -> None:
        """A node is reused, pulled or built.

        ``changes`` are those since its last build. ``image_bytes`` is the size of its image's layers.
        """
        with self._lock:
            name, seconds = str(node), self._display.end(str(node))
            facts = name, decision, record.key, record.digest, round(seconds, 1), reason
            build_seconds = round(record.seconds, 1)
            self._done[name] = NodeResult(*facts, *self._times(name), changes, image_bytes, build_seconds)
            if decision != "reuse":
                self._display.print(f"   {node}: {_PAST[decision]} in {human_time(seconds)}")

    def failed(self, node: str, message: str) -> None:
        """A node failed; or, if it is done already, its image did not reach the engine or the registry."""
        with self._lock:
            first = message.splitlines()[0]
            if node in self._done:
                self._undelivered[node] = first
            else:
                seconds = round(self._display.end(node), 1)
                self._done[node] = NodeResult(node, "failed", "", "", seconds, first, *self._times(node))

    def _times(self, node: str) -> tuple[float, float]:
        """When work on a node began, and now."""
        now = self.timeline.now()
        return self._begun.get(node, now), now

    def image(self, tag: str, record: Record, size: int) -> None:
        """An image has its final tag; ``size`` is that of its layers as stored (bytes)."""
        with self._lock:
            self._images[tag] = record.digest
            self._sizes[tag] = size

    def note(self, message: str) -> None:
        """Print something that the user should know and that is no fault."""
        with self._lock:
            self._display.print(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        with self._lock:
            self._display.print(f"warning: {message}")

    def close(self) -> None:
        """End the live display; harmless when repeated."""
        with self._lock:
            self._display.close()

    # -- results ---------------------------------------------------------------------------------

    def summary(self) -> str:
        """Return one line for each decision with its nodes and reasons, then images with digests."""
        with self._lock:
            groups: dict[str, list[NodeResult]] = {"reuse": [], "pull": [], "build": [], "failed": []}
            for item in self._done.values():
                groups[item.decision].append(item)
            reused = groups.pop("reuse")
            lines = [f"reused: {', '.join(item.node for item in reused)}"] if reused else []
            lines += [
                f"{_PAST[decision]}: {item.node} in {human_time(item.seconds)}: {item.reason}"
                for decision, items in groups.items()
                for item in items
            ]
            lines += [f"not delivered: {node}: {why}" for node, why in self._undelivered.items()]
            lines += [
                f"image: {tag} {digest} ({human_size(self._sizes[tag])} compressed)"
                for tag, digest in self._images.items()
            ]
            if lines:
                built, pulled = len(groups["build"]), len(groups["pull"])
                took = human_time(time.monotonic() - self._start)
                lines.append(f"{built} built, {pulled} pulled, {len(reused)} reused in {took}")
            return "\n".join(lines)

    def results(self, goals: Sequence[str] = (), outcome: str = "done") -> dict[str, Any]:
        """Return the content of ``last-run.json``. ``outcome`` is ``done``, ``failed`` or ``interrupted``."""
        with self._lock:
            return {
                "schema": 1,
                "started": self.timeline.started,
                "goals": list(goals),
                "outcome": outcome,
                "nodes": [item._asdict() for item in self._done.values()],
                "images": dict(self._images),
                "events": [event._asdict() for event in self.timeline.events],
                "seconds": round(time.monotonic() - self._start, 1),
            }
