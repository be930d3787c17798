"""What a run is asked for, so that tasks are made for that alone: a project may have hundreds of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UNRESOLVED, StagegraphError
from ..project.model import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..project.model import Project
    from .graph import Graph

#: Words of the command line as ``doit run`` was given them; None for other commands, which look at all tasks.
words: list[str] | None = None


#: Nodes that a warning lists; JSON has all.
_LISTED = 12


@dataclass(frozen=True)
class LeftOut:
    """Nodes that have no key now, for one cause. ``first`` is the node whose own files or images are it."""

    error: StagegraphError
    first: str
    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.nodes[:_LISTED]))
        more = f" and {len(self.nodes) - _LISTED} more" if len(self.nodes) > _LISTED else ""
        return f"{self.first} has no key: {self.error}\n  left out: {listed}{more}"


@dataclass(frozen=True)
class Goals:
    """Nodes that a command looks at, and those that it cannot look at.

    ``status`` is 0, or the exit status of the cause where the command cannot stand for what was asked for:
    a node was asked for by name, something is broken, or all nodes are left out.
    """

    nodes: list[Node]
    left_out: list[LeftOut]
    status: int

    def to_json(self) -> list[dict[str, object]]:
        """The nodes that are left out, for JSON."""
        return [
            {"node": str(node), "cause": out.first, "error": str(out.error), "status": out.error.exit_status}
            for out in self.left_out
            for node in out.nodes
        ]


def keyed(graph: Graph, nodes: Iterable[Node], *, by_name: bool, keep_going: bool) -> Goals:
    """Those of ``nodes`` that have a key, and the others by cause.

    Without ``keep_going`` only an image from outside that cannot be asked for is a reason to leave out a
    node, and only where no node was asked for by name (``by_name``). Raises ``StagegraphError`` otherwise.
    """
    good, causes = list[Node](), dict[tuple[str, str], tuple[StagegraphError, list[Node]]]()
    for node in nodes:
        try:
            graph.key(node)
        except StagegraphError as error:
            if not keep_going and (by_name or not isinstance(error, UNRESOLVED)):
                raise
            # one image that cannot be asked for is one cause in all Dockerfiles; the same slip in two is two
            where = "" if isinstance(error, UNRESOLVED) else error.where
            causes.setdefault((where, error.what), (error, []))[1].append(node)
        else:
            good.append(node)
    left_out = [LeftOut(error, error.node or str(out[0]), tuple(out)) for error, out in causes.values()]
    lasting = [out for out in left_out if by_name or not good or not isinstance(out.error, UNRESOLVED)]
    return Goals(good, left_out, lasting[0].error.exit_status if lasting else 0)


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
