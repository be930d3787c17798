"""Facts about the machine."""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fake_machine import Machine

from stagegraph.host import messages, system
from stagegraph.host.messages import SetupError, Status
from stagegraph.host.system import Packages

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "version", "packages"),
    [
        ("debian", "11", Packages.NONE),
        ("debian", "9", Packages.NONE),
        ("debian", "12", Packages.WITH_NEXT_RELEASE),
        ("debian", "13", Packages.OWN),
        ("debian", "", Packages.OWN),
        ("ubuntu", "24.04", Packages.OWN),
        ("fedora", "42", Packages.NONE),
        ("", "", Packages.NONE),
    ],
)
def test_the_packages_that_a_system_offers(
    machine: Machine, name: str, version: str, packages: Packages
) -> None:
    machine.is_system(name, version)
    assert system.offered_packages() is packages


def test_a_system_without_os_release(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, str]:
        raise OSError

    monkeypatch.setattr(platform, "freedesktop_os_release", absent)
    assert system.os_release() == {}


def test_call_of_a_program_that_is_missing_or_slow(machine: Machine) -> None:
    assert system.call("none").returncode == 127
    machine.stub("slow", "exec sleep 5")
    assert system.call("slow", timeout=0.1).returncode == 124
    machine.stub("quick", "echo out; echo err >&2; exit 3")
    done = system.call("quick")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


@pytest.mark.parametrize("text", ["", "x", "999999999", "-1", "1 2", "²", "../self"])
def test_a_pidfile_with_nonsense(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    assert system.process(tmp_path / "pid", "") is None
    assert system.process(tmp_path / "none", "") is None


def test_a_process_is_known_by_a_whole_word(tmp_path: Path) -> None:
    code = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, "/a/docker2"], stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        (tmp_path / "pid").write_text(f"{child.pid}\n")
        try:
            assert system.process(tmp_path / "pid", "/a/docker2") == child.pid
            assert system.process(tmp_path / "pid", "/a/docker") is None
        finally:
            child.kill()


def test_a_lock_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    entered = threading.Event()

    def enter() -> None:
        with system.locked(tmp_path, "engine"):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.2)
    os.close(other)
    thread.join(10)
    assert entered.is_set()
    assert capsys.readouterr().err == "run: waiting for another ./run that sets up the engine\n"


def test_a_failed_step_shows_the_end_of_its_log(machine: Machine) -> None:
    machine.stub("step", "seq 20; exit 7")
    log = machine.folder / "log"
    with pytest.raises(SetupError) as caught:
        messages.run_step(log, "step", "now")
    assert caught.value.status is Status.STEP_FAILED
    assert caught.value.lines[0] == "failed (exit 7): step now"
    assert caught.value.lines[1:-1] == tuple(f"  | {number}" for number in range(6, 21))
    assert caught.value.lines[-1] == f"full log: {log}"
    with pytest.raises(SetupError, match="not installed"):
        messages.run_step(log, "none")


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "PIP_CERT"),
        ("Temporary failure in name resolution", "no DNS"),
        ("Could not resolve 'example.org'", "no DNS"),
        ("something else", None),
    ],
)
def test_usual_causes_are_named(tmp_path: Path, output: str, advice: str | None) -> None:
    log = tmp_path / "log"
    log.write_text(output)
    lines = [*messages.explain(log, 1, ["pip"])][3:]
    assert advice in " ".join(lines) if advice else lines == []


def test_a_folder_that_cannot_be_created_gives_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stagegraph.host import __main__ as entry

    def fail() -> int:
        raise NotADirectoryError(20, "Not a directory", "/etc/hostname/x")

    monkeypatch.setitem(entry.COMMANDS, "ensure", fail)
    monkeypatch.setattr(sys, "argv", ["run", "ensure"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == Status.STEP_FAILED
    assert "failed: [Errno 20] Not a directory: '/etc/hostname/x'" in capsys.readouterr().err
