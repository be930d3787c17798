"""Signals that end this program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

CODE = """
import time
from stagegraph.system.processes import Interrupted, install_signal_handlers
install_signal_handlers()
try:
    print("begun", flush=True)
    time.sleep(60)
except Interrupted:
    print("ending", flush=True)
    time.sleep(0.5)
    print("kept", flush=True)
    raise
"""


def test_a_second_sigterm_does_not_end_what_the_first_one_began() -> None:
    """timeout(1) sends SIGTERM twice: to its child, and to its group."""
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in ("begun\n", "ending\n"):
            assert process.stdout.readline() == line
            process.terminate()
        assert process.stdout.read() == "kept\n"
    assert process.returncode == 143


CHILD = "trap 'sleep 0.5; echo ended; exit' TERM; echo begun; while :; do sleep 0.05; done"

PARENT = f"""
import sys, time
from stagegraph.system.processes import install_signal_handlers, managed_process
from stagegraph.system.workers import DaemonPool
install_signal_handlers()

def job():
    with managed_process(["sh", "-c", {CHILD!r}]) as process:
        process.wait()

DaemonPool(1).submit(job)
while True:  # a signal just before one long sleep would not end it
    time.sleep(0.1)
"""


def test_a_child_of_a_thread_ends_before_the_program() -> None:
    """``doit watch`` and scripts may look at what is left as soon as the program has ended."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        os.set_blocking(process.stdout.fileno(), False)
        assert process.stdout.read() == "ended\n"


def test_no_child_is_started_when_the_program_ends() -> None:
    code = PARENT.partition("while True:  #")[0] + "from stagegraph.system import processes\n"
    code += "processes._end_children()\ntry:\n    job()\nexcept SystemExit:\n    print('refused')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("refused\n"), done
