"""Checks of ``cache/``: are blobs and records intact, and does a rebuild give the same images?

Neither check changes a record. A rebuild uses a temporary store, which has the recorded images
by links and is removed after the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import BuildError, ProjectError, StoreError
from ..execution.decide import content_key
from ..inspection import dpkg
from ..inspection.diff import Difference, compare
from ..oci.digest import NO_DIGEST, Digest
from ..output import printable
from ..store.views import overlay
from .layout_check import Checked, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..build.builder import BuildResult, NodeBuilder
    from ..execution.report import Report
    from ..graph.graph import Graph
    from ..keys.key import Key
    from ..project.model import Node
    from ..store.folder import Folder
    from ..store.layout import LayoutStore
    from ..store.record import Record

Outcome = Literal["good", "bad", "same", "differs", "failed", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """The outcome for one node.

    A check gives ``good`` or ``bad``; a rebuild gives ``same``, ``differs`` or ``failed``. ``unchecked``:
    there was nothing to check. ``notes`` say why, what is bad, or what failed. ``where`` is the reference of
    what was checked in a registry; ``rebuilt`` is then the image that it has.
    """

    node: Node
    key: Key
    result: Outcome
    notes: tuple[str, ...] = ()
    recorded: Digest = NO_DIGEST
    rebuilt: Digest = NO_DIGEST
    differences: tuple[Difference, ...] = field(default=(), repr=False)
    where: str = ""


def check(
    graph: Graph, layout: LayoutStore, goals: list[Node], checked: Checked | None = None
) -> Iterator[Finding]:
    """Check every blob and record of the goals and their ancestors, parents first.

    Bad blobs are moved to quarantine. What was looked at is added to ``checked``.
    """
    checked = Checked() if checked is None else checked
    records: dict[Node, Record] = {}
    for node in graph.order(goals):
        key = graph.key(node)
        try:
            yield _check_node(graph, layout, node, records, checked)
        except StoreError as error:
            yield Finding(node, key, "bad", (f"{error.where} {error.what}",))


def _check_node(
    graph: Graph, layout: LayoutStore, node: Node, records: dict[Node, Record], checked: Checked
) -> Finding:
    """Check the records of one node under both of its keys. Adds the first to ``records``."""
    key = graph.key(node)
    if not layout.has_record(key):
        return Finding(node, key, "unchecked", ("no record of it in cache/",))
    if layout.has_newer(key):
        return Finding(node, key, "unchecked", ("a newer version of stagegraph wrote its record",))
    record = layout.read(key)
    # pruning keeps records without images
    if record is not None and layout.blobs.is_missing(record.digest):
        return Finding(node, key, "unchecked", ("only its record is in cache/, no image",), record.digest)
    notes = [*faults_of(layout, key, checked)]
    if record is None:
        notes = [f"record {key} {note}" for note in notes]
    else:
        records[node] = record
        notes += _untrusted(layout, record, node.stage)
    if content := _content_key(graph, node, records):
        found, faults = layout.read(content), faults_of(layout, content, checked)
        notes += faults if found else [f"record {content} {note}" for note in faults]
        notes += _untrusted(layout, found, node.stage) if found else ()
    recorded = records[node].digest if node in records else NO_DIGEST
    return Finding(node, key, "bad" if notes else "good", tuple(dict.fromkeys(notes)), recorded)


def _untrusted(layout: LayoutStore, record: Record, stage: str) -> list[str]:
    """Why a record counts for nothing, as nobody has signed it whom the project trusts; [] if it counts."""
    why = layout.judge.why_not(layout.signed(record), stage) if layout.judge.reads_signatures else ""
    return [f"record {record.key} is untrusted: {why}"] if why else []


def _content_key(graph: Graph, node: Node, records: dict[Node, Record]) -> Key | None:
    """The content key of a node; None if a parent has no record."""
    if any(parent not in records for parent in graph.parents(node)):
        return None
    return content_key(graph, node, records.__getitem__)[0]


@dataclass(frozen=True)
class Rebuilder:
    """Rebuilds nodes on their recorded parents, and compares.

    ``open_node_builder`` gives a ``NodeBuilder`` that builds into a store and logs into a folder.
    """

    graph: Graph
    layout: LayoutStore
    open_node_builder: Callable[[LayoutStore, Folder], NodeBuilder]
    report: Report

    def rebuild(self, goals: list[Node]) -> Iterator[Finding]:
        """Rebuild the goals and their ancestors, each on its recorded parents, and compare.

        A failed build is a finding, and so is a secret or an SSH agent that a step requires and that is not
        here. A failure around a build (engine, disk, network) is raised.
        """
        for node in self.graph.order(goals):
            key = self.graph.key(node)
            record = self.layout.recorded(key)
            if record is None:
                yield Finding(node, key, "unchecked", (_absence(self.layout, node, key),))
                continue
            parents: dict[Node, Record] = {}
            for parent in self.graph.parents(node):
                if parent_record := self.layout.recorded(self.graph.key(parent)):
                    parents[parent] = parent_record
            lost = [str(parent) for parent in self.graph.parents(node) if parent not in parents]
            if lost:
                why = f"cache/ has no image of its parent {lost[0]} to build it on"
                yield Finding(node, key, "unchecked", (why,), record.digest)
            else:
                yield self.rebuild_node(node, record, parents)

    def rebuild_node(self, node: Node, record: Record, parents: Mapping[Node, Record]) -> Finding:
        """Rebuild one node on these parents, without the builder's cache, and compare it with its record."""
        self.report.start(node, record.seconds)
        logs = self.layout.folder.below("logs", "verify")
        with overlay(self.layout, [record, *parents.values()]) as scratch:
            node_builder = self.open_node_builder(scratch, logs)
            try:
                result = node_builder.build(self.graph.spec(node), parents, no_cache=True)
            except (BuildError, ProjectError) as error:
                self.report.failed(str(node), error.what)
                return Finding(node, record.key, "failed", (str(error),), record.digest)
            self.report.done(node, "build", record, "")
            if result.digest == record.digest:
                other = ("its record lists other packages than the image has",)
                said = () if result.packages == record.packages else other
                return Finding(node, record.key, "same", said, record.digest, result.digest)
            differences = tuple(compare(self.layout, record.digest, scratch, result.digest))
        notes = tuple(_notes(record, result))
        return Finding(node, record.key, "differs", notes, record.digest, result.digest, differences)


