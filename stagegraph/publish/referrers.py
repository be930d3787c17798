"""The referrers of an image: artifacts about it, and the list through which they are found.

An artifact names the image as its ``subject`` (image-spec, "Guidelines for Artifact Usage"). Its list has the
tag ``sha256-DIGEST``, which every registry can hold (distribution-spec, "Referrers Tag Schema").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..oci import documents
from ..oci.digest import is_digest
from .publication import OCI_ANNOTATION
from .push import stored
from .revision import is_clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..oci.digest import Digest
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from ..store.repository import RemoteRepository

#: Annotations that tell our own entries of a list from those of others, such as signatures.
_KIND, _COMMIT = "stagegraph.statement", "stagegraph.commit"


class Statement(NamedTuple):
    """A document about an image. ``kind`` names it among our own, ``sbom`` for example."""

    kind: str
    media_type: str
    content: bytes


def list_tag(digest: Digest) -> str:
    """The tag of the list of an image's referrers."""
    return digest.replace(":", "-")


def artifact(layout: LayoutStore, record: Record, statement: Statement, commit: str) -> dict[str, Any]:
    """Store a statement as an artifact about an image; return its entry for the list of referrers."""
    annotations = {OCI_ANNOTATION + "created": record.created, _KIND: statement.kind}
    annotations |= {_COMMIT: commit} if commit else {}
    config = stored(layout, documents.EMPTY, b"{}")
    content = stored(layout, statement.media_type, statement.content)
    manifest = documents.artifact(statement.media_type, config, content, record.descriptor, annotations)
    entry = stored(layout, documents.MANIFEST, documents.canonical(manifest))
    return {**entry, "artifactType": statement.media_type, "annotations": annotations}


def merged(own: Mapping[str, dict[str, Any]], published: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of a list of referrers: our own by kind, and those that others have published.

    A published entry of ours is kept if it names a clean commit, and replaced otherwise. Keeping it avoids
    two statements of one kind: registries that find referrers by subject would show both.
    """
    entries, others = dict(own), []
    for entry in published:
        annotations = entry.get("annotations") or {}
        kind = annotations.get(_KIND, "")
        if kind not in own:
            others.append(entry)
        elif is_clean(annotations.get(_COMMIT, "")):
            entries[kind] = {**entry, "artifactType": own[kind]["artifactType"]}
    return [*entries.values(), *others]


def download_published(registry: RemoteRepository, layout: LayoutStore, tag: str) -> list[dict[str, Any]]:
    """The entries of the list under a tag; their blobs are in the layout afterwards.

    Entries of others, such as signatures, are included; entries whose manifests are gone are not. Raises
    ``RegistryError`` or ``LoginError``.
    """
    data = registry.read_manifest(registry.reference(tag))
    if data is None:
        return []
    try:
        entries = [item for item in json.loads(data)["manifests"] if is_digest(item["digest"])]
    except (ValueError, KeyError, TypeError):
        return []  # somebody uses such a tag for something else; the push will report it as moved
    published = []
    for entry in entries:
        reference = f"{registry.repository}@{entry['digest']}"
        if registry.read_manifest(reference) is not None:
            registry.download(reference, layout)
            published.append(entry)
    return published
