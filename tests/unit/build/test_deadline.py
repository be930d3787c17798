"""A build ends at its time limit, whatever it does."""

from __future__ import annotations

import subprocess
import time

import pytest

from stagegraph.build import deadline
from stagegraph.system.processes import managed_process, read_lines

pytestmark = pytest.mark.unit


class Clock:
    """A clock that goes on by a second with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize(
    ("script", "over"),
    [
        ("echo a; echo b; exec sleep 20", False),
        ("trap '' TERM; echo a; echo b; while :; do sleep 0.1; done", True),
        ("trap '' TERM; echo a; echo b; sleep 20", True),  # its child process keeps the pipe open
    ],
)
def test_a_late_process_is_terminated_and_then_killed(
    script: str, over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "TERMINATE_GRACE", 2)
    start = time.monotonic()
    with managed_process(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        late = deadline.Deadline(process, 4, Clock())
        assert list(read_lines(process, late.is_over)) == [b"a\n", b"b\n"]
        process.wait()
    assert time.monotonic() - start < 10
    assert (late.expired, late.killed) == (True, over)


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_process_that_ends_in_time_is_not_stopped(seconds: int) -> None:
    with managed_process(["printf", "a\\nb"], stdout=subprocess.PIPE) as process:
        late = deadline.Deadline(process, seconds)
        assert list(read_lines(process, late.is_over)) == [b"a\n", b"b"]
    assert not late.expired
