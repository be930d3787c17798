"""A diagram as a tree, for Mermaid, for Graphviz and as JSON. The same diagram gives the same text."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stagegraph.drawing import dot as dots
from stagegraph.drawing.diagram import Arrow, Box, Diagram
from stagegraph.drawing.facts import facts
from stagegraph.drawing.mermaid import mermaid
from stagegraph.drawing.tree import Style, tree
from stagegraph.errors import StagegraphError, ToolError
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

APP, TEST, PART = Node("app", "amd64"), Node("check", "amd64"), Node("part", "amd64")
DRAWN = Diagram(
    (
        Box("docker.io/library/debian:trixie", "debian:trixie", "external"),
        Box("part:amd64", "part:amd64", "stage", (PART,), decisions=((PART, "reuse"),), more=True),
        Box("tool:amd64", "tool:amd64", "stage", (Node("tool", "amd64"),)),
        Box(
            "app:amd64", "app:amd64", "stage", (APP,), ("app", "app-full"), (), ((APP, "build"),), focus=True
        ),
        Box("check:amd64", "check:amd64", "test", (TEST,), (), ("app",), ((TEST, "pull"),)),
    ),
    (
        Arrow("docker.io/library/debian:trixie", "tool:amd64", True),
        Arrow("tool:amd64", "part:amd64", False),
        Arrow("tool:amd64", "app:amd64", True),
        Arrow("part:amd64", "app:amd64", False),
        Arrow("app:amd64", "check:amd64", True),
    ),
)
TREE = """\
app:amd64  build  [image app-full, focus]
├── tool:amd64
│   └── debian:trixie  [external image]
└╌╌ part:amd64  reuse …
    └╌╌ tool:amd64 (above)
check:amd64  pull  [test of app]
└── app:amd64  build  [image app-full, focus] (above)

── FROM   ╌╌ COPY --from or a mount   … it has more   (above) its parents are shown above"""
ASCII = """\
app:amd64  build  [image app-full, focus]
|-- tool:amd64
|   `-- debian:trixie  [external image]
`.. part:amd64  reuse ...
    `.. tool:amd64 (above)
check:amd64  pull  [test of app]
`-- app:amd64  build  [image app-full, focus] (above)

-- FROM   .. COPY --from or a mount   ... it has more   (above) its parents are shown above"""
MERMAID = """\
flowchart TD
  n_docker_io_library_debian_trixie[("debian:trixie")]
  n_part_amd64["part:amd64 …<br>reuse"]
  n_tool_amd64["tool:amd64"]
  n_app_amd64[["app:amd64<br>image app-full<br>build"]]
  n_check_amd64{{"check:amd64<br>test of app<br>pull"}}
  n_docker_io_library_debian_trixie --> n_tool_amd64
  n_tool_amd64 -.-> n_part_amd64
  n_tool_amd64 --> n_app_amd64
  n_part_amd64 -.-> n_app_amd64
  n_app_amd64 --> n_check_amd64
  classDef build fill:#ffecb3,stroke:#555,color:#000
  class n_app_amd64 build
  classDef external fill:#eceff1,stroke:#555,color:#000
  class n_docker_io_library_debian_trixie external
  classDef focus stroke-width:4px
  class n_app_amd64 focus
  classDef pull fill:#bbdefb,stroke:#555,color:#000
  class n_check_amd64 pull
  classDef reuse fill:#c8e6c9,stroke:#555,color:#000
  class n_part_amd64 reuse"""


def test_a_tree_shows_parents_once_and_refers_back() -> None:
    assert tree(DRAWN) == TREE


def test_a_tree_for_a_terminal_without_lines() -> None:
    assert tree(DRAWN, Style(ascii=True)) == ASCII


def test_colours_add_nothing_but_colours() -> None:
    coloured = tree(DRAWN, Style(colours=True))
    assert "\x1b[33mbuild\x1b[0m" in coloured and "\x1b[34mpull\x1b[0m" in coloured
    assert "\x1b[32mpart:amd64\x1b[0m  \x1b[32mreuse\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == TREE


def test_a_tree_of_a_cycle_of_stages_shows_every_box() -> None:
    boxes = tuple(Box(id, id, "stage") for id in "ab")
    cyclic = Diagram(boxes, (Arrow("a", "b", True), Arrow("b", "a", True)))
    assert tree(cyclic).splitlines()[:3] == ["b", "└── a", "    └── b (above)"]


def test_a_tree_may_be_deeper_than_calls_of_python() -> None:
    names = [f"s{n}" for n in range(3000)]
    boxes = tuple(Box(name, name, "stage") for name in names)
    deep = Diagram(boxes, tuple(Arrow(a, b, True) for a, b in pairwise(names)))
    assert tree(deep).splitlines()[2999].endswith("└── s0")


def test_an_empty_diagram_is_an_empty_text() -> None:
    assert tree(Diagram((), ())) == ""
    assert mermaid(Diagram((), ())) == "flowchart TD"


def test_mermaid() -> None:
    assert mermaid(DRAWN) == MERMAID


def test_mermaid_escapes_labels_and_gives_each_box_an_id_of_its_own() -> None:
    text = mermaid(Diagram((Box("a-b", 'x"<#', "stage"), Box("a_b", "end", "stage")), ()))
    assert '  n_a_b["x#quot;#lt;#35;"]\n  n_a_b_2["end"]' in text


def test_dot_has_shapes_lines_and_colours() -> None:
    text = dots.dot(DRAWN)
    app = '[label="app:amd64\\nimage app-full\\nbuild", fillcolor="#ffecb3", peripheries=2, penwidth=3]'
    assert f'"app:amd64" {app}' in text
    assert (
        '"check:amd64" [label="check:amd64\\ntest of app\\npull", fillcolor="#bbdefb", shape=hexagon]' in text
    )
    assert 'debian:trixie" [label="debian:trixie", fillcolor="#eceff1", shape=cylinder]' in text
    assert '"tool:amd64" -> "app:amd64"\n' in text
    assert '"part:amd64" -> "app:amd64" [style=dashed]\n' in text
    assert dots.dot(Diagram((Box('a"\\', 'a"\\', "stage"),), ())).count(r'"a\"\\"') == 2


def test_json_has_nodes_and_edges() -> None:
    value = facts(DRAWN, {APP: "sha256:1"}, {APP: "no earlier build"})
    nodes, edges = value["nodes"], value["edges"]
    assert isinstance(nodes, list) and isinstance(edges, list)
    assert nodes[3] == {
        "id": "app:amd64",
        "name": "app:amd64",
        "kind": "stage",
        "images": ["app", "app-full"],
        "tests": [],
        "decision": "build",
        "more": False,
        "focus": True,
        "nodes": [
            {"node": "app:amd64", "key": "sha256:1", "decision": "build", "reason": "no earlier build"}
        ],
    }
    assert nodes[0]["nodes"] == [] and nodes[0]["decision"] is None
    assert edges[3] == {"parent": "part:amd64", "child": "app:amd64", "kind": "copy"}


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_svg_has_every_box() -> None:
    picture = ElementTree.fromstring(dots.svg(DRAWN))  # noqa: S314
    texts = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"debian:trixie", "part:amd64 …", "tool:amd64", "app:amd64", "test of app"} <= texts


def test_without_graphviz_the_error_has_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"dot: is not installed\n  apt-get install graphviz"):
        dots.svg(DRAWN)


def test_an_error_of_graphviz_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dot").write_text("#!/bin/sh\necho too large >&2\nexit 1\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StagegraphError, match="Graphviz drew nothing: too large"):
        dots.svg(DRAWN)
