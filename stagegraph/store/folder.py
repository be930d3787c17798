"""Folders below ``cache/``, opened without following links.

CI services restore ``cache/``, and colleagues copy and share it, so do not trust its content. Each folder on
the way is opened by its own descriptor and must be a folder; a file must be a regular file. Every call works
on these descriptors (``openat(2)`` and the like, with ``O_NOFOLLOW``). So nobody can replace a file between a
check and its use. ``cache/`` itself may be a link: people keep it on another disk.

A folder is opened anew for each call, component by component, or once for many calls (``Folder.kept``). Both
are equally safe: a descriptor stays that of the folder that was checked, whatever takes its name later.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import LinkError
from ..system import bounded
from ..system.files import open_regular, os_errors_on_write, sweep, sync, write_in
from ..waits.flocks import flock

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

# opening never waits for the other end of a FIFO
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """The folder ``root/NAME/NAME``, which need not exist.

    Methods raise ``LinkError`` where a name is a link or no folder, and ``OSError`` for other errors. A file
    that is not a regular one counts as missing: reading it raises ``FileNotFoundError``, writing replaces it.
    """

    def __init__(self, root: Path, *names: str) -> None:
        self.root, self.names = root, names

    @property
    def path(self) -> Path:
        """The path, for messages and for tools that take one."""
        return self.root.joinpath(*self.names)

    def below(self, *names: str) -> Folder:
        """A folder in this one."""
        return Folder(self.root, *self.names, *names)

    @contextlib.contextmanager
    def opened(self, *, make: bool = False) -> Iterator[int]:
        """Open the folder for the time of the block; yield its descriptor. ``make``: create it if needed."""
        handle = self._enter(make=make)
        try:
            yield handle
        finally:
            self._leave(handle)

    def _enter(self, *, make: bool = False) -> int:
        """As ``opened``, which costs as much as a read of a small file; ``_leave`` ends it."""
        return _open(self, make)

    def _leave(self, handle: int) -> None:
        os.close(handle)

    @contextlib.contextmanager
    def kept(self) -> Iterator[KeptFolder]:
        """The same folder, for many calls by one thread: the first call of the block opens it for all.

        So a block is to be short. It works in the folder that it found first, even if another one takes its
        name meanwhile. A folder that is missing is looked for again by each call.
        """
        folder = KeptFolder(self)
        try:
            yield folder
        finally:
            folder.close()

    def make(self) -> None:
        """Create the folder and the folders around it; harmless when repeated."""
        with self.opened(make=True):
            pass

    # -- reading ---------------------------------------------------------------------------------

    def entries(self) -> list[str]:
        """The names of all entries, sorted; none where the folder is missing."""
        try:
            with self.opened() as handle:
                return sorted(os.listdir(handle))  # noqa: PTH208 - a descriptor
        except FileNotFoundError:
            return []

    def status(self, name: str) -> os.stat_result | None:
        """The status of an entry, of a link itself; None where there is none."""
        try:
            handle = self._enter()
        except FileNotFoundError:
            return None
        try:
            return os.stat(name, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            return None
        finally:
            self._leave(handle)

    def has_file(self, name: str) -> bool:
        """Return whether there is a regular file of this name."""
        status = self.status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def open(self, name: str) -> io.BufferedReader:
        """Open a regular file for reading."""
        handle = self._enter()
        try:
            return open_regular(name, handle)
        finally:
            self._leave(handle)

    def read(self, name: str, limit: int = bounded.MAX_STATE) -> bytes:
        """Read a regular file of at most ``limit`` bytes. Raises ``TooLargeError`` for a larger one."""
        with self.open(name) as file:
            return bounded.read_file(file, limit, name)

    def size(self, name: str) -> int:
        """Bytes of an entry, or of all files below it; 0 where it is missing. Links are not followed."""
        status = self.status(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return status.st_size if status else 0
        total = 0
        with contextlib.suppress(OSError), self.opened() as handle:
            for _, _, files, inner in os.fwalk(name, dir_fd=handle):
                for file in files:
                    with contextlib.suppress(OSError):
                        total += os.stat(file, dir_fd=inner, follow_symlinks=False).st_size
        return total

    # -- writing ---------------------------------------------------------------------------------

    def create(self, name: str, mode: int = 0o644) -> BinaryIO:
        """Create a file for writing without a buffer; replaces an entry of that name."""
        with os_errors_on_write(self.path / name), self.opened(make=True) as handle:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=handle)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, mode, dir_fd=handle)
            return os.fdopen(file, "wb", buffering=0)

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file so that readers see the old one or the whole new one; creates the folder.

        Raises ``DiskFullError`` or ``StoreError``.
        """
        with os_errors_on_write(self.path / name), self.opened(make=True) as handle:
            write_in(handle, name, data, mode)

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file, in one call; a line there that has no end gets one.

        An entry that is no regular file is replaced. Raises ``DiskFullError`` or ``StoreError``.
        """
        with os_errors_on_write(self.path / name), self.opened(make=True) as handle:
            file = _regular_file(handle, name, os.O_RDWR | os.O_APPEND)
            with os.fdopen(file, "rb+", buffering=0) as out:
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                out.write(b"\n" * torn + data)

    def sync(self) -> None:
        """Make renames in the folder survive a crash of the machine."""
        with self.opened() as handle:
            sync(handle)

    def move(self, name: str, to: Folder) -> None:
        """Move an entry to another folder, a link as itself."""
        with self.opened() as source, to.opened(make=True) as target:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)

    def rename(self, name: str, new: str) -> None:
        """Give an entry another name, in place of an entry of that name."""
        with self.opened() as handle:
            os.rename(name, new, src_dir_fd=handle, dst_dir_fd=handle)

    def set_time(self, name: str, nanoseconds: int) -> None:
        """Set when an entry was last changed, that of a link itself. Raises ``FileNotFoundError``."""
        with self.opened() as handle:
            os.utime(name, ns=(nanoseconds, nanoseconds), dir_fd=handle, follow_symlinks=False)

    def link(self, name: str, to: Folder, new: str) -> None:
        """Give a file a second name (a hard link) in another folder, in place of an entry of that name."""
        with self.opened() as source, to.opened(make=True) as target:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=target)
            os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Delete an entry and all below it, a link as itself; harmless where there is none."""
        with contextlib.suppress(FileNotFoundError), self.opened() as handle:
            if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=handle)
            else:
                os.unlink(name, dir_fd=handle)

    def sweep(self) -> list[str]:
        """Delete the files that killed processes were writing here. Return their names."""
        with contextlib.suppress(FileNotFoundError), self.opened() as handle:
            return sweep(handle)
        return []

    # -- locks -----------------------------------------------------------------------------------

    def lock(self, name: str, how: int, mode: int, what: str = "") -> BinaryIO:
        """Open the file ``name`` and lock it by ``flock(2)``; closing it releases the lock.

        A new file gets ``mode``. An entry that is no regular file is replaced. ``what`` tells those who wait
        what the lock is for. Raises the errors of ``waits.flocks.flock``.
        """
        with self.opened(make=True) as handle:
            file = _regular_file(handle, name, os.O_RDWR, or_read=True)
        try:
            with contextlib.suppress(OSError):  # another user's file
                if os.fstat(file).st_nlink == 1:  # by a hard link it may be somebody's file
                    os.fchmod(file, mode)
            flock(file, how, self.path / name, what)
        except BaseException:
            os.close(file)
            raise
        return os.fdopen(file, "rb")


