"""``index.json`` of the layout: one entry for each record whose manifest is here, named by the record's tag.

Its time says whether it is current: it is that of the folder of records, which changes with every record that
is written or removed. Whoever changes records holds a lock, and takes this time away first. So two calls of
``stat(2)`` tell of an index that a killed process, an earlier version or a copy has left behind.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from ..keys.key import Key, digits, from_digits, is_key
from ..oci import documents
from ..oci.digest import from_encoded
from ..system.files import os_errors_on_read, os_errors_on_write
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .blobs import BlobStore
    from .locks import Locks
    from .record import Record

NAME = "index.json"

#: The digits of a key, at the end of a record's tag.
_DIGITS = 64

#: What a file of another form raises where it is read.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

#: An entry of the index: a descriptor with a name.
Entry = dict[str, Any]


class LayoutIndex:
    """The index of the layout in one folder. Safe for several threads and processes at once."""

    def __init__(
        self, root: Path, blobs: BlobStore, locks: Locks, read: Callable[[Key], Record | None]
    ) -> None:
        """``read`` gives the record of a key, None for one that is missing or not valid."""
        self._folder, self._records = Folder(root), Folder(root, "records")
        self._blobs, self._locks, self._read = blobs, locks, read

    @property
    def path(self) -> Path:
        """The path, for messages."""
        return self._folder.path / NAME

    # -- writing ---------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Return whether no record was written or removed since the index was. Raises ``StoreError``."""
        with os_errors_on_read(self._folder.path):
            index = self._folder.status(NAME)
        return (index and index.st_mtime_ns) == self._time_of_records()

    def rebuild(self) -> None:
        """Write the index from all records. Raises ``StoreError`` or ``DiskFullError``."""
        with self._locks.for_name("index"):
            self._outdate()
            self._write({})

    @contextlib.contextmanager
    def changing(self, key: Key) -> Iterator[None]:
        """Write the record of this key in the block; then the index gets its entry.

        Reads the record, those that have no entry, and all if the index was not current. Raises
        ``StoreError`` or ``DiskFullError``.
        """
        with self._locks.for_name("index"):
            known = self._known() if self.is_current else {}
            self._outdate()
            yield
            known.pop(digits(key), None)
            self._write(known)

    def _outdate(self) -> None:
        """Let nobody take the index for current until it is written: this process may be killed."""
        with os_errors_on_write(self.path), contextlib.suppress(FileNotFoundError):
            try:
                self._folder.set_time(NAME, 0)
            except PermissionError:  # another user's file
                self._folder.remove(NAME)

    def _write(self, known: dict[str, Entry]) -> None:
        """Write the index. ``known`` has entries that need no reading, by the digits of their keys."""
        time = self._time_of_records()
        document = documents.index(self._expected(known))
        self._folder.write(NAME, json.dumps(document, indent=1).encode())
        if time is not None:
            with os_errors_on_write(self.path):
                self._folder.set_time(NAME, time)

    def _time_of_records(self) -> int | None:
        with os_errors_on_read(self._records.path):
            status = self._folder.status("records")
        return status.st_mtime_ns if status else None

    def _known(self) -> dict[str, Entry]:
        """The entries of the index, by the digits of their keys; none if it cannot be read."""
        try:
            entries = self._read_entries()
        except (OSError, *_MALFORMED):
            return {}
        return {name[-_DIGITS:]: entry for name, entry in entries.items()}

    def _read_entries(self) -> dict[str, Entry]:
        """The entries by their names. Raises ``OSError``, or an error of ``_MALFORMED``."""
        document = json.loads(self._folder.read(NAME))
        entries = {entry["annotations"][documents.REF_NAME]: entry for entry in document["manifests"]}
        if document != documents.index(entries.values()):
            raise ValueError("it is no index of images, each with its own name")
        return entries

    def _expected(self, known: dict[str, Entry]) -> list[Entry]:
        """The entries that the index should have, in the order of keys."""
        with os_errors_on_read(self._records.path):
            names = self._records.entries()
        here, entries = {from_encoded(name) for name in self._blobs.names()}, list[Entry]()
        for name in names:
            entry = known.get(name) or self._entry(from_digits(name))
            if entry and (entry["digest"] in here or self._blobs.has(entry["digest"])):
                entries.append(entry)
        return entries

    def _entry(self, key: Key) -> Entry | None:
        record = self._read(key) if is_key(key) else None
        return documents.named(record.descriptor, record.tag) if record else None

    # -- checking --------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is wrong with the index. Reads all records. Raises ``StoreError``."""
        expected = {entry["annotations"][documents.REF_NAME]: entry for entry in self._expected({})}
        try:
            entries = self._read_entries()
        except FileNotFoundError:
            return ["is missing"] if expected else []
        except (OSError, *_MALFORMED) as error:
            return [f"cannot be read: {type(error).__name__}: {error}"]
        return [
            *(f"has no entry {name}" for name in expected if name not in entries),
            *(f"has {name}, but no record in cache/ has this image" for name in entries.keys() - expected),
            *(f"has another image as {name}" for name, e in expected.items() if entries.get(name, e) != e),
        ]
