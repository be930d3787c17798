"""What happens to the nodes of a run while they are pulled or built.

On a terminal, lines at its end are redrawn in place (``live``), by ``rich``, which is imported when the first
node is drawn. Elsewhere each node prints a plain line now and then. All of it is on standard error.
"""

from __future__ import annotations

import sys
import textwrap
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from ..output import masked, printable, shown, write
from ..system.terminal import is_live
from ..system.text import human_time, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..project.model import Node
    from .live import Row
    from .outlook import Left

    #: A part of a line, with a style of rich or without one.
    Piece = str | tuple[str, str]

#: Seconds between two plain lines about the steps of a node.
BETWEEN_STEPS = 30.0

#: Seconds without output after which a plain line says so, and seconds between two such lines.
SILENCE = 60.0

#: Seconds without a plain line about a node after which one says that it still prints. Some CI services end a
#: job that printed nothing for ten minutes.
NO_NEWS = 300.0

#: Characters of a step in a plain line.
STEP = 40


class Detail(Enum):
    """How much a run prints: its result, also its progress, or also what the builder prints."""

    RESULT = 1
    PROGRESS = 2
    OUTPUT = 3


@dataclass
class Work:
    """A node in work. Times are those of the display's clock.

    ``usual``: the seconds of its last build, None if none is known. ``output`` is the last line that the
    current step printed. ``heard``: when the node last began a step or printed something. ``said``: when a
    plain line was last about it. ``streamed``: its output was printed.
    """

    since: float
    usual: float | None
    heard: float
    action: str = "build"
    step: str = ""
    output: str = ""
    said: float | None = None
    streamed: bool = False

    def times(self, now: float) -> str:
        """Return how long it takes, and how long it usually takes, for a plain line."""
        usual = f", usually {human_time(self.usual)}" if self.usual else ""
        return f"{human_time(now - self.since)}{usual}"

    @property
    def short_step(self) -> str:
        """The step without its place, on one short line."""
        from ..docker.progress import without_place  # a run that builds nothing needs none

        return textwrap.shorten(without_place(self.step), STEP, placeholder=" ...")


