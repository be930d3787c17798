"""``cache/history``: one line for each run. Safe for several threads and processes at once.

``execution.history`` knows what is in a line. The file has at most ``MOST`` bytes: a longer one loses its
older half. A line whose end is missing (a killed process, a full disk) ends where the next one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..system.files import os_errors_on_read
from .folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from .locks import Locks

#: The size in bytes above which the older half is dropped.
MOST = 2_000_000

_NAME = "history"


class HistoryFile:
    """The history in the ``cache/`` of one project."""

    def __init__(self, root: Path, locks: Locks) -> None:
        self._folder, self._locks = Folder(root), locks

    @property
    def path(self) -> Path:
        """The path, for messages."""
        return self._folder.path / _NAME

    def lines(self) -> list[bytes]:
        """All lines, oldest first; none where there is no file. Raises ``StoreError``."""
        with os_errors_on_read(self.path):
            try:
                return self._folder.read(_NAME).splitlines()
            except FileNotFoundError:
                return []

    def append(self, line: bytes) -> None:
        """Add a line. Raises ``StoreError``."""
        with self._locks.for_name(_NAME):
            status = self._folder.status(_NAME)
            # by a hard link, as cp -l makes one, it is also a file elsewhere
            if status and (status.st_size > MOST or status.st_nlink > 1):
                self._folder.write(_NAME, _newest(self.lines()))
            self._folder.append(_NAME, line)


def _newest(lines: list[bytes]) -> bytes:
    """The last lines that have at most half of ``MOST`` bytes together."""
    kept, size = list[bytes](), 0
    for line in reversed(lines):
        size += len(line) + 1
        if size > MOST // 2:
            break
        kept.append(line + b"\n")
    return b"".join(reversed(kept))
