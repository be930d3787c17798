"""The keys of a small project, checked in. If one changes, every cache of every user misses.

If you change a key on purpose, for example to add a missing input, say so in CHANGELOG.md.
Then write the file anew:

    .venv/bin/python tests/unit/keys/test_golden_keys.py
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import Registry, git

from stagegraph.graph import reader
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.project import loader

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]
PROJECT = REPOSITORY / "tests" / "fixtures" / "golden"
KEYS = PROJECT / "keys.json"


def keys(root: Path) -> dict[str, str]:
    nodes = Graph(loader.load(root, env={}), Lock(root, Registry({}), locked=True))
    return {str(node): nodes.key(node) for node in nodes.nodes}


def test_golden_keys_do_not_change() -> None:
    assert keys(PROJECT) == json.loads(KEYS.read_text())


def test_another_folder_gives_the_same_keys(tmp_path: Path) -> None:
    copy = tmp_path / "a folder"
    shutil.copytree(PROJECT, copy, symlinks=True)
    assert keys(copy) == json.loads(KEYS.read_text())


def test_another_machine_gives_the_same_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "host_platform", lambda: "linux/arm64")
    assert keys(PROJECT) == json.loads(KEYS.read_text())


def test_a_clone_with_other_line_ends_gives_the_same_keys(tmp_path: Path) -> None:
    """Contents are inputs of keys. This project's .gitattributes keeps git from changing them."""
    attributes = tmp_path / "project" / ".gitattributes"
    shutil.copytree(PROJECT, attributes.parent, symlinks=True)
    git(attributes.parent, "init", "-q")
    same = []
    for name, text in (("without", ""), ("with", (REPOSITORY / ".gitattributes").read_text())):
        attributes.write_text(text)
        git(attributes.parent, "add", "-A")
        git(attributes.parent, "commit", "-qm", name)
        git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", "project", name)
        same.append(keys(tmp_path / name) == json.loads(KEYS.read_text()))
    assert same == [False, True]


def test_platforms_share_keys_if_no_argument_differs() -> None:
    golden = json.loads(KEYS.read_text())
    assert golden["tool:aarch64"] == golden["tool:jetson"]
    assert golden["native:aarch64"] == golden["native:jetson"]
    assert golden["part:aarch64"] != golden["part:jetson"]
    different = {
        key for node, key in golden.items() if node not in ("base:jetson", "tool:jetson", "native:jetson")
    }
    assert len(different) == len(golden) - 3


if __name__ == "__main__":
    KEYS.write_text(json.dumps(keys(PROJECT), indent=2) + "\n")
