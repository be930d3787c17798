"""Look-ups of one run: ``cache/`` first, then the registry. It fetches nothing and decides nothing.

A registry look-up takes a round trip, so the ancestors of a node that no store has are requested ahead.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, StagegraphError, StoreError
from ..project.model import Node
from .decide import Found, content_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..graph.graph import Graph
    from ..keys.key import Key
    from ..oci.digest import Digest
    from ..oci.platform import OciPlatform
    from ..project.model import StageConfig
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from ..store.registry import RegistryStore
    from .earlier import Earlier, EarlierBuilds


class Results:
    """The images that this run has built, found or fetched. Each node is set by one thread."""

    def __init__(self) -> None:
        self.records: dict[Node, Record] = {}
        self.passed_tests: set[Node] = set()

    def record(self, node: Node) -> Record:
        """Return the record of a node. Raises ``BuildError`` if the node failed.

        With ``--continue`` doit goes on with nodes that are based on a failed one.
        """
        if node not in self.records:
            what = "was not built, so nothing that is based on it can be built"
            raise BuildError(str(node), what, "see its own error")
        return self.records[node]


class StoreLookup:
    """Implements ``decide.Lookup`` on the stores of a project. Safe for threads."""

    def __init__(
        self,
        graph: Graph,
        layout: LayoutStore,
        registry: RegistryStore | None,
        results: Results,
        builds: Callable[[], EarlierBuilds],
    ) -> None:
        self.graph, self.layout, self.registry, self.results = graph, layout, registry, results
        self.builds = builds
        self._found: dict[Key, Record] = {}  # by this run, in cache/
        self._manifests: dict[Digest, dict[str, Any] | None] = {}  # of the registry
        self._requested: set[Node] = set()  # what was requested from the registry ahead

    @contextmanager
    def kept(self) -> Iterator[StoreLookup]:
        """The same look-ups, for one thread and a short time, with the folders of ``cache/`` left open."""
        with self.layout.kept() as layout:
            lookup = copy.copy(self)
            lookup.layout = layout
            yield lookup

    def find(self, node: Node, key: Key) -> Found | None:
        if record := self.layout.find(key, node.stage):
            self._found[key] = record
            return Found(record, "cache", node)
        if self.registry is None:
            return None
        owners = [] if key in self.layout.withdrawn else list(nodes_with_same_key(self.graph, node))
        for owner in owners:
            self.registry.lookups.prefetch(owner, self._docker(owner), key)
        for owner in owners:
            record = self.registry.find(owner, self._docker(owner), key)
            if record and (owner == node or self._accepts(record, node, "the registry")):
                return Found(record, "registry", owner)
        # a test's ancestors are requested by its image, which a store mostly has
        if key == self.graph.key(node) and self.graph.project.tested_by(node.stage) is None:
            self._prefetch(self.registry, node)
        return None

    def in_registry(self, node: Node, key: Key) -> bool:
        """Return whether the registry is known to have a key by now; never waits for an answer."""
        return self.registry is not None and self.registry.lookups.has_found(node, self._docker(node), key)

    def _prefetch(self, registry: RegistryStore, node: Node) -> None:
        """Request the ancestors of a node from the registry, before their turn comes."""
        for ancestor in prefetch_candidates(self.graph, node, self.layout.has_record, self._requested):
            # without parents to wait for, both keys are known
            alone = not self.graph.parents(ancestor)
            content = content_key(self.graph, ancestor, self.results.record)[0] if alone else None
            registry.lookups.prefetch(ancestor, self._docker(ancestor), self.graph.key(ancestor), content)

    def image(self, node: Node) -> Record | None:
        key = self.graph.key(node)
        record = self.results.records.get(node)
        if record is None and key not in self.layout.withdrawn:
            record = self._found.get(key)
            if record is None or not self._accepts(record, node, "cache/"):
                record = self.layout.trusted(key, node.stage)
        if record:
            return record
        found = self.find(node, key)
        return found.record if found else None

    def _accepts(self, record: Record, node: Node, store: str) -> bool:
        """Return whether a record that was trusted for another stage is trusted for this node's, too."""
        return self.layout.judge.accepts(record, node.stage, store)

    def untrusted(self, key: Key) -> str:
        return "; ".join(map(str, self.layout.judge.rejected(key)))

    def forget(self, key: Key) -> None:
        """Look for the image of a key again: it has another one now."""
        self._found.pop(key, None)

    def earlier(self, node: Node) -> Earlier | None:
        return self.builds().find(node)

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """Return an image's manifest from ``cache/`` or the registry, or None if neither has it."""
        with suppress(StoreError):
            return self.layout.blobs.json(record.digest)
        if self.registry is None:
            return None
        if record.digest not in self._manifests:
            self._manifests[record.digest] = self.registry.manifest(record)
        return self._manifests[record.digest]

    def _docker(self, node: Node) -> OciPlatform:
        return self.graph.project.platforms[node.platform].docker


def prefetch_candidates(
    graph: Graph, node: Node, here: Callable[[Key], bool], seen: set[Node]
) -> Iterator[Node]:
    """Yield the ancestors of a node that no store has, nearest first, to be requested before their turn.

    ``here`` tells whether a key need not be requested; then neither need the ancestors of that node. Nodes in
    ``seen`` were yielded before; yielded nodes are added to it. An ancestor without a key is left out: its
    error is reported in its turn.
    """
    nodes = [node]
    for child in nodes:
        for parent in graph.parents(child):
            with suppress(StagegraphError):
                if parent not in seen and not here(graph.key(parent)):
                    seen.add(parent)
                    nodes.append(parent)
                    yield parent


def nodes_with_same_key(graph: Graph, node: Node) -> Iterator[Node]:
    """Yield the node, then others on its platform with its key: a registry may have it under their names.

    Computes the key of nodes with the same configuration only, so nothing is read or pinned that the node
    itself does not need.
    """
    yield node
    if mine := graph.project.config(node):
        for stage in graph.project.stages.values():
            config = stage.configs.get(node.platform)
            if config and stage.name != node.stage and _key_parts(config) == _key_parts(mine):
                with suppress(StagegraphError):
                    if graph.key(other := Node(stage.name, node.platform)) == graph.key(node):
                        yield other


def _key_parts(config: StageConfig) -> tuple[object, ...]:
    """Return what of a stage's configuration is part of its key."""
    files = config.context, config.dockerfile, config.target, config.own_frontend
    return *files, config.network, config.args, config.contexts, config.installs_packages
