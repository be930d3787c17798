"""What a run is asked for, so that tasks are made for that alone: a project may have hundreds of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .graph import Graph

#: Words of the command line as ``doit run`` was given them; None for other commands, which look at all tasks.
words: list[str] | None = None


def closure(graph: Graph, names: Iterable[str]) -> set[Node] | None:
    """Nodes that the tasks of these names come to, with their ancestors and with the tests of images.

    None where a word names no node, image or group: all tasks are made then, so that doit can tell. Raises
    ``StagegraphError`` for a Dockerfile of those nodes that cannot be read, and for a cycle among them.
    """
    project = graph.project
    named: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for word in (str(node), node.stage):
            named.setdefault(word, []).append(node)
    for image in project.images.values():
        for platform in image.platforms:
            test = project.test(image.name, platform)
            nodes = [Node(image.stage, platform), *([test] if test else [])]
            for word in (f"{image.name}:{platform}", image.name):
                named.setdefault(word, []).extend(nodes)
    goals: list[Node] = []
    for word in names:
        if word not in named:
            return None
        goals += named[word]
    return set(graph.order(goals))