def _absence(layout: LayoutStore, node: Node, key: Key) -> str:
    """Say why a key finds no image in ``cache/``."""
    if key in layout.withdrawn:
        return f"one of its parents was built again since; to renew it: doit {node}"
    if layout.has_record(key):
        return "its image in cache/ is damaged; for details: doit verify"
    return "no record of it in cache/"


def _notes(record: Record, result: BuildResult) -> Iterator[str]:
    """Notes on an image that differs: the effect on dependent images, and likely causes."""
    if (result.files, result.image) == (record.files, record.image):
        yield "dependent images are not affected: files and configuration are identical"
    if "" not in (record.builder, result.builder) and record.builder != result.builder:
        built = printable(f"built by {record.builder}, rebuilt by {result.builder}")
        yield f"{built}: two versions may compress the same files to different bytes"
    if record.packages and (changes := dpkg.package_changes(record.packages, result.packages)):
        yield f"the package archive has changed: {'; '.join(changes)}"


def passed(findings: list[Finding], named: set[Node]) -> bool:
    """Return whether nothing is wrong and something was checked, including every node in ``named``."""
    checked = [finding for finding in findings if finding.result != "unchecked"]
    skipped = {finding.node for finding in findings} - {finding.node for finding in checked}
    return bool(checked) and all(f.result in ("good", "same") for f in checked) and not named & skipped
