"""Locks of a store, files below ``locks/``: many runs may use it at once, or one prune alone.

A lock ends with the process that holds it, however that ends. The files stay, but for those of nobody's keys,
which a prune removes while it is alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import StoreError
from ..files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

#: Mode of lock files: users who take turns in one store must not lock one another out.
_ANYBODY = 0o666


class Locks:
    """The locks of the store in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "locks"
        self._held: IO[bytes] | None = None
        self._lock = threading.Lock()  # around _held

    # -- use of the whole store ------------------------------------------------------------------

    def hold(self) -> None:
        """Let nobody remove anything from here on, until this object is no more.

        For a run: what it has found or made must be there when it comes back to it. Does nothing where the
        store cannot be written to, since nobody removes anything there.
        """
        with self._lock, contextlib.suppress(OSError, StoreError):
            if self._held is None:
                self._held = self._use(fcntl.LOCK_SH)
                weakref.finalize(self, self._held.close)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else uses the store for the time of the block; who comes later waits for its end.

        Raises ``StoreError`` where somebody does: blobs that a run has just brought have no record yet.
        """
        with writing(self.folder):
            try:
                file = self._use(fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(str(self.root), "a run is using it", "try again when that is done") from None
        with file:
            yield

    def _use(self, how: int) -> IO[bytes]:
        """The file whose lock stands for the store; closing it ends the lock."""
        self._prepare()
        path = self.folder / "use"
        try:
            file: IO[bytes] = path.open("ab")
        except PermissionError:  # another user's; a lock does not need more
            file = path.open("rb")
        with contextlib.suppress(OSError):
            os.fchmod(file.fileno(), _ANYBODY)
        try:
            fcntl.flock(file, how)
        except BaseException:
            file.close()
            raise
        return file

    # -- parts of it -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def named(self, name: str) -> Iterator[None]:
        """No other process is in a block of this name; waits as long as one is."""
        from filelock import FileLock

        self._prepare()
        with writing(self.folder / name):
            lock = FileLock(self.folder / name, mode=_ANYBODY)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A folder below ``tmp/`` for the time of the block, in which the store is not removed from."""
        with writing(self.folder):
            use = self._use(fcntl.LOCK_SH)
        with use:
            folder, lock = self._new_temporary()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
                Path(lock.lock_file).unlink(missing_ok=True)

    def _new_temporary(self) -> tuple[Path, FileLock]:
        """A new folder below ``tmp/`` and the lock of who uses it; what killed processes left goes."""
        from filelock import FileLock, Timeout

        parent = self.root / "tmp"
        with writing(parent), self.named("tmp"):
            parent.mkdir(exist_ok=True)
            for left in parent.iterdir():
                lock = FileLock(self.folder / f"tmp-{left.name}", mode=_ANYBODY)
                with contextlib.suppress(Timeout, OSError), lock.acquire(blocking=False):
                    shutil.rmtree(left, ignore_errors=True)
                    Path(lock.lock_file).unlink(missing_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent))
            lock = FileLock(self.folder / f"tmp-{folder.name}", mode=_ANYBODY)
            lock.acquire()
        return folder, lock

    def _prepare(self) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
