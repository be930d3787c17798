"""The history of runs: its lines, and what they add up to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stagegraph.errors import StoreError
from stagegraph.execution.history import LAST_RUN, NodeHistory, PastRun, keep, of_nodes, parse, to_line
from stagegraph.store import history as file_of_history
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit


def node(name: str, decision: str, seconds: float = 0.0, usual: float | None = None) -> dict[str, Any]:
    return {"node": name, "decision": decision, "seconds": seconds, "build_seconds": usual}


RESULTS = {
    "started": "2026-11-28T08:00:00.000+00:00",
    "goals": ["app:amd64"],
    "outcome": "failed",
    "seconds": 70.5,
    "nodes": [
        node("a:amd64", "build", 60.0, 60.0),
        node("b:amd64", "pull", 2.0, 100.0),
        node("c:amd64", "reuse", 0.0, 30.0),
        node("d:amd64", "failed", 5.0),
    ],
}
RUN = PastRun(
    "2026-11-28T08:00:00.000+00:00",
    ("app:amd64",),
    "failed",
    70.5,
    {"a:amd64": 60.0},
    {"b:amd64": (2.0, 100.0)},
    {"c:amd64": 30.0},
    {"d:amd64": 5.0},
)


def test_a_run_is_one_line_that_can_be_read_again() -> None:
    line = to_line(RESULTS)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert parse(line) == RUN


def test_the_time_that_a_run_saved() -> None:
    assert RUN.saved == 30 + 100 - 2
    assert RUN._replace(reused={}, pulled={"x:y": (5.0, 1.0)}).saved == -4


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"schema":2}',
        to_line(RESULTS)[:-20],
        to_line({**RESULTS, "goals": [1]}),
        to_line({**RESULTS, "seconds": True}),
        to_line({**RESULTS, "seconds": float("nan")}),
        to_line({**RESULTS, "nodes": [node("x:y", "build", "x")]}),  # type: ignore[arg-type]
        to_line({**RESULTS, "nodes": [node("x:y", "pull")]}),
        to_line({**RESULTS, "seconds": 10**400}),
        to_line({**RESULTS, "nodes": [node("x:y", "build", 1e308)]}),
        to_line({**RESULTS, "goals": ["\ud800"]}),
        to_line({**RESULTS, "started": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_a_damaged_line_is_no_run(damaged: bytes) -> None:
    assert parse(damaged) is None


def test_what_runs_did_with_each_node() -> None:
    again = RUN._replace(built={"a:amd64": 20.0, "c:amd64": 1.0}, reused={"a:amd64": 1.0})
    assert of_nodes([RUN, again]) == [
        NodeHistory("a:amd64", 1, 2, 0, 40.0),
        NodeHistory("b:amd64", 2, 0, 0, None),
        NodeHistory("c:amd64", 1, 1, 0, 1.0),
        NodeHistory("d:amd64", 0, 0, 2, None),
    ]


def test_the_last_run_is_whole_and_earlier_runs_are_lines(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path / "cache")
    keep(layout, RESULTS)
    keep(layout, {**RESULTS, "outcome": "done"})
    assert json.loads((tmp_path / "cache" / LAST_RUN).read_text())["outcome"] == "done"
    assert [run.outcome for line in layout.history.lines() if (run := parse(line))] == ["failed", "done"]


# -- the file ------------------------------------------------------------------------------------


def test_a_line_without_an_end_does_not_damage_the_next_one(tmp_path: Path) -> None:
    history = LayoutStore(tmp_path).history
    assert history.lines() == []
    history.append(b"one\n")
    with (tmp_path / "history").open("ab") as file:
        file.write(b"half")
    history.append(b"two\n")
    assert history.lines() == [b"one", b"half", b"two"]


def test_a_long_history_loses_its_older_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_of_history, "MOST", 100)
    history = LayoutStore(tmp_path).history
    for number in range(12):
        history.append(b"line %03d.\n" % number)  # 10 bytes
    assert history.lines() == [b"line %03d." % number for number in (6, 7, 8, 9, 10, 11)]


def test_other_files_are_not_written_through_links(tmp_path: Path) -> None:
    history = LayoutStore(tmp_path / "cache").history
    (tmp_path / "cache").mkdir()
    mine = tmp_path / "mine"
    mine.write_bytes(b"kept\n")
    (tmp_path / "cache/history").symlink_to(mine)
    assert history.lines() == []
    history.append(b"one\n")
    assert (mine.read_bytes(), history.lines()) == (b"kept\n", [b"one"])
    os.link(tmp_path / "cache/history", tmp_path / "copy")
    history.append(b"two\n")
    assert ((tmp_path / "copy").read_bytes(), history.lines()) == (b"one\n", [b"one", b"two"])


def test_a_history_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    with pytest.raises(StoreError, match="history"):
        LayoutStore(tmp_path).history.append(b"one\n")


def test_several_processes_append_at_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from stagegraph.store.layout import LayoutStore\n"
        "history = LayoutStore(pathlib.Path(sys.argv[1])).history\n"
        "for _ in range(50): history.append(sys.argv[2].encode() * 5000 + b'\\n')"
    )
    commands = [[sys.executable, "-c", code, str(tmp_path), str(number)] for number in range(4)]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait() for process in processes] == [0] * 4
    lines = LayoutStore(tmp_path).history.lines()
    assert sorted(lines) == sorted(b"%d" % number * 5000 for number in range(4) for _ in range(50))
