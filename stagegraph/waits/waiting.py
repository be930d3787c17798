"""What this program waits for, told every ten seconds.

The rule for the whole program: a call that may wait for somebody else is in a block of ``waiting_for``,
unless it ends within ten seconds. It also has a limit, unless somebody uses the time, such as a build or a
shell.
``run`` of ``system.processes``, ``flock`` and ``bounded`` keep the rule for their callers.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from ..output import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds until a wait is told, and between two lines about waits.
EVERY = 10.0

#: The variable with a factor for all time limits.
PATIENCE = "STAGEGRAPH_PATIENCE"

#: The factors that make sense.
LEAST, MOST = 0.001, 1000.0


def patience() -> float:
    """The factor for time limits, which the user may set; 1 without a valid one (``project.settings``)."""
    with contextlib.suppress(ValueError):
        if LEAST <= (factor := float(os.environ.get(PATIENCE) or 1)) <= MOST:
            return factor
    return 1.0


def interval() -> float:
    """Seconds until a wait is told. They are fewer where all limits are shorter."""
    return EVERY * min(1.0, patience())


class Wait:
    """One wait. ``since`` is when it began, or when something was last heard."""

    def __init__(self, what: str | Callable[[], str], clock: Callable[[], float]) -> None:
        self._what, self._clock = what, clock
        self.since, self.text = clock(), ""

    def heard(self) -> None:
        """Begin anew: there is progress."""
        self.since, self.text = self._clock(), ""

    @property
    def seconds(self) -> float:
        """The seconds since something was heard."""
        return self._clock() - self.since

    def look(self) -> None:
        """Set ``text`` to what is waited for now, "" for nothing worth a word."""
        self.text = self._what if isinstance(self._what, str) else self._what()

    def __str__(self) -> str:
        seconds = int(self.seconds)
        long = f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 120 else f"{seconds} s"
        return f"waiting {long} for {self.text}"


def _print(line: str) -> None:
    tell(f"   {line}", flush=True)


class Waits:
    """The waits of one process. Safe for threads.

    ``tell`` prints a line about them; it is called in a thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, watched: bool = True) -> None:
        """``watched``: a thread calls ``look``, from the first wait on."""
        self.tell: Callable[[str], object] = _print
        self._clock, self._is_watched = clock, not watched
        self._waits: list[Wait] = []
        self._told = float("-inf")
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def on(self, what: str | Callable[[], str]) -> Iterator[Wait]:
        """Wait for something in the block. ``what`` goes on after "waiting 10 s for", and may be computed."""
        wait = Wait(what, self._clock)
        with self._lock:
            self._waits.append(wait)
            if not self._is_watched:
                self._is_watched = True
                with contextlib.suppress(RuntimeError):  # no thread can be started: nothing is told
                    threading.Thread(target=self._watch, name="waits", daemon=True).start()
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.remove(wait)

    def lines(self) -> list[str]:
        """A line about each wait that takes long, the longest first. Nothing is computed here."""
        with self._lock:
            told = [wait for wait in self._waits if wait.text and wait.seconds >= interval()]
        long = sorted(told, key=lambda wait: wait.since)
        return list({wait.text: str(wait) for wait in reversed(long)}.values())[::-1]

    def look(self) -> None:
        """Tell the longest wait, if it is time."""
        with self._lock:
            waits = [wait for wait in self._waits if wait.seconds >= interval()]
        for wait in waits:
            wait.look()
        now = self._clock()
        if now - self._told < interval() or not (lines := self.lines()):
            return
        self._told = now
        others = len(lines) - 1
        more = f" (and {others} other wait{'s' if others > 1 else ''})" if others else ""
        self.tell(lines[0] + more)

    def _watch(self) -> None:
        never = threading.Event()
        while not never.wait(interval() / 10):
            with contextlib.suppress(OSError, ValueError):  # standard error is closed
                self.look()


#: The waits of this process.
WAITS = Waits()

waiting_for = WAITS.on
