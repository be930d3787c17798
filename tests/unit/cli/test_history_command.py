"""``doit history``: tables of runs and of nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from derived import differences
from helpers import stages, write

from stagegraph.cli.commands.history import local_time, nodes_text, runs_text, to_json
from stagegraph.execution.history import NodeHistory, PastRun, of_nodes

pytestmark = pytest.mark.unit

RUN = PastRun(
    "2026-11-28T08:00:00.000+00:00",
    ("app:amd64",),
    "done",
    70.5,
    {"a:amd64": 60.0},
    {"b:amd64": (2.0, 100.0)},
    {"c:amd64": 30.0},
    {"d:amd64": 5.0},
)
LINE = (
    '{"schema":1,"time":"2026-11-28T08:00:00.000+00:00","goals":["one:amd64"],"outcome":"done","seconds":9.0,'
    '"built":{"one:amd64":8.0,"gone:amd64":1.0},"pulled":{},"reused":{},"failed":{}}\n'
)


def test_the_table_of_runs() -> None:
    noop = RUN._replace(built={}, pulled={}, failed={}, seconds=0.2, outcome="failed", goals=("a",) * 6)
    when = local_time(RUN.time)
    assert runs_text([RUN, noop], 9).splitlines() == [
        "started                 took  built  pulled  reused       saved  goals",
        f"{when}  1 min 10 s      1       1       1  2 min 08 s  app:amd64",
        f"{when}       0.2 s                      1        30 s  a, a, a and 3 more (failed)",
        "2 runs of 9; -n 9 shows all; saved: 2 min 38 s",
    ]
    assert runs_text([], 0) == "no run of this folder is known"


def test_the_table_of_nodes() -> None:
    nodes = [NodeHistory("a:amd64", 12, 3, 0, 125.0), NodeHistory("long:amd64", 1, 0, 2, None)]
    assert nodes_text(nodes).splitlines() == [
        "node        hits  builds  failures  average build",
        "a:amd64       12       3         0     2 min 05 s",
        "long:amd64     1       0         2",
    ]
    assert nodes_text([]) == "no run has looked at these nodes"


def test_the_fields_are_those_of_the_page() -> None:
    assert differences("doit history --json", to_json([RUN], of_nodes([RUN]))) == set()


def history(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "history", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_words_name_nodes_also_those_that_are_gone(tmp_path: Path) -> None:
    stages(tmp_path, {"one": "FROM scratch\n", "two": "FROM scratch\n"})
    write(
        tmp_path, {"dodo.py": "from stagegraph.tasks import *\n", "cache/history": LINE + '{"torn\n' + LINE}
    )
    done = history(tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert done.stderr == "warning: cache/history: 1 line is damaged, and left out\n"
    assert [line.split() for line in history(tmp_path, "gone", "one:amd64").stdout.splitlines()[1:]] == [
        ["gone:amd64", "0", "2", "0", "1.0", "s"],
        ["one:amd64", "0", "2", "0", "8.0", "s"],
    ]
    assert history(tmp_path, "two").stdout == "no run has looked at these nodes\n"
    assert len(json.loads(history(tmp_path, "--json", "-n", "1").stdout)["runs"]) == 1
    assert len(json.loads(history(tmp_path, "--json").stdout)["runs"]) == 2
    for words, said in (
        (["tow"], "no stage or image 'tow'\n  did you mean 'two'?"),
        (["-n", "-1"], "--last -1 is not a number of runs\n  --last 5"),
        (["one", "-n", "x"], "--last=x is not a whole number\n  --last=5"),
    ):
        done = history(tmp_path, *words)
        assert (done.returncode, done.stderr.partition("left out\n")[2] or done.stderr) == (
            10,
            f"ERROR: command line: {said}\n",
        )
