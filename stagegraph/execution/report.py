"""The events of one run, and its results: the summary, and ``last-run.json`` for machines."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

from ..drawing.colours import DONE, NAMES, painted
from ..output import shown
from ..system.pulse import Pulse
from ..system.text import human_size, human_time
from ..waits.waiting import WAITS
from .display import Detail, Display
from .events import NodeResult, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..docker.progress import StepTime
    from ..project.model import Node
    from ..store.record import Record
    from .outlook import Left, Outlook


def _kept(decisions: Sequence[str]) -> Iterator[str]:
    """Yield a line about the nodes that an interrupted run has finished, unless there are none."""
    ways = [DONE[each] for each in ("build", "pull") if each in decisions]
    count = decisions.count("build") + decisions.count("pull")
    if count:
        nodes, are = ("1 node", "is") if count == 1 else (f"{count} nodes", "are")
        what = f"{nodes} {' or '.join(ways)} in this run {are} in cache/"
        yield f"kept: {what}; the next run goes on from there"


class Report:
    """Collects the events of one run from any thread, and shows them as ``detail`` says."""

    def __init__(self, detail: Detail = Detail.PROGRESS, stream: TextIO | None = None) -> None:
        """``stream`` is standard error by default."""
        self._lock = threading.RLock()
        self._display = Display(detail, self._left, stream, waits=WAITS.lines)
        self._outlook: Outlook | None = None
        self._pulse, self._done = Pulse(1, self._tick), dict[str, NodeResult]()
        self._images, self._sizes, self._undelivered = dict[str, str](), dict[str, int](), dict[str, str]()
        self.untrusted: Callable[[], Sequence[str]] = tuple  # lines of the summary
        self._start, self.timeline = time.monotonic(), Timeline()
        self.span = self.timeline.span

    # -- events ----------------------------------------------------------------------------------

    def expect(self, outlook: Outlook) -> None:
        """Tell what is left of the run from now on."""
        self._outlook = outlook

    def start(self, node: Node, usual: float | None) -> None:
        """Work on a node begins. ``usual`` is how many seconds its last build took."""
        with self._lock:
            self.timeline.begin(str(node))
            self._display.start(node, usual)

    def step(self, node: Node, step: str) -> None:
        """A node has reached a step."""
        self._step(node, step, "build")

    def pull(self, node: Node) -> None:
        """An image is copied from the registry."""
        self._step(node, "pulling from the registry", "pull")

    def _step(self, node: Node, step: str, action: str) -> None:
        with self._lock:
            self.timeline.begin(str(node), again=False)
            self._display.step(node, step, action)
            if self._display.is_shown:
                self._pulse.start()

    def output(self, node: Node, log: bytes, latest: str) -> None:
        """The builder has printed: what is new in the log, and the last line of the current step."""
        with self._lock:
            self._display.output(node, log.decode(errors="replace"), latest)

    def steps(self, node: Node, steps: Sequence[StepTime]) -> None:
        """A call of the builder has ended; these are its steps."""
        self.timeline.add_steps(node, steps)

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
            times, build_seconds = self.timeline.times(name), round(record.seconds, 1)
            self._done[name] = NodeResult(*facts, *times, changes, image_bytes, build_seconds)
            if decision != "reuse":
                past = DONE[decision], NAMES[decision]
                self._display.progress(f"   {node}: ", past, f" in {human_time(seconds)}")

    def rest(self, node: Node) -> None:
        """Nothing more happens to a node that is done."""
        with self._lock:
            self._display.end(str(node))

    def failed(self, node: str, message: str) -> None:
        """A node failed; or, if it is done already, its image did not reach the engine or the registry."""
        with self._lock:
            first, seconds = message.splitlines()[0], self._display.end(node)
            if node in self._done:
                self._undelivered[node] = first
            else:
                facts = node, "failed", "", "", round(seconds, 1), first
                self._done[node] = NodeResult(*facts, *self.timeline.times(node))

    def image(self, tag: str, record: Record, size: int) -> None:
        """An image has its final tag; ``size`` is that of its layers as stored (bytes)."""
        with self._lock:
            self._images[tag] = record.digest
            self._sizes[tag] = size

    def wait(self, line: str) -> None:
        """Print a line about what the run waits for."""
        with self._lock:
            self._display.wait(line)

    def note(self, message: str) -> None:
        """Print something that the user should know and that is no fault."""
        with self._lock:
            self._display.note(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        with self._lock:
            self._display.print(f"warning: {message}")

    def close(self) -> None:
        """End the live display until the next step or ``resume``; harmless when repeated."""
        with self._lock:
            self._pulse.stop()
            self._display.close()

    def resume(self) -> None:
        """Show again what is in work, after ``close``."""
        with self._lock:
            if self._display.resume():
                self._pulse.start()

    def interrupt(self) -> list[str]:
        """Show nothing from now on. Return lines about what was in work, and what is kept."""
        with self._lock:
            self._pulse.stop()
            decisions = [item.decision for item in self._done.values()]
            return [*self._display.interrupt(), *_kept(decisions)]

    # -- what is left ----------------------------------------------------------------------------

    def _left(self, working: Mapping[Node, float | None]) -> Left | None:
        # no lock: rich calls this under its own
        return self._outlook.left(self._outcomes, working) if self._outlook else None

    @property
    def _outcomes(self) -> dict[str, str]:
        return {item.node: item.decision for item in list(self._done.values())}

    def _tick(self) -> None:
        if self._outlook:
            self._outlook.look(self._outcomes)
        with self._lock:
            self._display.tick()

    # -- results ---------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Return True if the run did nothing."""
        return not (self._done or self._undelivered or self._images)

    def summary(self, *, colours: bool = False) -> str:
        """Return a line for each decision with nodes and reasons, then images with digests; it is cleaned."""

        def past(decision: str) -> str:
            return painted(DONE[decision], decision) if colours else DONE[decision]

        with self._lock:
            if self._display.detail is Detail.RESULT:
                return "\n".join(self._result_lines())
            groups: dict[str, list[NodeResult]] = {"reuse": [], "pull": [], "build": [], "failed": []}
            for item in self._done.values():
                groups[item.decision].append(item)
            reused = groups.pop("reuse")
            lines = [f"{past('reuse')}: {', '.join(shown(item.node) for item in reused)}"] if reused else []
            lines += [
                f"{past(decision)}: {shown(f'{item.node} in {human_time(item.seconds)}: {item.reason}')}"
                for decision, items in groups.items()
                for item in items
            ]
            lines += self._result_lines()
            if lines:
                built, pulled = len(groups["build"]), len(groups["pull"])
                took = human_time(time.monotonic() - self._start)
                lines.append(f"{built} built, {pulled} pulled, {len(reused)} reused in {took}")
            return "\n".join(lines)

    def _result_lines(self) -> list[str]:
        return [
            *map(shown, self.untrusted()),
            *(shown(f"not delivered: {node}: {why}") for node, why in self._undelivered.items()),
            *(
                shown(f"image: {tag} {digest} ({human_size(self._sizes[tag])} compressed)")
                for tag, digest in self._images.items()
            ),
        ]

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
