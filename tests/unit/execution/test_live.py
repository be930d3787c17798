"""The lines that are redrawn at the end of a terminal, on terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stagegraph.execution.live import Row, drawing
from stagegraph.execution.outlook import Left

pytestmark = pytest.mark.unit

LONG = "RUN cmake -G Ninja -B build " + "-DWITH_OPTION=OFF " * 20
ROWS = [
    Row("opencv-lib:aarch64", "12 min 03 s / 56 min 10 s", LONG, "[212/1904] Building CXX matrix.o", "build"),
    Row("base:amd64", "7.1 s", "pulling from the registry", "", "pull"),
]
LEFT = Left(7, 0, 23, False, ("opencv:aarch64", "opencv-opengl:aarch64", "c:amd64", "d:amd64"), 170, False)


def shown(
    width: int,
    rows: list[Row] = ROWS,
    left: Left | None = LEFT,
    height: int = 24,
    waits: tuple[str, ...] = (),
) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(drawing(rows, left, width, height, waits))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


def test_120_columns() -> None:
    assert shown(120) == [
        "opencv-lib:aarch64  12 min 03 s / 56 min 10 s  "
        "RUN cmake -G Ninja -B build -DWITH_OPTION=OFF -DWITH_OPTION=OFF -DWITH_O…",
        "  [212/1904] Building CXX matrix.o",
        "base:amd64                              7.1 s  pulling from the registry",
        "7/23 nodes, about 3 min left; waiting: opencv:aarch64, opencv-opengl:aarch64, c:amd64, d:amd64",
    ]


def test_80_columns() -> None:
    assert shown(80) == [
        "opencv-lib:aarch64  12 min 03 s / 56 min 10 s  RUN cmake -G Ninja -B build -DWI…",
        "  [212/1904] Building CXX matrix.o",
        "base:amd64                              7.1 s  pulling from the registry",
        "7/23 nodes, about 3 min left; waiting: opencv:aarch64 and 3 more",
    ]


def test_50_columns_have_no_room_for_a_step_beside_the_times() -> None:
    assert shown(50) == [
        "opencv-lib:aarch64  12 min 03 s / 56 min 10 s",
        "  RUN cmake -G Ninja -B build -DWITH_OPTION=OFF -…",
        "  [212/1904] Building CXX matrix.o",
        "base:amd64                              7.1 s",
        "  pulling from the registry",
        "7/23 nodes, about 3 min left",
        "waiting: opencv:aarch64 and 3 more",
    ]


def test_40_columns_have_no_room_for_the_times_beside_the_name() -> None:
    assert shown(40) == [
        "opencv-lib:aarch64",
        "  12 min 03 s / 56 min 10 s",
        "  RUN cmake -G Ninja -B build -DWITH_OP…",
        "  [212/1904] Building CXX matrix.o",
        "base:amd64",
        "  7.1 s",
        "  pulling from the registry",
        "7/23 nodes, about 3 min left",
        "waiting: opencv:aarch64 and 3 more",
    ]


def test_a_name_that_is_wider_than_the_terminal() -> None:
    rows = [Row("a-name-of-a-stage-that-is-very-very-long:aarch64", "1.0 s", "RUN x", "", "build")]
    left = LEFT._replace(waiting=("another-name-of-a-stage-that-is-very-long:aarch64",) * 3)
    assert shown(40, rows, left)[-2:] == ["7/23 nodes, about 3 min left", "waiting: 3 nodes"]


def test_a_low_terminal_shows_what_is_left_and_no_output() -> None:
    rows = [Row(f"n{number}:amd64", "1.0 s", "RUN x", "printed", "build") for number in range(8)]
    assert shown(80, rows, height=24)[1] == "  printed"
    assert shown(80, rows, height=12) == [f"n{n}:amd64  1.0 s  RUN x" for n in range(8)] + [shown(80)[-1]]
    assert shown(80, rows, height=6) == [f"n{n}:amd64  1.0 s  RUN x" for n in range(4)] + [shown(80)[-1]]


def test_a_run_that_nobody_counts_has_no_last_line() -> None:
    assert shown(80, left=None)[-1].endswith("pulling from the registry")


def test_markup_in_the_output_of_a_builder_is_text() -> None:
    rows = [Row("a:b", "1.0 s", "[red]x[/red]", "[bold]y", "build")]
    assert shown(80, rows, None) == ["a:b  1.0 s  [red]x[/red]", "  [bold]y"]


# -- waits -----------------------------------------------------------------------------------------

WAIT = (
    "waiting 20 s for the lock cache/locks/use, held by process 7 (doit x:y), stopped: kill -KILL 7 ends it"
)


def test_a_wait_stands_above_what_is_left_and_is_never_cut() -> None:
    assert shown(60, ROWS[1:], waits=(WAIT,)) == [
        "base:amd64  7.1 s  pulling from the registry",
        "waiting 20 s for the lock cache/locks/use, held by process 7",
        "(doit x:y), stopped: kill -KILL 7 ends it",
        "7/23 nodes, about 3 min left",
        "waiting: opencv:aarch64, opencv-opengl:aarch64 and 2 more",
    ]


def test_of_many_waits_two_are_shown() -> None:
    lines = shown(80, [], None, waits=tuple(f"waiting 20 s for {name}" for name in "abcde"))
    assert lines == ["waiting 20 s for a", "waiting 20 s for b", "and 3 other waits"]


def test_a_wait_on_a_low_terminal_leaves_one_node() -> None:
    assert shown(120, height=4, waits=("waiting 20 s for a",))[1:] == [
        "waiting 20 s for a",
        "7/23 nodes, about 3 min left; waiting: opencv:aarch64, opencv-opengl:aarch64, c:amd64, d:amd64",
    ]
