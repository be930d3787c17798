"""The differences between two images: layer by layer, file by file, and in their configuration.

Only ``compare`` and ``read_entries`` read blobs; the rest is pure.
"""

from __future__ import annotations

import datetime
import hashlib
import tarfile
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..output import printable
from ..system.text import shortened
from . import layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..oci.digest import Digest
    from ..store.layout import LayoutStore

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}


class LayerEntry(NamedTuple):
    """The entry of a layer for one path. ``content`` is the sha256 of a file's bytes, "" for other kinds."""

    kind: str
    content: str
    size: int
    mode: int
    owner: tuple[int, int]
    link: str
    time: float
    device: tuple[int, int]
    attributes: tuple[tuple[str, str], ...]


class Difference(NamedTuple):
    """One difference. ``layer`` counts from 1; it is None for a difference outside the layers.

    ``where`` is the instruction of the layer, ``configuration`` or ``manifest``. ``name`` is a path or a key
    there. ``change`` is one of added, removed, kind, content, mode, owner, link target, time, device,
    attributes, order, compression, value. ``detail`` is for people.
    """

    layer: int | None
    where: str
    name: str
    change: str
    detail: str


# -- files -----------------------------------------------------------------------------------------


def diff_entries(
    old: Mapping[str, LayerEntry], new: Mapping[str, LayerEntry], *, times: bool = True
) -> list[tuple[str, str, str]]:
    """The path, change and detail of every difference between two layers, sorted by path.

    Without ``times``, the time of a file is no difference.
    """
    differences: list[tuple[str, str, str]] = []
    for path in sorted({*old, *new}):
        was, now = old.get(path), new.get(path)
        if was is None or now is None:
            entry = was or now
            assert entry is not None
            differences.append((path, "removed" if now is None else "added", entry.kind))
        elif was != now:
            changes = _changes(was, now)
            differences += [(path, change, detail) for change, detail in changes if times or change != "time"]
    return differences


def _changes(was: LayerEntry, now: LayerEntry) -> Iterator[tuple[str, str]]:
    if was.kind != now.kind:
        yield "kind", f"{was.kind} -> {now.kind}"
    elif was.content != now.content:
        same = was.size == now.size
        yield "content", f"{was.size} bytes" if same else f"{was.size} -> {now.size} bytes"
    if was.mode != now.mode:
        yield "mode", f"{was.mode:04o} -> {now.mode:04o}"
    if was.owner != now.owner:
        yield "owner", "{}:{} -> {}:{}".format(*was.owner, *now.owner)
    if was.kind == now.kind and was.link != now.link:
        yield "link target", f"{was.link} -> {now.link}"
    if was.time != now.time:
        yield "time", f"{_moment(was.time)} -> {_moment(now.time)}"
    if was.kind == now.kind and was.device != now.device:
        yield "device", "{},{} -> {},{}".format(*was.device, *now.device)
    if was.attributes != now.attributes:
        names = {name for name, _ in {*was.attributes} ^ {*now.attributes}}
        yield "attributes", ", ".join(sorted(names))


def _moment(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def read_entries(path: Path) -> dict[str, LayerEntry]:
    """The entries of a layer's blob by absolute path. Raises ``StoreError`` if it is not a layer."""
    with layer.opened(path) as archive:
        # if a path occurs twice, the last entry counts, as when the layer is unpacked
        return {layer.path_in(item): _entry(archive, item) for item in archive}


def _entry(archive: tarfile.TarFile, item: tarfile.TarInfo) -> LayerEntry:
    file = archive.extractfile(item) if item.isreg() else None
    attributes = [(k, v) for k, v in item.pax_headers.items() if k.startswith("SCHILY.xattr.")]
    device = (item.devmajor, item.devminor) if item.isdev() else (0, 0)
    return LayerEntry(
        kind=_KINDS.get(item.type, repr(item.type)),
        content=_hash(file) if file else "",
        size=item.size,
        mode=item.mode,
        owner=(item.uid, item.gid),
        link=item.linkname,
        time=item.mtime,
        device=device,
        attributes=tuple(sorted(attributes)),
    )


def _hash(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


# -- configuration ---------------------------------------------------------------------------------


def flatten(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The names and values of all leaves of a JSON value: ``config.Env[2]``, ``'PATH=/bin'``."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{name}[{index}]")
    else:
        yield name, repr(value)


def diff_values(old: object, new: object) -> list[tuple[str, str, str]]:
    """The name, change and detail of every leaf that differs between two JSON values."""
    before, after = dict(flatten(old)), dict(flatten(new))
    differences = []
    for name in {**before, **after}:
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            differences.append((name, "removed" if now is None else "added", was or now or ""))
        elif was != now:
            differences.append((name, "value", f"{was} -> {now}"))
    return differences


# -- images ----------------------------------------------------------------------------------------


def compare(old_in: LayoutStore, old: Digest, new_in: LayoutStore, new: Digest) -> list[Difference]:
    """The differences of the image ``new`` to the image ``old``, both by digest. Raises ``StoreError``."""
    manifests = old_in.blobs.json(old), new_in.blobs.json(new)
    configs = (
        old_in.blobs.json(manifests[0]["config"]["digest"]),
        new_in.blobs.json(manifests[1]["config"]["digest"]),
    )
    layers = [_layers(manifest, config) for manifest, config in zip(manifests, configs, strict=True)]
    differences: list[Difference] = []
    instructions = instructions_of_layers(configs[1])
    for number, (was, now) in enumerate(zip_longest(*layers), 1):
        where = instructions[number - 1] if number <= len(instructions) else ""
        if was is None or now is None:
            change = "removed" if now is None else "added"
            differences.append(Difference(number, where, "", change, "the whole layer"))
        elif was != now:
            paths = old_in.blobs.path(was[0]), new_in.blobs.path(now[0])
            changes = _layer_changes(was[1] == now[1], *paths)
            differences += [Difference(number, where, *rest) for rest in changes]
    # the layers were compared above, file by file
    values = [_without(config, "rootfs") for config in configs]
    differences += [Difference(None, "configuration", *rest) for rest in diff_values(*values)]
    values = [_without(manifest, "layers", "config") for manifest in manifests]
    differences += [Difference(None, "manifest", *rest) for rest in diff_values(*values)]
    return [d._replace(name=printable(d.name), detail=printable(d.detail)) for d in differences]


def _layers(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[Digest, Digest]]:
    """The digests of each layer: as stored, and of its uncompressed content."""
    blobs = [layer["digest"] for layer in manifest["layers"] or ()]
    return list(zip(blobs, config["rootfs"]["diff_ids"] or (), strict=False))


def _layer_changes(same_content: bool, old: Path, new: Path) -> list[tuple[str, str, str]]:
    if same_content:
        return [("", "compression", "the same files, compressed differently")]
    differences = diff_entries(read_entries(old), read_entries(new))
    return differences or [("", "order", "the same files, stored differently")]


def instructions_of_layers(config: Mapping[str, Any]) -> list[str]:
    """The instruction of each layer, as far as the configuration's history tells."""
    history = config.get("history") or ()
    return [
        printable(shortened(str(h.get("created_by", "")), 100)) for h in history if not h.get("empty_layer")
    ]


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if name not in names}
