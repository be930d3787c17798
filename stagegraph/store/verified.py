"""``verified.json``: which blobs have been read and hashed, so that the next run does not read them again.

A blob counts as verified while its file's size, times and inode are those that were noted.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING

from ..errors import StagegraphError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from ..oci.digest import Digest
    from .folder import Folder

_FILE = "verified.json"

#: A blob that changed less than this long before it was read (nanoseconds) could change again within one tick
#: of the file system's clock, and its times would not show it. So the next run reads it again, as git does.
_TICK = 50_000_000

#: Size, times and inode of a file, as JSON holds them.
FileStamp = list[int]


def stamp(info: os.stat_result) -> FileStamp:
    """The stamp of a file with this status."""
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]


def is_settled(info: os.stat_result) -> bool:
    """Return whether a change after now would change the file's times."""
    return abs(time.time_ns() - max(info.st_mtime_ns, info.st_ctime_ns)) > _TICK


class VerifiedBlobs:
    """The stamps in one store's ``verified.json``. Safe for threads; processes add to each other's stamps."""

    def __init__(self, folder: Folder, exists: Callable[[Digest], bool]) -> None:
        """``folder`` holds the file; stamps of blobs that do not exist any more are dropped."""
        self._folder, self._exists = folder, exists
        #: Never changed, only replaced by another dictionary: so reading needs no lock.
        self._stamps: dict[Digest, FileStamp] | None = None
        self._lock = threading.Lock()  # around writing _stamps

    def has(self, digest: Digest, stamp: FileStamp) -> bool:
        """Return whether the blob was verified when its file had this stamp."""
        if (stamps := self._stamps) is None:
            with self._lock:
                if self._stamps is None:
                    self._stamps = self._load()
                stamps = self._stamps
        return stamps.get(digest) == stamp

    def add(self, new: Mapping[Digest, FileStamp]) -> None:
        """Note that these blobs are verified. Does nothing where the store cannot be written."""
        if not new:
            return
        with self._lock:
            # keep what other processes have verified meanwhile
            stamps = {**self._load(), **(self._stamps or {}), **new}
            self._stamps = {digest: stamp for digest, stamp in stamps.items() if self._exists(digest)}
            with contextlib.suppress(StagegraphError):  # without the file, the next run is only slower
                self._folder.write(_FILE, json.dumps(self._stamps).encode())

    def _load(self) -> dict[Digest, FileStamp]:
        try:
            value = json.loads(self._folder.read(_FILE))
        except (OSError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}
