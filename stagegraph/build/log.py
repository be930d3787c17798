"""The log of one build: a new file in ``cache/``, and its path for messages."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple


class Log(NamedTuple):
    """What the builder prints for one node: a new file, and its path for messages. Closed with the block."""

    path: Path
    file: BinaryIO

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
