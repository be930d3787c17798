"""buildx's progress -> a log for people, which step the builder is at, and what the failing step printed.

``--progress=rawjson``, which buildx has since 0.13, prints BuildKit's own events as JSON (``SolveStatus`` in
https://github.com/moby/buildkit/blob/master/client/graph.go): each on one line, before 0.15 indented over
many. Plain text comes between them: the error at the end, with the line of the Dockerfile before it, docker's
warnings, and whatever a script around docker prints. Fields that are not known are passed over.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..system.text import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _Say = Callable[["_Step", dict[str, Any]], None]

# BuildKit since 0.17 says of what a trigger runs that it does
_STEP = re.compile(r"\[(?!internal|context )[^\]]*\] ?(?:ONBUILD )?(.*)", re.DOTALL)

_DOCKERFILE = re.compile(r"^\S*:(\d+)$")

_KINDS = ("vertexes", "statuses", "warnings", "logs")


class _Documents:
    """Lines -> JSON documents, and lines that are part of none."""

    def __init__(self) -> None:
        self._open: list[bytes] = []

    def feed(self, line: bytes) -> Iterator[dict[str, Any] | bytes]:
        """What is whole with this line. A document over several lines has all but the first indented."""
        if self._open and line[:1] in b" }":
            self._open.append(line)
            if line[:1] == b"}":
                yield from self._closed()
        elif line.strip() == b"{":
            yield from self.rest()
            self._open = [line]
        elif line[:1] == b"{" and (document := _document(line)) is not None:
            yield from self.rest()
            yield document
        else:
            yield line

    def _closed(self) -> Iterator[dict[str, Any] | bytes]:
        document = _document(b"".join(self._open))
        if document is None:
            yield from self.rest()
        else:
            self._open = []
            yield document

    def rest(self) -> Iterator[bytes]:
        """Lines of a document that has no end."""
        yield from self._open
        self._open = []


def _document(data: bytes) -> dict[str, Any] | None:
    """A status of BuildKit's; None for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    known = isinstance(found, dict) and (not found or any(kind in found for kind in _KINDS))
    return found if known else None


@dataclass
class _Step:
    """A vertex of the build's graph, or a group of them that BuildKit wants to be shown as one."""

    name: str
    number: int = 0
    start: float = 0.0
    took: dict[float, float] = field(default_factory=dict)
    running: bool = False
    cached: bool = False
    error: str = ""
    rest: bytes = b""  # of a line that has no end yet
    heard: float = 0.0
    output: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    @property
    def instruction(self) -> str:
        """``RUN make`` of ``[part 2/3] RUN make``; "" for what no Dockerfile asked for."""
        match = _STEP.match(self.name)
        return match[1] if match else ""


