"""``doit plan`` and the run that follows agree: the same nodes, decisions and reasons.

A plan does not know the result of a build. So a node whose parents are built first may be built or reused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import Project, Registry, header

from stagegraph.execution.decide import Why

pytestmark = pytest.mark.engine

STAGES = """
[stages.low]
path = "low"
[stages.mid]
path = "mid"
[stages.top]
path = "top"
[images.top]
test = "test"
"""
GOALS = ("top:here", "mid:here")
OPEN = Why.PARENTS_FIRST.value.partition("{parents}")[2]


@pytest.fixture
def family(project: Project, repo: str, program: Path, registry: Registry) -> Project:
    project.env["STAGEGRAPH_REGISTRY"] = registry.host
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "low/Dockerfile": "FROM scratch\nCOPY file program /\n",
            "low/file": "low\n",
            "mid/Dockerfile": "FROM low\nCOPY file /mid\n",
            "mid/file": "mid\n",
            "top/Dockerfile": "FROM mid\nCOPY --from=low /file /top\n",
            "test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "fine"]\n',
        }
    )
    shutil.copytree(program, project.folder / "low/program")
    return project


def plan_and_run(project: Project, *goals: str) -> dict[str, tuple[str, str]]:
    """Plan and run the goals. Return the decisions and reasons of the run, by node."""
    planned = json.loads(project.built("plan", "--json", *goals).output)["nodes"]
    before = {step["node"]: (step["decision"], step["reason"]) for step in planned}
    run = project.built(*goals)
    after = {node["node"]: (node["decision"], node["reason"]) for node in run.last["nodes"]}
    assert before.keys() == after.keys()
    for node, (decision, reason) in before.items():
        if reason.endswith(OPEN):
            assert decision == "build" and after[node][0] in ("build", "reuse", "pull"), node
        else:
            assert after[node] == (decision, reason), node
    return after


def edited(name: str, old: str, new: str) -> Callable[[Project], None]:
    def edit(project: Project) -> None:
        path = project.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


def without(*names: str) -> Callable[[Project], None]:
    def remove(project: Project) -> None:
        for name in names:
            shutil.rmtree(project.folder / name)

    return remove


def untagged(project: Project) -> None:
    """Remove the project's images from the engine, so that a run looks at every goal."""
    tags = subprocess.run(
        ["docker", "images", "--format={{.Repository}}:{{.Tag}}"], capture_output=True, text=True, check=True
    ).stdout.split()
    repo = (project.folder / "stages.toml").read_text().partition('repo = "')[2].partition('"')[0]
    if mine := [tag for tag in tags if tag.startswith(f"{repo}:")]:
        subprocess.run(["docker", "rmi", "-f", *mine], check=True, capture_output=True)


def test_plan_and_run_agree(family: Project) -> None:
    built = plan_and_run(family, *GOALS)
    assert {decision for decision, _ in built.values()} == {"build"}
    cases: dict[str, tuple[Callable[[Project], None], dict[str, str]]] = {
        "nothing": (lambda _: None, {"mid": "reuse", "top": "reuse"}),
        "engine": (untagged, {"mid": "reuse", "top": "reuse", "top-test": "reuse"}),
        "comment": (edited("low/Dockerfile", "FROM", "# why\nFROM"), {"top": "reuse"}),
        "file": (edited("low/file", "low", "lower"), {"low": "build", "mid": "build", "top": "build"}),
        "same content": (
            edited("low/Dockerfile", "file program", "program file"),
            {"low": "build", "mid": "reuse", "top": "reuse", "top-test": "reuse"},
        ),
        "own change": (edited("top/Dockerfile", "/top", "/upper"), {"mid": "reuse", "top": "build"}),
        "back": (edited("top/Dockerfile", "/upper", "/top"), {"top": "reuse", "top-test": "reuse"}),
        "registry only": (without("cache"), {"mid": "pull", "top": "pull", "top-test": "reuse"}),
        "test": (edited("test/Dockerfile", "fine", "well"), {"top": "reuse", "top-test": "build"}),
    }
    for name, (edit, expected) in cases.items():
        edit(family)
        untagged(family)
        run = plan_and_run(family, *GOALS)
        assert {node: run[f"{node}:here"][0] for node in expected} == expected, name


def test_plan_and_run_agree_about_a_lost_image(family: Project) -> None:
    del family.env["STAGEGRAPH_REGISTRY"]
    plan_and_run(family, *GOALS)
    shutil.rmtree(family.folder / "cache/blobs")
    untagged(family)
    run = plan_and_run(family, *GOALS)
    assert run["low:here"] == ("build", Why.NOT_STORED.value)
