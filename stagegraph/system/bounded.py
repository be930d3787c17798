"""Bounds for what this program reads into memory from outside. Other sizes are bounded by a disk.

docs/reference/bounds.md lists them all and says what happens. They are far above what real projects have, so
that only something broken or hostile exceeds them. A cache entry that exceeds its bound counts as damaged.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

_MIB = 1 << 20

#: A manifest, an index, a record or a configuration (bytes); registries and containers/image have the same.
MAX_DOCUMENT = 4 * _MIB

#: What a registry answers to a look-up, or all tags of a repository.
MAX_ANSWER = 64 * _MIB

#: A file that a person writes: ``stages.toml``, a Dockerfile, ``.dockerignore``.
MAX_TEXT = 16 * _MIB

#: A file that this program writes for itself: the last run, the history, lists of verified blobs.
MAX_STATE = 64 * _MIB

#: A file that is read from the layers of an image, such as dpkg's database; and their sum.
MAX_PACKED = 64 * _MIB

MAX_PACKED_SUM = 512 * _MIB

#: An extended header of a tar, which names one file and its attributes.
MAX_TAR_HEADER = _MIB

#: A line of a builder or an engine, and a document of several lines.
MAX_LINE = 16 * _MIB

#: The messages of a program that are kept: the last of them.
MAX_MESSAGES = _MIB


class TooLargeError(OSError):
    """Something is larger than its bound. Its ``strerror`` says so; it is an error of reading, as others."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(errno.EFBIG, f"larger than {shown(limit)}, the limit here", name)

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}" if self.filename else str(self.strerror)


def shown(limit: int) -> str:
    """Return a bound for a message: ``4 MiB``."""
    return f"{limit // _MIB} MiB" if limit >= _MIB and limit % _MIB == 0 else f"{limit} bytes"


def read(file: IO[bytes], limit: int, name: str = "") -> bytes:
    """Read a file to its end. Raises ``TooLargeError``; then at most one byte more than the bound is read."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(name, limit)
    return data


def read_file(file: IO[bytes], limit: int, name: str = "") -> bytes:
    """Read a file of a disk to its end; one that is too large is not read at all."""
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        raise TooLargeError(name, limit)
    data = file.read(size + 1)  # Python makes room for as many bytes as are asked for
    return data if len(data) <= size else data + read(file, limit - len(data), name)


def read_path(path: Path, limit: int = MAX_TEXT) -> bytes:
    """Read the file of a path; links are followed. Raises ``OSError``, ``TooLargeError`` among them."""
    with path.open("rb") as file:
        return read_file(file, limit, str(path))


def read_text(path: Path, limit: int = MAX_TEXT, encoding: str = "utf-8") -> str:
    """Read a text with any line ends. Raises ``UnicodeDecodeError`` and the errors of ``read_path``."""
    text = read_path(path, limit).decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n")
