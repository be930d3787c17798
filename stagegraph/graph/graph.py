"""The nodes of a project: their parents, their order and their keys.

``NodeReader`` reads the files; everything here is computed from its values.
"""

from __future__ import annotations

import threading
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from ..errors import ProjectError, StagegraphError
from ..keys import inputs as key
from ..project.model import TIME_OF_COMMIT
from .reader import NodeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

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
        # or why a node has none: so a broken node is read once, not once for each of its descendants
        self._keys: dict[Node, Key | StagegraphError] = {}
        self._unordered: dict[Node, StagegraphError] = {}  # why nodes have no order
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
        return list(self._parents_of(node))

    def _parents_of(self, node: Node) -> tuple[Node, ...]:
        if node not in self._parents:
            edges = self._reader.parents(node)
            self._parents[node] = tuple(dict.fromkeys(parent.node for parent in edges))
        return self._parents[node]

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
        """Return the recipe key, ``sha256:...``.

        Raises the errors of ``order``, or else that of ``spec`` for the first ancestor that has one.
        """
        with self._guard:
            if node not in self._keys:
                self._compute_keys(self.order([node], known=self._keys))
            found = self._keys[node]
        if isinstance(found, StagegraphError):
            raise found.with_traceback(None)
        return found

    def _compute_keys(self, order: Sequence[Node]) -> None:
        """Compute the keys of nodes, parents first, until one has an error: nodes behind it are not read.

        Those that have this error too, as it is that of their first parent without a key, get it.
        """
        stopped = False
        for node in (each for each in order if each not in self._keys):
            parents = (self._keys.get(parent) for parent in self._parents_of(node))
            first = next((found for found in parents if not isinstance(found, str)), "")
            if isinstance(first, StagegraphError):
                self._keys[node] = first
            elif first is not None and not stopped:
                try:
                    self._keys[node] = key.digest(self.inputs(node))
                except StagegraphError as error:
                    self._keys[node], stopped = error, True

    def computed_key(self, node: Node) -> Key | None:
        """Return the recipe key if somebody has asked for it before; None otherwise. Never waits."""
        found = self._keys.get(node)
        return None if isinstance(found, StagegraphError) else found

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

        The ancestors of ``known`` nodes are left out. Raises ``ProjectError`` with the path of a cycle, and
        the errors of ``parents``.
        """
        done: dict[Node, None] = {}
        for goal in goals:
            path: dict[Node, None] = {}  # nodes being visited
            try:
                self._visit(goal, path, done, known)
            except StagegraphError as error:
                self._unordered |= dict.fromkeys(path, error)  # each of them leads to it
                raise
        return list(done)

    def _visit(
        self, goal: Node, path: dict[Node, None], done: dict[Node, None], known: Container[Node]
    ) -> None:
        """Add a goal and its ancestors to ``done``, parents first. ``path`` leads to the current node."""
        # the goal, then for each node on the path the parents still to visit
        waiting: list[Iterator[Node]] = [iter((goal,))]
        while waiting:
            node = next(waiting[-1], None)
            if node is None:
                waiting.pop()
                if path:
                    done[path.popitem()[0]] = None
            elif node in path:
                raise self._cycle([*list(path)[list(path).index(node) :], node])
            elif node not in done:
                path[node] = None
                if node in self._unordered:
                    raise self._unordered[node].with_traceback(None)
                waiting.append(iter(() if node in known else self._parents_of(node)))

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
