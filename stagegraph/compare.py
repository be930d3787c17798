"""Two images of a node -> what differs between them, layer by layer, file by file.

Layers are read as they are stored (OCI image specification: tar, with gzip or zstd around it).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader

    from .store.layout import LayoutStore

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "link",
    tarfile.DIRTYPE: "folder",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
}


class Image(NamedTuple):
    """A manifest's digest and the store that has its blobs."""

    layout: LayoutStore
    digest: str


@dataclass(frozen=True)
class File:
    """What a layer says of a path. ``time`` is in seconds since 1970; ``attributes`` are extended ones."""

    kind: str
    content: str
    mode: int
    owner: tuple[int, int]
    time: float
    target: str
    attributes: tuple[tuple[str, str], ...]


def differences(old: Image, new: Image) -> Iterator[str]:
    """Lines that say what differs; never none for images of different digests."""
    manifests = old.layout.json(old.digest), new.layout.json(new.digest)
    configs = [
        image.layout.json(manifest["config"]["digest"])
        for image, manifest in zip((old, new), manifests, strict=True)
    ]
    yield from _configuration(*configs)
    layers = [manifest["layers"] or () for manifest in manifests]
    for number, (before, after) in enumerate(zip_longest(*layers), 1):
        if before is None or after is None:
            yield f"layer {number}: only in the {'rebuilt' if before is None else 'recorded'} image"
        elif before["digest"] != after["digest"]:
            with _opened(old, before) as first, _opened(new, after) as second:
                lines = list(compare(read(first), read(second)))
            yield from (f"layer {number}: {line}" for line in lines or ["the same files, packed otherwise"])


def _configuration(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Differences of two image configurations, but for the layers, which are told file by file."""
    flat = [
        {k: v for k, v in config.items() if k not in ("config", "rootfs")} | (config.get("config") or {})
        for config in (old, new)
    ]
    for name in sorted(flat[0].keys() | flat[1].keys()):
        before, after = (json.dumps(config.get(name), sort_keys=True) for config in flat)
        if before != after:
            yield f"configuration: {name}: {before} -> {after}"


@contextmanager
def _opened(image: Image, layer: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    """A layer as a tar."""
    with image.layout.blob(layer["digest"]).open("rb") as file:
        if layer["mediaType"].endswith("zstd"):
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(file) as stream:
                yield stream
        elif layer["mediaType"].endswith("gzip"):
            import gzip

            with gzip.open(file) as stream:
                yield cast("IO[bytes]", stream)
        else:
            yield file


def read(stream: IO[bytes]) -> dict[str, File]:
    """Every path of a layer, with what is said of it."""
    found = {}
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            data = tar.extractfile(member) if member.isreg() else None
            content = hashlib.file_digest(cast("BufferedReader", data), "sha256").hexdigest() if data else ""
            attributes = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
            found[member.name.removeprefix("./")] = File(
                _KINDS.get(member.type, "other"),
                content,
                member.mode,
                (member.uid, member.gid),
                member.mtime,
                member.linkname,
                tuple(sorted(attributes.items())),
            )
    return found


def compare(old: Mapping[str, File], new: Mapping[str, File]) -> Iterator[str]:
    """A line for every path that is not the same in both: which of its properties differ."""
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before is None or after is None:
            yield f"{path}: only in the {'rebuilt' if before is None else 'recorded'} image"
            continue
        names = [f.name for f in fields(File) if getattr(before, f.name) != getattr(after, f.name)]
        if names:
            yield f"{path}: other {', '.join(names)}"
