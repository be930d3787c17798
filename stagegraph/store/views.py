"""Temporary OCI layouts that share the blobs of a store, for tools that read or write a layout.

Each tool gets a layout of its own, since each rewrites ``index.json``: parallel writers would lose entries
(containers/image#1028, oras#149). Layouts lie below ``cache/tmp/`` and are deleted after use.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..oci import documents
from ..oci.digest import encoded, from_encoded, is_digest, sha256
from ..system import bounded
from ..system.files import os_errors_on_write
from . import images
from .folder import Folder
from .layout import LayoutStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .record import Record


@contextlib.contextmanager
def shared_view(layout: LayoutStore, entries: Sequence[Mapping[str, Any]] = ()) -> Iterator[Path]:
    """A layout with all blobs of the store and an ``index.json`` of these entries.

    What a tool adds to its blobs is added to the store.
    """
    layout.prepare()
    with layout.locks.temporary_folder() as folder:
        with os_errors_on_write(folder):
            (folder / "blobs").symlink_to(Path("..", "..", "blobs"))
            (folder / documents.LAYOUT_FILE).write_bytes(documents.LAYOUT)
            (folder / "index.json").write_text(json.dumps(documents.index(entries)))
        yield folder


@contextlib.contextmanager
def staging_layout(layout: LayoutStore) -> Iterator[Path]:
    """A layout for a tool to copy an image into; after the block its blobs are moved to the store.

    It has the store's layers, by links. It does not have the store's manifests: skopeo writes them in place
    (containers/image, oci/layout/oci_dest.go, PutManifest), and a reader could see half of one.
    """
    layout.prepare()
    with layout.locks.temporary_folder() as folder:
        blobs, here = folder / "blobs" / "sha256", layout.blobs.folder
        with os_errors_on_write(folder):
            blobs.mkdir(parents=True)
            (folder / documents.LAYOUT_FILE).write_bytes(documents.LAYOUT)
            for name in here.entries():
                if here.has_file(name) and not _is_json(here, name):
                    (blobs / name).symlink_to(here.path.absolute() / name)
        try:
            yield folder
        finally:
            staged = Folder(layout.root, *blobs.relative_to(layout.root).parts)
            with os_errors_on_write(here.path):
                for name in staged.entries():
                    _move_in(staged, name, here)


def _move_in(staged: Folder, name: str, blobs: Folder) -> None:
    """Move a blob in that is not here. The tool has verified layers, but a manifest may be incomplete."""
    if not is_digest(digest := from_encoded(name)) or not staged.has_file(name) or blobs.has_file(name):
        return
    with contextlib.suppress(bounded.TooLargeError):
        if not _is_json(staged, name) or sha256(staged.read(name, bounded.MAX_DOCUMENT)) == digest:
            staged.move(name, blobs)


@contextlib.contextmanager
def overlay(layout: LayoutStore, records: Iterable[Record]) -> Iterator[LayoutStore]:
    """A temporary store with these images; whatever is added to it is deleted with it.

    It has the images by symbolic links: a hard link would change the times of the blobs, and they would no
    longer count as verified. Raises ``StoreError`` for an image that is not here.
    """
    layout.prepare()
    with layout.locks.temporary_folder() as folder:
        store = LayoutStore(folder, origin=layout.blobs)
        store.prepare()
        with os_errors_on_write(folder):
            found = {blob.digest for record in records for blob in images.image_blobs(layout.blobs, record)}
            for digest in found:
                link = store.blobs.folder.path / encoded(digest)
                link.symlink_to(layout.blobs.path(digest).absolute())
        yield store


def _is_json(folder: Folder, name: str) -> bool:
    """Return whether a blob is a manifest, an index or a configuration. A missing one is not."""
    with contextlib.suppress(OSError), folder.open(name) as file:
        return file.read(1) == b"{"
    return False
