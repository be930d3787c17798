"""The files that nodes need: exactly those that can change their keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, stages, write

from stagegraph.graph.needed import folders, needed
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

APP = Node("app", "amd64")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    stages(tmp_path, {"app": "FROM scratch\nCOPY src /\n", "other": "FROM scratch\n"})
    files = {"app/src/in/a": "1", "app/src/b.log": "1", "app/c": "1", "app/.dockerignore": "**/*.log\n"}
    return write(tmp_path, files)


def test_files_that_a_node_needs(root: Path) -> None:
    found = needed(graph(root), [APP])
    assert set(found.keys) == {APP}
    yes = (
        "stages.toml",
        "stages.lock",
        "dodo.py",
        "app/Dockerfile",
        "app/Dockerfile.dockerignore",
        "app/src/in/a",
    )
    no = ("app/src/b.log", "app/c", "other/Dockerfile", "cache/x")
    assert all(found.concerns(root / name) for name in (*yes, "app/.dockerignore"))
    assert all(found.concerns(root / name) for name in ("app/src/in", "app/src", "app"))  # moved or removed
    assert not any(found.concerns(root / name) for name in no)


def test_folders_that_a_node_needs(root: Path) -> None:
    assert folders(graph(root), [APP]) == {root / "app"}
    text = (
        (root / "stages.toml")
        .read_text()
        .replace('path = "app"', 'path = "app"\ndockerfile = "in/Dockerfile"')
    )
    write(root, {"stages.toml": text, "app/in/Dockerfile": "FROM scratch\n"})
    assert folders(graph(root), [APP]) == {root / "app", root / "app/in"}
    assert needed(graph(root), [APP]).concerns(root / "app/in/Dockerfile.dockerignore")
