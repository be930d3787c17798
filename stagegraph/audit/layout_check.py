"""Checks of ``cache/`` as a whole: the layout, every record with all that it names, and every blob.

``verify`` checks the nodes of a project; this checks what else is there. ``repair`` mends what both find.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StoreError
from ..keys.key import digits, from_digits, is_key
from ..oci import documents
from ..oci.digest import encoded, from_encoded, is_digest
from ..store import images
from ..store.folder import Folder
from ..system.files import relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..keys.key import Key
    from ..oci.digest import Digest
    from ..store.layout import LayoutStore
    from ..store.record import Record

_DAMAGED = "is damaged: its inputs do not hash to its key"


class Mismatch(NamedTuple):
    """A file of ``cache/`` that is not as it should be: its path, and what is wrong with it."""

    place: str
    notes: tuple[str, ...]


@dataclass
class Checked:
    """What a check has looked at: the keys of records, and blobs with their faults, "" for good ones."""

    keys: set[Key] = field(default_factory=set)
    faults: dict[Digest, str] = field(default_factory=dict)


def check_layout(layout: LayoutStore) -> Iterator[Mismatch]:
    """Check the marker and the index of the layout. A ``cache/`` that was never used has neither."""
    try:
        if not (layout.blobs.names() or layout.records.entries()):
            return
        if what := _fault_of_marker(layout):
            yield _mismatch(layout.root / documents.LAYOUT_FILE, what)
        if faults := layout.index.faults():
            yield _mismatch(layout.index.path, *faults)
    except StoreError as error:
        yield Mismatch(error.where, (error.what,))


def _mismatch(path: Path, *notes: str) -> Mismatch:
    return Mismatch(relative_path(path), notes)


def _fault_of_marker(layout: LayoutStore) -> str:
    """What is wrong with ``oci-layout``; "" for nothing (OCI image specification, image-layout.md)."""
    try:
        marker = json.loads(layout.folder.read(documents.LAYOUT_FILE))
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError, RecursionError):
        marker = None
    return "" if marker == json.loads(documents.LAYOUT) else "is not the marker of an OCI layout"


def check_rest(layout: LayoutStore, checked: Checked) -> Iterator[Mismatch]:
    """Check every record and every blob that was not ``checked``. Corrupt blobs go to quarantine.

    A record without its image, as pruning leaves it, is good. So is one that a newer version wrote.
    """
    try:
        for name in layout.records.entries():
            key = from_digits(name)
            if is_key(key) and key not in checked.keys and (notes := faults_of(layout, key, checked)):
                yield _mismatch(layout.records.path / name, *notes)
        for name in layout.blobs.names():
            digest = from_encoded(name)
            if is_digest(digest) and digest not in checked.faults:
                checked.faults[digest] = _fault_of_blob(layout, digest)
                if fault := checked.faults[digest]:
                    yield _mismatch(layout.blobs.folder.path / name, fault)
    except StoreError as error:
        yield Mismatch(error.where, (error.what,))


def faults_of(layout: LayoutStore, key: Key, checked: Checked) -> tuple[str, ...]:
    """What is wrong with a record and with the image that it names. Adds them to ``checked``."""
    checked.keys.add(key)
    try:
        record = layout.read(key)
        if record is not None:
            pruned = layout.blobs.is_missing(record.digest)
            return () if pruned else images.verify(layout.blobs, record, checked.faults)
        return (_DAMAGED,) if layout.has_record(key) and not layout.has_newer(key) else ()
    except StoreError as error:
        return (f"{error.where} {error.what}",)


def _fault_of_blob(layout: LayoutStore, digest: Digest) -> str:
    """What is wrong with a blob, whatever size it should have."""
    size = 0
    with suppress(OSError):  # ``fault`` says what it is
        size = layout.blobs.size(digest)
    return layout.blobs.fault(digest, size)


# -- repair ------------------------------------------------------------------------------------------


class Repaired(NamedTuple):
    """What a repair has done. ``written`` and ``deleted`` are paths; ``dropped`` has no images any more."""

    written: tuple[str, ...]
    deleted: tuple[str, ...]
    dropped: tuple[Record, ...]


def repair(layout: LayoutStore) -> Repaired:
    """Drop what is bad, and write the layout anew. Reads no blob that is known as verified.

    A damaged record is deleted, unless a newer version wrote it. Of an image that is not whole, the manifest
    is deleted: its record explains the next build. Raises ``StoreError``, also while a run uses ``cache/``.
    """
    with layout.locks.exclusive():
        written = [mismatch.place for mismatch in check_layout(layout)]
        deleted: list[str] = []
        dropped: list[Record] = []
        for key in (from_digits(name) for name in layout.records.entries()):
            if not is_key(key) or layout.has_newer(key):
                continue
            record = layout.read(key)
            if record is None or _is_false(layout, record):
                layout.delete(key)
                deleted.append(relative_path(layout.records.path / digits(key)))
            elif not (layout.blobs.is_missing(record.digest) or images.is_intact(layout.blobs, record)):
                dropped.append(record)
        for folder, record in ((folder, record) for record in dropped for folder in _places(layout)):
            folder.remove(encoded(record.digest))
        if layout.folder.status(documents.LAYOUT_FILE) and _fault_of_marker(layout):
            layout.folder.remove(documents.LAYOUT_FILE)
        deleted += map(relative_path, layout.sweep())
        layout.prepare()
        layout.index.rebuild()
    return Repaired(tuple(written), tuple(deleted), tuple(dropped))


def _is_false(layout: LayoutStore, record: Record) -> bool:
    """Return whether a record's image is here as a whole, but is not what the record says."""
    try:
        whole = layout.blobs.are_intact(images.image_blobs(layout.blobs, record))
    except StoreError:
        return False
    return whole and not images.is_intact(layout.blobs, record)


def _places(layout: LayoutStore) -> tuple[Folder, ...]:
    """The folders that may have a manifest: as long as one has it, its record counts as one with an image."""
    return layout.blobs.folder, Folder(layout.root, "damaged")
