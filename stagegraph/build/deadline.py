"""The time limit of one build: its process is terminated, and killed if it does not end then."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between terminating a build and killing it.
TERMINATE_GRACE = 30


class Deadline:
    """The deadline of a process. ``expired``: the process was terminated. ``killed``: it was killed, too."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.expired, self.killed = process, False, False

    def terminate(self) -> None:
        self.expired = True
        self.process.terminate()  # buildx cancels the build, which kills the step

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    def is_killed(self) -> bool:
        return self.killed


@contextmanager
def time_limit(process: subprocess.Popen[bytes], seconds: int) -> Iterator[Deadline]:
    """End a process that still runs after ``seconds``; 0 sets no limit."""
    deadline = Deadline(process)
    timers = [
        threading.Timer(seconds, deadline.terminate),
        threading.Timer(seconds + TERMINATE_GRACE, deadline.kill),
    ]
    for timer in timers if seconds else ():
        timer.daemon = True
        timer.start()
    try:
        yield deadline
    finally:
        for timer in timers:
            timer.cancel()
