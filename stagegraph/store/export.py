"""An image of ``cache/`` as the tar of an OCI layout, which an engine can load."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import IO, TYPE_CHECKING

from ..oci import documents
from ..oci.digest import Digest, encoded
from ..oci.reference import full
from . import images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .layout import LayoutStore
    from .record import Record


def image_tar(layout: LayoutStore, record: Record, reference: str) -> Iterator[bytes]:
    """Yield the image as the tar of an OCI layout, in parts."""
    entry = {
        **record.descriptor,
        "annotations": {
            # the full name, as containerd's importer wants it
            "io.containerd.image.name": full(reference),
            documents.REF_NAME: reference.rpartition(":")[2],
        },
    }
    index = json.dumps(documents.index([entry])).encode()
    small = {documents.LAYOUT_FILE: documents.LAYOUT, "index.json": index}
    for name, data in small.items():
        yield _header(name, len(data))
        yield _padded(data)
    for digest in dict.fromkeys(blob.digest for blob in images.image_blobs(layout.blobs, record)):
        with layout.blobs.open(digest) as file:
            size = os.fstat(file.fileno()).st_size
            yield _header(f"blobs/sha256/{encoded(digest)}", size)
            yield from _read(file)
        yield b"\0" * (-size % tarfile.BLOCKSIZE)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def image_ids(layout: LayoutStore, record: Record) -> tuple[Digest, Digest]:
    """The ids that an engine may give the image: the digests of its manifest and of its configuration."""
    return record.digest, images.config_digest(layout.blobs, record)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(io.DEFAULT_BUFFER_SIZE * 128):
        yield chunk


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % tarfile.BLOCKSIZE)