class KeptFolder(Folder):
    """A folder that stays open for a block (``Folder.kept``). With ``make`` it is opened by its path."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder.root, *folder.names)
        self._kept: int | None = None

    def _enter(self, *, make: bool = False) -> int:
        if make:
            return super()._enter(make=True)
        if self._kept is None:
            self._kept = super()._enter()
        return self._kept

    def _leave(self, handle: int) -> None:
        if handle != self._kept:
            super()._leave(handle)

    @contextlib.contextmanager
    def kept(self) -> Iterator[KeptFolder]:
        """It is open already, for the outer block."""
        yield self

    def close(self) -> None:
        """End the block."""
        if self._kept is not None:
            os.close(self._kept)
        self._kept = None


def _open(folder: Folder, make: bool) -> int:
    """Open a folder, component by component. ``make``: create it if needed."""
    if make:
        folder.root.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.root, _FOLDER)
    try:
        for place, name in enumerate(folder.names):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            handle = _step(folder, handle, place, name)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _step(folder: Folder, handle: int, place: int, name: str) -> int:
    """Open the next folder in the one of ``handle``; then close ``handle``."""
    try:
        inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        path = folder.root.joinpath(*folder.names[: place + 1])
        with contextlib.suppress(OSError):
            if not stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                raise LinkError(str(path), "is not a folder", f"rm {path}, and run again") from None
        hint = f"rm {path}, and run again; cache/ itself may be a link to another place"
        raise LinkError(str(path), "is a link; links below cache/ are not followed", hint) from None
    os.close(handle)
    return inner


def _regular_file(folder: int, name: str, flags: int, *, or_read: bool = False) -> int:
    """Open a regular file; create it, also in place of another entry.

    ``or_read``: open another user's file for reading, which is enough for a lock.
    """
    for _ in range(100):
        try:
            try:
                file = os.open(name, flags | os.O_CREAT | _FILE, 0o666, dir_fd=folder)
            except PermissionError:
                if not or_read:
                    raise
                file = os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
            if stat.S_ISREG(os.fstat(file).st_mode):
                return file
            os.close(file)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO, errno.ENOENT):
                raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)  # a link, a FIFO, a socket
    raise OSError(errno.EBUSY, "somebody keeps replacing it", name)
