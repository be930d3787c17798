"""Nodes of one run: restore an image from a store, or build it. Acts on what ``decide`` decides.

doit calls ``restore`` (or ``test_passed``) first. If that says no, doit prepares the parents and then calls
``build_or_reuse``. Each image is recorded as soon as it is there, so a killed run loses only what it was
building.
"""

from __future__ import annotations

import datetime
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import (
    AccessError,
    BuilderError,
    BuildError,
    EngineError,
    LinkError,
    LockedError,
    LostCacheError,
    SilentError,
    StoreError,
    TestError,
)
from ..keys.key import Key, digits
from ..project.model import Node
from ..store import images
from ..store.record import Record
from ..system.text import listed
from .decide import Build, Have, NeedsParents, by_content, by_recipe, content_key
from .settling import settle
from .unsigned import Unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..build.builder import BuildResult, NodeBuilder
    from ..graph.graph import Graph
    from ..project.model import Project
    from ..store.layout import LayoutStore
    from .lookup import StoreLookup
    from .report import Report
    from .sharing import Sharing
    from .signing import Signing

#: Seconds to wait before a build is tried again.
_PAUSE = 2


class NodeRunner:
    """Restores and builds nodes. Thread-safe where doit's threads meet: each node is run by one thread."""

    def __init__(
        self,
        lookup: StoreLookup,
        sharing: Sharing | None,
        builder: Callable[[], NodeBuilder],
        report: Report,
    ) -> None:
        """``sharing`` is set with push=all. ``builder`` makes the builder: a run may need none."""
        self.lookup, self.sharing, self.builder, self.report = lookup, sharing, builder, report
        self.graph, self.layout, self.registry = lookup.graph, lookup.layout, lookup.registry
        self.results = lookup.results
        self.signing: Signing | Unsigned = Unsigned()

    # -- before the parents ----------------------------------------------------------------------

    def restore(self, node: Node) -> bool:
        """Return whether the node's image is in ``cache/``; fetch it if the registry has it.

        Raises ``ProjectError`` for a node that will probably be built, and cannot be as it is declared.
        Raises ``StoreError`` for one whose record a newer version of this program wrote.
        """
        if node in self.results.records:
            return True
        decision = NeedsParents() if self.is_open(node) else by_recipe(self.graph, node, self.lookup)
        if isinstance(decision, NeedsParents):
            _check_buildable(self.graph, self.layout, node)
            return False
        if not self._fetch(node, decision):
            return False
        self.reuse(node, decision)
        return True

    def is_open(self, node: Node) -> bool:  # noqa: ARG002 - a rebuild has such nodes
        """Return whether no store can tell the node's image yet, whatever it holds."""
        return False

    def reuse(self, node: Node, decision: Have) -> None:
        """Record that this run uses an image that a store had before."""
        record = decision.found.record
        self._remember(node, record)
        if decision.found.store == "cache":
            self.share(node, record)
        self._done(node, decision, record)

    def test_passed(self, test: Node) -> bool:
        """Return whether a test has passed, here or elsewhere, on the images that it would use now."""
        decision = NeedsParents() if self.is_open(test) else by_recipe(self.graph, test, self.lookup)
        if isinstance(decision, NeedsParents):
            _check_buildable(self.graph, self.layout, test)
            return False
        self.results.passed_tests.add(test)
        if test not in self.results.records:
            if decision.found.store == "cache":
                self.share(test, decision.found.record)
            self._done(test, decision, decision.found.record)
        return True

    def share(self, node: Node, record: Record) -> None:
        """With push=all, offer the registry an image that was here before this run."""
        if self.sharing:
            self.sharing.offer(node, record)

    def _fetch(self, node: Node, decision: Have) -> bool:
        """Return whether the image is in ``cache/`` now; pull it if the decision says so."""
        if decision.action == "reuse":
            return True
        self.report.pull(node)
        found = decision.found
        with self.report.span("pull", node, found.record.digest):
            return self.registry is not None and self.registry.pull(found.owner, found.record)

    def _done(self, node: Node, decision: Have | Build, record: Record, more: str = "") -> None:
        """Report what became of a node. ``more`` is said behind the reason."""
        size = None
        with suppress(StoreError):  # nobody fetches the image of a test that passed elsewhere
            size = images.layers_size(self.layout.blobs, record)
        action = decision.action if isinstance(decision, Have) else "build"
        changes = () if isinstance(decision, Have) else tuple(map(str, decision.changes))
        self.report.done(node, action, record, decision.reason + more, changes=changes, image_bytes=size)

    def _remember(self, node: Node, record: Record) -> None:
        """Keep the record for this run, and as the node's newest for later explanations."""
        self.results.records[node] = record
        self.layout.set_latest(self.graph.spec(node).history_name, record.key)

    # -- after the parents -----------------------------------------------------------------------

    def build_or_reuse(self, node: Node) -> None:
        """Build a node whose parents are there, unless a store has its content key (early cutoff).

        If several processes want the same node, one builds it. The others wait and reuse it. Raises
        ``StagegraphError``.
        """
        parents = {parent: self.results.record(parent) for parent in self.graph.parents(node)}
        earlier = self.lookup.earlier(node)
        latest = earlier.record if earlier else None
        self.report.start(node, latest.seconds if latest else None)
        with self.layout.locks.for_name(digits(self.graph.key(node)), f"another run builds {node}"):
            decision = self._reuse_by_content(node, parents)
            if isinstance(decision, Have):
                return
            record = self._build_and_push(node, parents)
        self._remember(node, record)
        self._done(node, decision, record, package_changes(latest, record))

    def _build_and_push(
        self, node: Node, parents: Mapping[Node, Record], *, no_cache: bool = False
    ) -> Record:
        """Build, record the image under both keys, and push it."""
        by_content_key, record = self._build_with_retry(node, parents, no_cache=no_cache)
        if self.registry:
            self.registry.pushes.push_built(node, by_content_key, record)
        return record

    def _reuse_by_content(self, node: Node, parents: Mapping[Node, Record]) -> Have | Build:
        """Reuse an image that a store has for the node by now, or return the decision to build."""
        failed = set[Key]()
        while True:
            decision = by_content(self.graph, node, self.lookup, parents, waited=True, without=failed)
            if isinstance(decision, Build):
                return decision
            found = decision.found.record
            if self._fetch(node, decision):
                break
            failed.add(found.key)
        key = self.graph.key(node)
        record = found.with_key(key, self.graph.inputs(node), str(node), _now())
        if found.key != key:
            record = self.signing.sign(record, [*_used(parents), (found, node.stage)])
            self._commit(node, record, parents)
            if self.registry:
                self.registry.pushes.push_built(node, record)
        self._remember(node, record)
        self._done(node, decision, record)
        return decision

    def _build_with_retry(
        self, node: Node, parents: Mapping[Node, Record], *, no_cache: bool
    ) -> tuple[Record, Record]:
        """Build; try once more if the engine went away, or a blob was bad or lost meanwhile."""
        self.layout.check_replaceable(content_key(self.graph, node, parents.__getitem__)[0])
        try:
            return self._build(node, parents, no_cache=no_cache)
        except (AccessError, BuilderError, LinkError, LockedError):
            raise  # another try would end the same way
        except (EngineError, StoreError) as error:
            if isinstance(error, SilentError) and len(self.graph.spec(node).platform.builders) < 2:
                raise  # no other builder is named
            no_cache = no_cache or isinstance(error, LostCacheError)
            self.report.warn(f"{node}: {error.what.splitlines()[0]}; trying once more")
        self.layout.blobs.quarantine_corrupt()
        for parent, record in parents.items():
            if not images.is_intact(self.layout.blobs, record):
                what = "its image was lost from cache/ while a child was built"
                raise StoreError(str(parent), what, "run again: the image is then pulled or built again")
        time.sleep(_PAUSE)
        return self._build(node, parents, no_cache=no_cache)

    def _build(self, node: Node, parents: Mapping[Node, Record], *, no_cache: bool) -> tuple[Record, Record]:
        """Build, and record the image under both keys. Return the records: by content key, by recipe key.

        The content key comes first: a pass of a test counts by this key, so a kill between the two loses it
        no more than it loses an image.
        """
        self.signing.prepare(node.stage)
        start = time.monotonic()
        kind = "build" if self.graph.project.tested_by(node.stage) is None else "test"
        try:
            with self.report.span(kind, node, ""):
                result = self.builder().build(self.graph.spec(node), parents, no_cache=no_cache)
        except BuildError as error:
            raise _test_error(self.graph.project, node, error) or error from None
        record = _record(self.graph, node, parents, result, time.monotonic() - start)
        by_content_key = record.with_key(*content_key(self.graph, node, parents.__getitem__))
        by_content_key = self.signing.sign(by_content_key, _used(parents))
        self.layout.commit(by_content_key)
        record = self.signing.sign(record, _used(parents))
        self._commit(node, record, parents)
        return by_content_key, record

    def _commit(self, node: Node, record: Record, parents: Mapping[Node, Record]) -> None:
        settle(self.graph, self.layout, node, parents, lambda: self._write(record))

    def _write(self, record: Record) -> None:
        self.layout.commit(record)


