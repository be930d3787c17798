"""Waits for changes of files below folders, by the kernel's notifications (PyPI ``watchfiles``)."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING

from ..errors import ContextError
from ..waits.threads import start

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Milliseconds: the end of a group of changes after so much silence, or after so much in all.
_SILENCE, _GROUP = 100, 1600

#: Milliseconds after which a thread looks whether it should end.
_TURN = 100

#: Seconds after which a thread has handed over what it found before.
_HANDED_OVER = 2.0

#: Seconds after which the kernel has all watches, though a busy folder keeps a thread from saying so.
_READY = 5

#: Seconds without another group of changes, after which a program that writes many files is done.
_DONE = 0.3

_HINT = (
    "allow more watches (sysctl fs.inotify.max_user_watches=524288), or look at the files instead: "
    "WATCHFILES_FORCE_POLLING=true"
)


class Watching:
    """Collects changes below folders. One thread calls its methods."""

    def __init__(self, ignored: Path) -> None:
        """``ignored``: a folder whose changes do not count."""
        self._ignored = str(ignored)
        self._found: Queue[set[Path] | Exception] = Queue()
        self._watched: set[tuple[Path, int, bool]] = set()
        self._threads = list[tuple[threading.Thread, threading.Event]]()

    def start(self, below: Iterable[Path], directly_in: Iterable[Path]) -> None:
        """Watch everything below some folders, and the files directly in others.

        Changes from now on are found. Those that were found before are kept. A folder that is not there
        stands for the nearest one around it. Raises ``ThreadError``.
        """
        folders = {_identity(path, True) for path in below} | {_identity(path, False) for path in directly_in}
        if folders == self._watched:
            return
        self._watched, old, ready = folders, self._threads, list[threading.Event]()
        self._threads = [pair for pair in old if pair[0].is_alive()]
        for recursive in (True, False):
            paths = [path for path, _, inner in folders if inner == recursive]
            if paths:
                ready.append(threading.Event())
                self._start(paths, recursive, ready[-1])
        for event in ready:
            event.wait(timeout=_READY)
        # the old threads still hold changes that they have not handed over
        if old:
            start(_set_later, [stop for _, stop in old])

    def _start(self, paths: list[Path], recursive: bool, ready: threading.Event) -> None:
        stop = threading.Event()
        self._threads.append((start(self._follow, paths, recursive, stop, ready), stop))

    def stop(self) -> None:
        """Watch nothing any more. The end of the process must not meet a thread inside the library."""
        _set_all([stop for _, stop in self._threads])
        for thread, _ in self._threads:
            thread.join(timeout=1)

    def _follow(
        self, paths: list[Path], recursive: bool, stop: threading.Event, ready: threading.Event
    ) -> None:
        from watchfiles import watch

        try:
            for changes in watch(
                *paths,
                watch_filter=lambda _, path: not path.startswith(f"{self._ignored}/"),
                debounce=_GROUP,
                step=_SILENCE,
                rust_timeout=_TURN,
                yield_on_timeout=True,  # the first turn says that the kernel has all watches
                stop_event=stop,
                recursive=recursive,
            ):
                if changes:
                    self._found.put({Path(path) for _, path in changes})
                ready.set()
        except FileNotFoundError:  # somebody has just removed a folder: that is a change
            self._found.put(set(paths))
        except (OSError, RuntimeError) as error:
            self._found.put(error)
        finally:
            ready.set()

    def pending(self) -> set[Path]:
        """Return the changes that were found since the last call. Raises ``ContextError``."""
        changes = set[Path]()
        while not self._found.empty():
            changes |= self._next(None)
        return changes

    def wait(self) -> set[Path]:
        """Wait for changes, and until there are no more for a moment. Raises ``ContextError``."""
        changes = self._next(None)
        while more := self._next(_DONE):
            changes |= more
        return changes

    def _next(self, timeout: float | None) -> set[Path]:
        try:
            found = self._found.get(timeout=timeout)
        except Empty:
            return set()
        if isinstance(found, Exception):
            raise ContextError("doit watch", f"the folders cannot be watched: {found}", _HINT)
        return found


def _set_all(events: Iterable[threading.Event]) -> None:
    for event in events:
        event.set()


def _set_later(events: Iterable[threading.Event]) -> None:
    time.sleep(_HANDED_OVER)
    _set_all(events)


def _identity(path: Path, recursive: bool) -> tuple[Path, int, bool]:
    """Return a folder that is there, with its inode: one that was made anew must be watched anew."""
    while True:
        try:
            return path, path.stat().st_ino, recursive
        except OSError:
            path = path.parent
