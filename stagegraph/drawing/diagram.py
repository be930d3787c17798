"""The graph as boxes and arrows: what is drawn, before any form of it. Pure; it reads Dockerfiles only.

A box is a node, a stage with several platforms, or an external image. An arrow goes from a parent to what
uses it, as the files do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from ..oci.reference import full
from ..project.model import Node

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..graph.graph import Graph
    from ..project.model import Project

#: Decisions of a plan, the most work first.
Decision = Literal["build", "pull", "reuse"]
DECISIONS: tuple[Decision, ...] = ("build", "pull", "reuse")

Kind = Literal["stage", "test", "external"]


class Box(NamedTuple):
    """A node, a stage or an external image.

    ``id`` is unique in a diagram; ``name`` is for people. ``nodes`` are those of a stage, () for an external
    image. ``images`` are the images that it is, ``tests`` those that it tests. ``decisions`` are by node; a
    node without one is not looked at. ``more``: it has neighbours that are not drawn. ``focus``: the user
    asked for it.
    """

    id: str
    name: str
    kind: Kind
    nodes: tuple[Node, ...] = ()
    images: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    decisions: tuple[tuple[Node, Decision], ...] = ()
    more: bool = False
    focus: bool = False

    @property
    def decision(self) -> Decision | None:
        """The decision with the most work; None if there is none."""
        made = {decision for _, decision in self.decisions}
        return next((decision for decision in DECISIONS if decision in made), None)

    @property
    def words(self) -> str:
        """The decisions for people: ``build``, or ``build aarch64; reuse amd64`` if platforms differ."""
        platforms: dict[Decision, list[str]] = {}
        for node, decision in self.decisions:
            platforms.setdefault(decision, []).append(node.platform)
        if len(platforms) == 1 and len(self.decisions) == len(self.nodes):
            return next(iter(platforms))
        made = [decision for decision in DECISIONS if decision in platforms]
        return "; ".join(f"{decision} {', '.join(platforms[decision])}" for decision in made)

    @property
    def notes(self) -> list[str]:
        """What a shape does not tell: the names of images other than the stage, and what is tested."""
        images = [name for name in self.images if name != self.name.partition(":")[0]]
        notes = [f"image {', '.join(images)}"] if images else []
        return [*notes, *([f"test of {', '.join(self.tests)}"] if self.tests else [])]

    @property
    def label(self) -> list[str]:
        """The lines in a box of a picture."""
        return [
            f"{self.name} …" if self.more else self.name,
            *self.notes,
            *([self.words] if self.words else []),
        ]


class Arrow(NamedTuple):
    """An arrow between the ids of two boxes. ``is_from``: the child starts from the parent.

    Otherwise it takes only files of it: ``COPY --from``, or a mount.
    """

    parent: str
    child: str
    is_from: bool


class Diagram(NamedTuple):
    """Boxes, parents first, and arrows. ``goals`` are the ids of the boxes that the user named, if any."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    goals: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[Node]:
        """All nodes that are drawn."""
        return [node for box in self.boxes for node in box.nodes]

    @property
    def starts(self) -> tuple[str, ...]:
        """The goals; without any, the boxes that nothing uses, or only tests use."""
        tests = {box.id for box in self.boxes if box.kind == "test"}
        used = {arrow.parent for arrow in self.arrows if arrow.child not in tests}
        return self.goals or tuple(
            sorted((box.id for box in self.boxes if box.id not in used), key=lambda id: id in tests)
        )


# -- from the graph ----------------------------------------------------------------------------------


def diagram(graph: Graph, nodes: Sequence[Node], goals: Iterable[Node] = ()) -> Diagram:
    """Return the nodes, their ancestors and external images. ``goals`` are those that the user named.

    Raises ``DockerfileError``, and ``ProjectError`` for a cycle.
    """
    boxes: dict[str, Box] = {}
    arrows: list[Arrow] = []
    for node in graph.order(nodes):
        for edge, target in graph.links(node):
            parent = str(target) if isinstance(target, Node) else full(target.reference)
            if not isinstance(target, Node):
                boxes.setdefault(parent, Box(parent, target.reference, "external"))
            arrows.append(Arrow(parent, str(node), edge.is_from))
        boxes[str(node)] = _box(graph.project, node)
    return Diagram(tuple(boxes.values()), _merged(arrows), tuple(dict.fromkeys(map(str, goals))))


def _box(project: Project, node: Node) -> Box:
    images = tuple(image.name for image in project.images_of(node))
    tested = tuple(image.name for image in project.images.values() if image.test == node.stage)
    return Box(str(node), str(node), "test" if tested else "stage", (node,), images, tested)


