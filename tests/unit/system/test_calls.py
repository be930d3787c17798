"""Calls of other programs end, tell what they wait for, and fail with a message."""

from __future__ import annotations

import errno
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from stagegraph.errors import OutOfMemoryError, ToolError
from stagegraph.system import processes
from stagegraph.waits import waiting

pytestmark = pytest.mark.unit


def test_a_call_that_does_not_end_has_the_status_124() -> None:
    start = time.monotonic()
    done = processes.run(["sleep", "20"], timeout=0.05)
    assert (done.returncode, done.stderr) == (124, b"no answer within 0 s")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("command", "name", "line"),
    [
        (["sleep", "0.2"], "", "for sleep 0.2, at most 60 s"),
        (["sh", "-c", "exec sleep 0.2"], "", "for sh, at most 60 s"),
        (["sleep", "0.2"], "git status", "for git status, at most 60 s"),
    ],
)
def test_a_call_that_takes_long_is_told_without_its_options(
    command: list[str], name: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.05)
    waits, lines = waiting.Waits(), list[str]()
    waits.tell = lines.append
    monkeypatch.setattr(processes, "waiting_for", waits.on)
    assert processes.run(command, timeout=60, name=name).returncode == 0
    assert lines and all(each.endswith(line) for each in lines)


def test_a_stopped_docker_names_the_doctor() -> None:
    assert processes._waits_for("docker version", "docker", 30).endswith("doit doctor asks it")


def test_a_process_that_closes_its_output_and_stays_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LONGEST", 0.1)
    command = ["sh", "-c", "exec >&-; exec sleep 20"]
    with processes.managed_process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read() == b""
        with pytest.raises(ToolError, match="closed its output, but did not end"):
            processes.end_of(process)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EAGAIN, OutOfMemoryError), (errno.ENOMEM, OutOfMemoryError), (errno.EACCES, ToolError)],
)
def test_a_program_that_cannot_be_started_is_an_error(
    number: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, "no")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(kind, match=r"docker: .*cannot be started: no"):
        processes.run(["docker", "version"])


def test_a_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("x")
    with pytest.raises(ToolError, match="cannot be started: Permission denied"):
        processes.run([str(tmp_path / "docker")])
