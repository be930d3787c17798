"""OCI documents that this program writes: descriptors, indexes, manifests, and the marker of a layout.

Pure. The order of fields is part of the result: documents that are not sorted are hashed as they are.
Sources: OCI image specification, descriptor.md, image-index.md, manifest.md, image-layout.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .digest import Digest

INDEX = "application/vnd.oci.image.index.v1+json"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"

#: The type of an artifact's configuration, ``{}`` (manifest.md, "Guidance for an Empty Descriptor").
EMPTY = "application/vnd.oci.empty.v1+json"

LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

#: The annotation of a layout's ``index.json`` that gives an entry its name.
REF_NAME = "org.opencontainers.image.ref.name"

#: Name and content of the file that marks a folder as an image layout.
LAYOUT_FILE, LAYOUT = "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'


def descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    """Describe a blob of ``size`` bytes."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def index(
    manifests: Iterable[Mapping[str, Any]], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Build an image index over these descriptors."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*manifests]}
    return document if annotations is None else {**document, "annotations": annotations}


def artifact(
    kind: str,
    config: Mapping[str, Any],
    content: Mapping[str, Any],
    subject: Mapping[str, Any],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """Build the manifest of an artifact about an image.

    ``kind`` is its media type, ``config`` and ``content`` are descriptors of its blobs, ``subject`` that of
    the image (manifest.md, "Guidelines for Artifact Usage").
    """
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": config,
        "layers": [content],
        "subject": subject,
        "annotations": annotations,
    }


def named(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A descriptor with a name in a layout's ``index.json``, in place of other annotations."""
    return {**entry, "annotations": {REF_NAME: name}}


def canonical(document: object) -> bytes:
    """JSON without spaces, keys sorted: the same document gives the same bytes, and so the same digest."""
    return _canonical(document).encode()


#: ``json.dumps`` would make an encoder for each document.
_canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
