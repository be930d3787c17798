"""The steps that show plans and results: what they compare with, and that they never fail a job.

Their commands run in a shell, with a ``doit`` that writes down how it was called.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import graph
from planned import MODES, project, written

from stagegraph.ci.pipelines import Plans

pytestmark = pytest.mark.unit

GITHUB, CIRCLECI = ".github/workflows/images.yml", ".circleci/config.yml"
DOIT = '#!/bin/sh\necho "$@" >>"$CALLS"\necho "# Markdown"\nexit ${STATUS:-0}\n'
PLAN, RESULTS = "Show the plan", "Show what was built, and why"


def jobs(folder: Path, file: str) -> dict[str, list[dict[str, Any]]]:
    """Return the commands of each job that has some, as they are in the file."""
    found = {}
    for name, job in yaml.safe_load(written(folder)[file])["jobs"].items():
        steps = [
            step.get("run", step) if file == CIRCLECI else step for step in job["steps"] if step != "checkout"
        ]
        found[name] = [step for step in steps if step.get("name") in (PLAN, RESULTS)]
    return {name: steps for name, steps in found.items() if steps}


@pytest.mark.parametrize("file", [GITHUB, CIRCLECI])
@pytest.mark.parametrize("mode", ["caches", "registry", "short"])
def test_each_job_shows_its_plan_and_its_results(tmp_path: Path, mode: str, file: str) -> None:
    found = jobs(project(tmp_path, MODES[mode]), file)
    assert "check" not in found and "publish" not in found
    for number, (name, steps) in enumerate(found.items()):
        plan, results = steps
        assert (plan["name"], results["name"]) == (PLAN, RESULTS)
        text = plan.get("command") or plan["run"]
        assert ("--since" in text) == (number == 0)  # one job compares, for all of them
        assert f"doit summary --job {name} " in (results.get("command") or results["run"])
        assert "always" in (results.get("when") or results["if"])


@pytest.mark.parametrize("file", [GITHUB, CIRCLECI])
def test_the_first_job_of_a_dynamic_pipeline_shows_the_plan_of_all(tmp_path: Path, file: str) -> None:
    folder = project(tmp_path, MODES["dynamic"])
    steps = jobs(folder, file)["plan"]
    assert [step["name"] for step in steps] == [PLAN]
    text = steps[0].get("command") or steps[0]["run"]
    assert '--since "$SINCE" app:amd64 app:aarch64' in text
    rest = Plans(graph(folder)).continuation(lambda _: True)
    assert "--since" not in rest and "doit summary --job " in rest


def test_reports_know_the_limit_of_the_command_line(tmp_path: Path) -> None:
    plans = Plans(graph(project(tmp_path, MODES["caches"])), limit="250")
    assert all(
        " --limit 250 " in line
        for t, _ in plans.files().values()
        for line in t.splitlines()
        if "summary --job" in line
    )


def test_artifacts_of_circleci_are_outside_the_clone(tmp_path: Path) -> None:
    """The clone may be the context of a stage, and a file more would change its key."""
    config = yaml.safe_load(written(project(tmp_path, MODES["caches"]))[CIRCLECI])
    for job in config["jobs"].values():
        stored = [step["store_artifacts"] for step in job["steps"] if "store_artifacts" in step]
        assert stored == [
            {"path": f"/tmp/{name}.md", "destination": f"{name}.md", "when": "always"}
            for name in ("plan", "summary")
        ]


class Shell:
    """A clone with two commits and a ``doit``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.shown = folder, folder / "calls", folder / "shown"
        (folder / "bin").mkdir()
        (folder / "bin/doit").write_text(DOIT)
        (folder / "bin/doit").chmod(0o755)
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        for words in (
            ["init", "-q", "-b", "main"],
            *[[*who, "commit", "-q", "--allow-empty", "-m", "x"]] * 2,
        ):
            subprocess.run(["git", *words], cwd=folder, check=True)

    def run(self, file: str, command: str, **env: str) -> tuple[int, str]:
        """Run a command as the service does. Return its status, and how ``doit`` was called."""
        self.calls.write_text("")
        shell = ["-e"] if file == GITHUB else ["-eo", "pipefail"]
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        own = {"PATH": path, "CALLS": str(self.calls), "GITHUB_STEP_SUMMARY": str(self.shown)}
        command = command.replace("/tmp/", f"{self.folder}/")
        done = subprocess.run(
            ["bash", *shell, "-c", command], cwd=self.folder, env={**own, **env}, check=False
        )
        return done.returncode, self.calls.read_text()


@pytest.mark.parametrize("file", [GITHUB, CIRCLECI])
def test_a_report_that_fails_does_not_fail_the_job(tmp_path: Path, file: str) -> None:
    (tmp_path / "clone").mkdir()
    shell = Shell(tmp_path / "clone")
    for steps in jobs(project(tmp_path, MODES["registry"]), file).values():
        for step in steps:
            command = step.get("command") or step["run"]
            for status in ("0", "10"):
                assert shell.run(file, command, STATUS=status)[0] == 0
    told = shell.shown if file == GITHUB else shell.folder / "plan.md"
    assert "# Markdown\n" in told.read_text()


@pytest.mark.parametrize(
    ("env", "since"),
    [
        ({"SINCE": "HEAD~1"}, "--since HEAD~1"),
        ({"SINCE": "origin/main"}, ""),  # not fetched
        ({"SINCE": "0" * 40}, ""),  # a new branch
        ({"SINCE": ""}, ""),  # started by hand
    ],
)
def test_github_compares_with_a_commit_that_the_clone_has(
    tmp_path: Path, env: dict[str, str], since: str
) -> None:
    (tmp_path / "clone").mkdir()
    shell = Shell(tmp_path / "clone")
    step = next(iter(jobs(project(tmp_path, MODES["registry"]), GITHUB).values()))[0]
    assert "origin/{0}" in step["env"]["SINCE"] and "github.event.before" in step["env"]["SINCE"]
    status, calls = shell.run(GITHUB, step["run"], **env)
    assert status == 0
    assert calls.startswith(f"plan --markdown {since}".rstrip() + " ")
    # all images for the commit before, or only what this job builds
    assert ("app:amd64 app:aarch64" in calls) or not since


@pytest.mark.parametrize(
    ("env", "since"),
    [
        ({"CIRCLE_BRANCH": "main", "BEFORE": "HEAD~1"}, "--since HEAD~1"),
        ({"CIRCLE_BRANCH": "main", "BEFORE": ""}, ""),  # not known for the first pipeline of a branch
        ({"CIRCLE_BRANCH": "topic", "BEFORE": "HEAD~1"}, "--since origin/main"),
    ],
)
def test_circleci_compares_with_the_commit_before_or_the_main_branch(
    tmp_path: Path, env: dict[str, str], since: str
) -> None:
    (tmp_path / "clone").mkdir()
    shell = Shell(tmp_path / "clone")
    subprocess.run(["git", "update-ref", "refs/remotes/origin/main", "HEAD~1"], cwd=shell.folder, check=True)
    step = next(iter(jobs(project(tmp_path, MODES["registry"]), CIRCLECI).values()))[0]
    assert step["environment"] == {"BEFORE": "<< pipeline.git.base_revision >>"}
    status, calls = shell.run(CIRCLECI, step["command"], **env)
    assert status == 0
    assert calls.startswith(f"plan --markdown {since}".rstrip() + " ")
