"""``cache/prints/``: what commands have printed in images, by the digest of the image and the command.

So a command runs once for an image. The files are part of no key, and name no tag.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import LinkError
from ..oci.digest import Digest, encoded, from_encoded, sha256
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    Command = tuple[str, ...]


class OutputStore:
    """The outputs in the ``cache/`` of one project. Safe for several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root, "prints")

    def read(self, image: Digest, command: Command) -> str | None:
        """Return what a command printed in an image; None if it has not run, or the file cannot be read."""
        try:
            return self.folder.read(_name(image, command)).decode()
        except LinkError:
            raise
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, image: Digest, command: Command, output: str) -> None:
        """Record what a command printed in an image. Raises ``StoreError`` or ``DiskFullError``."""
        self.folder.write(_name(image, command), output.encode())

    def unneeded(self, images: Collection[Digest]) -> list[str]:
        """Return the names of the files that are not of one of these images."""
        return [name for name in self.folder.entries() if from_encoded(name.partition("-")[0]) not in images]


def _name(image: Digest, command: Command) -> str:
    return f"{encoded(image)}-{encoded(sha256(json.dumps(command).encode()))}"
