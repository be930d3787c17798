"""``doit summary`` in a project, with and without a pipeline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write

pytestmark = pytest.mark.unit

CI = """\
[ci]
limit = 100
unknown = 50
[ci.circleci.one]
docker = "linux/amd64"
resource_class = "medium"
price = 0.01
[ci.github.one]
docker = "linux/amd64"
runs_on = "ubuntu-24.04"
price = 0.02
"""
FILES = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.lock": 'version = 1\narchive = "2026-01-01"\n',
    "part/Dockerfile": "FROM scratch\nCOPY --from=base /x /x\nRUN part\n",
    "app/Dockerfile": "FROM part\nRUN app\n",
    "stages.toml": """\
        [project]
        repo = "example/app"
        [platforms.here]
        docker = "linux/amd64"
        [base]
        bootstrap = "trixie"
        [stages.part]
        path = "part"
        [stages.app]
        path = "app"
        [images.app]
        """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, FILES)


def doit(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "summary", *words]
    own = {k: v for k, v in os.environ.items() if not k.startswith(("STAGEGRAPH_", "CIRCLECI", "GITHUB_"))}
    return subprocess.run(
        command, cwd=folder, env={**own, **env}, capture_output=True, text=True, check=False
    )


def results(folder: Path, decision: str = "build", outcome: str = "done") -> None:
    """Write what a run did with ``app:here``."""
    times = {"seconds": 2.0, "start": 0.0, "end": 2.0, "build_seconds": 2.0}
    digest = f"sha256:{'a' * 64}"
    node: dict[str, object] = {
        "node": "app:here",
        "decision": decision,
        "key": "",
        "digest": digest,
        "reason": "new",
    }
    node |= {**times, "changes": [], "image_bytes": 5}
    value = {
        "schema": 1,
        "started": "2026-01-02T03:04:05+00:00",
        "goals": [],
        "outcome": outcome,
        "seconds": 3.0,
        "events": [],
    }
    value |= {"nodes": [node], "images": {"example/app:app-here": digest}}
    write(folder, {"cache/last-run.json": json.dumps(value)})


def declare_pipelines(folder: Path) -> None:
    write(folder, {"stages.toml": (folder / "stages.toml").read_text() + CI})


def test_a_summary_is_of_the_last_run(project: Path) -> None:
    results(project)
    done = doit(project)
    assert "| built | `app:here` | `new` | 2.0 s | 5 B |\n" in done.stdout, done.stderr
    assert "| `example/app:app-here` | 5 B | `sha256:" in done.stdout


def test_a_project_needs_no_run_and_no_pipeline(project: Path) -> None:
    assert doit(project).stdout == "**The run left no results: it did not begin, or was killed.**\n"
    done = doit(project, "--job", "app")
    assert done.returncode == 10 and "no executor of a CI service" in done.stderr
    assert "left no results" in done.stdout  # what is known comes first


def test_the_jobs_behind_are_those_of_the_service_on_which_it_runs(project: Path) -> None:
    declare_pipelines(project)
    results(project)
    said = doit(project, "--job", "part").stdout.splitlines()[-1]
    assert said.startswith("1 job behind this one: `app`. At most about 5"), said
    assert doit(project, "--job", "app").stdout.endswith("\n\nNo job is behind this one.\n")
    results(project, "failed", "failed")
    assert doit(project, "--job", "part", GITHUB_ACTIONS="true").stdout.endswith("because this one failed.\n")
    only = (project / "stages.toml").read_text().replace("[ci.github.one]", "[ci.github.other]\nspeed = 9.0")
    write(project, {"stages.toml": only})
    assert doit(project, "--job", "part").stdout.endswith("because this one failed.\n")
    found = doit(project, "--job", "part", GITHUB_ACTIONS="true")
    assert found.stdout.endswith(
        "`doit ci` now plans no job `part`, so nothing tells how long the rest takes.\n"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "nodes": [1]}'])
def test_a_damaged_file_is_an_error(project: Path, text: str) -> None:
    write(project, {"cache/last-run.json": text})
    done = doit(project)
    assert done.returncode == 27
    assert "last-run.json: cannot be read" in done.stderr and "Traceback" not in done.stderr


def test_words_are_refused(project: Path) -> None:
    done = doit(project, "app:here")
    assert done.returncode == 10 and "doit summary takes no goal: 'app:here'" in done.stderr
