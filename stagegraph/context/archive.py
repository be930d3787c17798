"""The entries of a context -> the tar that the builder reads on standard input.

The same entries always give the same bytes. A file that changed since it was hashed is an error.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import IO, TYPE_CHECKING

from ..errors import ContextError
from .entry import READ_FLAGS, RUN_AGAIN, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .entry import Entry


def write_tar(
    entries: Iterable[Entry], folder: Path, extra: Mapping[str, bytes], epoch: int, out: IO[bytes]
) -> None:
    """Write the tar to ``out``: owner 0, modes 0755 or 0644, and the time ``epoch`` (seconds since 1970).

    ``extra`` are further files by path: the Dockerfile, if no source reaches it. Raises ``ContextError`` if a
    file that is not held in memory no longer has its digest.
    """
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for path, data in sorted(extra.items()):
            tar.addfile(_header(path, tarfile.REGTYPE, 0o644, epoch, len(data)), io.BytesIO(data))
        for entry in entries:
            if entry.kind == "dir":
                tar.addfile(_header(entry.path, tarfile.DIRTYPE, 0o755, epoch))
            elif entry.kind == "link":
                header = _header(entry.path, tarfile.SYMTYPE, 0o777, epoch)
                header.linkname = entry.link
                tar.addfile(header)
            else:
                mode = 0o755 if entry.kind == "exec" else 0o644
                _add_file(tar, entry, folder, _header(entry.path, tarfile.REGTYPE, mode, epoch, entry.size))


def _header(path: str, kind: bytes, mode: int, epoch: int, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime, info.size = kind, mode, epoch, size
    return info


class _Hashing:
    """A reader that hashes the bytes that are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha.update(data)
        return data


def _add_file(tar: tarfile.TarFile, entry: Entry, folder: Path, header: tarfile.TarInfo) -> None:
    if entry.data is not None:
        tar.addfile(header, io.BytesIO(entry.data))
        return
    changed = ContextError(f"{folder.name}/{entry.path}", "changed while it was being sent", RUN_AGAIN)
    path = os.fsencode(folder) + b"/" + encode(entry.path)
    try:
        source = os.fdopen(os.open(path, READ_FLAGS), "rb")
    except OSError:
        raise changed from None
    with source:
        reader = _Hashing(source)
        try:
            tar.addfile(header, reader)
        except OSError as error:
            if error.errno is None:  # tarfile's own error: the file is shorter than before
                raise changed from None
            raise
    if reader.sha.hexdigest() != entry.digest:
        raise changed
