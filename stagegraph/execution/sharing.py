"""``push=all``: the registry also gets images that a run found in ``cache/``, and all their ancestors.

A run that finds an image does not look at the image's ancestors. Somebody who changes a stage elsewhere needs
them: the parents of that stage, and of all stages that are based on it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..keys.key import Key
from .lookup import nodes_with_same_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..graph.graph import Graph
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from ..store.registry import RegistryStore


class Sharing:
    """Offers images to the registry, each under all keys that find it. Safe for threads."""

    def __init__(self, graph: Graph, layout: LayoutStore, registry: RegistryStore) -> None:
        self.graph, self.layout, self.registry = graph, layout, registry

    def offer(self, node: Node, record: Record) -> None:
        """Offer the image of a node of this run. The record may belong to another node."""
        for known in self._known(node, record):
            self.registry.pushes.push_existing(node, known)

    def offer_all(self, nodes: Iterable[Node]) -> list[Node]:
        """Offer these nodes and all their ancestors. Return those that no store has.

        Call it at the end of a run: nothing waits for these pushes, so they may queue up.
        """
        found = {node: self._held(node) for node in self.graph.order(list(nodes))}
        for node, records in found.items():  # all look-ups in parallel, then the answers
            for key in [record.key for record in records] or [self.graph.key(node)]:
                for name in nodes_with_same_key(self.graph, node):
                    self.registry.lookups.prefetch(name, self._docker(node), key)
        seen = set[Key]()  # nodes may share a key
        for node, records in found.items():
            for record in records:
                if record.key not in seen and not self._has(node, record.key):
                    self.registry.pushes.push_existing(node, record, block=False)
                seen.add(record.key)
        return [node for node, held in found.items() if not (held or self._has(node, self.graph.key(node)))]

    def _held(self, node: Node) -> list[Record]:
        record = self.layout.find(self.graph.key(node), node.stage)
        return self._known(node, record) if record else []

    def _known(self, node: Node, record: Record) -> list[Record]:
        """The records of a node's image, under all of its keys."""
        mine = (str(node), record.node)
        return [known for known in self._records.get(record.digest, ()) if known.node in mine]

    @cached_property
    def _records(self) -> dict[str, list[Record]]:
        """The records of ``cache/`` by image, at the first call.

        What is built later is pushed when it is built.
        """
        found: dict[str, list[Record]] = {}
        for record in self.layout.list():
            found.setdefault(record.digest, []).append(record)
        return found

    def _has(self, node: Node, key: Key) -> bool:
        """Return whether the registry has a key, under the name of any node with that key."""
        names = nodes_with_same_key(self.graph, node)
        return any(self.registry.find(name, self._docker(node), key) for name in names)

    def _docker(self, node: Node) -> OciPlatform:
        return self.graph.project.platforms[node.platform].docker
