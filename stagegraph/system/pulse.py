"""A thread that calls a function again and again."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from ..errors import ThreadError
from ..waits.threads import start

if TYPE_CHECKING:
    from collections.abc import Callable


class Pulse:
    """Calls a function at once and then every so many seconds, in a daemon thread, until it is stopped."""

    def __init__(self, seconds: float, call: Callable[[], object]) -> None:
        self._seconds, self._call = seconds, call
        self._over: threading.Event | None = None

    def start(self) -> None:
        """Start the calls; harmless when repeated."""
        if self._over is None:
            self._over = threading.Event()
            with contextlib.suppress(ThreadError):  # the calls are only for people who look
                start(self._run, self._over, name="pulse")

    def stop(self) -> None:
        """End the calls; harmless when repeated. It does not wait for one that runs."""
        if self._over is not None:
            self._over.set()
            self._over = None

    def _run(self, over: threading.Event) -> None:
        while not over.is_set():
            self._call()
            over.wait(self._seconds)
