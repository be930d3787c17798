"""A few daemon threads that take jobs in turn.

Not an executor of ``concurrent.futures``: its threads are waited for when the program ends, so an interrupt
would hang for as long as a push takes. These are not; what they run ends with the process (``processes.managed_process``).
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Workers:
    """At most ``limit`` jobs at once, the others in the order in which they came.

    ``room``: how many may wait; who brings one more waits himself. 0 for as many as come.
    """

    def __init__(self, limit: int, room: int = 0) -> None:
        self._limit, self._room = limit, room
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._changed = threading.Condition()

    def submit(self, job: Callable[[], _T], *, patient: bool = True) -> Future[_T]:
        """Have a job done; its result, or what it raised, is the future's.

        ``patient``: wait where there is no room; else the job waits with the others, however many they are.
        """
        future: Future[_T] = Future()
        with self._changed:
            while patient and self._room and len(self._waiting) >= self._room:
                self._changed.wait()
            self._waiting.append((future, job))
            if self._busy < self._limit:
                self._busy += 1
                threading.Thread(target=self._work, daemon=True).start()
        return future

    @property
    def left(self) -> int:
        """Jobs that are not done."""
        with self._changed:
            return len(self._waiting) + self._busy

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left, no longer than this; whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._busy -= 1
                    self._changed.notify_all()
                    return
                future, job = self._waiting.popleft()
                self._changed.notify_all()
            try:
                future.set_result(job())
            except BaseException as error:  # it is raised where the result is asked for
                future.set_exception(error)
