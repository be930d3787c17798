"""Sizes of images, and of the layers that each image adds to its parent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import AMD64, Registry, key_of, resolved, sha, stages

from stagegraph.audit import sizes
from stagegraph.audit.sizes import Size, own_size
from stagegraph.execution.plan import Step
from stagegraph.execution.report import Report
from stagegraph.execution.workspace import Workspace
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.oci.digest import Digest
from stagegraph.project import loader
from stagegraph.project.model import Node
from stagegraph.store.record import Record
from stagegraph.system.text import human_size

pytestmark = pytest.mark.unit

A, B, C = ("a", 1), ("b", 20), ("c", 300)


@pytest.mark.parametrize(
    ("layers", "parents", "external", "own"),
    [
        ([A, B, C], [], False, 321),  # FROM scratch
        ([A, B, C], [[A, B]], False, 300),
        ([A, B], [[A, B]], False, 0),
        ([A, B, C], [[A], [A, B], []], False, 300),  # three parents; the second shares most layers
        ([A, B, C], [[B]], False, 321),
        ([A, B, C], [], True, None),
        ([A, B, C], [[C]], True, None),
        ([A, B, C], [[A]], True, 320),
        ([], [], False, 0),
    ],
)
def test_own_layers(
    layers: list[sizes.Layer], parents: list[list[sizes.Layer]], external: bool, own: int | None
) -> None:
    assert own_size(layers, parents, external=external) == own


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (81_234_567, "81.2 MB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (2.5e9, "2.5 GB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_human_size(size: float, text: str) -> None:
    assert human_size(size) == text


def record(node: str, digest: Digest) -> Record:
    return Record(key_of(node), node, AMD64, digest, 1, sha(""), sha(""), 1.0, "", ())


def test_nodes_of_a_plan(tmp_path: Path) -> None:
    texts = {
        "low": "FROM scratch\nCOPY Dockerfile /\n",
        "high": "FROM low\nCOPY --from=tool / /\n",
        "tool": "FROM debian:trixie\nRUN make\n",
        "gone": "FROM low\n",
    }
    session = Workspace(loader.load(stages(tmp_path, texts), {}, {}))
    session.graph = Graph(session.project, Lock(tmp_path, Registry({"debian:trixie": resolved("d")})))

    def image(*layers: sizes.Layer) -> Digest:
        manifest: dict[str, Any] = {"layers": [{"digest": d, "size": s} for d, s in layers] or None}
        return session.layout.blobs.add(json.dumps(manifest).encode())[0]

    digests = {"low": image(A), "high": image(A, B), "tool": image(C), "gone": sha("not in any store")}
    nodes = {name: Node(name, "amd64") for name in texts}
    steps = [
        Step(nodes[name], key_of(name), "reuse", "", record=record(f"{name}:amd64", digest))
        for name, digest in digests.items()
    ]
    steps.append(Step(Node("low", "aarch64"), key_of("x"), "build", ""))
    assert sizes.sizes(session.graph, steps, session.lookup) == {
        nodes["low"]: Size(1, 1),
        nodes["high"]: Size(20, 21),
        nodes["tool"]: Size(None, 300),
    }
    # the image of the parent is unknown, so the child's own size is unknown, too
    assert sizes.sizes(session.graph, steps[1:2], session.lookup) == {nodes["high"]: Size(None, 21)}


def test_the_summary_has_the_size_of_an_image_and_the_results_have_its_digest() -> None:
    report = Report()
    report.image("repo:tag", record("x:amd64", sha("image")), 81_234_567)
    assert f"image: repo:tag {sha('image')} (81.2 MB compressed)" in report.summary().splitlines()
    assert report.results()["images"] == {"repo:tag": sha("image")}
