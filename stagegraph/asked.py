"""What a run is asked for, so that tasks are made for that alone: a project may have hundreds of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .graph import Graph
    from .model import Project

#: Words of the command line as ``doit run`` was given them; None for other commands, which look at all tasks.
words: list[str] | None = None


def named(graph: Graph, *, tests: bool) -> dict[str, list[Node]]:
    """Nodes by the words that name them: ``STAGE:PLATFORM``, ``IMAGE:PLATFORM``, a stage or image alone.

    ``tests``: an image's test comes with it; ``alone`` has the word for such a node without it.
    """
    known = {str(node): [node] for node in graph.nodes}
    for image in graph.project.images.values():
        for platform in image.platforms:
            test = graph.project.test(image.name, platform) if tests else None
            known[f"{image.name}:{platform}"] = [Node(image.stage, platform), *([test] if test else [])]
    groups: dict[str, list[Node]] = {}
    for word, nodes in known.items():
        groups.setdefault(word.partition(":")[0], []).extend(nodes)
    return {alone(graph.project, node): [node] for node in graph.nodes} | known | groups


def alone(project: Project, node: Node) -> str:
    """The word for a node by itself: a hidden one where the stage's own name is an image's."""
    return f"_{node}" if node.stage in project.images else str(node)


def closure(graph: Graph, names: Iterable[str]) -> set[Node] | None:
    """Nodes that the tasks of these names come to, with their ancestors and with the tests of images.

    None where a word names no node, image or group: all tasks are made then, so that doit can tell. Raises
    ``StagegraphError`` for a Dockerfile of those nodes that cannot be read, and for a cycle among them.
    """
    known, goals = named(graph, tests=True), list[Node]()
    for name in names:
        if name not in known:
            return None
        goals += known[name]
    return set(graph.order(goals))
