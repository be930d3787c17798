"""The lines at the end of a terminal that are redrawn in place: nodes in work, and what is left of the run.

    opencv-lib:aarch64  12 min 03 s / 56 min 10 s  [4/6] RUN cmake -G Ninja -B build
      [212/1904] Building CXX object modules/core/CMakeFiles/opencv_core.dir/src/matrix.cpp.o
    waiting 20 s for the engine at unix:///var/run/docker.sock: load example/app:latest
    7/23 nodes, about 50 min left; waiting: opencv:aarch64, opencv-opengl:aarch64 and 3 more

No line is longer than the terminal is wide. Names and times are never cut. What a builder prints is text: it
can neither move the cursor nor set a colour.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..drawing.colours import NAMES
from ..system.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .outlook import Left

#: The fewest columns in which a step is shown beside a name.
LEAST = 8

#: The most waiting nodes that are named.
_NAMED = 5

#: The most waits that are named.
_WAITS = 2

_INDENT = "  "


class Row(NamedTuple):
    """A node in work: its name and times, its step, the last line that the step printed, the action."""

    name: str
    times: str
    step: str
    output: str
    action: str


class LiveLines:
    """Lines that are redrawn twice a second until they are closed."""

    def __init__(
        self, stream: TextIO, content: Callable[[], tuple[Sequence[Row], Sequence[str], Left | None]]
    ) -> None:
        """``content`` returns the nodes in work, what they wait for, and what is left of the run.

        A thread of rich calls it. Raises ``RuntimeError`` if no thread can be started.
        """
        self._console = Console(file=stream)
        self._content = content
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=2,
            transient=True,
        )
        try:
            self._live.start()
        except RuntimeError:
            self._live.stop()
            raise

    def print(self, pieces: Sequence[str | tuple[str, str]]) -> None:
        """Print a line that stays above the lines."""
        self._console.print(Text.assemble(*pieces), soft_wrap=True)

    def close(self) -> None:
        """Remove the lines."""
        self._live.stop()

    def _draw(self) -> Text:
        rows, waits, left = self._content()
        return drawing(rows, left, self._console.width, self._console.height, waits)


def drawing(
    rows: Sequence[Row], left: Left | None, width: int, height: int, waits: Sequence[str] = ()
) -> Text:
    """Return the lines for a terminal of ``width`` columns and ``height`` lines.

    If the terminal is too low, it shows no output, then fewer nodes. ``waits`` says what the run waits for.
    """
    end = [*_about_waits(waits, width), *(_end(left, width) if left else [])]
    heads = _heads(rows, width)
    outputs = [[Text(_INDENT + row.output, "dim")] if row.output else [] for row in rows]
    lines = [line for head, output in zip(heads, outputs, strict=True) for line in (*head, *output)]
    room = max(height - 1 - len(end), 1)
    if len(lines) > room:
        lines = [line for head in heads for line in head][:room]
    for line in (lines := [*lines, *end]):
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _heads(rows: Sequence[Row], width: int) -> list[list[Text]]:
    """Return the lines about each node, without its output.

    Name, times and step are in columns. If too little is left for the step, it has a line of its own; on a
    terminal that is too narrow for name and times, these have one, too.
    """
    names = max((cell_len(row.name) for row in rows), default=0)
    times = max((cell_len(row.times) for row in rows), default=0)
    head = names + 2 + times
    found = []
    for row in rows:
        name = Text(row.name, NAMES[row.action])
        beside = Text.assemble(
            name, " " * (names - cell_len(row.name) + 2 + times - cell_len(row.times)), row.times
        )
        step = [Text(_INDENT + row.step)] if row.step else []
        if head > width:
            found.append([name, Text(_INDENT + row.times), *step])
        elif width - head - 2 < LEAST:
            found.append([beside, *step])
        else:
            found.append([beside.append(f"  {row.step}" if row.step else "")])
    return found


def _about_waits(waits: Sequence[str], width: int) -> list[Text]:
    """Return the lines about the longest waits. Each has the lines that it needs, since its end is advice."""
    lines = [line for each in waits[:_WAITS] for line in textwrap.wrap(each, max(width, LEAST))]
    more = len(waits) - _WAITS
    return [Text(line, "yellow") for line in [*lines, *([f"and {more} other waits"] if more > 0 else [])]]


def _end(left: Left, width: int) -> list[Text]:
    """Return the last line: what is left, and what waits. What waits has a line of its own if need be."""
    total = str(left)
    if not left.waiting:
        return [Text(total)]
    if waiting := _waiting(left.waiting, width - cell_len(total) - 2):
        return [Text.assemble(total, ("; " + waiting, "dim"))]
    waiting = _waiting(left.waiting, width) or f"waiting: {len(left.waiting)} nodes"
    return [Text(total), Text(waiting, "dim")]


def _waiting(names: Sequence[str], width: int) -> str:
    """Name as many nodes as fit; "" if not one does."""
    texts = (f"waiting: {listed(names, most)}" for most in range(_NAMED, 0, -1))
    return next((text for text in texts if cell_len(text) <= width), "")
