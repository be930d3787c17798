"""Machines of a simulated CI service. Each job gets a fresh clone and an empty engine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "run"
_BUILT = re.compile(r"^\s+(\S+:\S+): built in ", re.MULTILINE)


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """Start another engine with an empty data root. Yield its DOCKER_HOST. Skip the test without root."""
    if os.geteuid() != 0:
        pytest.skip("starts an engine of its own, which needs root")
    env = {**os.environ, "STAGEGRAPH_ENGINE_DIR": str(folder / "d")}
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(RUN), "sh", "-c", "echo $DOCKER_HOST"], env=env, capture_output=True, text=True, check=True
    )
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run([str(RUN), "down"], env=env, check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Outcome:
    """The result of a job: success, the output of its steps, the nodes that it built, and its reports.

    ``reports`` is Markdown: the job's summary on GitHub, the artifacts on CircleCI.
    """

    ok: bool = True
    output: str = ""
    reports: str = ""

    @property
    def built(self) -> list[str]:
        return _BUILT.findall(self.output)


@dataclass
class Kill:
    """End a step of a job by SIGTERM as soon as ``when`` returns true, as a time limit would.

    ``gone``: the machine is lost, so no other step runs.
    """

    job: str
    step: str
    when: Callable[[Path], bool]
    gone: bool = False


@dataclass
class Machine:
    """The machine of one job. ``folder`` is the clone."""

    folder: Path
    env: dict[str, str]
    outcome: Outcome = field(default_factory=Outcome)
    gone: bool = False

    def run(self, shell: list[str], command: str, env: Mapping[str, str], kill: Kill | None) -> bool:
        """Run a step; return true if it succeeded. Its output is kept even if the step was killed."""
        with (self.folder.parent / "output").open("w+") as out:
            process = subprocess.Popen(
                [*shell, command],
                cwd=self.folder,
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            while kill and process.poll() is None:
                if kill.when(self.folder):
                    self.gone = kill.gone
                    os.killpg(process.pid, signal.SIGKILL if kill.gone else signal.SIGTERM)
                    break
                time.sleep(0.1)
            status = process.wait(300)
            out.seek(0)
            self.outcome.output += f"$ {command}\n{out.read()}"
        return status == 0


def fetch_history(clone: Path) -> None:
    """Fetch all commits and tags of a clone that has one commit."""
    subprocess.run(["git", "-C", str(clone), "fetch", "-q", "--unshallow", "--tags"], check=True)


@contextmanager
def machine(origin: Path, folder: Path, env: Mapping[str, str]) -> Iterator[Machine]:
    """A fresh clone of one commit, and an empty engine."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{origin}", str(clone)], check=True)
    # the path of an engine's socket must be short
    with engine(Path("/tmp") / f"ci-{os.getpid()}-{time.monotonic_ns() % 10**9}") as host:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        docker = {"DOCKER_CONFIG": str(folder / "docker")}
        own = {k: v for k, v in os.environ.items() if not k.startswith(("STAGEGRAPH_", "CIRCLE", "GITHUB_"))}
        yield Machine(clone, {**own, "CI": "true", "DOCKER_HOST": host, "PATH": path, **docker, **env})


def copy_in(source: Path, target: Path) -> None:
    """Restore files as a CI service does: existing files stay, restored files get new times."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(f'tar -C "{source}" -c . | tar -C "{target}" -x -m', shell=True, check=True)  # noqa: S602
