"""A machine that gives no thread, and a number of jobs that no machine can do: a clear error, and an end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import stages

pytestmark = pytest.mark.unit

#: doit in a process that gets ``MOST`` threads at once.
DOIT = """
import sys, threading
start, most = threading.Thread.start, int(sys.argv.pop(1))
def limited(self):
    if threading.active_count() > most:
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = limited
sys.argv[0] = "doit"
from doit.__main__ import main
sys.exit(main())
"""


def doit(root: Path, most: int, *words: str) -> subprocess.CompletedProcess[str]:
    (root / "dodo.py").write_text("from stagegraph.tasks import *\n")
    command = [sys.executable, "-c", DOIT, str(most), *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_without_threads_is_an_error_and_ends(tmp_path: Path, jobs: str) -> None:
    done = doit(stages(tmp_path, {"a": "FROM scratch\n"}), 0, "-n", jobs, "a:amd64")
    assert done.returncode == 26 and "Traceback" not in done.stderr + done.stdout
    assert "ERROR: this machine gives the program no more threads: can't start new thread" in done.stderr
    assert "ulimit -u" in done.stderr


def test_a_look_up_without_threads_is_an_error_and_ends(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\n"})
    done = doit(root, 0, "plan", "registry=127.0.0.1:1", "a:amd64")
    assert done.returncode == 26 and "Traceback" not in done.stderr + done.stdout
    assert "no more threads" in done.stderr


def test_more_jobs_than_tasks_start_no_more_threads_than_tasks(tmp_path: Path) -> None:
    """doit would start 99999. The build of the goal ends before its first step, for want of a secret."""
    step = "RUN --mount=type=secret,id=s,required=true true"
    root = stages(tmp_path, {"a": f"FROM scratch\n{step}\n"}, more='[secrets.s]\nenv = "NOT_SET_HERE"\n')
    done = doit(root, 12, "-n", "99999", "a:amd64")
    assert done.returncode == 10 and "Traceback" not in done.stderr + done.stdout
    assert "NOT_SET_HERE" in done.stdout + done.stderr
