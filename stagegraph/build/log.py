"""The log of one build: a new file below ``cache/logs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from ..keys.spec import NodeSpec
    from ..store.folder import Folder


class Log(NamedTuple):
    """A log, open for writing until the end of the block. ``path`` is for messages."""

    path: Path
    file: BinaryIO

    @classmethod
    def create(cls, folder: Folder, spec: NodeSpec) -> Log:
        """Create the log of a node, in place of that of its last build."""
        name = f"{spec.history_name.replace(':', '--')}.log"
        return cls(folder.path / name, folder.create(name))

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
