"""A run gets the tasks that its goals need, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, stages

from stagegraph.errors import DockerfileError, ProjectError
from stagegraph.graph import goals

pytestmark = pytest.mark.unit

DOCKERFILES = {
    "part": "FROM scratch\nCOPY f /\n",
    "app": "FROM scratch\nCOPY --from=part / /\n",
    "top": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n",
    "broken": "FROM base\nRUM nothing\n",
    "test": "ARG IMAGE\nFROM ${IMAGE}\nRUN true\n",
}
IMAGES = '[images.app]\ntest = "test"\n[images.top]\nstack = ["app", "top"]\nplatforms = ["amd64"]\n'


def closure(root: Path, *names: str) -> set[str] | None:
    stages(root, DOCKERFILES, more=IMAGES)
    found = goals.closure(graph(root), names)
    return None if found is None else {str(node) for node in found}


def test_a_node_with_its_ancestors(tmp_path: Path) -> None:
    assert closure(tmp_path, "part:amd64") == {"part:amd64"}


def test_an_image_with_its_test(tmp_path: Path) -> None:
    assert closure(tmp_path, "app:aarch64") == {"app:aarch64", "part:aarch64", "app-test:aarch64"}


def test_the_test_of_a_parent_is_not_selected(tmp_path: Path) -> None:
    assert closure(tmp_path, "top:amd64") == {"app--top:amd64", "app:amd64", "part:amd64"}


def test_a_group_is_all_its_platforms(tmp_path: Path) -> None:
    assert closure(tmp_path, "part") == {"part:amd64", "part:aarch64"}


def test_an_unknown_goal_selects_all_nodes(tmp_path: Path) -> None:
    assert closure(tmp_path, "part:amd64", "prat:amd64") is None
    assert closure(tmp_path, "part:*") is None


def test_a_broken_dockerfile_fails_goals_that_need_it(tmp_path: Path) -> None:
    with pytest.raises(DockerfileError, match="RUM"):
        closure(tmp_path, "broken:amd64")


def test_a_cycle_fails_only_goals_that_need_it(tmp_path: Path) -> None:
    stages(tmp_path, {"a": "FROM b\n", "b": "FROM a\n", "c": "FROM scratch\nCOPY f /\n"})
    with pytest.raises(ProjectError):
        goals.closure(graph(tmp_path), ["a:amd64"])
    assert goals.closure(graph(tmp_path), ["c:amd64"]) is not None