def _merged(arrows: Iterable[Arrow]) -> tuple[Arrow, ...]:
    """Return one arrow for each pair of boxes. ``FROM`` counts more than ``COPY --from``."""
    merged: dict[tuple[str, str], Arrow] = {}
    for arrow in arrows:
        pair = arrow.parent, arrow.child
        if arrow.parent != arrow.child and (pair not in merged or arrow.is_from):
            merged[pair] = arrow
    return tuple(merged.values())


# -- other views of it -------------------------------------------------------------------------------


def by_stage(drawn: Diagram) -> Diagram:
    """Return one box for each stage, with all of its platforms.

    Two stages may use each other on different platforms. So this may have a cycle.
    """
    ids = {box.id: box.nodes[0].stage if box.nodes else box.id for box in drawn.boxes}
    boxes: dict[str, Box] = {}
    for box in drawn.boxes:
        first = boxes.setdefault(ids[box.id], box)
        if box.nodes:
            boxes[ids[box.id]] = first._replace(
                id=ids[box.id],
                name=ids[box.id],
                nodes=tuple(dict.fromkeys((*first.nodes, *box.nodes))),
                images=tuple(dict.fromkeys((*first.images, *box.images))),
            )
    arrows = _merged(Arrow(ids[parent], ids[child], is_from) for parent, child, is_from in drawn.arrows)
    return Diagram(tuple(boxes.values()), arrows, tuple(dict.fromkeys(ids[goal] for goal in drawn.goals)))


def around(drawn: Diagram, focus: Collection[Node]) -> Diagram:
    """Return the boxes of these nodes with all of their ancestors and descendants."""
    chosen = {box.id for box in drawn.boxes if set(box.nodes) & set(focus)}
    kept = {**_reached(chosen, _parents(drawn)), **_reached(chosen, _children(drawn))}
    boxes = tuple(box._replace(focus=box.id in chosen) for box in drawn.boxes)
    return _only(drawn._replace(boxes=boxes, goals=()), kept)


def within(drawn: Diagram, depth: int) -> Diagram:
    """Return what is at most ``depth`` arrows from the focus, or else from where the diagram starts.

    From the focus it follows arrows in both directions, else to parents.
    """
    focus = {box.id for box in drawn.boxes if box.focus}
    kept = _reached(focus or drawn.starts, _parents(drawn), depth)
    if focus:
        kept |= _reached(focus, _children(drawn), depth)
    cut = {arrow.parent for arrow in drawn.arrows if arrow.child not in kept and focus}
    cut |= {arrow.child for arrow in drawn.arrows if arrow.parent not in kept}
    return _only(drawn._replace(boxes=tuple(box._replace(more=box.id in cut) for box in drawn.boxes)), kept)


def decided(drawn: Diagram, decisions: Mapping[Node, Decision]) -> Diagram:
    """Return the diagram with the decisions of a plan."""
    boxes = (
        box._replace(decisions=tuple((node, decisions[node]) for node in box.nodes if node in decisions))
        for box in drawn.boxes
    )
    return drawn._replace(boxes=tuple(boxes))


def reduced(drawn: Diagram) -> Diagram:
    """Return the diagram without each arrow that a longer way stands for (the transitive reduction).

    Arrows inside a cycle stay.
    """
    import networkx as nx  # only this needs it

    whole: nx.DiGraph[str] = nx.DiGraph()
    whole.add_nodes_from(box.id for box in drawn.boxes)
    whole.add_edges_from((arrow.parent, arrow.child) for arrow in drawn.arrows)
    parts = nx.condensation(whole)  # a cycle becomes one part
    part: Mapping[str, int] = parts.graph["mapping"]
    kept = set(nx.transitive_reduction(parts).edges)
    return drawn._replace(
        arrows=tuple(
            arrow
            for arrow in drawn.arrows
            if part[arrow.parent] == part[arrow.child] or (part[arrow.parent], part[arrow.child]) in kept
        )
    )


def _only(drawn: Diagram, kept: Collection[str]) -> Diagram:
    return Diagram(
        tuple(box for box in drawn.boxes if box.id in kept),
        tuple(arrow for arrow in drawn.arrows if arrow.parent in kept and arrow.child in kept),
        tuple(goal for goal in drawn.goals if goal in kept),
    )


def _parents(drawn: Diagram) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for arrow in drawn.arrows:
        found.setdefault(arrow.child, []).append(arrow.parent)
    return found


def _children(drawn: Diagram) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for arrow in drawn.arrows:
        found.setdefault(arrow.parent, []).append(arrow.child)
    return found


def _reached(
    starts: Iterable[str], neighbours: Mapping[str, Iterable[str]], depth: int | None = None
) -> dict[str, int]:
    """Return what can be reached from ``starts`` by at most ``depth`` arrows, with how many it takes."""
    reached = dict.fromkeys(starts, 0)
    waiting = [*reached]
    for id in waiting:
        if reached[id] == depth:
            continue
        for other in neighbours.get(id, ()):
            if other not in reached:
                reached[other] = reached[id] + 1
                waiting.append(other)
    return reached
