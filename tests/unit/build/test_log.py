"""The logs of attempts: names, outcomes, how many are kept, and the last failed step."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stagegraph.build.log import KEPT, FailedStep, Log, attempts, last_failed_step
from stagegraph.errors import BuildError
from stagegraph.store.folder import Folder

pytestmark = pytest.mark.unit

NODE = "x:amd64"


@pytest.fixture
def logs(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "logs")


def attempt(logs: Folder, text: str, error: BaseException | None = None) -> None:
    """Write the log of one attempt that ends with this error."""
    with suppress(BuildError, KeyboardInterrupt), Log(logs, NODE) as log:
        log.file.write(text.encode())
        if error is not None:
            raise error


def outcomes(logs: Folder) -> list[str]:
    return [each.outcome for each in attempts(logs, NODE)]


def test_each_attempt_keeps_its_own_log_with_its_outcome(logs: Folder) -> None:
    attempt(logs, "one", BuildError("x", "failed"))
    attempt(logs, "two", KeyboardInterrupt())
    attempt(logs, "three")
    found = attempts(logs, NODE)
    assert [each.outcome for each in found] == ["failed", "interrupted", "built"]
    assert [each.size for each in found] == [3, 3, 5]
    assert [each.name for each in found] == sorted(each.name for each in found)
    started = [each.started for each in found if each.started]
    assert len(started) == 3 and started == sorted(started)
    with found[0].open() as file:
        assert file.read() == b"one"


def test_the_newest_log_has_a_name_without_a_time(logs: Folder) -> None:
    attempt(logs, "one")
    attempt(logs, "two", BuildError("x", "failed"))
    assert (logs.path / "x--amd64.log").read_text() == "two"


def test_only_the_last_logs_are_kept(logs: Folder) -> None:
    for number in range(KEPT + 3):
        attempt(logs, "x" * number)
    assert [each.size for each in attempts(logs, NODE)] == [*range(3, KEPT + 3)]


def test_a_log_is_running_while_its_build_runs(logs: Folder) -> None:
    attempt(logs, "one")
    with Log(logs, NODE) as log:
        assert outcomes(logs) == ["built", "running"]
        log.file.write(b"two")
        assert (logs.path / "x--amd64.log").read_text() == "two"
    assert outcomes(logs) == ["built", "built"]


def test_the_log_of_a_killed_build_is_interrupted(logs: Folder) -> None:
    log = Log(logs, NODE)
    log.file.close()  # as the kernel does at the end of a process
    assert outcomes(logs) == ["interrupted"]


def test_a_file_system_without_hard_links_keeps_one_log(logs: Folder, monkeypatch: Any) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    attempt(logs, "one")
    attempt(logs, "two")
    (found,) = attempts(logs, NODE)
    assert (found.outcome, found.started, found.size) == ("unknown", None, 3)


def test_a_log_of_an_earlier_version_is_found(logs: Folder) -> None:
    logs.write("x--amd64.log", b"old")
    (found,) = attempts(logs, NODE)
    assert (found.outcome, found.size) == ("unknown", 3)
    assert attempts(logs, "y:amd64") == []


def test_the_last_failed_step_is_kept(logs: Folder) -> None:
    assert last_failed_step(logs, NODE) is None
    step = FailedStep(4, "RUN make", "RUN make")
    with Log(logs, NODE) as log:
        log.step_failed(step)
    assert last_failed_step(logs, NODE) == step
    strange = b'{"line": "4", "instruction": "RUN make", "text": ""}'
    for damaged in (b"[]", b"[" * 100_000, strange):
        logs.below("x--amd64").write("failed-step.json", damaged)
        assert last_failed_step(logs, NODE) is None
