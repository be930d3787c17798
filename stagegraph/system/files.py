"""Writing files so that no crash leaves half of one, and naming the disk when it is full."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiskFullError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says about writing to ``path`` into errors of this program."""
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
def reading(path: Path) -> Iterator[None]:
    """Turns what the system says about reading ``path`` into an error of this program."""
    try:
        yield
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise StoreError(str(path), what, "check whose it is, and its permissions") from error


def open_regular(path: Path | str, folder: int | None = None) -> io.BufferedReader:
    """A regular file, to be read; ``FileNotFoundError`` for a link, a FIFO and the like.

    ``folder`` is the descriptor of the folder that a relative path starts from.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # never waits for a FIFO's other end
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
    """Write under a temporary name, sync, rename. Readers see the old file or the whole new one."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def sync(folder: int) -> None:
    """The same for a folder's descriptor."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise


def near(path: Path) -> str:
    """A path as seen from the working folder, which for a run is the project's.

    For tools that take a word apart at ``:`` or ``@``, which a project's folder may have in its name.
    """
    return os.path.relpath(path)
