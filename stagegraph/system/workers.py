"""A pool of daemon threads.

Not an executor of ``concurrent.futures``: the interpreter waits for its threads at the end, so an interrupted
program would hang for as long as a push takes. It does not wait for daemon threads. Programs that these call
end with this process (``processes.managed_process``).
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class DaemonPool:
    """Runs at most ``limit`` jobs at once, in the order of submission.

    ``max_waiting``: how many jobs may wait before ``submit`` blocks; 0 for any number.
    """

    def __init__(self, limit: int, max_waiting: int = 0) -> None:
        self._limit, self._max_waiting = limit, max_waiting
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._changed = threading.Condition()

    def submit(self, job: Callable[[], _T], *, block: bool = True) -> Future[_T]:
        """Queue a job. The future has its result, or raises its exception.

        ``block``: wait while too many jobs wait already; otherwise queue it in any case.
        """
        future: Future[_T] = Future()
        with self._changed:
            while block and self._max_waiting and len(self._waiting) >= self._max_waiting:
                self._changed.wait()
            self._waiting.append((future, job))
            if self._busy < self._limit:
                self._busy += 1
                threading.Thread(target=self._work, daemon=True).start()
        return future

    @property
    def pending(self) -> int:
        """How many jobs are not done."""
        with self._changed:
            return len(self._waiting) + self._busy

    def wait(self, seconds: float) -> bool:
        """Wait until all jobs are done, at most ``seconds``; return whether they are."""
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
            except BaseException as error:  # raised again where somebody asks for the result
                future.set_exception(error)
