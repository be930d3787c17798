"""The blobs of an OCI image layout (``blobs/sha256/``): reading, adding, verification, quarantine.

Knows digests and sizes, but no images and no records. A blob whose content does not match its digest is moved
to ``damaged/``: tools that write a layout keep a file that has the blob's name already, without reading it.
Source of the form: OCI image specification, image-layout.md.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from ..errors import LinkError, StoreError
from ..oci import documents
from ..oci.digest import Digest, encoded, from_encoded, is_digest, sha256
from ..system import bounded
from ..system.files import os_errors_on_read, os_errors_on_write
from .folder import Folder
from .verified import FileStamp, VerifiedBlobs, is_settled, stamp

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    #: In a block of ``kept``: the blobs of images whose documents were read and checked there.
    _Described = dict[object, Sequence[tuple[Digest, int]]]


class BlobStore:
    """The blobs below one folder. Safe for several threads and processes at once."""

    def __init__(self, root: Path, origin: BlobStore | None = None) -> None:
        """``origin`` is the store whose blobs this one has by links that this program made."""
        self.root, self._origin = root, origin
        self.folder, self._damaged = Folder(root, "blobs", "sha256"), Folder(root, "damaged")
        self._layout = Folder(root)
        self.described: _Described | None = None
        self._verified = VerifiedBlobs(self._layout, self.has)

    def prepare(self) -> None:
        """Create the layout's folders and marker file; harmless when repeated.

        Raises ``LinkError`` where one of the folders is a link.
        """
        with os_errors_on_write(self.root / documents.LAYOUT_FILE):
            self.folder.make()
        with contextlib.suppress(OSError), (self.root / ".gitignore").open("x") as file:
            file.write("*\n")
        if not self._layout.has_file(documents.LAYOUT_FILE):
            self._layout.write(documents.LAYOUT_FILE, documents.LAYOUT)

    @contextlib.contextmanager
    def kept(self) -> Iterator[BlobStore]:
        """The same store, for one thread, whose folder stays open for the block (``Folder.kept``)."""
        store = copy.copy(self)
        store.described = {} if self.described is None else self.described
        with self.folder.kept() as store.folder:
            yield store

    # -- reading ---------------------------------------------------------------------------------

    def path(self, digest: Digest) -> Path:
        """The blob's path, for messages and for tools that take one."""
        if self._origin is not None and not self.folder.has_file(encoded(digest)):
            return self._origin.path(digest)
        return self.folder.path / encoded(digest)

    def open(self, digest: Digest) -> io.BufferedReader:
        """Open a blob for reading. Raises ``FileNotFoundError`` where it is missing or no regular file."""
        try:
            return self.folder.open(encoded(digest))
        except FileNotFoundError:
            if self._origin is None:
                raise
            return self._origin.open(digest)

    def size(self, digest: Digest) -> int:
        """Bytes of a blob."""
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def has(self, digest: Digest) -> bool:
        """Return whether there is a regular file for the blob, here or in the origin."""
        here = self.folder.has_file(encoded(digest))
        return here or (self._origin is not None and self._origin.has(digest))

    def is_missing(self, digest: Digest) -> bool:
        """Return whether a blob is neither here nor in quarantine."""
        name = encoded(digest)
        return not self.folder.has_file(name) and self._damaged.status(name) is None

    def json(self, digest: Digest) -> dict[str, Any]:
        """Read a manifest or a configuration. Raises ``StoreError`` where it is missing or no JSON object."""
        try:
            with self.open(digest) as file:
                value = _parsed(data := bounded.read_file(file, bounded.MAX_DOCUMENT))
        except OSError as error:
            raise self.unreadable(digest, error.strerror or str(error)) from None
        except (ValueError, RecursionError) as error:
            if sha256(data) != digest:
                self._quarantine(digest)
            raise self.unreadable(digest, str(error)) from None
        if not isinstance(value, dict):
            raise self.unreadable(digest, "not an object")
        return value

    def unreadable(self, digest: Digest, why: str) -> StoreError:
        """The error for a blob that cannot be used."""
        hint = "run again: the image is then pulled or built again"
        return StoreError(str(self.path(digest)), f"cannot be read: {why}", hint)

    def names(self) -> list[str]:
        """Names of all files in the folder of blobs, sorted. Raises ``StoreError``."""
        with os_errors_on_read(self.folder.path):
            return self.folder.entries()

    # -- verification ----------------------------------------------------------------------------

    def are_intact(self, blobs: Iterable[tuple[Digest, int]]) -> bool:
        """Return whether all these blobs are here, each with its digest and its size in bytes.

        A blob is read once. Later its file's size, times and inode must be what they were then. Corrupt blobs
        go to quarantine. Each item of ``blobs`` is verified before the next one is taken.
        """
        new: dict[Digest, FileStamp] = {}
        try:
            with self.folder.opened() as folder:
                # all of them, also after the first that is not: so one run finds all corrupt blobs
                sizes = ((_known_size(self._verified, folder, each[0]), *each) for each in blobs)
                intact = [(seen or self._verified_size(digest, new)) == size for seen, digest, size in sizes]
            return all(intact)
        except FileNotFoundError:
            # the folder of blobs is missing; an origin may have them
            intact = [self._verified_size(digest, new) == size for digest, size in blobs]
            return all(intact)
        finally:
            self._verified.add(new)

    def quarantine_corrupt(self) -> None:
        """Move every blob whose content does not match its digest to quarantine.

        Blobs that are known as verified are not read again.
        """
        new: dict[Digest, FileStamp] = {}
        for name in self.names():
            if is_digest(digest := from_encoded(name)):  # other names are files that somebody is writing
                self._verified_size(digest, new)
        self._verified.add(new)

    def _verified_size(self, digest: Digest, new: dict[Digest, FileStamp]) -> int | None:
        """Bytes of a blob whose content matches its digest; None for others.

        Adds the blob's stamp to ``new`` if it need not be read again. A blob with another size than its
        manifest says is not corrupt: the manifest is wrong.
        """
        try:
            with self.open(digest) as file:
                info = os.fstat(file.fileno())
                if not self._verified.has(digest, now := stamp(info)):
                    if hashlib.file_digest(file, "sha256").hexdigest() != encoded(digest):
                        self._quarantine(digest)
                        return None
                    if is_settled(info):
                        new[digest] = now
        except FileNotFoundError:
            if self.folder.status(encoded(digest)) is not None:
                self._quarantine(digest)  # a link, which a tool would take for the blob
            return None
        except OSError:
            return None
        return info.st_size

    def fault(self, digest: Digest, size: int) -> str:
        """Read a blob, whatever was verified before, and return what is wrong with it; "" for nothing.

        Corrupt blobs go to quarantine.
        """
        try:
            with self.open(digest) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != encoded(digest):
                    self._quarantine(digest)
                    return "does not match its digest (moved to cache/damaged/)"
                actual = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            if self.folder.status(encoded(digest)) is not None:
                self._quarantine(digest)
                return "is a link or a special file (moved to cache/damaged/)"
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return "" if actual == size else f"is {actual} bytes long, but the manifest says {size}"

    def _quarantine(self, digest: Digest) -> None:
        """Move a corrupt blob to ``damaged/``, a link as itself; replaces an older one of that name."""
        if self._origin is not None and not self.folder.has_file(encoded(digest)):
            self._origin._quarantine(digest)
            return
        with contextlib.suppress(OSError, LinkError):
            self._damaged.remove(encoded(digest))
            self.folder.move(encoded(digest), self._damaged)

    # -- writing ---------------------------------------------------------------------------------

    def add(self, data: bytes) -> tuple[Digest, int]:
        """Store small data, such as an index; return its digest and its size in bytes."""
        digest = sha256(data)
        if self._verified_size(digest, {}) != len(data):
            self.prepare()
            self.folder.write(encoded(digest), data)
        return digest, len(data)

    def make_readable(self, digest: Digest) -> None:
        """Give a blob the mode of other files. BuildKit's blobs have 0444: only root could copy over them.

        A blob that has another name (a hard link) may be somebody's file, and keeps its mode.
        """
        with contextlib.suppress(OSError), self.open(digest) as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o777 != 0o644 and status.st_nlink == 1:
                os.fchmod(file.fileno(), 0o644)

    def sync(self, digests: Iterable[Digest]) -> None:
        """Make these blobs survive a crash of the machine: their content, then their names."""
        for digest in digests:
            with os_errors_on_write(self.path(digest)), self.open(digest) as file:
                os.fsync(file.fileno())
        with os_errors_on_write(self.folder.path):
            self.folder.sync()


def _known_size(verified: VerifiedBlobs, folder: int, digest: Digest) -> int | None:
    """Bytes of a verified blob, by its status alone; None for others. ``folder`` is a descriptor."""
    try:
        info = os.stat(encoded(digest), dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    is_known = stat.S_ISREG(info.st_mode) and verified.has(digest, stamp(info))
    return info.st_size if is_known else None


def _parsed(data: bytes) -> Any:
    """Parse JSON as RFC 8259 has it: UTF-8, no NaN, each name once. Raises ``ValueError``.

    What Go does not take, or takes differently, is no JSON: engines are written in Go.
    """
    return _DECODER.decode(data.decode())


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_unique)
