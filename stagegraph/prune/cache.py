"""What of ``cache/`` is still needed, and the removal of the rest.

Needed are the records of current keys, those that find the same images by their content (early cutoff), and
the blobs of these images. Of older builds the records alone stay, where they are a node's newest: they
explain the next build.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..keys.key import from_digits, is_key
from ..oci.digest import Digest, encoded, from_encoded
from ..store.record import Record
from ..system.files import reading, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..keys.key import Key
    from ..store.folder import Folder
    from ..store.layout import LayoutStore

#: Damaged blobs and logs are for whoever looks into a failure, the rest was left by who was killed.
_FOLDERS = ("damaged", "logs", "tmp")


@dataclass(frozen=True)
class Selection:
    """What stays and what goes. ``kept`` are records with whole images, ``noted`` those that only explain.

    ``doomed`` are files and folders to remove, each as a folder of the store and a name in it; sizes are in
    bytes.
    """

    kept: tuple[Record, ...]
    noted: tuple[Record, ...]
    doomed: tuple[tuple[Folder, str], ...]
    kept_bytes: int
    freed_bytes: int


def select(layout: LayoutStore, keys: Iterable[Key], unkeyed: Iterable[str] = ()) -> Selection:
    """What to keep for these recipe keys. Reads records and manifests, changes nothing.

    ``unkeyed`` are nodes (``STAGE:PLATFORM``) whose keys cannot be known now: all there is of them stays.
    """
    with reading(layout.root):
        return _select(layout, set(keys), set(unkeyed))


def _select(layout: LayoutStore, wanted: set[Key], unkeyed: set[str]) -> Selection:
    records = list(layout.list())
    digests = {record.digest for record in records if record.key in wanted or record.node in unkeyed}
    kept, blobs = list[Record](), set[Digest]()
    for record in records:
        with contextlib.suppress(StoreError):  # one whose manifest is bad has nothing to keep
            if record.digest in digests:
                blobs.update(layout.blobs_of(record))
                kept.append(record)
    newest, whole = layout.newest(), {record.digest for record in kept}
    noted = [record for record in records if record.key in newest and record.digest not in whole]
    names = {record.key for record in (*kept, *noted)}
    doomed = [(layout.records, name) for name in layout.records.entries() if from_digits(name) not in names]
    # of a key that is no more; other locks have names that are no digests
    locks = (name for name in layout.locks.folder.entries() if is_key(from_digits(name)))
    doomed += [(layout.locks.folder, name) for name in locks if from_digits(name) not in names]
    doomed += [(layout.blobs, name) for name in layout.blobs.entries() if from_encoded(name) not in blobs]
    doomed += [(layout.folder, name) for name in _FOLDERS if layout.folder.status(name) is not None]
    kept_bytes = sum(layout.blobs.size(encoded(digest)) for digest in blobs)
    freed_bytes = sum(folder.size(name) for folder, name in doomed)
    return Selection(tuple(kept), tuple(noted), tuple(doomed), kept_bytes, freed_bytes)


def remove(layout: LayoutStore, selection: Selection) -> None:
    """Remove what is doomed. To be called while nobody else uses the store: ``layout.locks.alone()``."""
    # records first: one without its blobs is no harm, but one is not to be believed that had them just now
    for folder, name in selection.doomed:
        with writing(folder.path / name):
            folder.remove(name)
    layout.rebuild_index()
