"""Whether the builder of a build that prints nothing is still there; or the engine, while it loads an image.

A step may print nothing for an hour, so silence alone means nothing. BuildKit sends no sign of life either:
buildx waits for ever for an engine that was stopped (moby/buildkit#2894). So the builder is asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import StagegraphError
from ..waits.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..waits.waiting import Wait

#: Seconds of silence until the builder is asked, and between two questions. An engine has five seconds for an
#: answer, so a silent one is known after ten.
FIRST, EVERY = 5.0, 10.0

#: Seconds without an answer after which a build is given up.
LIMIT = 120.0


class Liveness:
    """Asks a builder whether it is there, while a build prints nothing.

    ``is_lost`` is called often, by the thread that reads the output; a question takes as long as it takes.
    """

    def __init__(self, ask: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._contact, self._asked = clock(), float("-inf")
        self._is_silent = False

    def heard(self) -> None:
        """The build has printed something."""
        self._contact, self._is_silent = self._clock(), False

    def is_lost(self, wait: Wait) -> bool:
        """Ask, if it is time. Return whether the builder has not answered for too long.

        ``wait`` is the one that ``what`` belongs to.
        """
        now, factor = self._clock(), min(1.0, patience())
        if now - self._contact >= FIRST * factor and now - self._asked >= EVERY * factor:
            try:
                answers = self._ask()
            except StagegraphError:  # nobody was asked: this machine may have no memory for it just now
                answers = True
            self._asked = self._clock()
            if answers:
                self.heard()
                wait.heard()
            elif not self._is_silent:  # this process itself may have been stopped for an hour
                self._is_silent, self._contact = True, max(self._contact, now - EVERY)
        return self._is_silent and self.silent >= LIMIT * patience()

    @property
    def silent(self) -> float:
        """The seconds since the last sign of life."""
        return self._clock() - self._contact

    def what(self, builder: str) -> str:
        """What the build waits for; "" while the builder answers."""
        if not self._is_silent:
            return ""
        return f"{builder}, which does not answer; after {LIMIT * patience():.0f} s it is given up"
