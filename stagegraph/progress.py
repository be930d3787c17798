"""buildx's plain progress -> which step the builder is at, and what the failing step printed.

buildx 0.13 has no machine-readable progress; these lines have kept their form since 0.6:
``#7 [part 2/3] RUN make``, ``#7 1.234 output``, ``#7 CACHED``, ``#7 DONE 2.0s``, ``#7 ERROR: message``.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE = re.compile(r"#(\d+) (.*)")
_STEP = re.compile(r"\[(?!internal|context )([^\]]*)\] ?(.*)")
_OUTPUT = re.compile(r"\d+\.\d+ (.*)")
_DOCKERFILE = re.compile(r"^\S*:(\d+)$")


class Tracker:
    """Fed line by line; calls ``on_step`` when a new instruction starts."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._names: dict[str, str] = {}
        self._output: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=200))
        self.current = ""
        self.cached = False  # whether a RUN was not run, since the builder knew what comes of it
        self.failed: str | None = None
        self.message = ""
        self.line = 0
        self.all: deque[str] = deque(maxlen=400)

    def feed(self, text: str) -> None:
        text = text.rstrip("\r\n")
        self.all.append(text)
        match = _LINE.match(text)
        if match:
            self._vertex(match[1], match[2])
        elif text.startswith("ERROR: "):
            self.message = text.removeprefix("ERROR: ").removeprefix("failed to solve: ")
        elif text.startswith("\t* ") and self.message and text not in self.message:
            self.message += f"\n{text}"  # an error that has several causes (Go's multierror)
        elif not self.line and self.failed and (where := _DOCKERFILE.match(text)):
            self.line = int(where[1])

    def _vertex(self, number: str, rest: str) -> None:
        if number not in self._names:
            self._names[number] = rest
            if (step := _STEP.match(rest)) and step[2]:
                self.current = f"[{step[1]}] {step[2]}"
                self._on_step(self.current)
        elif rest.startswith("ERROR: "):
            self.failed, self.message = number, rest.removeprefix("ERROR: ")
        elif rest == "CACHED" and (step := _STEP.match(self._names[number])):
            self.cached = self.cached or step[2].startswith("RUN ")
        elif output := _OUTPUT.match(rest):
            self._output[number].append(output[1])

    @property
    def step(self) -> str:
        """The instruction that failed, as buildx names it; "" if none did."""
        return self._names.get(self.failed, "") if self.failed else ""

    @property
    def output(self) -> list[str]:
        """The last lines that the failing instruction printed."""
        return list(self._output[self.failed]) if self.failed else []

    @property
    def said(self) -> list[str]:
        """The last lines that no instruction printed: what buildx and the builder say themselves."""
        return [text for text in self.all if not ((match := _LINE.match(text)) and _OUTPUT.match(match[2]))]
