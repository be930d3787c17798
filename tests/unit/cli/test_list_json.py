"""``doit list --json``: stages and images with their nodes, parents and children."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import write

pytestmark = pytest.mark.unit

PROJECT = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.toml": """\
        [project]
        repo = "example/listed"
        [platforms.amd64]
        docker = "linux/amd64"
        [platforms.arm]
        docker = "linux/arm64"
        [base]
        image = "nowhere.invalid/base:1"
        [stages.part]
        path = "part"
        only = ["amd64"]
        [stages.app]
        path = "app"
        description = "a stage"
        only = ["amd64"]
        [stages.broken]
        path = "broken"
        only = ["arm"]
        [images.app]
        description = "an image"
        tags = ["one-{platform}", "two"]
        [groups]
        all = ["app"]
        """,
    "part/Dockerfile": "FROM base\n",
    "app/Dockerfile": "FROM part\nCOPY --from=part /x /\n",
    "broken/Dockerfile": "FROM nothing\n",
}


def listed(folder: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "doit", "list", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_nodes_have_parents_and_children_and_nothing_is_resolved(tmp_path: Path) -> None:
    value = listed(write(tmp_path, PROJECT), "--json")
    nodes = {node["node"]: node for stage in value["stages"] for node in stage["nodes"]}
    assert nodes["app:amd64"] == {
        "node": "app:amd64",
        "platform": "amd64",
        "docker": "linux/amd64",
        "images": ["app"],
        "parents": ["part:amd64"],
        "children": [],
        "error": None,
    }
    assert nodes["part:amd64"]["children"] == ["app:amd64"]
    assert nodes["broken:arm"]["error"].startswith("broken/Dockerfile:1: no stage is called 'nothing'")
    assert not (tmp_path / "stages.lock").exists()


def test_images_have_tags_and_groups_their_images(tmp_path: Path) -> None:
    value = listed(write(tmp_path, PROJECT), "--json")
    (image,) = value["images"]
    assert (image["image"], image["description"], image["default"], image["test"]) == (
        *("app", "an image"),
        *(True, None),
    )
    tags = ["example/listed:one-amd64", "example/listed:two"]
    assert image["platforms"] == [{"platform": "amd64", "node": "app:amd64", "tags": tags}]
    assert value["groups"] == [{"group": "all", "words": ["app"], "images": ["app"]}]


def test_names_limit_the_list(tmp_path: Path) -> None:
    value = listed(write(tmp_path, PROJECT), "part", "--json")
    assert [stage["stage"] for stage in value["stages"]] == ["part"]
    assert value["images"] == value["groups"] == []
