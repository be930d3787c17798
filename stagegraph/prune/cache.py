"""The part of ``cache/`` that is still needed, and the removal of the rest.

Needed are the records of current keys, the records that find the same images by content (early cutoff), and
the blobs of these images. Of older builds only the record is kept, and only if it is its node's newest: it
explains the next build. A record that a newer version of this program wrote is kept, too.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..keys.key import digits, from_digits, is_key
from ..oci.digest import Digest, encoded, from_encoded
from ..store import images
from ..store.record import Record
from ..system.files import os_errors_on_read, os_errors_on_write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..keys.key import Key
    from ..store.folder import Folder
    from ..store.layout import LayoutStore

#: Damaged blobs and logs help to look into a failure; the rest was left by killed processes.
_FOLDERS = ("damaged", "logs", "tmp")


@dataclass(frozen=True)
class CacheSelection:
    """The records to keep and the files to remove; sizes are in bytes.

    ``kept`` are records with their images. ``explaining`` are records that only explain later builds.
    ``to_remove`` are files and folders, each as a folder of the store and a name in it.
    """

    kept: tuple[Record, ...]
    explaining: tuple[Record, ...]
    to_remove: tuple[tuple[Folder, str], ...]
    kept_bytes: int
    freed_bytes: int


def select(layout: LayoutStore, keys: Iterable[Key], unkeyed: Iterable[str] = ()) -> CacheSelection:
    """Select what to keep for these recipe keys. Reads records and manifests, changes nothing.

    ``unkeyed`` are nodes (``STAGE:PLATFORM``) whose keys cannot be computed now: everything of them is kept.
    """
    with os_errors_on_read(layout.root):
        return _select(layout, set(keys), set(unkeyed))


def _select(layout: LayoutStore, keys: set[Key], unkeyed: set[str]) -> CacheSelection:
    records = list(layout.list())
    digests = {record.digest for record in records if record.key in keys or record.node in unkeyed}
    folder, kept, blobs = layout.blobs.folder, list[Record](), set[Digest]()
    for record in records:
        with contextlib.suppress(StoreError):  # a record with a bad manifest has no image to keep
            if record.digest in digests:
                # a list, so that a manifest that turns out bad in its middle adds nothing
                blobs.update([blob.digest for blob in images.image_blobs(layout.blobs, record)])
                kept.append(record)
    newest, kept_images = layout.newest(), {record.digest for record in kept}
    explaining = [record for record in records if record.key in newest and record.digest not in kept_images]
    kept_keys = {record.key for record in (*kept, *explaining)}
    others = (name for name in layout.records.entries() if from_digits(name) not in kept_keys)
    to_remove = [(layout.records, name) for name in others if not layout.has_newer(from_digits(name))]
    signed = layout.signatures.folder
    to_remove += [(signed, name) for name in signed.entries() if from_digits(name) not in kept_keys]
    # locks of keys that are gone; other locks have other names
    locks = (name for name in layout.locks.folder.entries() if is_key(from_digits(name)))
    to_remove += [(layout.locks.folder, name) for name in locks if from_digits(name) not in kept_keys]
    if not unkeyed:
        withdrawn = (digits(key) for key in layout.withdrawn.all() if key not in keys)
        to_remove += [(layout.withdrawn.folder, name) for name in withdrawn]
    to_remove += [(folder, name) for name in folder.entries() if from_encoded(name) not in blobs]
    to_remove += [(layout.outputs.folder, name) for name in layout.outputs.unneeded(kept_images)]
    to_remove += [(layout.folder, name) for name in _FOLDERS if layout.folder.status(name) is not None]
    kept_bytes = sum(folder.size(encoded(digest)) for digest in blobs)
    freed_bytes = sum(place.size(name) for place, name in to_remove)
    return CacheSelection(tuple(kept), tuple(explaining), tuple(to_remove), kept_bytes, freed_bytes)


def remove(layout: LayoutStore, selection: CacheSelection) -> None:
    """Remove the selected files. The caller must hold ``layout.locks.exclusive()``."""
    # records first: no record may name blobs that are already gone
    for folder, name in selection.to_remove:
        with os_errors_on_write(folder.path / name):
            folder.remove(name)
    layout.sweep()
    layout.index.rebuild()