class Tracker:
    """Fed line by line; calls ``on_step`` when a new instruction starts."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._documents = _Documents()
        self._steps: dict[str, _Step] = {}
        self._of: dict[str, str] = {}  # a vertex's place in ``_steps``
        self._failures: list[_Step] = []
        self._last = ""
        self._log: list[bytes] = []
        self._ended = ""
        self.line = 0
        self.all: deque[str] = deque(maxlen=400)
        self.said: deque[str] = deque(maxlen=400)  # what no instruction printed

    def feed(self, line: bytes) -> bytes:
        """Take what buildx printed; lines for the log, of the form that ``--progress=plain`` has."""
        for piece in self._documents.feed(line):
            if isinstance(piece, bytes):
                self._text(piece)
            else:
                self._status(piece)
        return self._taken()

    def end(self) -> bytes:
        """There is no more; the last lines for the log."""
        for step in self._steps.values():
            self._flush(step)
        for line in self._documents.rest():
            self._text(line)
        return self._taken()

    # -- what came of it -------------------------------------------------------------------------

    @property
    def cached(self) -> bool:
        """Whether a RUN was not run, since the builder knew what comes of it."""
        return any(step.cached and step.instruction.startswith("RUN ") for step in self._steps.values())

    @property
    def current(self) -> str:
        """The instruction that the builder is at: the last to start of those that run, else of all."""
        running = [step.name for step in self._steps.values() if step.running and step.instruction]
        return running[-1] if running else self._last

    @property
    def failed(self) -> bool:
        return bool(self._failures)

    @property
    def message(self) -> str:
        """The error as buildx says it at the end, or else as the failing step does."""
        return self._ended or (self._failure.error if self._failure else "")

    @property
    def step(self) -> str:
        """The instruction that failed, as buildx names it; "" if none did."""
        return self._failure.name if self._failure else ""

    @property
    def output(self) -> list[str]:
        """The last lines that the failing instruction printed."""
        return list(self._failure.output) if self._failure else []

    @property
    def _failure(self) -> _Step | None:
        """Of several that failed side by side, the one that buildx names."""
        named = (step for step in self._failures if step.error in self._ended)
        return next(named, self._failures[0] if self._failures else None)

    # -- text ------------------------------------------------------------------------------------

    def _text(self, line: bytes) -> None:
        line = line.rstrip(b"\r\n")
        text = self._write(line)
        if text.startswith("ERROR: "):
            self._ended = text.removeprefix("ERROR: ")
            for wrapped in ("failed to build: ", "failed to solve: "):
                self._ended = self._ended.removeprefix(wrapped)
        elif text.startswith("\t* ") and self._ended and text not in self._ended:
            self._ended += f"\n{text}"  # an error that has several causes (Go's multierror)
        elif not self.line and self.failed and (where := _DOCKERFILE.match(text)):
            self.line = int(where[1])

    def _write(self, line: bytes, *, printed: bool = False) -> str:
        """A line for the log, and what it is as text."""
        self._log.append(line + b"\n")
        text = line.decode(errors="replace")
        self.all.append(text)
        if not printed:
            self.said.append(text)
        return text

    def _taken(self) -> bytes:
        taken = b"".join(self._log)
        self._log.clear()
        return taken

    # -- BuildKit's status -----------------------------------------------------------------------

    def _status(self, status: dict[str, Any]) -> None:
        try:
            # the last word of each counts: one starts again when it is run after it was looked up
            vertexes = {vertex["digest"]: vertex for vertex in status.get("vertexes") or ()}
            about: dict[str, list[tuple[_Say, dict[str, Any]]]] = {}
            says: dict[str, _Say] = {"statuses": self._progress, "warnings": self._warn, "logs": self._print}
            for kind, say in says.items():
                for one in status.get(kind) or ():
                    about.setdefault(one["vertex"], []).append((say, one))
            for digest in {**vertexes, **about}:
                step = self._step(digest, vertexes.get(digest, {}))
                for say, one in about.get(digest, ()):
                    say(step, one)
                self._end(step, vertexes.get(digest, {}))
        except (KeyError, TypeError, ValueError, AttributeError):
            self._write(json.dumps(status).encode())  # of a form that is not known: people may read it

    def _step(self, digest: str, vertex: dict[str, Any]) -> _Step:
        """The step of a vertex, with a name and a number if it has begun."""
        group = vertex.get("progressGroup") or {}
        known = self._of.setdefault(digest, str(group.get("id") or digest))
        step = self._steps.setdefault(known, _Step(""))
        step.name = step.name or str(group.get("name") or vertex.get("name", ""))
        if vertex.get("started"):
            step.start, step.running = _moment(vertex["started"]), True
        if not step.number and (vertex.get("started") or vertex.get("error")):
            del self._steps[known]  # in the order in which they start
            self._steps[known] = step
            step.number = 1 + max(other.number for other in self._steps.values())
            if self.all:
                self._write(b"")
            self._say(step, step.name)
            if step.instruction:
                self._last = step.name
                self._on_step(step.name)
        return step

    def _end(self, step: _Step, vertex: dict[str, Any]) -> None:
        error = str(vertex.get("error", ""))
        if not vertex.get("completed") and not error:
            return
        self._flush(step)
        step.running, step.cached = False, bool(vertex.get("cached"))
        if vertex.get("completed"):
            step.took[step.start] = max(_moment(vertex["completed"]) - step.start, 0)
        if error.endswith("context canceled"):
            self._say(step, "CANCELED")
        elif error:
            if not step.error:
                self._failures.append(step)
            step.error = error
            self._say(step, f"ERROR: {error}")
        else:
            self._say(step, "CACHED" if step.cached else f"DONE {sum(step.took.values()):.1f}s")

    def _progress(self, step: _Step, status: dict[str, Any]) -> None:
        """What is sent, fetched or unpacked, once it is done."""
        if status.get("completed"):
            size = f" {human_size(status['current'])}" if status.get("current") else ""
            self._say(step, f"{status['id']}{size} done")

    def _warn(self, step: _Step, warning: dict[str, Any]) -> None:
        self._say(step, f"WARN: {base64.b64decode(warning['short']).decode(errors='replace')}")

    def _say(self, step: _Step, text: str) -> None:
        for line in text.splitlines():
            self._write(f"#{step.number} {line}".encode(errors="replace"))

    # -- what instructions print -----------------------------------------------------------------

    def _print(self, step: _Step, log: dict[str, Any]) -> None:
        """A piece of what a step printed: it may end anywhere in a line."""
        step.heard = _moment(log["timestamp"])
        *whole, step.rest = (step.rest + base64.b64decode(log["data"] or "")).split(b"\n")
        for line in whole:
            self._printed(step, line)

    def _flush(self, step: _Step) -> None:
        if step.rest:
            self._printed(step, step.rest)
            step.rest = b""

    def _printed(self, step: _Step, line: bytes) -> None:
        line = line.rstrip(b"\r").rpartition(b"\r")[2]  # as a terminal would show it
        if line:
            step.output.append(line.decode(errors="replace"))
        self._write(f"#{step.number} {max(step.heard - step.start, 0):.3f} ".encode() + line, printed=True)


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
