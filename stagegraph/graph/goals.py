"""The nodes that a command or run is about, from the names that the user wrote.

Knows nothing of doit: it returns nodes, or which of them have no key and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import UNRESOLVED, StagegraphError
from ..project.model import Node
from ..system.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..project.model import Project
    from .graph import Graph

#: The most nodes that a warning lists; JSON has all.
_LISTED = 12


class LeftOut(NamedTuple):
    """Nodes without a key, all for one cause.

    ``first`` is the node whose own files or images are the cause.
    """

    error: StagegraphError
    first: str
    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        names = listed([str(node) for node in self.nodes], _LISTED)
        return f"{self.first} has no key: {self.error}\n  left out: {names}"


class Goals(NamedTuple):
    """The nodes that a command is about, and those that it leaves out.

    ``status`` is 0, or the exit status of a cause if the command's answer is incomplete: the user named a
    node that is left out, something is broken, or all nodes are left out.
    """

    nodes: list[Node]
    left_out: list[LeftOut]
    status: int

    def to_json(self) -> list[dict[str, object]]:
        """Return the nodes that are left out, for JSON."""
        return [
            {"node": str(node), "cause": out.first, "error": str(out.error), "status": out.error.exit_status}
            for out in self.left_out
            for node in out.nodes
        ]


def keyed(graph: Graph, nodes: Iterable[Node], *, by_name: bool, keep_going: bool) -> Goals:
    """Return those of ``nodes`` that have a key, and the others by cause.

    Without ``keep_going``, a node is left out only if an external image cannot be resolved, and only if the
    user named no node (``by_name``). Raises ``StagegraphError`` in other cases.
    """
    with_key, causes = list[Node](), dict[tuple[str, str], tuple[StagegraphError, list[Node]]]()
    for node in nodes:
        try:
            graph.key(node)
        except StagegraphError as error:
            if not keep_going and (by_name or not isinstance(error, UNRESOLVED)):
                raise
            # one unresolved image is one cause in all Dockerfiles; the same mistake in two files is two
            where = "" if isinstance(error, UNRESOLVED) else error.where
            causes.setdefault((where, error.what), (error, []))[1].append(node)
        else:
            with_key.append(node)
    left_out = [LeftOut(error, error.node or str(out[0]), tuple(out)) for error, out in causes.values()]
    lasting = [out for out in left_out if by_name or not with_key or not isinstance(out.error, UNRESOLVED)]
    return Goals(with_key, left_out, lasting[0].error.exit_status if lasting else 0)


def named(graph: Graph, *, tests: bool) -> dict[str, list[Node]]:
    """Return nodes by name: ``STAGE:PLATFORM``, ``IMAGE:PLATFORM``, a stage, an image or a group.

    ``tests``: the name of an image stands for its test too; ``task_name`` names the node without it. A stage
    that shares an image's name has no other name: the image may have fewer platforms.
    """
    project = graph.project
    on_platform = {str(node): [node] for node in graph.nodes if node.stage not in project.images}
    for image in project.images.values():
        for platform in image.platforms:
            test = project.test(image.name, platform) if tests else None
            on_platform[f"{image.name}:{platform}"] = [Node(image.stage, platform), *([test] if test else [])]
    for group in project.groups.values():
        for name, platform in group.goals:
            on_platform.setdefault(f"{group.name}:{platform}", []).extend(on_platform[f"{name}:{platform}"])
    alone: dict[str, list[Node]] = {}
    for name, nodes in on_platform.items():
        alone.setdefault(name.partition(":")[0], []).extend(nodes)
    return {task_name(project, node): [node] for node in graph.nodes} | on_platform | alone


def task_name(project: Project, node: Node) -> str:
    """Return the name of one node; a hidden one (``_STAGE:PLATFORM``) if its stage shares an image's name."""
    return f"_{node}" if node.stage in project.images else str(node)


def closure(graph: Graph, names: Iterable[str]) -> set[Node] | None:
    """Return the nodes of these names, their ancestors, and the tests of images.

    Returns None for a name of no node, image or stage. Raises ``StagegraphError`` for a Dockerfile of these
    nodes that cannot be read, and for a cycle among them.
    """
    by_name, goals = named(graph, tests=True), list[Node]()
    for name in names:
        if name not in by_name:
            return None
        goals += by_name[name]
    return set(graph.order(goals))
