"""One run of the program over one project: stores, builder and report tied together.

``ready`` and ``make`` are what doit's tasks call: the first says whether a node is there (and fetches it
from the registry), the second makes it once its parents are there. Each node is recorded as soon as it is.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..docker import engine
from ..errors import (
    BuilderError,
    BuildError,
    EngineError,
    LinkError,
    LostCacheError,
    StagegraphError,
    StoreError,
    TestError,
)
from ..graph.graph import Graph
from ..graph.lock import Lock
from ..inspection import dpkg
from ..keys import explain
from ..keys.key import digits
from ..project import loader
from ..project.model import Node
from ..store import export
from ..store.layout import LayoutStore
from ..store.record import Record
from . import plan
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..build.builder import NodeBuilder
    from ..build.placement import BuilderSelector
    from ..keys.key import Key
    from ..oci.platform import OciPlatform
    from ..project.model import Project
    from ..store.folder import Folder
    from ..store.registry import RegistryStore
    from .sharing import Sharing


@dataclass
class Workspace:
    """State of one run. Thread-safe where doit's threads meet: nodes are made by one thread each."""

    project: Project
    report: Report = field(default_factory=Report)
    _records: dict[Node, Record] = field(default_factory=dict)
    _passed: set[Node] = field(default_factory=set)  # tests
    _ahead: set[Node] = field(default_factory=set)  # what the registry has been asked for ahead
    _first: threading.Lock = field(default_factory=threading.Lock)  # around the making of the builder

    @classmethod
    def open(cls, root: Path, cli: Mapping[str, str]) -> Workspace:
        return cls(loader.load(root, cli))

    @cached_property
    def graph(self) -> Graph:
        from ..docker.imagetools import resolve

        locked, say = self.project.settings.locked, self.report.note
        return Graph(self.project, Lock(self.project.root, resolve, locked=locked, say=say))

    @cached_property
    def layout(self) -> LayoutStore:
        return LayoutStore(self.project.cache)

    @cached_property
    def registry(self) -> RegistryStore | None:
        settings = self.project.settings
        if not settings.registry:
            return None
        from ..store.registry import RegistryStore

        return RegistryStore(
            f"{settings.registry}/{settings.repo}", self.layout, self.report.warn, settings.push
        )

    @cached_property
    def sharing(self) -> Sharing | None:
        """With push=all what offers to the registry what is here."""
        if self.registry is None or self.project.settings.push != "all":
            return None
        from .sharing import Sharing

        return Sharing(self.graph, self.layout, self.registry)

    @cached_property
    def builders(self) -> BuilderSelector:
        from ..build.placement import BuilderSelector
        from ..graph.native import runs

        return BuilderSelector(lambda node: runs(self.graph, node), self.report.note, self.report.warn)

    @cached_property
    def builder(self) -> NodeBuilder:
        return self.builder_into(self.layout)

    def builder_into(self, layout: LayoutStore, logs: Folder | None = None) -> NodeBuilder:
        """A builder that makes images in a store, such as another than this run's."""
        from ..build.builder import NodeBuilder

        return NodeBuilder(self.project.root, layout, self.builders, self.project.secrets, self.report, logs)

    def begin(self) -> None:
        """For a run that makes or delivers: nobody removes anything from ``cache/`` until it ends.

        Raises ``LinkError``.
        """
        try:
            self.layout.prepare()
            self.layout.locks.hold()
        except LinkError:
            raise
        except StoreError:
            pass  # what cannot be written to is told where it matters
        _ = self.registry  # what threads share is made before there are any

    # -- look-ups --------------------------------------------------------------------------------

    def find(self, node: Node, key: Key) -> plan.Found | None:
        """``cache/`` first, then the registry."""
        if record := self.layout.find(key):
            return plan.Found(record, "cache", node)
        if self.registry:
            names = list(plan.alike(self.graph, node))
            for name in names:
                self.registry.ask(name, self._docker(node), key)
            for name in names:
                if record := self.registry.find(name, self._docker(node), key):
                    return plan.Found(record, "registry", name)
            # what a test stands on is asked for by its image, which is mostly there
            if key == self.graph.key(node) and self.project.tested_by(node.stage) is None:
                for below in plan.ahead(self.graph, node, self.layout.has_record, self._ahead):
                    # where there are no parents to wait for, both keys are known
                    alone = not self.graph.parents(below)
                    content = plan.content_key(self.graph, below, self.record)[0] if alone else None
                    self.registry.ask(below, self._docker(below), self.graph.key(below), content)
        return None

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """An image's manifest, of ``cache/`` or the registry; None where neither has it."""
        with contextlib.suppress(StoreError):
            return self.layout.json(record.digest)
        return self.registry.manifest(record) if self.registry else None

    def plan(self, goals: list[Node]) -> list[plan.Step]:
        """What a run for ``goals`` would do; needs no engine and builds nothing."""

        def find(node: Node, key: Key) -> plan.Found | None:
            is_test = self.project.tested_by(node.stage) is not None
            if is_test and key == self.graph.key(node) and not self._passed_on_these(node):
                return None  # what passed was another image of the same recipe
            return self.find(node, key)

        return plan.plan(self.graph, goals, find, self._latest)

    def record(self, node: Node) -> Record:
        """The record of a node that this run has made or found. Raises ``BuildError`` where it could not."""
        if node not in self._records:
            # with --continue doit goes on with what stands on a failed node
            raise BuildError(str(node), "was not made, so what stands on it cannot be", "see its own error")
        return self._records[node]

    def _docker(self, node: Node) -> OciPlatform:
        return self.project.platforms[node.platform].docker

    # -- nodes -----------------------------------------------------------------------------------

    def ready(self, node: Node) -> bool:
        """Whether the node's image is in ``cache/``; fetched there if the registry has it."""
        if node in self._records:
            return True
        found = self._obtain(node, self.graph.key(node))
        if found is None:
            return False
        record, source = found
        self._note(node, record)
        if source == "cache":
            self._offer(node, record)
        self.report.done(node, "reuse" if source == "cache" else "pull", record, "its key is known")
        return True

    def _offer(self, node: Node, record: Record) -> None:
        """With push=all: what was here before goes to the registry."""
        if self.sharing:
            self.sharing.offer(node, record)

    def _note(self, node: Node, record: Record) -> None:
        """Hold the record for this run, and as the node's newest for later explanations."""
        self._records[node] = record
        self.layout.remember(self.graph.spec(node).history_name, record.key)

    def _latest(self, node: Node) -> Record | None:
        """The node's last build with the alternative in force: what another was made of explains nothing."""
        return self.layout.latest(self.graph.spec(node).history_name)

    def _obtain(self, node: Node, key: Key) -> tuple[Record, str] | None:
        """A record with its blobs in ``cache/``, and where it was found."""
        found = self.find(node, key)
        if found is None:
            return None
        if found.source == "registry":
            self.report.step(node, "pulling from the registry")
            if self.registry is None or not self.registry.pull(found.name, found.record):
                return None
        return found.record, found.source

    def make(self, node: Node) -> None:
        """Build a node whose parents are there, unless its content key is known (early cutoff).

        Of several processes that want the same node one builds it; the others wait and reuse it.
        """
        content, content_inputs = plan.content_key(self.graph, node, self.record)
        latest = self._latest(node)
        self.report.start(node, latest.seconds if latest else None)
        with self.layout.locks.named(digits(self.graph.key(node))):
            if self._found_by_now(node, content):
                return
            record = self._build_twice(node)
            by_content = record.under(content, content_inputs)
            self.layout.put(by_content)  # before anything that takes long: later runs stop at the recipe key
            if self.registry:
                self.registry.push(node, record, by_content)
        self._note(node, record)
        self.report.done(node, "build", record, self._reason(latest, record))

    def _found_by_now(self, node: Node, content: Key) -> bool:
        """Whether the node is known by its content key, or another process made it while this one waited."""
        key = self.graph.key(node)
        # a test that comes here has not passed on these very images, whatever its recipe key says
        for known in (content,) if self.project.tested_by(node.stage) else (key, content):
            if found := self._obtain(node, known):
                record, source = found[0].under(key, self.graph.inputs(node), str(node), _now()), found[1]
                if known == content:
                    self._keep(node, record)
                self._note(node, record)
                why = (
                    "its parents' content has not changed" if known == content else "another process made it"
                )
                self.report.done(node, "reuse" if source == "cache" else "pull", record, why)
                return True
        return False

    def _build_twice(self, node: Node) -> Record:
        """Build; once more if the engine went away, or a blob was bad or lost meanwhile."""
        parents = {parent: self.record(parent) for parent in self.graph.parents(node)}
        try:
            return self._build(node, parents)
        except (BuilderError, LinkError):
            raise  # the next try would come to the same
        except (EngineError, StoreError) as error:
            afresh = isinstance(error, LostCacheError)
            self.report.warn(f"{node}: {error.what.splitlines()[0]}; trying once more")
        self.layout.sweep()
        for parent, record in parents.items():
            if not self.layout.check(record):
                raise StoreError(
                    str(parent),
                    "its image was lost from cache/ while a child was built",
                    "run again; it will be fetched or rebuilt",
                )
        time.sleep(2)
        return self._build(node, parents, afresh=afresh)

    def _build(self, node: Node, parents: Mapping[Node, Record], *, afresh: bool = False) -> Record:
        """Build and record under the recipe key."""
        start = time.monotonic()
        with self._first:  # cached_property has no lock of its own since Python 3.12
            builder = self.builder
        try:
            result = builder.build(self.graph.spec(node), parents, no_cache=afresh)
        except BuildError as error:
            tested = self.project.tested_by(node.stage)
            if tested is None:
                raise
            image = Node(tested.stage, node.platform)
            raise TestError(
                error.where,
                f"the test of image {tested.name} failed: {error.what}",
                f"{image} is in cache/, untagged; to look into it: doit shell {image}\n  {error.hint}",
            ) from None
        record = Record(
            key=self.graph.key(node),
            node=str(node),
            docker=self._docker(node),
            digest=result.digest,
            size=result.size,
            files=result.files,
            image=result.image,
            seconds=time.monotonic() - start,
            created=_now(),
            inputs=tuple(self.graph.inputs(node)),
            packages=result.packages,
            cached=result.cached,
            machine=result.machine,
            builder=result.builder,
            below=tuple(sorted({word for p, r in parents.items() for word in (*r.below, f"{p}={r.digest}")})),
        )
        self.layout.put(record)
        return record

    def _keep(self, node: Node, record: Record) -> None:
        self.layout.put(record)
        if self.registry:
            self.registry.push(node, record)

    def _reason(self, latest: Record | None, record: Record) -> str:
        """Why the node was built, and what the archive gave that it did not give the last time."""
        cause = plan.cause(latest, explain.diff(latest.inputs, record.inputs) if latest else ())
        if not (latest and latest.packages and record.packages):
            return cause  # where a list is empty, nobody has looked
        moved = dpkg.package_changes(latest.packages, record.packages)
        if not moved:
            return cause
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        return f"{cause}; packages: {', '.join(moved[:3])}{more}"

    # -- images ----------------------------------------------------------------------------------

    def passed(self, node: Node) -> bool:
        """Whether a test has passed, here or elsewhere; what it left behind is of no use and not fetched."""
        found = self.find(node, self.graph.key(node))
        if found is None or not self._passed_on_these(node):
            return False
        self._passed.add(node)
        if node not in self._records:
            if found.source == "cache":
                self._offer(node, found.record)
            self.report.done(node, "reuse", found.record, "its key is known")
        return True

    def _passed_on_these(self, test: Node) -> bool:
        """Whether a pass is of the images that the test stands on now.

        An image that is not reproducible can be another under the same recipe key: then the content key
        differs. Where the record of a parent is nowhere, the recipe key alone must do; where the image's own
        is nowhere, it will be made first.
        """
        records = {}
        image = self.project.tested_by(test.stage)
        for parent in self.graph.parents(test):
            key = self.graph.key(parent)
            record = self._records.get(parent) or self.layout.read(key)
            if record is None and (found := self.find(parent, key)):
                record = found.record
            if record is None:
                return image is None or parent.stage != image.stage
            records[parent] = record
        content, _ = plan.content_key(self.graph, test, records.__getitem__)
        return self.find(test, content) is not None

    def delivered(self, image: str, node: Node) -> bool:
        """Whether the image has passed its test and the engine has it under its final tag."""
        if (test := self.project.test(image, node.platform)) and not self.passed(test):
            return False
        record = self.layout.find(self.graph.key(node))
        if record is None:
            return False
        tag = self.project.tag(image, node.platform)
        if not engine.has(tag, export.image_ids(self.layout, record)):
            return False
        if self.registry:
            if not self.registry.has_image(record, self._remote(tag)):
                return False
            self._offer(node, record)
        if node not in self._records:
            self._note(node, record)
            self.report.done(node, "reuse", record, "its key is known")
        self.report.image(tag, record, self.layout.sizes(record))
        return True

    def deliver(self, image: str, node: Node) -> None:
        """Load the image into the engine under its final tag, and have it pushed if a registry is set.

        Raises ``TestError`` where its test has not passed: with --continue doit comes here all the same.
        """
        record = self.record(node)
        if (test := self.project.test(image, node.platform)) and not self.passed(test):
            raise TestError(str(test), f"has not passed, so {image} gets no tag", "see its own error")
        tag = self.project.tag(image, node.platform)
        if not engine.has(tag, export.image_ids(self.layout, record)):
            self.report.step(node, f"loading {tag} into the engine")
            self._load(record, tag)
        self.report.image(tag, record, self.layout.sizes(record))
        if self.registry:
            self.registry.push_image(node, record, self._remote(tag))

    def flush(self) -> list[tuple[Node, StagegraphError]]:
        """Wait for what is being pushed; images that did not get to the registry, and why."""
        # one that was not asked for is not made for this
        registry: RegistryStore | None = self.__dict__.get("registry")
        if registry is None:
            return []
        if self.sharing and registry.writable:
            self._share(self.sharing, registry)
        return registry.flush(self.report.note)

    def _share(self, sharing: Sharing, registry: RegistryStore) -> None:
        """Offer all that this run's nodes are made of, and say what of it is nowhere any more."""
        try:
            lost = sharing.offer_all([*self._records, *self._passed])
        except StagegraphError as error:
            self.report.warn(f"push=all: not all is pushed: {error}")
            return
        if lost and registry.trouble is None:
            names = ", ".join(map(str, lost))
            what = "whoever changes what is based on them builds them again"
            self.report.note(f"   push=all: neither cache/ nor the registry has {names}; {what}")

    @property
    def owed(self) -> int:
        """How many pushes are not done."""
        registry = self.__dict__.get("registry")
        return registry.owed if registry else 0

    @contextlib.contextmanager
    def loaded(self, node: Node) -> Iterator[tuple[str, Record]]:
        """A node's image in the engine under a tag of its own, which is gone afterwards, and its record.

        Raises ``StoreError`` where it is not in ``cache/``.
        """
        record = self.layout.find(self.graph.key(node))
        if record is None:
            raise StoreError(str(node), "its image is not in cache/", f"build it first: doit {node}")
        tag = f"{self.project.settings.repo}:temporary-{node.stage}-{node.platform}-{os.getpid()}"
        self._load(record, tag)
        try:
            yield tag, record
        finally:
            engine.untag(tag)

    def _load(self, record: Record, tag: str) -> None:
        image = export.image_tar(self.layout, record, tag)
        engine.load(image, export.image_ids(self.layout, record), tag)

    def _remote(self, tag: str) -> str:
        return f"{self.project.settings.registry}/{tag}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