class Display:
    """Shows the nodes of a run. The caller holds a lock; only ``_rows`` and ``left`` run in a thread of rich.

    ``left`` returns what is left of the run, None if nobody knows. It is called with the nodes in work and
    the seconds that each still takes.
    """

    def __init__(
        self,
        detail: Detail = Detail.PROGRESS,
        left: Callable[[Mapping[Node, float | None]], Left | None] = lambda _: None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        waits: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        """``stream`` is standard error by default. doit puts something in its place later.

        ``waits`` returns lines about what the run waits for.
        """
        self.detail, self._left, self._clock, self._waits = detail, left, clock, waits
        self._works: dict[Node, Work] = {}
        self._stream = stream or sys.stderr
        self._terminal = is_live(self._stream)
        self._live: Any = None
        self._muted = False

    @property
    def is_shown(self) -> bool:
        """Return True if it shows the progress of the run."""
        return not self._muted and self.detail is not Detail.RESULT

    # -- events ----------------------------------------------------------------------------------

    def start(self, node: Node, usual: float | None) -> None:
        """Add a node. ``usual`` is how many seconds its last build took."""
        now = self._clock()
        self._works[node] = Work(now, usual, now)

    def step(self, node: Node, step: str, action: str = "build") -> None:
        """Show what happens to a node now. ``action`` gives the line its colour."""
        now = self._clock()
        work = self._works.setdefault(node, Work(now, None, now))
        work.step, work.output, work.heard = printable(masked(" ".join(step.split()))), "", now
        work.action = action
        if not self.is_shown:
            return
        if self._terminal:
            self._start_live()
        elif not work.streamed and (work.said is None or now - work.said > BETWEEN_STEPS):
            work.said = now
            short = textwrap.shorten(work.step, 100, placeholder=" ...")
            self.print(f"   {node}: {short} ({work.times(now)})")

    def output(self, node: Node, log: str, latest: str) -> None:
        """The builder has printed: ``log`` is new in the log, ``latest`` is the step's last line."""
        work = self._works.get(node)
        if work is None or not (log or latest != work.output):
            return
        work.heard, work.output = self._clock(), latest
        if self.detail is Detail.OUTPUT and (lines := [*filter(None, map(one_line, log.split("\n")))]):
            work.streamed = True
            prefix = f"{node} | ", "dim"
            pieces: list[Piece] = [piece for line in lines for piece in ("\n", prefix, line)]
            self.print(*pieces[1:])

    def end(self, name: str) -> float:
        """Remove a node. Return its seconds until now, 0 if it was not shown."""
        node = next((node for node in self._works if str(node) == name), None)
        return self._clock() - self._works.pop(node).since if node else 0.0

    def tick(self) -> None:
        """Print a plain line about each node that has printed nothing for a while."""
        now = self._clock()
        for node, work in self._works.items() if not self._terminal else ():
            silent = now - work.heard
            said = now - (work.since if work.said is None else work.said)
            if silent >= SILENCE and said >= SILENCE:
                more = f", silent for {int(silent // 60)} min ({work.times(now)})"
            elif said >= NO_NEWS and not work.streamed:
                more = f" ({work.times(now)}): {textwrap.shorten(one_line(masked(work.output)), STEP)}"
            else:
                continue
            work.said = now
            self.print(f"   {node}: {f'{work.short_step} still running'.lstrip()}{more}")

    # -- lines that stay -------------------------------------------------------------------------

    def note(self, message: str) -> None:
        """Print a line, unless only the result is wanted."""
        if self.detail is not Detail.RESULT:
            self.print(message)

    def wait(self, line: str) -> None:
        """Print a line about what the run waits for, unless live lines have it already."""
        if self._live is None:
            self.note(f"   {printable(line)}")

    def progress(self, *pieces: Piece) -> None:
        """Print a line about the progress of the run. A plain line also tells what is left of the run."""
        if self.detail is Detail.RESULT:
            return
        left = None if self._terminal else self._left(self._working())
        self.print(*pieces, *([f" ({left})"] if left else []))

    def print(self, *pieces: Piece) -> None:
        """Print a line that stays, above the live lines. A piece may have a style of rich."""
        if self._muted:
            return
        if self._live is not None:
            self._live.print([_cleaned(piece) for piece in pieces])
        else:
            text = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)
            write(self._stream, f"{text}\n", flush=True)

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Remove the live lines until the next step or ``resume``; harmless when repeated."""
        if self._live is not None:
            self._live.close()
            self._live = None

    def resume(self) -> bool:
        """Show again what is in work after ``close``. Return whether there is anything to show."""
        if not (self._works and self.is_shown):
            return False
        if self._terminal:
            self._start_live()
        return True

    def interrupt(self) -> list[str]:
        """Show nothing from now on. Return a line about each node in work, or one if there is none."""
        self.close()
        self._muted, now = True, self._clock()
        lines = []
        for node, work in self._works.items():
            at = filter(None, [work.short_step, human_time(now - work.since)])
            lines.append(f"interrupted: {node} ({', '.join(at)})")
        return lines or ["interrupted"]

    def _working(self) -> dict[Node, float | None]:
        """Return the nodes in work, and how many seconds each still takes, None if nobody knows."""
        now = self._clock()
        return {
            node: max(work.usual - (now - work.since), 0.0) if work.usual else None
            for node, work in list(self._works.items())
        }

    # -- live lines ------------------------------------------------------------------------------

    def _start_live(self) -> None:
        if self._live is None:
            from .live import LiveLines

            try:
                self._live = LiveLines(self._stream, self._rows)
            except RuntimeError:  # no thread can be started
                self._terminal = False

    def _rows(self) -> tuple[Sequence[Row], Sequence[str], Left | None]:
        # rich calls this under its own lock; threads that hold the report's lock may wait for rich's
        from .live import Row

        now, works = self._clock(), list(self._works.items())
        rows = [
            Row(
                shown(str(node)),
                human_time(now - work.since) + (f" / {human_time(work.usual)}" if work.usual else ""),
                shown(work.step),
                shown(one_line(work.output)),
                work.action,
            )
            for node, work in works
        ]
        return rows, [*map(shown, self._waits())], self._left(self._working())


def _cleaned(piece: Piece) -> Piece:
    return shown(piece) if isinstance(piece, str) else (shown(piece[0]), piece[1])