def _check_buildable(graph: Graph, layout: LayoutStore, node: Node) -> None:
    """Raise ``ProjectError`` or ``StoreError`` before the parents are built for nothing."""
    from ..build.requirements import undeclared

    layout.check_replaceable(graph.key(node))
    for error in undeclared(graph.spec(node), graph.project.secrets):
        raise error


def _used(parents: Mapping[Node, Record]) -> list[tuple[Record, str]]:
    """Return the records of parents, each with its stage."""
    return [(record, parent.stage) for parent, record in parents.items()]


def _record(
    graph: Graph, node: Node, parents: Mapping[Node, Record], result: BuildResult, seconds: float
) -> Record:
    """Return the record of a build that took so long, under the recipe key."""
    materials = {word for p, r in parents.items() for word in (*r.materials, f"{p}={r.digest}")}
    return Record(
        key=graph.key(node),
        node=str(node),
        docker=graph.project.platforms[node.platform].docker,
        digest=result.digest,
        size=result.size,
        files=result.files,
        image=result.image,
        seconds=seconds,
        created=_now(),
        inputs=tuple(graph.inputs(node)),
        packages=result.packages,
        cached=result.cached,
        machine=result.machine,
        builder=result.builder,
        materials=tuple(sorted(materials)),
    )


def _test_error(project: Project, node: Node, error: BuildError) -> TestError | None:
    """Return the error of a failed test, if the node is a test."""
    tested = project.tested_by(node.stage)
    if tested is None:
        return None
    image = Node(tested.stage, node.platform)
    hint = f"{image} is in cache/, without a tag; to look into it: doit shell {image}\n  {error.hint}"
    return TestError(error.where, f"the test of image {tested.name} failed: {error.what}", hint)


def package_changes(latest: Record | None, record: Record) -> str:
    """Describe which packages have other versions than in the last build; "" if one of the lists is empty."""
    if not (latest and latest.packages and record.packages):
        return ""
    from ..inspection import dpkg

    changes = dpkg.package_changes(latest.packages, record.packages)
    return f"; packages: {listed(changes, 3)}" if changes else ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
