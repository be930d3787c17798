"""The nodes of a project: their parents, their order and their keys.

``NodeReader`` reads the files; everything here is computed from its values.
"""

from __future__ import annotations

import threading
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from ..errors import ProjectError
from ..keys import inputs as key
from ..project.model import TIME_OF_COMMIT
from .reader import NodeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from ..dockerfile.dependencies import Edge
    from ..keys.inputs import Input
    from ..keys.key import Key
    from ..keys.spec import NodeSpec, Parent
    from ..oci.digest import Digest
    from ..project.model import Node, Project
    from .dockerfile_names import ExternalReference
    from .lock import Lock


class Graph:
    """All nodes of a project. Reads a node when it is first needed, and only then. Safe for threads."""

    def __init__(self, project: Project, lock: Lock) -> None:
        assert project.epoch != TIME_OF_COMMIT  # epoch.with_epoch sets it
        self.project, self.lock = project, lock
        self._reader = NodeReader(project, lock)
        self._inputs: dict[Node, list[Input]] = {}
        self._parents: dict[Node, tuple[Node, ...]] = {}
        self._keys: dict[Node, Key] = {}
        self._guard = threading.RLock()

    @cached_property
    def nodes(self) -> list[Node]:
        return self.project.nodes()

    def spec(self, node: Node) -> NodeSpec:
        """Return everything that determines a node, except its parents' keys.

        Raises ``DockerfileError``, ``ContextError``, ``LockError``, ``ResolveError``.
        """
        return self._reader.spec(node)

    def parents(self, node: Node) -> list[Node]:
        """Return the distinct parents, in the order of the Dockerfile.

        Reads only the Dockerfile: no context, no lock. Raises ``DockerfileError``.
        """
        if node not in self._parents:
            edges = self._reader.parents(node)
            self._parents[node] = tuple(dict.fromkeys(parent.node for parent in edges))
        return list(self._parents[node])

    def parents_by_input(self, node: Node) -> dict[str, Node]:
        """Return the parents by the names that they have among the inputs of the node's key."""
        spec = self.spec(node)
        places = {edge: str(place) for place, edge in enumerate(spec.analysis.edges)}
        return {_edge_name(parent.edge, places[parent.edge]): parent.node for parent in spec.parents}

    def links(self, node: Node) -> tuple[tuple[Edge, Node | ExternalReference], ...]:
        """Return all edges of a node, to other nodes and to external images, in the order of the Dockerfile.

        Reads only the Dockerfile: no context, no lock. Raises ``DockerfileError``.
        """
        return self._reader.links(node)

    # -- keys ------------------------------------------------------------------------------------

    def key(self, node: Node) -> Key:
        """Return the recipe key, ``sha256:...``."""
        with self._guard:
            if node not in self._keys:
                for ancestor in self.order([node], known=self._keys):
                    if ancestor not in self._keys:
                        self._keys[ancestor] = key.digest(self.inputs(ancestor))
            return self._keys[node]

    def computed_key(self, node: Node) -> Key | None:
        """Return the recipe key if somebody has asked for it before; None otherwise. Never waits."""
        return self._keys.get(node)

    def inputs(self, node: Node) -> list[Input]:
        """Return the inputs of the recipe key."""
        with self._guard:
            if node not in self._inputs:
                spec = self.spec(node)
                ancestors = _ancestors(spec, lambda parent: self.key(parent.node))
                self._inputs[node] = key.inputs(spec, ancestors)
            return self._inputs[node]

    def content_inputs(self, node: Node, content_seen_by: Callable[[Parent], Digest]) -> list[Input]:
        """Return the inputs of the content key.

        ``content_seen_by`` returns the digest of what an edge to a parent can see of it.
        """
        spec = self.spec(node)
        return key.inputs(spec, _ancestors(spec, content_seen_by), content=True)

    # -- order -----------------------------------------------------------------------------------

    def order(self, goals: Sequence[Node], *, known: Container[Node] = ()) -> list[Node]:
        """Return goals and their ancestors, parents first.

        The ancestors of ``known`` nodes are left out. Raises ``ProjectError`` with the path of a cycle.
        """
        done: dict[Node, None] = {}
        for goal in goals:
            path: dict[Node, list[Node]] = {}  # nodes being visited, with the parents still to visit
            node: Node | None = goal
            while node is not None:
                if node not in done and node not in path:
                    path[node] = [] if node in known else self.parents(node)[::-1]
                waiting = path.get(node, [])
                if waiting:
                    node = waiting.pop()
                    if node in path:
                        raise self._cycle([*list(path)[list(path).index(node) :], node])
                    continue
                path.pop(node, None)
                done[node] = None
                node = next(reversed(path), None)
        return list(done)

    def _cycle(self, path: list[Node]) -> ProjectError:
        """Return the error for ``blas -> toolchain -> blas``, with the line of each step.

        The path begins with the same node whichever goal led to it, so that a cycle is reported once.
        """
        first = path.index(min(path))
        path = [*path[first:-1], *path[:first], path[first]]
        one_platform = len({node.platform for node in path}) == 1
        written = " -> ".join(node.stage if one_platform else str(node) for node in path)
        steps = [
            (child, parent.edge)
            for child, used in pairwise(path)
            for parent in self._reader.parents(child)
            if parent.node == used
        ]
        hints = []
        for child, edge in steps:
            config = self.project.config(child)
            assert config is not None  # it has parents
            hints.append(f"{config.dockerfile_path}:{edge.line} uses {edge.name}")
        if len(path) == 2 and any(edge.name == child.stage for child, edge in steps):
            hints.append(f"for an external image, write a tag other than latest: {path[0].stage}:TAG")
        return ProjectError("stages.toml", f"a cycle: {written}", "\n  ".join(dict.fromkeys(hints)))


def _ancestors(spec: NodeSpec, digest: Callable[[Parent], Key | Digest]) -> list[key.Ancestor]:
    """Return the parents and external images of a node for its key, parents by ``digest``."""
    places = {edge: str(place) for place, edge in enumerate(spec.analysis.edges)}
    digests: list[tuple[str, Edge, str, Key | Digest]] = [
        *(("parent", parent.edge, parent.edge.name, digest(parent)) for parent in spec.parents),
        *(("image", image.edge, image.shown, image.digest) for image in spec.images),
    ]
    return [
        key.Ancestor(
            role,
            _edge_name(edge, places[edge]),
            value,
            f"{spec.dockerfile}:{edge.line}",
            _edge_name(edge, shown),
        )
        for role, edge, shown, value in digests
    ]


def _edge_name(edge: Edge, name: str) -> str:
    """Return an edge as keys hold it: ``name``, the platform if it is another, ``files`` for COPY."""
    platform = f" {edge.platform}" if edge.platform else ""
    return f"{name}{platform}{'' if edge.is_from else ' files'}"
