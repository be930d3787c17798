"""Files that no crash leaves half written, and clear errors for files that cannot be read or written."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiskFullError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)


def expanded(path: str) -> Path:
    """Return a path with its ``~`` or ``~USER`` replaced; a user without a home is an ordinary name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


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
        what = f"cannot be read: {error.strerror or error}"
        raise StoreError(str(path), what, "check its owner and its permissions") from error


def open_regular(path: Path | str, folder: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading. ``folder`` is the descriptor that a relative path starts from.

    Raises ``FileNotFoundError`` for a link, a FIFO or another special file, too.
    """
    flags = (
        os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    )  # does not wait for the other end of a FIFO
    try:
        handle = os.open(path, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise FileNotFoundError(errno.ENOENT, "no regular file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return os.fdopen(handle, "rb")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old one or the whole new one; creates the folders around it.

    Raises ``DiskFullError`` or ``StoreError``.
    """
    with os_errors_on_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_in(folder, path.name, data)
        finally:
            os.close(folder)


def write_in(folder: int, name: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file of an open folder under a temporary name, sync it, and rename it.

    ``folder`` is a descriptor. Raises ``OSError``; then the temporary file is deleted.
    """
    temporary = f".{name}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
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
