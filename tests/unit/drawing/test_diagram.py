"""The boxes and arrows of a graph, and other views of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, stages, write

from stagegraph.drawing import diagram as diagrams
from stagegraph.drawing.diagram import Arrow, Box, Diagram
from stagegraph.errors import DockerfileError
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

DOCKERFILES = {
    "tool": "FROM base\nRUN x\n",
    "part": "FROM tool AS build\nRUN x\nFROM scratch\nCOPY --from=build /x /\n",
    "app": "FROM base\nCOPY --from=part / /\nCOPY --from=tool /t /\nRUN --mount=from=busybox:1,target=/b x\n",
}
TEST = {"test/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN x\n"}
IMAGES = '[images.app]\ntest = "test"\nplatforms = ["amd64"]\n'

#: a -> b -> c, and a -> c
CHAIN = Diagram(
    tuple(Box(id, id, "stage", (Node(id, "amd64"),)) for id in "abc"),
    (Arrow("a", "b", True), Arrow("b", "c", False), Arrow("a", "c", True)),
)


def drawn(root: Path, *goals: str) -> Diagram:
    write(stages(root, DOCKERFILES, more=IMAGES), TEST)
    nodes, named = graph(root), [Node(*goal.split(":")) for goal in goals]
    return diagrams.diagram(nodes, named or nodes.nodes, named)


def arrows(diagram: Diagram) -> set[str]:
    return {f"{a.parent} {'=>' if a.is_from else '->'} {a.child}" for a in diagram.arrows}


def names(diagram: Diagram) -> list[str]:
    return [box.name for box in diagram.boxes]


def test_boxes_have_parents_first_and_external_images_are_not_resolved(tmp_path: Path) -> None:
    found = drawn(tmp_path, "app-test:amd64")
    assert names(found) == [
        "debian:trixie",
        "tool:amd64",
        "part:amd64",
        "busybox:1",
        "app:amd64",
        "app-test:amd64",
    ]
    assert [box.kind for box in found.boxes] == ["external", "stage", "stage", "external", "stage", "test"]
    assert [(box.images, box.tests) for box in found.boxes[-2:]] == [(("app",), ()), ((), ("app",))]
    assert not (tmp_path / "stages.lock").exists()


def test_from_is_an_arrow_of_its_own_kind(tmp_path: Path) -> None:
    debian, busybox = "docker.io/library/debian:trixie", "docker.io/library/busybox:1"
    assert arrows(drawn(tmp_path, "app-test:amd64")) == {
        f"{debian} => tool:amd64",
        "tool:amd64 => part:amd64",
        f"{debian} => app:amd64",
        "part:amd64 -> app:amd64",
        "tool:amd64 -> app:amd64",
        f"{busybox} -> app:amd64",
        "app:amd64 => app-test:amd64",
    }


def test_a_diagram_starts_at_goals_or_at_what_nothing_but_a_test_uses(tmp_path: Path) -> None:
    assert drawn(tmp_path, "tool:amd64").starts == ("tool:amd64",)
    assert drawn(tmp_path).starts == ("app:amd64", "app:aarch64", "app-test:amd64")


def test_a_broken_dockerfile_is_an_error(tmp_path: Path) -> None:
    stages(tmp_path, {"app": "FROM nothing-here\n"})
    with pytest.raises(DockerfileError, match="no stage is called 'nothing-here'"):
        diagrams.diagram(graph(tmp_path), [Node("app", "amd64")])


def test_a_stage_has_one_box_for_all_platforms(tmp_path: Path) -> None:
    found = diagrams.by_stage(drawn(tmp_path))
    assert names(found) == ["debian:trixie", "tool", "part", "busybox:1", "app", "app-test"]
    assert found.boxes[1].nodes == (Node("tool", "amd64"), Node("tool", "aarch64"))
    assert "tool => part" in arrows(found) and len(found.arrows) == 7


def test_a_stage_that_starts_from_itself_on_another_platform_has_no_arrow_to_itself() -> None:
    both = Diagram(
        (Box("a:x", "a:x", "stage", (Node("a", "x"),)), Box("a:y", "a:y", "stage", (Node("a", "y"),))),
        (Arrow("a:x", "a:y", True),),
    )
    assert diagrams.by_stage(both).arrows == ()


def test_the_focus_has_its_ancestors_and_descendants(tmp_path: Path) -> None:
    found = diagrams.around(drawn(tmp_path), [Node("part", "amd64")])
    assert names(found) == ["debian:trixie", "tool:amd64", "part:amd64", "app:amd64", "app-test:amd64"]
    assert [box.name for box in found.boxes if box.focus] == ["part:amd64"]


def test_the_depth_counts_from_the_goals_and_says_what_has_more(tmp_path: Path) -> None:
    found = diagrams.within(drawn(tmp_path, "app:amd64"), 1)
    assert set(names(found)) == {"debian:trixie", "tool:amd64", "part:amd64", "busybox:1", "app:amd64"}
    found = diagrams.within(drawn(tmp_path, "app-test:amd64"), 1)
    assert [(box.name, box.more) for box in found.boxes] == [("app:amd64", True), ("app-test:amd64", False)]


def test_the_depth_counts_from_the_focus_in_both_directions() -> None:
    long = Diagram((*CHAIN.boxes, Box("d", "d", "stage")), (*CHAIN.arrows[:2], Arrow("c", "d", True)))
    found = diagrams.within(diagrams.around(long, [Node("b", "amd64")]), 1)
    assert [(box.id, box.more) for box in found.boxes] == [("a", False), ("b", False), ("c", True)]


def test_a_reduced_diagram_has_no_arrow_that_a_longer_way_stands_for() -> None:
    assert arrows(diagrams.reduced(CHAIN)) == {"a => b", "b -> c"}


def test_a_cycle_of_stages_is_not_reduced() -> None:
    cyclic = CHAIN._replace(arrows=(*CHAIN.arrows, Arrow("c", "a", True)))
    assert diagrams.reduced(cyclic) == cyclic


def test_decisions_of_a_stage_name_platforms_if_they_differ() -> None:
    amd64, arm64 = Node("a", "amd64"), Node("a", "arm64")
    both = Diagram((Box("a", "a", "stage", (amd64, arm64)),), ())

    def words(**decisions: diagrams.Decision) -> tuple[str, str | None]:
        (box,) = diagrams.decided(both, {Node("a", p): d for p, d in decisions.items()}).boxes
        return box.words, box.decision

    assert words(amd64="reuse", arm64="reuse") == ("reuse", "reuse")
    assert words(amd64="reuse", arm64="build") == ("build arm64; reuse amd64", "build")
    assert words(amd64="pull") == ("pull amd64", "pull")
    assert words() == ("", None)
