"""The blob of a layer as a tar, with any compression (image-spec, "Image Layer Filesystem Changeset")."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from ..errors import StoreError
from ..system import bounded
from ..system.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Headers about the entry that follows, or about all of them: those of pax(1), and long names of GNU tar.
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The layer, to be read once from start to end. Raises ``StoreError`` if the file is not a layer."""
    try:
        with _plain(path) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Item) as archive:
            yield archive
    except (OSError, EOFError, tarfile.TarError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


class _Item(tarfile.TarInfo):
    """An entry of a tar. An extended header, which tarfile reads into memory, has a bounded size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Go on behind the first block of an entry. tarfile lets subclasses override this in all versions."""
        if self.type in _HEADERS and self.size > bounded.MAX_TAR_HEADER:
            raise bounded.TooLargeError("a header", bounded.MAX_TAR_HEADER)
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def text(file: IO[bytes], path: str) -> str:
    """Read a text of a layer. Raises ``TooLargeError``, which ``opened`` turns into ``StoreError``."""
    return bounded.read(file, bounded.MAX_PACKED, path).decode(errors="replace")


def path_in(item: tarfile.TarInfo) -> str:
    """The absolute path of an entry of a layer: ``/etc/passwd``."""
    return "/" + item.name.strip("/").removeprefix("./")


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(str(path), f"cannot be read as a layer: {error}", "check cache/: doit verify")


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    import zstandard

    with open_regular(path) as file:
        start = file.read(4)
        file.seek(0)
        if start == _ZSTD:
            try:
                with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader:
                    yield io.BufferedReader(reader)
            except zstandard.ZstdError as error:
                raise _unreadable(path, error) from None
        elif start[:2] == _GZIP:
            import gzip

            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield file
