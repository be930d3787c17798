"""What happened in a run, and when. Times are in seconds since the start of the run."""

from __future__ import annotations

import datetime
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..docker.progress import StepTime


class Event(NamedTuple):
    """Something that took time.

    ``kind`` is ``build`` or ``test`` for a call of the builder, ``step`` for a step inside it, and
    ``look-up``, ``pull``, ``push`` or ``load`` for an image. ``node`` is ``STAGE:PLATFORM``; ``name`` says
    more, such as the instruction of a step or the tag of a load. ``state`` is ``done``, ``cached``,
    ``failed`` or ``canceled``.
    """

    kind: str
    node: str
    name: str
    start: float
    end: float
    state: str = "done"


class NodeResult(NamedTuple):
    """What became of a node: an item of ``nodes`` in ``last-run.json``, with its field names.

    ``decision`` is ``reuse``, ``pull``, ``build`` or ``failed``. ``changes`` are those since its last build.
    ``image_bytes`` is the size of the image's layers, ``build_seconds`` the time of the build that made it,
    now or earlier; None if not known.
    """

    node: str
    decision: str
    key: str
    digest: str
    seconds: float
    reason: str
    start: float
    end: float
    changes: tuple[str, ...] = ()
    image_bytes: int | None = None
    build_seconds: float | None = None


class Timeline:
    """Collects the events of one run, from any thread. ``started`` is the start of the run."""

    def __init__(self) -> None:
        self._unix, self._zero = time.time(), time.monotonic()
        self._events: list[Event] = []
        self._begun: dict[str, float] = {}  # when work on each node began
        self._lock = threading.Lock()

    @property
    def started(self) -> str:
        """The time when the run began, in the form of ISO 8601, with milliseconds."""
        moment = datetime.datetime.fromtimestamp(self._unix, datetime.UTC)
        return moment.isoformat(timespec="milliseconds")

    @property
    def events(self) -> list[Event]:
        """All events so far, by their start."""
        with self._lock:
            return sorted(self._events, key=lambda event: (event.start, event.end))

    def now(self) -> float:
        """Seconds since the start of the run."""
        return round(time.monotonic() - self._zero, 3)

    def begin(self, node: str, *, again: bool = True) -> None:
        """Work on a node begins. ``again``: what came before, such as a pull that failed, does not count."""
        if again or node not in self._begun:
            self._begun[node] = self.now()

    def times(self, node: str) -> tuple[float, float]:
        """When work on a node began, and now."""
        now = self.now()
        return self._begun.get(node, now), now

    @contextmanager
    def span(self, kind: str, node: object, name: str = "") -> Iterator[None]:
        """Record the time of the block. An exception makes the event ``failed``."""
        start, state = self.now(), "failed"
        try:
            yield
            state = "done"
        finally:
            with self._lock:
                self._events.append(Event(kind, str(node), name, start, self.now(), state))

    def add_steps(self, node: object, steps: Iterable[StepTime]) -> None:
        """Record the steps of a build that ends now."""
        since, until = self.times(str(node))
        events = [
            Event(
                "step",
                str(node),
                step.name,
                step.start - self._unix,
                until if step.end is None else step.end - self._unix,
                step.state,
            )
            for step in steps
        ]
        with self._lock:
            self._events += within(events, since, until)


def within(events: Sequence[Event], since: float, until: float) -> list[Event]:
    """Return the events with times inside ``since`` and ``until``.

    A builder elsewhere has a clock of its own. If all events are before or after, they are moved as a whole.
    A builder may also share a step with a build that began earlier; its start is cut.
    """
    if not events:
        return []
    first, last = min(event.start for event in events), max(event.end for event in events)
    shift = until - last if last < since or first > until else 0.0

    def inside(moment: float) -> float:
        return round(min(max(moment + shift, since), until), 3)

    return [event._replace(start=inside(event.start), end=inside(event.end)) for event in events]


def lanes(times: Sequence[tuple[float, float]]) -> list[int]:
    """Return a lane for each (start, end), from 0 on, so that no two in a lane overlap.

    Each gets the first lane that is free at its start.
    """
    result, free = [0] * len(times), list[float]()  # free: when each lane is free again
    for place in sorted(range(len(times)), key=lambda place: (*times[place], place)):
        start, end = times[place]
        lane = next((number for number, at in enumerate(free) if at <= start), len(free))
        free[lane:] = [end, *free[lane + 1 :]]
        result[place] = lane
    return result
