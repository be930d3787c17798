"""Signing of images that somebody else has built: each is built again first, and must be the same.

An image is adopted only if everything below it is trusted: what is made from a forged image is forged,
however often it gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..execution.decide import content_key
from .verify import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..execution.signing import Signing
    from ..project.model import Node
    from ..store.record import Record
    from .verify import Rebuilder


class Adoption:
    """Adopts nodes with their ancestors, parents first."""

    def __init__(self, rebuilder: Rebuilder, signing: Signing) -> None:
        self.rebuilder, self.signing = rebuilder, signing
        self.graph, self.layout = rebuilder.graph, rebuilder.layout

    def adopt(self, goals: list[Node]) -> Iterator[Finding]:
        """Yield ``good`` for what is trusted already, ``same`` for what was built again and is signed now.

        Yields ``differs`` or ``failed`` for what is not signed, and ``unchecked`` where there is nothing to
        sign or a parent is not trusted. Raises ``TrustError`` if this run has no key to sign with.
        """
        trusted: dict[Node, Record] = {}
        for node in self.graph.order(goals):
            finding, record = self._adopt(node, trusted)
            if record is not None:
                trusted[node] = record
            yield finding

    def _adopt(self, node: Node, trusted: dict[Node, Record]) -> tuple[Finding, Record | None]:
        key = self.graph.key(node)
        record = self.layout.recorded(key)
        if record is None:
            return Finding(node, key, "unchecked", ("cache/ has no image of it",)), None
        record = self.layout.signed(record)
        if self._is_signed(node, record):
            return Finding(node, key, "good", ("it is trusted already",), record.digest), record
        parents = self.graph.parents(node)
        if lost := [str(parent) for parent in parents if parent not in trusted]:
            why = f"its parent {lost[0]} is not trusted"
            return Finding(node, key, "unchecked", (why,), record.digest), None
        below = {parent: trusted[parent] for parent in parents}
        finding = self.rebuilder.rebuild_node(node, record, below)
        if finding.result != "same" or finding.notes:
            return finding, None
        return finding, self._sign(node, record, below)

    def _is_signed(self, node: Node, record: Record) -> bool:
        """Return whether the record is trusted, by a key of ``[trust.keys]`` if this run has one."""
        verdict = self.signing.judge.verdict(record, node.stage)
        own_only = verdict.is_trusted and not verdict.signers
        return verdict.is_trusted and not (own_only and self.signing.listed_signers)

    def _sign(self, node: Node, record: Record, parents: dict[Node, Record]) -> Record:
        """Sign the record of the recipe key, and write that of the content key.

        The list of images that it was made of is written anew: nobody knows who wrote it.
        """
        used = {word for p, r in parents.items() for word in (*r.materials, f"{p}={r.digest}")}
        record = record._replace(materials=tuple(sorted(used)))
        by_content = record.with_key(*content_key(self.graph, node, parents.__getitem__))
        for each in (by_content, record):
            self.layout.commit(each._replace(signatures=tuple(self.signing.bundles(each))))
        return self.layout.signed(record)
