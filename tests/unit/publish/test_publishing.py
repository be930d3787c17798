"""Parts of a publication: the address of a git remote, the comparison of lists, dependencies."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import Registry, graph, resolved, sha, stages

from stagegraph.project.model import Node
from stagegraph.publish import materials, push, revision

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://example.org/team/atom.git", "https://example.org/team/atom.git"),
        ("https://user:token@example.org/team/atom.git", "https://example.org/team/atom.git"),
        ("git@example.org:team/atom.git", "ssh://example.org/team/atom.git"),
        ("example.org:team/atom.git", "ssh://example.org/team/atom.git"),
        ("/srv/atom.git", ""),
        ("file:///srv/atom.git", ""),
        ("../atom", ""),
        ("", ""),
    ],
)
def test_the_url_of_a_git_remote_becomes_a_uri(remote: str, expected: str) -> None:
    assert revision.public_uri(remote) == expected


def test_a_list_is_compared_by_its_entries() -> None:
    digest, other = sha("1"), sha("2")
    listing = json.dumps({"manifests": [{"digest": digest, "artifactType": "a"}]}).encode()
    assert push.lists(listing, {digest: "a"})
    assert push.lists(listing, {digest: ""})  # some tools do not write types
    assert not push.lists(listing, {digest: "b"})
    assert not push.lists(listing, {digest: "a", other: "a"})
    for junk in (b"{}", b"[]", b"no json", b'{"manifests": [1]}', None):
        assert not push.lists(junk, {digest: "a"})


def test_an_image_depends_on_its_front_end(tmp_path: Path) -> None:
    text = "# syntax=docker/dockerfile:1\nFROM debian:12\n"
    registry = Registry({"docker/dockerfile:1": resolved("front end"), "debian:12": resolved("debian")})
    nodes = graph(stages(tmp_path, {"a": text}), registry)
    image: Any = SimpleNamespace(node=Node("a", "amd64"), record=SimpleNamespace(materials=()))
    lookup: Any = SimpleNamespace(find=lambda *_: None)
    found = materials.dependencies(nodes, lookup, image, [])
    digests = {item["name"]: item["digest"]["sha256"] for item in found}
    assert digests == {
        "debian:12": sha("debian amd64").removeprefix("sha256:"),
        "docker/dockerfile:1": sha("front end index").removeprefix("sha256:"),
    }
