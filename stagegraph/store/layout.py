"""``cache/``: an OCI image layout plus records, readable by skopeo, crane and podman.

    cache/oci-layout, index.json, blobs/sha256/...   the layout
    cache/records/<key>                              one record for each key, see ``record``
    cache/latest/<node>                              the key of the node's last build, for explanations
    cache/withdrawn/<key>                            keys that find nothing for now, see ``withdrawn``
    cache/signatures/<key>/                          who has signed the record, see ``signatures``
    cache/verified.json                              blobs whose digest was checked, see ``verified``
    cache/prints/                                    outputs of commands in images, see ``outputs``
    cache/damaged/                                   blobs that failed the check
    cache/last-run.json                              what the last run did
    cache/history                                    one line for each run, see ``history``
    cache/tmp/, cache/locks/, cache/logs/
    cache/credential-helper.json                     for skopeo: which helper knows the registry's login

Blobs are synced before the record that names them is written: after a crash at any point the store is valid.
No link below ``cache/`` is followed (``folder``), except in temporary folders that this program makes. Tools
that write a layout get the path of such a folder, and see ``cache/blobs`` through it. Everything that they
could mistake for a blob has been verified or moved to quarantine before.
"""

from __future__ import annotations

import contextlib
import copy
from functools import partial
from typing import TYPE_CHECKING

from ..errors import LinkError, StagegraphError, StoreError
from ..keys.key import Key, digits, from_digits, is_key
from ..system import bounded
from ..system.files import os_errors_on_read, os_errors_on_write
from . import images
from . import record as records
from .blobs import BlobStore
from .folder import Folder
from .history import HistoryFile
from .judge import Everybody, Judge
from .layout_index import LayoutIndex
from .locks import Locks
from .outputs import OutputStore
from .signatures import SignatureFiles
from .withdrawn import Withdrawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .record import Record


