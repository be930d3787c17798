"""``cache/``: an OCI image layout plus records, readable by skopeo, crane and podman.

    cache/oci-layout, index.json, blobs/sha256/...   the layout
    cache/records/<key>                              one record a key, see ``record``
    cache/latest/<node>                              key of the node's last build, for explanations
    cache/verified.json                              blobs whose digest was checked, by size, time and inode
    cache/damaged/                                   blobs that failed the check, set aside
    cache/last-run.json                              what the last run did
    cache/tmp/, cache/locks/, cache/logs/
    cache/credential-helper.json                     for skopeo: whose helper knows the registry's login

Blobs are synced before the record that names them is written, so any prefix of a crash is a valid store. No
link below ``cache/`` is followed (``folder``), but for those in temporary folders that are made here. Tools
that write a layout get such a folder by its path, and look at ``cache/blobs`` through it: what they could
mistake for a blob has been checked, or set aside, before.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LinkError, StagegraphError, StoreError
from ..keys.key import Key, digits, from_digits, is_key
from ..oci import documents
from ..oci.digest import Digest, encoded, from_encoded, is_digest, sha256
from ..system.files import reading, writing
from . import record as records
from .folder import Folder
from .locks import Locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .record import Record

#: A blob that changed less than this long before it was read (nanoseconds) could change again within one tick
#: of the file system's clock, unseen by its times; so it is read once more the next time, as git does.
_TICK = 50_000_000

_Mark = list[int]

_Marks = dict[Digest, _Mark]  # size, times and inode of blobs that have been read, by digest


class LayoutStore:
    """The store in one folder. Safe for several threads and processes at once."""

    def __init__(self, root: Path, origin: LayoutStore | None = None) -> None:
        """``origin`` is the store whose blobs this one has by links that this program made."""
        self.root, self._origin = root, origin
        self.folder, self.blobs = Folder(root), Folder(root, "blobs", "sha256")
        self.records, self._latest = Folder(root, "records"), Folder(root, "latest")
        self._damaged = Folder(root, "damaged")
        self.locks = Locks(root)
        self._verified: _Marks | None = None
        self._lock = threading.Lock()  # around _verified

    # -- records ---------------------------------------------------------------------------------

    def find(self, key: Key) -> Record | None:
        record = self.read(key)
        return record if record is not None and self.check(record) else None

    def read(self, key: Key) -> Record | None:
        """The record alone, its blobs not looked at; for explanations."""
        try:
            data = self.records.read(digits(key))
        except FileNotFoundError:
            return None
        except OSError as error:
            path = self.records.path / digits(key)
            raise StoreError(str(path), f"cannot be read: {error.strerror}") from None
        return records.parse(data, key)

    def put(self, record: Record) -> None:
        """Check and sync the image's blobs, then write the record. Raises ``StoreError`` if a blob is bad."""
        self.prepare()
        with contextlib.suppress(StoreError):
            for digest in self.blobs_of(record):
                self._make_common(digest)
        if not self.check(record):
            raise StoreError(str(self.root), f"the image of {record.node} did not arrive whole", "run again")
        for digest, _ in self._image_blobs(record):
            with writing(self.blob(digest)), self.open_blob(digest) as file:
                os.fsync(file.fileno())
        with writing(self.blobs.path):
            self.blobs.sync()
        self.records.write(digits(record.key), self.document(record))
        self.rebuild_index()

    def document(self, record: Record) -> bytes:
        """The record as it is written, here and in a registry. Raises ``StoreError`` without its manifest."""
        return record.to_bytes(self.json(record.digest))

    def remember(self, node: str, key: Key) -> None:
        """Note that ``key`` is the newest of a node (``STAGE:PLATFORM``)."""
        name = node.replace(":", "--")
        with contextlib.suppress(OSError):
            if self._latest.read(name) == key.encode():
                return
        try:
            self._latest.write(name, key.encode())
        except LinkError:
            raise
        except StagegraphError:
            pass  # only explanations want it

    def latest(self, node: str) -> Record | None:
        """The last record of a node on this machine, whatever its key."""
        try:
            key = self._latest.read(node.replace(":", "--")).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return self.read(key) if is_key(key) else None

    def list(self) -> Iterator[Record]:
        for name in _entries(self.records):
            key = from_digits(name)
            if is_key(key) and (record := self.read(key)):
                yield record

    def newest(self) -> set[Key]:
        """Keys of the newest builds of all nodes that were made here."""
        keys = set[Key]()
        for name in _entries(self._latest):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                keys.add(Key(self._latest.read(name).decode().strip()))
        return keys

    def delete(self, key: Key) -> None:
        """Forget a record; ``rebuild_index`` is for the caller to call once, after the last."""
        with writing(self.records.path / digits(key)):
            self.records.remove(digits(key))

    def lacks(self, digest: Digest) -> bool:
        """Whether a blob is not here, and was not set aside as a bad one either."""
        name = encoded(digest)
        return not self.blobs.has_file(name) and self._damaged.status(name) is None

    # -- blobs -----------------------------------------------------------------------------------

    def blob(self, digest: Digest) -> Path:
        """The blob's path, for messages and for tools that take one."""
        if self._origin is not None and not self.blobs.has_file(encoded(digest)):
            return self._origin.blob(digest)
        return self.blobs.path / encoded(digest)

    def open_blob(self, digest: Digest) -> io.BufferedReader:
        """A blob, to be read. Raises ``FileNotFoundError`` where there is none, or no regular file."""
        try:
            return self.blobs.open(encoded(digest))
        except FileNotFoundError:
            if self._origin is None:
                raise
            return self._origin.open_blob(digest)

    def size(self, digest: Digest) -> int:
        """Bytes of a blob."""
        with self.open_blob(digest) as file:
            return os.fstat(file.fileno()).st_size

    def _is_here(self, digest: Digest) -> bool:
        here = self.blobs.has_file(encoded(digest))
        return here or (self._origin is not None and self._origin._is_here(digest))

    def json(self, digest: Digest) -> dict[str, Any]:
        """A manifest or configuration. Raises ``StoreError`` if it is not there or not a JSON object."""
        try:
            with self.open_blob(digest) as file:
                value = json.loads(data := file.read())
        except OSError as error:
            raise self._unreadable(digest, error.strerror or str(error)) from None
        except (ValueError, RecursionError) as error:
            if sha256(data) != digest:
                self._set_aside(digest)
            raise self._unreadable(digest, str(error)) from None
        if not isinstance(value, dict):
            raise self._unreadable(digest, "not an object")
        return value

    def _unreadable(self, digest: Digest, why: str) -> StoreError:
        return StoreError(
            str(self.blob(digest)), f"cannot be read: {why}", "run again; it will be fetched or rebuilt"
        )

    def check(self, record: Record) -> bool:
        """Whether every blob of the record's image is here with its own digest, and is what the record says.

        A blob is read once; later its size, time of change and inode must be what they were then. Bad
        blobs are set aside in ``damaged/``.
        """
        new: _Marks = {}
        try:
            intact = [self._intact(digest, size, new) for digest, size in self._image_blobs(record)]
            return all(intact) and records.content_digests(self.config(record)) == (
                record.files,
                record.image,
            )
        except StoreError:
            return False
        finally:
            self._remember_verified(new)

    def faults(self, record: Record, known: dict[Digest, str]) -> tuple[str, ...]:
        """What is wrong with the record's image; every blob is read, whatever was verified before.

        Bad blobs are set aside in ``damaged/``, so that the next run fetches or makes them anew. ``known``
        holds what was found of blobs before, "" of good ones: images share layers.
        """
        found: tuple[str, ...] = ()
        try:
            for digest, size in self._image_blobs(record):
                fault = known[digest] = known[digest] if digest in known else self._fault(digest, size)
                if fault:
                    found += (f"blob {digest} {fault}",)
                    if digest == record.digest:  # it alone says which blobs there should be
                        return found
            if not found and records.content_digests(self.config(record)) != (record.files, record.image):
                found += ("its record says other files or another configuration than its image has",)
        except StoreError as error:
            found += (f"{error.where} {error.what}",)
        return found

    def _fault(self, digest: Digest, size: int) -> str:
        try:
            with self.open_blob(digest) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != encoded(digest):
                    self._set_aside(digest)
                    return "has other content than its digest says (set aside in cache/damaged/)"
                actual = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            if self.blobs.status(encoded(digest)) is not None:
                self._set_aside(digest)
                return "is a link, or no regular file (set aside in cache/damaged/)"
            return "is not there"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return "" if actual == size else f"has {actual} bytes, not {size} as is claimed of it"

    def has_record(self, key: Key) -> bool:
        """Whether there is a record of this key, to be believed or not."""
        with reading(self.records.path):
            return self.records.has_file(digits(key))

    def config(self, record: Record) -> dict[str, Any]:
        """The image's configuration. Raises ``StoreError``."""
        return self.json(self.config_digest(record))

    def config_digest(self, record: Record) -> Digest:
        """Raises ``StoreError`` for a manifest that is none."""
        config = self.json(record.digest).get("config")
        if not isinstance(config, dict) or not is_digest(config.get("digest")):
            raise StoreError(record.node, "its manifest names no configuration", "run again; it is made anew")
        return Digest(config["digest"])

    def blobs_of(self, record: Record) -> tuple[Digest, ...]:
        """Digests of manifest, configuration, layers. Raises ``StoreError`` for a manifest that is none."""
        return tuple(digest for digest, _ in self._image_blobs(record))

    def _image_blobs(self, record: Record) -> Iterator[tuple[Digest, int]]:
        """Digest and size (bytes) of manifest, configuration and layers; the manifest is checked first.

        Raises ``StoreError`` for a manifest that is none: its digests become names of files.
        """
        yield record.digest, record.size
        manifest = self.json(record.digest)
        try:
            items = [
                (item["digest"], item["size"]) for item in (manifest["config"], *(manifest["layers"] or ()))
            ]
        except (KeyError, TypeError):
            raise self._unreadable(record.digest, "not an image's manifest") from None
        for digest, size in items:
            if not is_digest(digest) or type(size) is not int:
                raise self._unreadable(record.digest, f"names no blob: {digest!r}")
            yield digest, size

    def _intact(self, digest: Digest, size: int, new: _Marks) -> bool:
        """Whether a blob has this digest and size; adds it to ``new`` if that need not be looked at again."""
        try:
            with self.open_blob(digest) as file:
                info = os.fstat(file.fileno())
                mark = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]
                if not self._is_verified(digest, mark):
                    if hashlib.file_digest(file, "sha256").hexdigest() != encoded(digest):
                        self._set_aside(digest)
                        return False
                    if abs(time.time_ns() - max(info.st_mtime_ns, info.st_ctime_ns)) > _TICK:
                        new[digest] = mark
        except FileNotFoundError:
            if self.blobs.status(encoded(digest)) is not None:
                self._set_aside(digest)  # a link, which a tool would take for the blob
            return False
        except OSError:
            return False
        # a blob that is itself but has another size than was claimed is no damage; the claim is
        return info.st_size == size

    def sweep(self) -> None:
        """Set aside every blob that is not what its name says: who writes one does not look at what is there.

        What is known as verified is not read again.
        """
        new: _Marks = {}
        for name in _entries(self.blobs):
            if is_digest(digest := from_encoded(name)):  # else somebody is writing it
                self._intact(digest, 0, new)
        self._remember_verified(new)

    def _is_verified(self, digest: Digest, mark: _Mark) -> bool:
        with self._lock:
            if self._verified is None:
                self._verified = self._load_verified()
            return self._verified.get(digest) == mark

    def _load_verified(self) -> _Marks:
        try:
            value = json.loads(self.folder.read("verified.json"))
        except (OSError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def _remember_verified(self, new: _Marks) -> None:
        if not new:
            return
        with self._lock:
            # what other processes have verified meanwhile stays
            known = self._load_verified() | (self._verified or {}) | new
            self._verified = {digest: mark for digest, mark in known.items() if self._is_here(digest)}
            data = json.dumps(self._verified).encode()
            with contextlib.suppress(StagegraphError):  # a cache that cannot be written is only slower
                self.folder.write("verified.json", data)

    def _set_aside(self, digest: Digest) -> None:
        """Move a bad blob out of the way, a link as itself. An older one of that name goes."""
        if self._origin is not None and not self.blobs.has_file(encoded(digest)):
            self._origin._set_aside(digest)
            return
        with contextlib.suppress(OSError, LinkError):
            self._damaged.remove(encoded(digest))
            self.blobs.move(encoded(digest), self._damaged)

    def _make_common(self, digest: Digest) -> None:
        """Give a blob the mode of other files: nobody but root could copy over those of BuildKit, 0444.

        One that has another name (a hard link) may be somebody's file, and keeps its mode.
        """
        with contextlib.suppress(OSError), self.open_blob(digest) as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o777 != 0o644 and found.st_nlink == 1:
                os.fchmod(file.fileno(), 0o644)

    def add_blob(self, data: bytes) -> tuple[Digest, int]:
        """Store small data (an index); its digest and size."""
        digest = sha256(data)
        if not self._intact(digest, len(data), {}):
            self.prepare()
            self.blobs.write(encoded(digest), data)
        return digest, len(data)

    # -- layout ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the folders; harmless when repeated. Raises ``LinkError`` where one is a link."""
        with writing(self.root / documents.LAYOUT_FILE):
            self.blobs.make()
        with contextlib.suppress(OSError), (self.root / ".gitignore").open("x") as file:
            file.write("*\n")
        if not self.folder.has_file(documents.LAYOUT_FILE):
            self.folder.write(documents.LAYOUT_FILE, documents.LAYOUT)

    @contextlib.contextmanager
    def view(self, entries: Sequence[Mapping[str, Any]] = ()) -> Iterator[Path]:
        """A temporary layout that shares this one's blobs and has an ``index.json`` of its own.

        Tools that write or read a layout get one of these each, since each rewrites ``index.json`` and
        parallel writers would lose entries (containers/image#1028, oras#149).
        """
        self.prepare()
        with self.locks.temporary() as folder:
            with writing(folder):
                (folder / "blobs").symlink_to(Path("..", "..", "blobs"))
                (folder / documents.LAYOUT_FILE).write_bytes(documents.LAYOUT)
                (folder / "index.json").write_text(json.dumps(documents.index(entries)))
            yield folder

    @contextlib.contextmanager
    def inlet(self) -> Iterator[Path]:
        """A temporary layout for a tool to copy an image into; what came is in this one after the block.

        Layers that are here are there, by links. Manifests are not: skopeo writes them in place
        (containers/image, oci/layout/oci_dest.go, PutManifest), and a reader would see half of one.
        """
        self.prepare()
        with self.locks.temporary() as folder:
            blobs = folder / "blobs" / "sha256"
            with writing(folder):
                blobs.mkdir(parents=True)
                (folder / documents.LAYOUT_FILE).write_bytes(documents.LAYOUT)
                here = self.blobs.path.absolute()
                for name in self.blobs.entries():
                    if self.blobs.has_file(name) and not _is_json(self.blobs, name):
                        (blobs / name).symlink_to(here / name)
            try:
                yield folder
            finally:
                came = Folder(self.root, *folder.relative_to(self.root).parts, "blobs", "sha256")
                with writing(self.blobs.path):
                    for name in came.entries():
                        self._take(came, name)

    def _take(self, came: Folder, name: str) -> None:
        """Move in a blob that is not here. A layer has been read by the tool, but a manifest may be half."""
        if (
            not is_digest(digest := from_encoded(name))
            or not came.has_file(name)
            or self.blobs.has_file(name)
        ):
            return
        if not _is_json(came, name) or sha256(came.read(name)) == digest:
            came.move(name, self.blobs)

    @contextlib.contextmanager
    def scratch(self, images: Iterable[Record]) -> Iterator[LayoutStore]:
        """A temporary store that has these images already; what else comes into it goes with it.

        It has them by symbolic links: a hard link would change the times of the blobs, by which they are
        known as verified. Raises ``StoreError`` for an image that is not here.
        """
        self.prepare()
        with self.locks.temporary() as folder:
            store = LayoutStore(folder, origin=self)
            store.prepare()
            with writing(folder):
                for digest in {digest for record in images for digest, _ in self._image_blobs(record)}:
                    (store.blobs.path / encoded(digest)).symlink_to(self.blob(digest).absolute())
            yield store

    def rebuild_index(self) -> None:
        """Write ``index.json`` from the records whose manifests are here, under a lock."""
        with self.locks.named("index"):
            entries = [
                documents.named(record.descriptor, record.tag)
                for record in self.list()
                if self._is_here(record.digest)
            ]
            self.folder.write("index.json", json.dumps(documents.index(entries), indent=1).encode())

    def sizes(self, record: Record) -> int:
        """Bytes of the image's layers as stored."""
        return sum(layer["size"] for layer in (self.json(record.digest)["layers"] or ()))


def _name(digest: Digest) -> str:
    """The file's name of a blob, or of a record by its key."""
    return digest.removeprefix("sha256:")


def _entries(folder: Folder) -> list[str]:
    with reading(folder.path):
        return folder.entries()


def _is_json(folder: Folder, name: str) -> bool:
    """Whether a blob is a manifest, an index or a configuration, and no layer; False for what is gone."""
    with contextlib.suppress(OSError), folder.open(name) as file:
        return file.read(1) == b"{"
    return False
