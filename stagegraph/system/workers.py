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

from ..errors import ThreadError
from ..waits.threads import start
from ..waits.waiting import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class DaemonPool:
    """Runs at most ``limit`` jobs at once, in the order of submission.

    ``max_waiting``: how many jobs may wait before ``submit`` blocks; 0 for any number. ``jobs`` names them
    for those who wait.
    """

    def __init__(self, limit: int, max_waiting: int = 0, jobs: str = "jobs") -> None:
        self._limit, self._max_waiting, self._jobs = limit, max_waiting, jobs
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = self._running = 0  # threads, and the jobs that they do
        self._changed = threading.Condition()

    def submit(self, job: Callable[[], _T], *, block: bool = True) -> Future[_T]:
        """Queue a job. The future has its result, or raises its exception.

        ``block``: wait while too many jobs wait already; otherwise queue it in any case. If no thread more
        can be started, those that run do the job. Raises ``ThreadError`` if none runs.
        """
        future: Future[_T] = Future()
        with self._changed:
            if block and self._is_full():
                with waiting_for(f"one of {len(self._waiting)} {self._jobs} to begin"):
                    self._changed.wait_for(lambda: not self._is_full())
            self._waiting.append((future, job))
            if self._busy < self._limit:
                self._start()
        return future

    def _is_full(self) -> bool:
        return bool(self._max_waiting) and len(self._waiting) >= self._max_waiting

    def _start(self) -> None:
        """Start a thread. The caller has added a job, which is taken back if nobody can do it."""
        self._busy += 1
        try:
            start(self._work)
        except ThreadError:
            self._busy -= 1
            if not self._busy:
                self._waiting.pop()
                raise

    @property
    def pending(self) -> int:
        """How many jobs are not done."""
        with self._changed:
            return len(self._waiting) + self._running

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
                self._running += 1
                self._changed.notify_all()
            try:
                future.set_result(job())
            except BaseException as error:  # raised again where somebody asks for the result
                future.set_exception(error)
            with self._changed:
                self._running -= 1
