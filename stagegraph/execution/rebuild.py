"""Nodes that are built again although a store has them (``doit rebuild``).

A rebuilt node gets another image under the same key. Its old record stays until the new image is complete.
If children can see a difference, the recipe keys of all descendants are withdrawn before the new record is
written (``store.withdrawn``). So a kill between the two loses nothing: a withdrawn node is found by its
content key as long as its parents' content is the same.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import StagegraphError
from ..inspection.diff import compare
from ..keys.key import digits
from ..store import images
from ..store.withdrawn import dependents
from ..system.text import listed
from .nodes import NodeRunner, package_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..build.builder import NodeBuilder
    from ..graph.graph import Graph
    from ..keys.inputs import Input
    from ..keys.key import Key
    from ..project.model import Node
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from .lookup import StoreLookup
    from .report import Report
    from .sharing import Sharing

#: How many files a summary names.
_FILES = 3


class Rebuilding(NodeRunner):
    """Builds the nodes of ``rebuilt`` without the builder's cache; decides others when these are there."""

    def __init__(
        self,
        lookup: StoreLookup,
        sharing: Sharing | None,
        builder: Callable[[], NodeBuilder],
        report: Report,
        rebuilt: Iterable[Node],
        pinned: Callable[[], Graph],
    ) -> None:
        """``pinned`` returns a graph that pins no image: only what is pinned can be in a registry."""
        super().__init__(lookup, sharing, builder, report)
        self.rebuilt, self._pinned = frozenset(rebuilt), pinned
        self._old: dict[Key, Record | None] = {}  # what was there before, by the key that is built now

    def is_open(self, node: Node) -> bool:
        """Return whether the node or one of its ancestors is still to be built again."""
        waiting = self.rebuilt - self.results.records.keys()
        return bool(waiting) and not waiting.isdisjoint(self.graph.order([node]))

    def build_or_reuse(self, node: Node) -> None:
        """Build a node of ``rebuilt``. Decide another one anew: its rebuilt ancestors are there now.

        Raises ``StagegraphError``.
        """
        if node in self.rebuilt:
            self._rebuild(node)
            return
        is_test = self.graph.project.tested_by(node.stage) is not None
        if self.is_open(node) or not (self.test_passed(node) if is_test else self.restore(node)):
            super().build_or_reuse(node)

    def _rebuild(self, node: Node) -> None:
        parents = {parent: self.results.record(parent) for parent in self.graph.parents(node)}
        key = self.graph.key(node)
        old = self.layout.read(key) or self.lookup.image(node)
        earlier = None if old else self.lookup.earlier(node)
        known = old or (earlier.record if earlier else None)
        self.report.start(node, known.seconds if known else None)
        with self.layout.locks.for_name(digits(key), f"another run builds {node}"):
            self._old[key] = old
            record = self._build_and_push(node, parents, no_cache=True)
        self.lookup.forget(key)
        self._remember(node, record)
        reason = f"rebuilt: {outcome(self.layout, old, record)}{package_changes(known, record)}"
        self.report.done(node, "build", record, reason)

    # -- descendants -----------------------------------------------------------------------------

    def _write(self, record: Record) -> None:
        """Withdraw the keys of all descendants if they could see a difference, then write the record.

        Under the lock, so that a run that uses the old image either has its record found here, or finds the
        new one.
        """
        with self.layout.withdrawn_lock():
            if record.key in self._old and _differ(self._old[record.key], record):
                for key in dependents(record.key, self._known()):
                    self.layout.withdrawn.add(key)
            super()._write(record)

    def _known(self) -> Iterator[tuple[Key, Iterable[Input]]]:
        """The keys that a store may have, with their inputs: those of ``cache/``, and of this project.

        ``cache/`` also has those of other alternatives and commits. A registry is asked for this project's.
        """
        yield from ((record.key, record.inputs) for record in self.layout.list())
        if self.registry is None:
            return
        graph = self._pinned()
        for node in graph.nodes:
            with suppress(StagegraphError):  # a node without a key is in no store
                yield graph.key(node), graph.inputs(node)

    def unsettled(self) -> list[str]:
        """Return the nodes in ``cache/`` whose keys are withdrawn: the next run decides them by content."""
        records = map(self.layout.read, self.layout.withdrawn.all())
        return sorted({record.node for record in records if record})


def _differ(old: Record | None, new: Record) -> bool:
    """Return whether children could see a difference."""
    return old is None or (old.files, old.image) != (new.files, new.image)


def outcome(layout: LayoutStore, old: Record | None, new: Record) -> str:
    """Say whether a rebuilt image differs from the old one, and in what."""
    if old is None:
        return "no earlier image of this key is known"
    if new.digest == old.digest:
        return "the same image as before"
    if new.files != old.files:
        return _files(layout, old, new)
    if new.image != old.image:
        return "the same files as before, another configuration"
    return "the same files and configuration as before, only its digest differs"


def _files(layout: LayoutStore, old: Record, new: Record) -> str:
    """Name the files that differ, if the old image is here."""
    paths: list[str] = []
    if images.is_intact(layout.blobs, old):
        paths = [d.name for d in compare(layout, old.digest, layout, new.digest) if d.layer and d.name]
    if not paths:
        return "other layers than before"
    names = list(dict.fromkeys(paths))
    return f"{len(names)} {'file differs' if len(names) == 1 else 'files differ'}: {listed(names, _FILES)}"
