"""The progress of buildx -> a log for people, the step that runs, and the output of a failed step.

``--progress=rawjson``, which buildx has since 0.13, prints BuildKit's events as JSON (``SolveStatus`` in
https://github.com/moby/buildkit/blob/master/client/graph.go). Each is on one line; before buildx 0.15 it is
indented over several lines. Plain text comes between the events: the error at the end with the line of the
Dockerfile before it, docker's warnings, and what a script around docker prints. Unknown fields are ignored.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..output import finished
from ..system import bounded
from ..system.text import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _Handler = Callable[["Step", dict[str, Any]], None]

# since 0.17 BuildKit marks the instructions of triggers
_STEP = re.compile(r"\[(?!internal|context )[^\]]*\] ?(?:ONBUILD )?(.*)", re.DOTALL)

_PLACE = re.compile(r"^\[[^\]]*\] ?")

_DOCKERFILE = re.compile(r"^\S*:(\d+)$")

_EVENTS = ("vertexes", "statuses", "warnings", "logs")


class _Documents:
    """Lines -> JSON documents, and the lines that are not part of a document."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._size = 0  # bytes

    def feed(self, line: bytes) -> Iterator[dict[str, Any] | bytes]:
        """The documents and lines that are complete with this line.

        In a document of several lines, all lines but the first and the last are indented.
        """
        if self._open and line[:1] in b" }":
            self._open.append(line)
            self._size += len(line)
            if self._size > bounded.MAX_LINE:
                yield from self.rest()
            elif line[:1] == b"}":
                yield from self._close()
        elif line.strip() == b"{":
            yield from self.rest()
            self._open, self._size = [line], len(line)
        elif line[:1] == b"{" and (document := _document(line)) is not None:
            yield from self.rest()
            yield document
        else:
            yield line

    def _close(self) -> Iterator[dict[str, Any] | bytes]:
        document = _document(b"".join(self._open))
        if document is None:
            yield from self.rest()
        else:
            self._open = []
            yield document

    def rest(self) -> Iterator[bytes]:
        """The lines of a document whose end is missing."""
        yield from self._open
        self._open = []


