"""The logs of builds, below ``cache/logs``: one file for each attempt to build a node.

    logs/NODE.log                    the newest attempt; a second name of its file
    logs/NODE/TIME-OUTCOME.log       the last attempts; without OUTCOME while the build runs
    logs/NODE/failed-step.json       the last step that failed

A log has only text: no colours, nothing that a terminal obeys, no secret that is known. Only its owner reads
it, since a step may print what nobody knew to be secret.

Names sort by time. A build holds a lock of its file, so a file without an outcome and without a lock is of a
build that was killed.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import re
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Self

from ..errors import StagegraphError, StoreError
from ..output import cleaned, plain
from ..system import bounded
from ..system.checked import moment, number, text
from ..system.files import os_errors_on_read
from ..waits.flocks import flock

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from ..store.folder import Folder

#: Attempts whose logs are kept, for each node.
KEPT = 5

#: The mode of a log.
_MODE = 0o600

_STEP = "failed-step.json"

_TIME = "%Y%m%dT%H%M%S.%fZ"

_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)(?:-(built|failed|interrupted))?\.log")

_OUTCOMES = ("built", "failed", "interrupted")

#: ``unknown``: of an earlier version, or of a file system without hard links.
Outcome = Literal["running", "built", "failed", "interrupted", "unknown"]


class FailedStep(NamedTuple):
    """The step that failed: its line in the Dockerfile, the instruction there, its text as buildx gives it.

    ``line`` is 0 and ``instruction`` is "" if no instruction of the Dockerfile is known.
    """

    line: int
    instruction: str
    text: str


class Attempt(NamedTuple):
    """One log. ``started`` is None if it is unknown; ``size`` is in bytes."""

    folder: Folder
    name: str
    started: datetime.datetime | None
    outcome: Outcome
    size: int

    def open(self) -> io.BufferedReader:
        """Open the log, whose name may have its outcome by now."""
        for name in (self.name, *(self.name.replace(".log", f"-{outcome}.log") for outcome in _OUTCOMES)):
            with os_errors_on_read(self.folder.path / name), contextlib.suppress(FileNotFoundError):
                return self.folder.open(name)
        raise StoreError(str(self.folder.path / self.name), "was just removed", "doit logs --list")

    def is_running(self) -> bool:
        """Return whether a build writes the log now."""
        return self.outcome == "running" and _is_locked(self.folder, self.name)


class Log:
    """The log of one build, open for writing until the end of the block. ``path`` is for messages."""

    def __init__(self, logs: Folder, node: str) -> None:
        """``node`` is the history name of the node."""
        name = file_name(node)
        self._logs, self._attempts, self._newest = logs, logs.below(name), f"{name}.log"
        self._name = f"{datetime.datetime.now(datetime.UTC).strftime(_TIME)}.log"
        self.path: Path = logs.path / self._newest
        self.file: BinaryIO = self._attempts.create(self._name, _MODE)
        flock(self.file.fileno(), fcntl.LOCK_EX, self.path)
        try:
            self._attempts.link(self._name, logs, self._newest)
        except OSError:  # the file system has no hard links
            self.file.close()
            self._attempts.remove(self._name)
            self.file, self._name = logs.create(self._newest, _MODE), ""
            flock(self.file.fileno(), fcntl.LOCK_EX, self.path)
        for old in list(_finished(self._attempts))[: 1 - KEPT]:
            self._attempts.remove(old)

    def write(self, lines: bytes) -> None:
        """Add whole lines that a program printed."""
        self.file.write(plain(lines).encode())

    def step_failed(self, step: FailedStep) -> None:
        """Keep the step at which this build failed, for ``last_failed_step``."""
        self._attempts.write(_STEP, json.dumps(cleaned(step._asdict())).encode() + b"\n", _MODE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        known = isinstance(error, StagegraphError)
        outcome = "built" if kind is None else "failed" if known else "interrupted"
        with contextlib.suppress(OSError, StagegraphError):  # the log is there all the same
            if self._name:
                self._attempts.rename(self._name, f"{self._name.removesuffix('.log')}-{outcome}.log")
        self.file.close()


def file_name(node: str) -> str:
    """The name of a node's folder of logs, from its history name."""
    return node.replace(":", "--")


def attempts(logs: Folder, node: str) -> list[Attempt]:
    """The attempts to build a node whose logs are there, oldest first. ``node`` is its history name."""
    name = file_name(node)
    folder = logs.below(name)
    found = [each for entry in folder.entries() if (each := _attempt(folder, entry))]
    if not found and logs.has_file(f"{name}.log"):
        file = f"{name}.log"
        outcome: Outcome = "running" if _is_locked(logs, file) else "unknown"
        found.append(Attempt(logs, file, None, outcome, logs.size(file)))
    return found


def last_failed_step(logs: Folder, node: str) -> FailedStep | None:
    """The step at which the node failed last; None if that is unknown. ``node`` is its history name."""
    try:
        step = FailedStep(**json.loads(logs.below(file_name(node)).read(_STEP, bounded.MAX_TEXT)))
        return FailedStep(int(number(step.line)), text(step.instruction), text(step.text))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _attempt(folder: Folder, name: str) -> Attempt | None:
    match = _NAME.fullmatch(name)
    if match is None or not folder.has_file(name):
        return None
    try:
        started = datetime.datetime.strptime(match[1], _TIME).replace(tzinfo=datetime.UTC)
        moment(started.isoformat())
    except ValueError:  # month 13, or year 1: no log of this program
        return None
    outcome: Outcome
    match match[2]:
        case "built" | "failed" | "interrupted" as outcome:
            pass
        case _:
            outcome = "running" if _is_locked(folder, name) else "interrupted"
    return Attempt(folder, name, started, outcome, folder.size(name))


def _finished(folder: Folder) -> Iterator[str]:
    """The logs in a folder that no build writes."""
    for name in folder.entries():
        if _NAME.fullmatch(name) and not _is_locked(folder, name):
            yield name


def _is_locked(folder: Folder, name: str) -> bool:
    try:
        with folder.open(name) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it is gone, or the file system has no locks
        return False
    return False
