"""Locks of a store, files below ``locks/``: many runs may use it at once, or one prune alone.

A lock ends with the process that holds it, however that ends. The files stay, but for those of nobody's keys,
which a prune removes while it is alone.
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
from .folder import Folder, flock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Mode of lock files: users who take turns in one store must not lock one another out.
_ANYBODY = 0o666


class Locks:
    """The locks of the store in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self._temporary = root, Folder(root, "locks"), Folder(root, "tmp")
        self._held: BinaryIO | None = None
        self._lock = threading.Lock()  # around _held

    # -- use of the whole store ------------------------------------------------------------------

    def shared(self) -> None:
        """Let nobody remove anything from here on, until this object is no more.

        For a run: what it has found or made must be there when it comes back to it. Does nothing where the
        store cannot be written to, since nobody removes anything there. Raises ``LinkError``.
        """
        with self._lock, contextlib.suppress(OSError):
            if self._held is None:
                self._held = self._use(fcntl.LOCK_SH)
                weakref.finalize(self, self._held.close)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else uses the store for the time of the block; who comes later waits for its end.

        Raises ``StoreError`` where somebody does: blobs that a run has just brought have no record yet.
        """
        with os_errors_on_write(self.folder.path):
            try:
                file = self._use(fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(str(self.root), "a run is using it", "try again when that is done") from None
        with file:
            yield

    def _use(self, how: int) -> BinaryIO:
        """The file whose lock stands for the store; closing it ends the lock."""
        return self.folder.lock("use", how, _ANYBODY)

    # -- parts of it -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def for_name(self, name: str) -> Iterator[None]:
        """No other process or thread is in a block of this name; waits as long as one is."""
        with os_errors_on_write(self.folder.path / name):
            lock = self.folder.lock(name, fcntl.LOCK_EX, _ANYBODY)
        with lock:
            yield

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """A folder below ``tmp/`` for the time of the block, in which the store is not removed from."""
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
        """A new folder below ``tmp/`` and its descriptor, which holds a lock of it.

        What killed processes left goes: nobody has a lock of it any more.
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
            flock(handle, fcntl.LOCK_EX)
        return name, handle


def _remove_left(parent: int, name: str) -> None:
    """Remove an entry of ``tmp/`` that nobody uses; a link as itself."""
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