def _document(data: bytes) -> dict[str, Any] | None:
    """An event of BuildKit; None for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(value, dict) and (not value or any(name in value for name in _EVENTS))
    return value if is_event else None


class StepTime(NamedTuple):
    """When a step ran, in seconds since 1970 by the clock of the builder; ``end`` is None if it did not end.

    ``state`` is ``done``, ``cached``, ``failed`` or ``canceled``.
    """

    name: str
    start: float
    end: float | None
    state: str


@dataclass
class Step:
    """A vertex of BuildKit's graph, or a group of vertexes that BuildKit shows as one.

    Times are in seconds. ``durations`` are by start, since a vertex may run more than once.
    """

    name: str
    number: int = 0
    start: float = 0.0
    durations: dict[float, float] = field(default_factory=dict)
    running: bool = False
    cached: bool = False
    canceled: bool = False
    error: str = ""
    partial: bytes = b""  # the start of a line whose end is still to come
    printed_at: float = 0.0
    printed: int = 0  # lines
    output: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    @property
    def instruction(self) -> str:
        """``RUN make`` of ``[stage 2/3] RUN make``; "" for a step that is no instruction of a Dockerfile."""
        match = _STEP.match(self.name)
        return match[1] if match else ""

    @property
    def latest(self) -> str:
        """The last line of output, even if its end is still to come."""
        start = finished(self.partial.decode(errors="replace"))
        return start or (self.output[-1] if self.output else "")

    @property
    def time(self) -> StepTime:
        states = {"failed": self.error, "canceled": self.canceled, "cached": self.cached, "done": True}
        state = next(state for state, holds in states.items() if holds)
        ends = [start + seconds for start, seconds in self.durations.items()]
        end = None if self.running or not ends else max(ends)
        return StepTime(self.name, min([self.start, *self.durations]), end, state)

    def end(self, vertex: dict[str, Any]) -> None:
        """Take the end of a vertex: it has been completed, or has an error."""
        self.running, self.cached = False, bool(vertex.get("cached"))
        self.canceled = str(vertex.get("error", "")).endswith("context canceled")
        if vertex.get("completed"):
            self.durations[self.start] = max(_moment(vertex["completed"]) - self.start, 0)

    @property
    def is_export(self) -> bool:
        """True for the step that compresses and sends the image, which may take long."""
        return self.name.startswith("exporting ")


class _Steps:
    """The steps of a build, in the order of their start."""

    def __init__(self) -> None:
        self._by_name: dict[str, Step] = {}
        self._names: dict[str, str] = {}  # of the steps, by vertex

    def __iter__(self) -> Iterator[Step]:
        yield from self._by_name.values()

    def update(self, digest: str, vertex: dict[str, Any]) -> tuple[Step, bool]:
        """Return the step of a vertex, and whether it starts now; then it gets its number."""
        group = vertex.get("progressGroup") or {}
        name = self._names.setdefault(digest, str(group.get("id") or digest))
        step = self._by_name.setdefault(name, Step(""))
        step.name = step.name or str(group.get("name") or vertex.get("name", ""))
        if vertex.get("started"):
            step.start, step.running = _moment(vertex["started"]), True
        starts = not step.number and bool(vertex.get("started") or vertex.get("error"))
        if starts:
            del self._by_name[name]  # to sort steps by their start
            self._by_name[name] = step
            step.number = 1 + max(other.number for other in self)
        return step, starts

    @property
    def running(self) -> Step | None:
        """The instruction that started last among those that run; without one, an export that runs."""
        running = [step for step in self if step.running]
        shown = [step for step in running if step.instruction] or [s for s in running if s.is_export]
        return shown[-1] if shown else None


class Tracker:
    """Reads progress line by line; calls ``on_step`` with the step that runs now, whenever it is another one.

    ``line`` is the line of the Dockerfile that buildx names for the error, 0 if it names none. ``messages``
    are the last lines that no instruction printed.
    """

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._documents = _Documents()
        self._steps = _Steps()
        self._failures: list[Step] = []
        self._last_started = self._shown = ""
        self._log: list[bytes] = []
        self._final_error = ""
        self.line = 0
        self.all_lines: deque[str] = deque(maxlen=400)
        self.messages: deque[str] = deque(maxlen=400)

    def feed(self, line: bytes) -> bytes:
        """Read a line of buildx; return new lines for the log, in the form of ``--progress=plain``."""
        for piece in self._documents.feed(line):
            if isinstance(piece, bytes):
                self._text(piece)
            else:
                self._event(piece)
        return self._take_log()

    def end(self) -> bytes:
        """Read the end of the output; return the last lines for the log."""
        for step in self._steps:
            self._flush(step)
        for line in self._documents.rest():
            self._text(line)
        return self._take_log()

    # -- results ------------------------------------------------------------------------------

    @property
    def cached(self) -> bool:
        """True if the builder took the result of a RUN instruction from its cache."""
        return any(step.cached and step.instruction.startswith("RUN ") for step in self._steps)

    @property
    def times(self) -> list[StepTime]:
        """The steps that have started, in the order of their start."""
        return [step.time for step in self._steps if step.start]

    @property
    def current(self) -> str:
        """The step that runs now; if none runs, the instruction that started last."""
        step = self._steps.running
        return step.name if step else self._last_started

    @property
    def latest(self) -> str:
        """The last line that the step that runs now has printed, even if its end is still to come."""
        step = self._steps.running
        return step.latest if step else ""

    @property
    def failed(self) -> bool:
        return bool(self._failures)

    @property
    def message(self) -> str:
        """The error that buildx prints at the end, or else that of the failing step."""
        return self._final_error or (self.failure.error if self.failure else "")

    @property
    def step(self) -> str:
        """The instruction that failed, as buildx names it; "" if none failed."""
        return self.failure.name if self.failure else ""

    @property
    def output(self) -> list[str]:
        """The last lines that the failing instruction printed."""
        return list(self.failure.output) if self.failure else []

    @property
    def failure(self) -> Step | None:
        """The step that failed; if several did in parallel, the one that buildx names."""
        named = (step for step in self._failures if step.error in self._final_error)
        return next(named, self._failures[0] if self._failures else None)

    # -- text ------------------------------------------------------------------------------------

    def _text(self, line: bytes) -> None:
        line = line.rstrip(b"\r\n")
        text = self._write(line)
        if text.startswith("ERROR: "):
            self._final_error = text.removeprefix("ERROR: ")
            for wrapped in ("failed to build: ", "failed to solve: "):
                self._final_error = self._final_error.removeprefix(wrapped)
        elif text.startswith("\t* ") and self._final_error and text not in self._final_error:
            self._final_error += f"\n{text}"  # an error with several causes (Go's multierror)
        elif not self.line and self.failed and (where := _DOCKERFILE.match(text)):
            self.line = int(where[1])

    def _write(self, line: bytes, *, printed: bool = False) -> str:
        """Add a line to the log; return it as text."""
        self._log.append(line + b"\n")
        text = line.decode(errors="replace")
        self.all_lines.append(text)
        if not printed:
            self.messages.append(text)
        return text

    def _take_log(self) -> bytes:
        log = b"".join(self._log)
        self._log.clear()
        return log

    # -- BuildKit's events -----------------------------------------------------------------------

    def _event(self, event: dict[str, Any]) -> None:
        try:
            # the last state of a vertex counts: a vertex that was looked up may start again
            vertexes = {vertex["digest"]: vertex for vertex in event.get("vertexes") or ()}
            reports: dict[str, list[tuple[_Handler, dict[str, Any]]]] = {}
            handlers: tuple[_Handler, ...] = (self._progress, self._warn, self._print)
            for name, handle in zip(("statuses", "warnings", "logs"), handlers, strict=True):
                for report in event.get(name) or ():
                    reports.setdefault(report["vertex"], []).append((handle, report))
            for digest in {**vertexes, **reports}:
                step, starts = self._steps.update(digest, vertexes.get(digest, {}))
                if starts:
                    self._begin(step)
                for handle, report in reports.get(digest, ()):
                    handle(step, report)
                self._end(step, vertexes.get(digest, {}))
            if running := self._steps.running:
                self._show(running)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._write(json.dumps(event).encode())  # its form is unknown, but people may read it

    def _begin(self, step: Step) -> None:
        if self.all_lines:
            self._write(b"")
        self._say(step, step.name)
        if step.instruction:
            self._last_started = step.name
            self._show(step)

    def _show(self, step: Step) -> None:
        if step.name != self._shown:
            self._shown = step.name
            self._on_step(step.name)

    def _end(self, step: Step, vertex: dict[str, Any]) -> None:
        error = str(vertex.get("error", ""))
        if not vertex.get("completed") and not error:
            return
        self._flush(step)
        step.end(vertex)
        if step.canceled:
            self._say(step, "CANCELED")
        elif error:
            if not step.error:
                self._failures.append(step)
            step.error = error
            self._say(step, f"ERROR: {error}")
        else:
            self._say(step, "CACHED" if step.cached else f"DONE {sum(step.durations.values()):.1f}s")

    def _progress(self, step: Step, status: dict[str, Any]) -> None:
        """Log what was sent, fetched or unpacked, once that is complete."""
        if status.get("completed"):
            size = f" {human_size(status['current'])}" if status.get("current") else ""
            self._say(step, f"{status['id']}{size} done")

    def _warn(self, step: Step, warning: dict[str, Any]) -> None:
        self._say(step, f"WARN: {base64.b64decode(warning['short']).decode(errors='replace')}")

    def _say(self, step: Step, text: str) -> None:
        for line in text.splitlines():
            self._write(f"#{step.number} {line}".encode(errors="replace"))

    # -- output of instructions ------------------------------------------------------------------

    def _print(self, step: Step, log: dict[str, Any]) -> None:
        """Log a piece of a step's output; the piece may end anywhere in a line."""
        step.printed_at = _moment(log["timestamp"])
        *whole, step.partial = (step.partial + base64.b64decode(log["data"] or "")).split(b"\n")
        for line in whole:
            self._printed(step, line)

    def _flush(self, step: Step) -> None:
        if step.partial:
            self._printed(step, step.partial)
            step.partial = b""

    def _printed(self, step: Step, line: bytes) -> None:
        line = line.rstrip(b"\r").rpartition(b"\r")[2]  # as a terminal shows it
        if line:
            step.output.append(line.decode(errors="replace"))
            step.printed += 1
        self._write(
            f"#{step.number} {max(step.printed_at - step.start, 0):.3f} ".encode() + line, printed=True
        )


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def without_place(step: str) -> str:
    """Return ``RUN make`` of ``[build 3/3] RUN make``."""
    return _PLACE.sub("", step)
