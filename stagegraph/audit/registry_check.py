"""Checks of the images that a registry has under the keys of a project's nodes.

Each image is downloaded into a temporary store and read there: a registry is asked for every blob, also for
those that ``cache/`` has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..oci.digest import NO_DIGEST
from ..store import images
from ..store import record as records
from ..store.layout import LayoutStore
from ..store.repository import last_line
from .verify import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..graph.graph import Graph
    from ..oci.digest import Digest
    from ..project.model import Node
    from ..store.record import Record
    from ..store.repository import RemoteRepository

#: Answers after which the next question may have another answer: these end the check.
_UNANSWERED = ("login", "refused", "down", "silent", "later")


def check_registry(
    graph: Graph, layout: LayoutStore, remote: RemoteRepository, goals: list[Node]
) -> Iterator[Finding]:
    """Check the images of the goals and their ancestors in a registry, parents first.

    ``differs``: ``cache/`` has another image under the same key. Raises ``RegistryError`` or ``LoginError``.
    """
    with layout.locks.temporary_folder() as folder:
        scratch = LayoutStore(folder)
        faults: dict[Digest, str] = {}
        for node in graph.order(goals):
            yield _check_node(graph, layout, remote, node, scratch, faults)


def _check_node(
    graph: Graph,
    layout: LayoutStore,
    remote: RemoteRepository,
    node: Node,
    scratch: LayoutStore,
    faults: dict[Digest, str],
) -> Finding:
    key = graph.key(node)
    reference = remote.reference(records.tag(node.stage, graph.project.platforms[node.platform].docker, key))
    document = remote.read_manifest(reference)
    if document is None:
        return Finding(node, key, "unchecked", ("the registry has no record of it",), where=reference)
    if records.is_newer(document):
        why = "a newer version of stagegraph wrote its record"
        return Finding(node, key, "unchecked", (why,), where=reference)
    record = records.parse(document, key)
    if record is None:
        why = f"its record is damaged, or is of another key; to push it again: doit {node} push=all"
        return Finding(node, key, "bad", (why,), where=reference)
    notes = _faults_of_image(remote, record, scratch, faults)
    mine = layout.read(key)
    if not notes and mine is not None and mine.digest != record.digest:
        why = "cache/ has another image under the same key"
        return Finding(node, key, "differs", (why,), mine.digest, record.digest, where=reference)
    recorded = mine.digest if mine else NO_DIGEST
    return Finding(node, key, "bad" if notes else "good", notes, recorded, record.digest, where=reference)


def _faults_of_image(
    remote: RemoteRepository, record: Record, scratch: LayoutStore, faults: dict[Digest, str]
) -> tuple[str, ...]:
    """Download the image of a record, and return what is wrong with it. Raises ``RegistryError``."""
    reference = f"{remote.repository}@{record.digest}"
    answer = remote.fetch(reference, scratch)
    if answer.kind in _UNANSWERED:
        raise remote.error(answer, reference)
    if answer.kind != "ok":
        return (f"its image cannot be downloaded: {last_line(answer.message)}",)
    return images.verify(scratch.blobs, record, faults)
