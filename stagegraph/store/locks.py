"""Locks of a store, files below ``locks/``: many runs use the store at once, or one prune alone.

The kernel releases a lock when its process ends, also when it is killed. The files stay; a prune deletes
those of keys that no record has.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import threading
import weakref
from typing import TYPE_CHECKING, BinaryIO

from ..errors import LinkError, StoreError
from ..system.files import os_errors_on_write
from ..waits.flocks import flock, holders
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Mode of lock files: users who share a store must be able to open each other's.
_ANYBODY = 0o666


class Locks:
    """The locks of the store in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self._temporary = root, Folder(root, "locks"), Folder(root, "tmp")
        self._held: BinaryIO | None = None
        self._lock = threading.Lock()  # around _held

    # -- use of the whole store ------------------------------------------------------------------

    def shared(self) -> None:
        """Take a shared lock of the store until this object is deleted; no prune can run meanwhile.

        For a run: the images that it has found or built must stay. Does nothing where the store cannot be
        written, since nobody deletes anything there. Raises ``LinkError``.
        """
        with self._lock, contextlib.suppress(OSError):
            if self._held is None:
                self._held = self._use(fcntl.LOCK_SH)
                weakref.finalize(self, self._held.close)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Use the store alone for the time of the block; other processes wait for its end.

        Raises ``StoreError`` where somebody else uses it: a run may have blobs that have no record yet.
        """
        with os_errors_on_write(self.folder.path):
            try:
                file = self._use(fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._in_use() from None
        with file:
            yield

    def _in_use(self) -> StoreError:
        with self.folder.open("use") as file:
            found = holders(file.fileno())
        who = f"a run is using it{': ' if found else ''}{' and '.join(map(str, found))}"
        stopped = " ".join(str(each.pid) for each in found if each.is_stopped)
        hint = "try again when the run has ended"
        return StoreError(
            str(self.root), who, f"{hint}; it is stopped: kill -CONT {stopped}" if stopped else hint
        )

    def _use(self, how: int) -> BinaryIO:
        """Lock the store. Closing the file releases the lock."""
        return self.folder.lock("use", how, _ANYBODY, "doit prune uses the store alone")

    # -- parts of it -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def for_name(self, name: str, what: str = "") -> Iterator[None]:
        """Wait until no other process or thread is in a block of this name, then enter it.

        ``what`` tells those who wait what is done in the block. Raises ``LockedError``.
        """
        with os_errors_on_write(self.folder.path / name):
            lock = self.folder.lock(name, fcntl.LOCK_EX, _ANYBODY, what)
        with lock:
            yield

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A folder below ``tmp/`` for the time of the block. No prune can run meanwhile."""
        with os_errors_on_write(self.folder.path):
            use = self._use(fcntl.LOCK_SH)
        with use:
            name, lock = self._new_temporary()
            try:
                yield self._temporary.path / name
            finally:
                with contextlib.suppress(OSError, LinkError), self._temporary.opened() as parent:
                    shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
                os.close(lock)

    def _new_temporary(self) -> tuple[str, int]:
        """Create a folder below ``tmp/``; return its name and its descriptor, which has a lock of it.

        Deletes the folders of killed processes: nobody has a lock of them any more.
        """
        with (
            os_errors_on_write(self._temporary.path),
            self.for_name("tmp"),
            self._temporary.opened(make=True) as parent,
        ):
            for left in os.listdir(parent):  # noqa: PTH208 - a descriptor
                _remove_left(parent, left)
            name = secrets.token_hex(6)
            os.mkdir(name, 0o700, dir_fd=parent)
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            flock(handle, fcntl.LOCK_EX, self._temporary.path / name)
        return name, handle


def _remove_left(parent: int, name: str) -> None:
    """Delete an entry of ``tmp/`` that nobody uses; a link as itself."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
        finally:
            os.close(handle)