class LayoutStore:
    """The records of the store in one folder, and its ``index.json``; ``blobs`` holds their images.

    Safe for several threads and processes at once.
    """

    def __init__(self, root: Path, origin: BlobStore | None = None) -> None:
        """``origin`` is the blob store whose blobs this one has by links that this program made."""
        self.root, self.folder = root, Folder(root)
        self.blobs = BlobStore(root, origin)
        self.records, self._latest = Folder(root, "records"), Folder(root, "latest")
        self.locks, self.outputs, self.withdrawn = Locks(root), OutputStore(root), Withdrawn(root)
        self.history, self.signatures = HistoryFile(root, self.locks), SignatureFiles(root)
        self._is_swept = False
        self.index = LayoutIndex(root, self.blobs, self.locks, partial(_read, self.records))
        #: Says which records count. A run sets it before its first look-up.
        self.judge: Judge = Everybody()

    def prepare(self) -> None:
        """Create the folders; harmless when repeated. Raises ``LinkError`` where one of them is a link."""
        self.blobs.prepare()

    @contextlib.contextmanager
    def kept(self) -> Iterator[LayoutStore]:
        """The same store, for many look-ups by one thread in a short time (``Folder.kept``)."""
        with self.records.kept() as records, self.withdrawn.kept() as withdrawn, self.blobs.kept() as blobs:
            store = copy.copy(self)
            store.records, store.withdrawn, store.blobs = records, withdrawn, blobs
            yield store

    def mend(self) -> None:
        """Mend what a killed process has left: the index, and files that it was writing.

        Without anything to mend it reads the times of the index and of the records, and lists two folders.
        Does nothing where the store cannot be written. Raises ``LinkError``.
        """
        try:
            if self.index.is_current:
                self.sweep(self.folder, self._latest)
            else:
                self.sweep()
                self.index.rebuild()
        except LinkError:
            raise
        except StagegraphError:
            pass  # a run needs none of it

    def sweep(self, *folders: Folder) -> list[Path]:
        """Delete what killed processes were writing in these folders, or in all. Return the paths.

        Raises ``LinkError``.
        """
        swept: list[Path] = []
        for folder in folders or (self.folder, *self.folders):
            with os_errors_on_write(folder.path):
                swept += [folder.path / name for name in folder.sweep()]
        return swept

    @property
    def folders(self) -> tuple[Folder, ...]:
        """The folders that hold one file for each key, node, output or blob."""
        named = self.records, self._latest, self.withdrawn.folder, self.outputs.folder
        return *named, self.blobs.folder

    # -- reading ---------------------------------------------------------------------------------

    def find(self, key: Key, stage: str = "") -> Record | None:
        """The trusted record of a key whose image is here as a whole; None otherwise.

        None for a withdrawn key, too. ``stage`` is that of the node that will use the image: some signers
        count for some stages only. If it is "", only those count who may sign any stage.
        """
        record = None if key in self.withdrawn else self.trusted(key, stage)
        return record if record is not None and images.is_intact(self.blobs, record) else None

    def recorded(self, key: Key) -> Record | None:
        """The record of a key as in ``find``, trusted or not; for checks."""
        record = None if key in self.withdrawn else self.read(key)
        return record if record is not None and images.is_intact(self.blobs, record) else None

    def trusted(self, key: Key, stage: str = "") -> Record | None:
        """The record of a key as in ``find``, whether or not its image is here or the key withdrawn."""
        record = self.read(key)
        if record is None or not self.judge.reads_signatures:
            return record
        record = self.signed(record)
        return record if self.judge.accepts(record, stage, "cache/") else None

    def signed(self, record: Record) -> Record:
        """The record with all that was signed about its key."""
        return record._replace(signatures=self.signatures.all(record))

    def read(self, key: Key) -> Record | None:
        """The record of a key, trusted or not, with its image or without; for explanations only."""
        return _read(self.records, key)

    def has_record(self, key: Key) -> bool:
        """Return whether there is a record of this key, valid or not."""
        with os_errors_on_read(self.records.path):
            return self.records.has_file(digits(key))

    def has_newer(self, key: Key) -> bool:
        """Return whether the record of this key was written by a newer version of this program."""
        with contextlib.suppress(FileNotFoundError), os_errors_on_read(self.records.path):
            return self.has_record(key) and records.is_newer(self.records.read(digits(key)))
        return False

    def check_replaceable(self, key: Key) -> None:
        """Raise ``StoreError`` if a newer version of this program wrote the record of this key."""
        if self.has_newer(key):
            what = "was written by a newer version of stagegraph, and is not replaced"
            hint = "update stagegraph; or delete the file, and the node is built again"
            raise StoreError(str(self.records.path / digits(key)), what, hint)

    def list(self) -> Iterator[Record]:
        """All valid records."""
        for name in _entries(self.records):
            key = from_digits(name)
            if is_key(key) and (record := self.read(key)):
                yield record

    def document(self, record: Record) -> bytes:
        """The record as it is written here. Raises ``StoreError`` without its manifest."""
        return record.to_bytes(self.blobs.json(record.digest))

    def pushed(self, record: Record) -> bytes:
        """The record as a registry gets it: with its signatures. Raises ``StoreError`` as ``document``."""
        return record.to_bytes(self.blobs.json(record.digest), self.signatures.about(record))

    # -- the newest build of a node --------------------------------------------------------------

    def latest(self, node: str) -> Record | None:
        """The record of a node's last build on this machine, whatever its key."""
        try:
            key = self._latest.read(_latest_name(node)).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return self.read(key) if is_key(key) else None

    def newest(self) -> set[Key]:
        """Keys of the last builds of all nodes that were built here."""
        keys = set[Key]()
        for name in _entries(self._latest):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                keys.add(Key(self._latest.read(name).decode().strip()))
        return keys

    def set_latest(self, node: str, key: Key) -> None:
        """Note the key of a node's last build. Raises ``LinkError``.

        ``node`` is ``NodeSpec.history_name``.
        """
        name = _latest_name(node)
        with contextlib.suppress(OSError):
            if self._latest.read(name) == key.encode():
                return
        try:
            self._latest.write(name, key.encode())
        except LinkError:
            raise
        except StagegraphError:
            pass  # only explanations need it

    def withdrawn_lock(self) -> contextlib.AbstractContextManager[None]:
        """The lock for a change of ``withdrawn`` that depends on records."""
        return self.locks.for_name("withdrawn")

    # -- writing ---------------------------------------------------------------------------------

    def commit(self, record: Record) -> None:
        """Verify and sync the image's blobs, then write the record with its signatures.

        A withdrawn key stays withdrawn. Signatures come first: a kill before the record leaves at worst an
        old record that its signer no longer vouches for.

        Raises ``StoreError`` if a blob is missing or corrupt, or if a newer version of this program wrote the
        record of this key.
        """
        self.prepare()
        with contextlib.suppress(StoreError):
            for digest, _ in images.image_blobs(self.blobs, record):
                self.blobs.make_readable(digest)
        if not images.is_intact(self.blobs, record):
            raise StoreError(
                str(self.root), f"the image of {record.node} is incomplete or damaged", "run again"
            )
        self.blobs.sync(digest for digest, _ in images.image_blobs(self.blobs, record))
        if not self._is_swept:  # once, in a run that writes: it lists all folders
            self._is_swept = True
            self.sweep()
        with self.index.changing(record.key):
            self.check_replaceable(record.key)
            self.signatures.add(record.key, self.judge.attributed(record.signatures))
            self.records.write(digits(record.key), self.document(record))

    def delete(self, key: Key) -> None:
        """Delete a record. The caller calls ``index.rebuild`` once, after the last."""
        with os_errors_on_write(self.records.path / digits(key)):
            self.records.remove(digits(key))
        self.signatures.remove(key)


def _read(folder: Folder, key: Key) -> Record | None:
    """The record of a key in the folder of records; None if it is missing or not valid."""
    try:
        data = folder.read(digits(key), bounded.MAX_STATE)
    except (FileNotFoundError, bounded.TooLargeError):
        return None
    except OSError as error:
        raise StoreError(str(folder.path / digits(key)), f"cannot be read: {error.strerror}") from None
    return records.parse(data, key)


def _latest_name(node: str) -> str:
    return node.replace(":", "--")


def _entries(folder: Folder) -> list[str]:
    with os_errors_on_read(folder.path):
        return folder.entries()
