"""Signals that end this program."""

from __future__ import annotations

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
