"""The choice of the nodes' tags that a registry keeps, and of those to delete.

A tag is kept if a kept revision of the project needs its key, if it finds the same image by content, or if it
is recent: the needs of branches elsewhere and of settings on somebody's command line are unknown here. Only
tags in the form of ``record.tag`` that hold a record of their key are considered. Final tags, published
indexes and the tags of others are never deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..keys.key import Key, from_digits
from ..oci.digest import Digest, sha256
from ..store import record as records
from ..store.lookups import LOOKUPS
from ..system.workers import DaemonPool

if TYPE_CHECKING:
    import datetime

    from ..store.record import Record
    from ..store.repository import RemoteRepository


class NodeTag(NamedTuple):
    """A tag of a node, the digest of its manifest, and the record that this manifest is."""

    name: str
    digest: Digest
    record: Record


@dataclass(frozen=True)
class RetentionPlan:
    """The tags that kept revisions need, those that are recent, and those to delete."""

    needed: tuple[NodeTag, ...]
    recent: tuple[NodeTag, ...]
    to_delete: tuple[NodeTag, ...]


class TagInventory(NamedTuple):
    """The tags of nodes in a registry, and the digests that its other tags name."""

    node_tags: tuple[NodeTag, ...]
    other_digests: frozenset[Digest] = frozenset()


def is_node_tag(tag: str) -> bool:
    """Return whether a tag has the form of a node's tag."""
    return records.TAG.fullmatch(tag) is not None


def key_of(tag: str) -> Key:
    """The key that a node's tag names."""
    return from_digits(tag[-64:])


def plan_retention(inventory: TagInventory, keys: set[Key], since: datetime.datetime) -> RetentionPlan:
    """Choose what to keep for these recipe keys, and what was recorded after ``since``.

    A record without a valid time counts as recent.
    """
    tags = inventory.node_tags
    images = {tag.record.digest for tag in tags if tag.record.key in keys}
    needed = tuple(tag for tag in tags if tag.record.digest in images)
    rest = [tag for tag in tags if tag.record.digest not in images]
    recent_images = {tag.record.digest for tag in rest if _is_recent(tag.record, since)}
    recent = tuple(tag for tag in rest if tag.record.digest in recent_images)
    # a manifest is deleted together with all of its tags
    kept = {tag.digest for tag in (*needed, *recent)} | inventory.other_digests
    to_delete = tuple(tag for tag in rest if tag not in recent and tag.digest not in kept)
    return RetentionPlan(needed, recent, to_delete)


def _is_recent(record: Record, since: datetime.datetime) -> bool:
    time = record.recorded_or_created
    return time is None or time >= since


def list_tags(remote: RemoteRepository) -> TagInventory:
    """Read all tags of a registry. Raises ``RegistryError`` or ``LoginError``."""
    workers = DaemonPool(LOOKUPS)
    futures = {
        tag: workers.submit(partial(remote.read_manifest, remote.reference(tag))) for tag in remote.tags()
    }
    node_tags, others = list[NodeTag](), set[Digest]()
    for name, future in futures.items():
        if (data := future.result()) is None:
            continue
        record = records.parse(data, key_of(name)) if is_node_tag(name) else None
        if record is not None:
            node_tags.append(NodeTag(name, sha256(data), record))
        else:  # it belongs to somebody else
            others.add(sha256(data))
    return TagInventory(tuple(node_tags), frozenset(others))
