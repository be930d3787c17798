"""Who waits for a lock learns which process has it, and does not wait for ever for a stopped one."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from stagegraph.errors import LockedError
from stagegraph.waits import flocks, waiting
from stagegraph.waits.waiting import Waits

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list locks"),
]

HOLD = """\
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
time.sleep(60)
"""


@contextmanager
def held(path: Path, *, stopped: bool = False) -> Iterator[int]:
    """Let another process hold a lock. Yield its number."""
    path.touch()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        if stopped:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def holders(path: Path) -> list[flocks.Holder]:
    with path.open() as file:
        return flocks.holders(file.fileno())


def test_the_process_that_has_a_lock_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path) as pid:
        (found,) = holders(path)
    assert (found.pid, found.is_stopped) == (pid, False) and "fcntl" in found.command
    assert len(found.command) <= 60
    assert holders(path) == []


def test_a_lock_of_another_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with held(tmp_path / "lock"):
        assert holders(tmp_path / "other") == []


def test_all_processes_with_a_shared_lock_are_found_and_the_one_that_waits_is_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        other = subprocess.Popen(["flock", "-x", str(path), "true"])
        try:
            until = time.monotonic() + 10
            while "->" not in Path("/proc/locks").read_text() and time.monotonic() < until:
                time.sleep(0.01)
            assert [each.pid for each in holders(path)] == [os.getpid()]
        finally:
            other.kill()
            other.wait()


def wait_for(path: Path, what: str = "") -> None:
    with path.open() as file:
        flocks.flock(file.fileno(), fcntl.LOCK_EX, path, what)


@pytest.mark.parametrize("stopped", [False, True])
def test_the_wait_names_the_lock_the_process_and_what_to_do(
    tmp_path: Path, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.05)
    waits = Waits()
    monkeypatch.setattr(flocks, "waiting_for", waits.on)
    path, lines = tmp_path / "lock", list[str]()
    with held(path, stopped=stopped) as pid:
        thread = threading.Thread(target=wait_for, args=(path, "another run builds a:b"), daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not (lines := waits.lines()) and time.monotonic() < until:
            time.sleep(0.01)
    thread.join(10)  # the end of the process releases the lock
    assert not thread.is_alive()
    assert f"for another run builds a:b: the lock {path}, held by process {pid} (" in lines[0]
    advice = f"stopped: kill -CONT {pid} lets it go on, kill -KILL {pid} ends it"
    assert (advice in lines[0]) == stopped


def test_a_stopped_process_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses are none, and each look at the clock is a second later."""
    clock = iter(range(10_000))
    clock_module = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(flocks, "time", clock_module)
    monkeypatch.setattr(flocks, "STOPPED_LIMIT", 5.0)
    path = tmp_path / "lock"
    with held(path, stopped=True) as pid, pytest.raises(LockedError, match=f"kill -CONT {pid}"):
        wait_for(path)


def test_an_hour_in_which_this_process_was_stopped_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look is an hour after the one before; the other process is gone after the second."""
    clock, path = iter(range(0, 10**9, 3600)), tmp_path / "lock"
    monkeypatch.setattr(
        flocks, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: float(next(clock)))
    )
    looks: list[int] = []
    with held(path, stopped=True) as pid:

        def stopped(handle: int) -> list[flocks.Holder]:
            looks.append(handle)
            if len(looks) == 2:
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return [flocks.Holder(pid, "", is_stopped=True)]

        monkeypatch.setattr(flocks, "holders", stopped)
        wait_for(path)
    assert len(looks) >= 2


def test_a_process_that_runs_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flocks, "STOPPED_LIMIT", 0.0)
    path = tmp_path / "lock"
    with held(path) as pid:
        threading.Timer(0.05, os.kill, (pid, signal.SIGKILL)).start()
        wait_for(path)


def test_a_lock_of_this_process_needs_no_word(tmp_path: Path) -> None:
    mine = flocks.Holder(os.getpid())
    assert flocks._text("the lock", [mine]) == ""
    assert "cannot be seen from here" in flocks._text("the lock", [])


def test_a_call_that_does_not_wait_still_fails_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path), path.open() as file, pytest.raises(BlockingIOError):
        flocks.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB, path)


@pytest.mark.parametrize(("number", "fails"), [(errno.ENOTSUP, False), (errno.EBADF, True)])
def test_a_file_system_without_locks_needs_none(
    tmp_path: Path, number: int, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    if fails:
        with pytest.raises(OSError, match="no"):
            flocks.flock(0, fcntl.LOCK_EX, tmp_path)
    else:
        flocks.flock(0, fcntl.LOCK_EX, tmp_path)


@pytest.mark.parametrize(
    "line", ["", "1:", "1: POSIX  ADVISORY  WRITE 1 00:00:1 0 EOF", "1: FLOCK x y ? a:b:c 0 EOF"]
)
def test_other_lines_of_the_list_do_not_matter(tmp_path: Path, line: str) -> None:
    assert flocks._owner(line, tmp_path.stat()) is None


def test_another_number_of_the_device_is_settled_by_the_open_files(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        status = os.fstat(file.fileno())
        line = f"1: FLOCK  ADVISORY  WRITE {os.getpid()} ff:ff:{status.st_ino} 0 EOF"
        assert flocks._owner(line, status) == os.getpid()
    assert flocks._owner(line, status) is None
