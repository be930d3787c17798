"""What a machine that built nothing knows from the registry and from git."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import git
from kit import Project, Registry, header

pytestmark = pytest.mark.engine

STAGES = """
[stages.low]
path = "low"
[stages.high]
path = "high"
[images.high]
"""


def committed(project: Project, message: str) -> str:
    git(project.folder, "add", "-A")
    git(project.folder, "commit", "-q", "-m", message)
    return git(project.folder, "rev-parse", "HEAD")[:12]


def test_a_fresh_clone_names_the_edited_line_and_builds_nothing(
    project: Project, repo: str, registry: Registry, tmp_path: Path
) -> None:
    project.write(
        {
            ".gitignore": "/cache/*\n",
            "stages.toml": header(repo) + STAGES,
            "low/Dockerfile": "FROM scratch\nCOPY file /low\n",
            "low/file": "one\n",
            "high/Dockerfile": "FROM scratch\nCOPY --from=low /low /high\nLABEL a=1\n",
        }
    )
    project.env["STAGEGRAPH_REGISTRY"] = registry.host
    git(project.folder, "init", "-q")
    built = committed(project, "built")
    assert project.built("high:here").built == {"low:here", "high:here"}
    project.write({"low/file": "two\n"})
    committed(project, "never built")

    shutil.rmtree(project.folder / "cache")
    clone = project.copy(tmp_path / "clone")
    clone.write({"high/Dockerfile": "FROM scratch\nCOPY --from=low /low /high\nLABEL a=2\n"})
    reason = "high/Dockerfile:3: instruction changed: LABEL a=1 -> LABEL a=2"
    plan = clone.doit("plan", "high:here").output
    assert reason in plan and f"[since commit {built}]" in plan, plan
    assert "low/file: file file changed" in plan
    why = clone.doit("why", "high:here").output
    assert f"2 edits since commit {built}, whose build is in the registry\n" in why
    assert "  high/Dockerfile:3: instruction changed\n      - LABEL a=1\n      + LABEL a=2\n" in why
    assert "      -one\n      +two\n      comes by low:here\n" in why
    since = clone.doit("plan", "--since", "HEAD~1", "--markdown").output
    assert f"- `{reason}`" in since and "- `low/file: file file changed" in since
    run = clone.built("high:here")
    reasons = {each["node"]: each["reason"] for each in run.last["nodes"]}
    assert reasons["high:here"].startswith(reason) and reasons["low:here"].startswith("low/file")
    assert "nothing changed" in clone.doit("why", "high:here").output
