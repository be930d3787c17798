"""An image that an engine wrote (``docker save``) -> a layout."""

from __future__ import annotations

import hashlib
import json
import tarfile
from typing import IO, TYPE_CHECKING, Any

from ..errors import StoreError
from ..oci.digest import from_encoded
from ..oci.documents import MANIFEST, canonical
from ..system import bounded
from ..system.files import os_errors_on_write

if TYPE_CHECKING:
    from ..oci.digest import Digest
    from .layout import LayoutStore


def unpack(file: IO[bytes], layout: LayoutStore) -> Digest:
    """Unpack an image into a temporary layout. Return the digest of a manifest that this writes for it.

    The file is a tar whose ``manifest.json`` names the configuration and the layers (Docker Image
    Specification v1.2, "Combined Image JSON + Filesystem Changeset Format"). All engines write it. Raises
    ``StoreError`` for another file.
    """
    layout.prepare()
    try:
        with tarfile.open(fileobj=file) as archive:
            (image,) = json.loads(bounded.read(_member(archive, "manifest.json"), bounded.MAX_DOCUMENT))
            config = _add(archive, image["Config"], layout)
            layers = [_add(archive, name, layout) for name in image["Layers"] or ()]
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise StoreError("docker", f"the engine's file is not one image: {error}") from None
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    return layout.blobs.add(canonical(manifest))[0]


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of the tar; follows links, by which older engines name a layer twice."""
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file")
    return member


def _add(archive: tarfile.TarFile, name: str, layout: LayoutStore) -> dict[str, Any]:
    """Add a file of the tar to the blobs. Return its digest and its size, as a manifest has them."""
    digest, size, folder = hashlib.sha256(), 0, layout.blobs.folder.path
    partial = folder / "partial"
    with os_errors_on_write(partial), _member(archive, name) as source, partial.open("wb") as target:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
        partial.rename(folder / digest.hexdigest())
    return {"digest": from_encoded(digest.hexdigest()), "size": size}
