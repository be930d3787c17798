"""The time limit of one build: the process is asked to end, then killed."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that a build has to end once it is told to.
GRACE = 30


class _Late:
    """A process whose time is up: ``begun`` when it is told to end, ``over`` when it is made to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.begun, self.over = process, False, False

    def begin(self) -> None:
        self.begun = True
        self.process.terminate()  # buildx cancels the build, which kills the step

    def make(self) -> None:
        self.over = True
        self.process.kill()

    def is_over(self) -> bool:
        return self.over


@contextmanager
def time_limit(process: subprocess.Popen[bytes], seconds: int) -> Iterator[_Late]:
    """End a process that is not done after ``seconds`` (0: never)."""
    late = _Late(process)
    timers = [threading.Timer(seconds, late.begin), threading.Timer(seconds + GRACE, late.make)]
    for timer in timers if seconds else ():
        timer.daemon = True
        timer.start()
    try:
        yield late
    finally:
        for timer in timers:
            timer.cancel()
