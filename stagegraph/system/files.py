"""Files that no crash leaves half written, and clear errors for files that cannot be read or written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiskFullError, ProjectError, StagegraphError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)

#: The name of a file while it is written.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")


def expanded(path: str) -> Path:
    """Return a path with its ``~`` or ``~USER`` replaced; a user without a home is an ordinary name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def of_path(error: OSError) -> StagegraphError:
    """Return the error of a user for one of the operating system that names a path."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if error.errno in _FULL:
        return DiskFullError(path, "no space left on its disk", "free some space and run again")
    return ProjectError(
        path, f"cannot be used: {error.strerror or error}", "check the path and its permissions"
    )


@contextlib.contextmanager
def os_errors_on_write(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into ``DiskFullError`` or ``StoreError``, as of writing ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            what = f"no space left on the disk of {path.parent}"
            raise DiskFullError(
                str(path), what, "free some space and run again; nothing finished is lost"
            ) from error
        what = f"cannot be written: {error.strerror or error}"
        raise StoreError(str(path), what, "check the folder's permissions") from error


@contextlib.contextmanager
def os_errors_on_read(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into ``StoreError``, as of reading ``path``."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> StoreError:
    """Return the error for a path that cannot be read."""
    what = f"cannot be read: {error.strerror or error}"
    return StoreError(str(path), what, "check its owner and its permissions")


#: Opening does not wait for the other end of a FIFO.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: Path | str, folder: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading. ``folder`` is the descriptor that a relative path starts from.

    Raises ``FileNotFoundError`` for a link, a FIFO or another special file, too.
    """
    try:
        handle = os.open(path, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise FileNotFoundError(errno.ENOENT, "no regular file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return io.BufferedReader(io.FileIO(handle))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old one or the whole new one; creates the folders around it.

    Deletes what killed processes have left of writing this file. Raises ``DiskFullError`` or ``StoreError``.
    """
    with os_errors_on_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sweep(folder, path.name)
            write_in(folder, path.name, data)
        finally:
            os.close(folder)


def write_in(folder: int, name: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file of an open folder under a temporary name, sync it, and rename it.

    ``folder`` is a descriptor. Raises ``OSError``; then the temporary file is deleted.
    """
    handle, temporary = _new_temporary(folder, name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    sync(folder)


def _new_temporary(folder: int, name: str) -> tuple[int, str]:
    """Create a file for writing ``name``, with a lock on it. Return its descriptor and its name.

    The kernel releases the lock if this process is killed. So ``sweep`` knows which files nobody writes.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for left in range(9, -1, -1):
        temporary = f".{name}.{secrets.token_hex(4)}"
        handle = os.open(temporary, flags, 0o600, dir_fd=folder)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink or not left:
            break
        os.close(handle)  # a sweep came before the lock
    return handle, temporary


def is_temporary(name: str, of: str = "") -> bool:
    """Return whether a file has a name that ``write_in`` gives while it writes ``of``, or any file."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and (not of or match[1] == of)


def sweep(folder: int, of: str = "") -> list[str]:
    """Delete files of an open folder that killed processes were writing. Return their names.

    ``folder`` is a descriptor. ``of``: only those that were to become the file of this name. A file that
    somebody is writing stays, and everything where the file system has no locks.
    """
    swept = list[str]()
    for name in os.listdir(folder):
        if name.startswith(".") and is_temporary(name, of):
            with contextlib.suppress(OSError), open_regular(name, folder) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=folder)
                swept.append(name)
    return swept


def sync(folder: int) -> None:
    """Make renames in a folder, given by its descriptor, survive a crash of the machine."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise


def relative_path(path: Path) -> str:
    """Return a path relative to the working folder, which during a run is the project's folder.

    For tools that split an argument at ``:`` or ``@``: the project's folder may have these in its name.
    """
    return os.path.relpath(path)
