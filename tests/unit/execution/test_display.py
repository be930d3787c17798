"""The lines of the live display, on terminals of several widths."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from stagegraph.execution.display import Display, table
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

ROWS = [
    (
        "opencv-lib:aarch64",
        "12 min 03 s / 56 min 10 s",
        "RUN cmake -G Ninja -B build " + "-DWITH_OPTION=OFF " * 20,
    ),
    ("base:amd64", "7.1 s", "exporting"),
]


def shown(width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(table(ROWS, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [120, 80, 50])
def test_names_and_times_are_never_cut(width: int) -> None:
    first, second = shown(width)
    assert len(first) <= width
    assert first.startswith("opencv-lib:aarch64  12 min 03 s / 56 min 10 s")
    assert second.startswith("base:amd64")
    assert "7.1 s" in second


def test_a_long_step_is_cut() -> None:
    first, second = shown(80)
    assert first.endswith("RUN cmake -G Ninja -B build -DWI…")
    assert len(first) == 80
    assert second.endswith("  exporting")


def test_a_narrow_terminal_has_no_steps() -> None:
    assert shown(50) == [
        "opencv-lib:aarch64  12 min 03 s / 56 min 10 s",
        "base:amd64                              7.1 s",
    ]


def test_markup_in_the_output_of_a_builder_is_text() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(table([("a:b", "1.0 s", "[red]x[/red]")], 80))
    assert "[red]x[/red]" in out.getvalue()


def test_lines_are_drawn_while_a_node_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("CI", raising=False)
    display = Display()
    display.start(Node("app", "amd64"), 61)
    display.step(Node("app", "amd64"), "[1/2] RUN make")
    display.close()
    assert re.search(r"app:amd64  0\.\d s / 1 min 01 s  \[1/2\] RUN make", out.getvalue())
