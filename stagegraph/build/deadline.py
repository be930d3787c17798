"""The time limit of one build: its process is terminated, and killed if it does not end then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

#: Seconds between terminating a build and killing it.
TERMINATE_GRACE = 30


class Deadline:
    """The deadline of a process. ``expired``: the process was terminated. ``killed``: it was killed, too.

    Whoever reads the output of the process calls ``is_over`` now and then.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The process may run for ``seconds``; 0 sets no limit."""
        self._process, self._clock = process, clock
        self._end = clock() + seconds if seconds else float("inf")
        self.expired, self.killed = False, False

    def is_over(self) -> bool:
        """End the process if it is time. Return whether it was killed: its output may then have no end."""
        late = self._clock() - self._end
        if late >= 0 and not self.expired:
            self.expired = True
            self._process.terminate()  # buildx cancels the build, which kills the step
        if late >= TERMINATE_GRACE and not self.killed:
            self.killed = True
            self._process.kill()
        return self.killed
