"""The sizes that a registry's blobs may have, by their manifests; and files that have become larger.

skopeo writes what a registry sends to a file of the target, and compares size and digest only at the end
(containers/image, oci/layout/oci_dest.go, PutBlob). A registry that sends without end would fill the disk.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..oci.digest import Digest, is_digest, sha256
from ..system.bounded import MAX_DOCUMENT, shown
from .skopeo import SkopeoResult

if TYPE_CHECKING:
    from pathlib import Path

#: How many manifests one index may list, those of indexes inside it included.
MAX_DOCUMENTS = 1000


def checked(answer: SkopeoResult, digest: Digest) -> tuple[SkopeoResult, int, list[Digest]]:
    """Check the document of a digest. Return the answer, the size of its largest blob, and what it lists.

    The answer is "refused" for another document, and for one that is neither manifest nor index.
    """
    if len(answer.output) > MAX_DOCUMENT:
        return _refused(f"the manifest is larger than {shown(MAX_DOCUMENT)}, the limit here")
    if sha256(answer.output) != digest:
        return _refused("the manifest does not match its digest")
    try:
        document = json.loads(answer.output)
        listed = [item["digest"] for item in document.get("manifests") or ()]
        blobs = [
            item for item in (document.get("config"), *(document.get("layers") or ())) if item is not None
        ]
        size = max((_size(blob) for blob in blobs), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _refused("the manifest is none of an image")
    if not all(map(is_digest, listed)):
        return _refused("the index lists something without a digest")
    return answer, max(size, MAX_DOCUMENT), [Digest(each) for each in listed]


def _size(blob: dict[str, Any]) -> int:
    size = blob["size"]
    if type(size) is not int or size < 0:
        raise ValueError(size)
    return size


def _refused(message: str) -> tuple[SkopeoResult, int, list[Digest]]:
    return SkopeoResult("refused", message=message), 0, []


def excess(staging: Path, largest: int) -> str:
    """Return that a file directly in a layout is larger than any blob may be; "" if none is.

    That is where skopeo writes a blob before it knows the digest.
    """
    with suppress(OSError), os.scandir(staging) as entries:
        files = [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]
        for path in files:
            with suppress(FileNotFoundError):
                if os.lstat(path).st_size > largest:
                    return (
                        f"the registry sends more than the largest blob of the manifest has: {largest} bytes"
                    )
    return ""
