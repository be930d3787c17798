"""Whether ``cache/`` holds what it says: blobs and records checked, or nodes built again and compared.

Neither changes a record or the index. What is built again lives in a temporary store that has the recorded
images by links and goes when the comparison is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import BuildError
from ..execution import plan
from ..inspection import dpkg
from ..inspection.diff import Difference, compare
from ..system.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..execution.workspace import Workspace
    from ..project.model import Node
    from ..store.record import Record

Result = Literal["good", "bad", "same", "differs", "failed", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """What came of one node: of a check ``good`` or ``bad``; of a rebuild ``same``, ``differs``, ``failed``.

    ``unchecked``: there was nothing to check, ``notes`` say why. They also say what is bad, or what failed.
    """

    node: Node
    key: str
    result: Result
    notes: tuple[str, ...] = ()
    recorded: str = ""
    rebuilt: str = ""
    differences: tuple[Difference, ...] = field(default=(), repr=False)


def check(session: Workspace, goals: list[Node]) -> Iterator[Finding]:
    """Every blob and record of the goals and their ancestors, parents first. Bad blobs are set aside."""
    records: dict[Node, Record] = {}
    blobs: dict[str, str] = {}
    for node in session.graph.order(goals):
        key = session.graph.key(node)
        if not session.layout.has_record(key):
            yield Finding(node, key, "unchecked", ("no record of it in cache/",))
            continue
        there = session.layout.read(key)
        if there is not None and session.layout.lacks(there.digest):  # pruning leaves records
            yield Finding(node, key, "unchecked", ("only its record is in cache/, no image",), there.digest)
            continue
        notes: list[str] = []
        for known in (key, _content_key(session, node, records)):
            record = session.layout.read(known) if known else None
            if record is not None:
                notes += session.layout.faults(record, blobs)
                if known == key:
                    records[node] = record
            elif known and session.layout.has_record(known):
                notes.append(f"record {known} is damaged: its inputs do not hash to its key")
        recorded = records[node].digest if node in records else ""
        yield Finding(node, key, "bad" if notes else "good", tuple(dict.fromkeys(notes)), recorded)


def _content_key(session: Workspace, node: Node, records: dict[Node, Record]) -> str:
    """The other key that the node's image is found by; "" where a parent has no record."""
    if any(parent not in records for parent in session.graph.parents(node)):
        return ""
    return plan.content_key(session.graph, node, records.__getitem__)[0]


def rebuild(session: Workspace, goals: list[Node]) -> Iterator[Finding]:
    """Build the goals and their ancestors again, each on its recorded parents, and compare.

    A build that fails is a finding; what fails around it (engine, disk, network) is raised.
    """
    for node in session.graph.order(goals):
        key = session.graph.key(node)
        record = session.layout.find(key)
        if record is None:
            known = session.layout.has_record(key)
            why = (
                "its image in cache/ is damaged; doit verify says how"
                if known
                else "no record of it in cache/"
            )
            yield Finding(node, key, "unchecked", (why,))
            continue
        parents: dict[Node, Record] = {}
        for parent in session.graph.parents(node):
            if there := session.layout.find(session.graph.key(parent)):
                parents[parent] = there
        lost = [str(parent) for parent in session.graph.parents(node) if parent not in parents]
        if lost:
            why = f"no image of its parent {lost[0]} in cache/ to build it on"
            yield Finding(node, key, "unchecked", (why,), record.digest)
        else:
            yield again(session, node, record, parents)


def again(session: Workspace, node: Node, record: Record, parents: dict[Node, Record]) -> Finding:
    """Build one node on these parents, without the builder's cache, and compare it with its record."""
    session.report.start(node, record.seconds)
    logs = session.layout.folder.below("logs", "verify")
    with session.layout.scratch([record, *parents.values()]) as scratch:
        try:
            result = session.builder_into(scratch, logs).build(
                session.graph.spec(node), parents, no_cache=True
            )
        except BuildError as error:
            session.report.failed(str(node), error.what)
            return Finding(node, record.key, "failed", (str(error),), record.digest)
        session.report.done(node, "build", record, "")
        if result.digest == record.digest:
            return Finding(node, record.key, "same", (), record.digest, result.digest)
        differences = compare(session.layout, record.digest, scratch, result.digest)
    alike = (result.files, result.image) == (record.files, record.image)
    notes = ["what stands on it cannot see the difference"] if alike else []
    if "" not in (record.builder, result.builder) and record.builder != result.builder:
        built = printable(f"built by {record.builder}, rebuilt by {result.builder}")
        notes.append(f"{built}: two versions may compress the same files to other bytes")
    if record.packages and (changes := dpkg.moved(record.packages, result.packages)):
        notes.append(f"the archive has moved on: {'; '.join(changes)}")
    return Finding(
        node, record.key, "differs", tuple(notes), record.digest, result.digest, tuple(differences)
    )


def passed(findings: list[Finding], named: set[Node]) -> bool:
    """Whether nothing is wrong, and something was checked: all that was named."""
    checked = [finding for finding in findings if finding.result != "unchecked"]
    skipped = {finding.node for finding in findings} - {finding.node for finding in checked}
    return bool(checked) and all(f.result in ("good", "same") for f in checked) and not named & skipped
