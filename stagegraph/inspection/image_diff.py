"""The differences between two images as a user sees them: files, packages, configuration, sizes.

``diff`` compares layer by layer, to say why a rebuild has another digest. Here the layers of each image are
one file system first. Times of files, history and compression do not count. Only ``diff_images`` reads blobs.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..system.text import printable
from . import dpkg
from .diff import diff_entries, instructions_of_layers, read_entries
from .filesystem import merged
from .inventory import Inventory, read_inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..oci.digest import Digest
    from ..store.layout import LayoutStore
    from .diff import LayerEntry


class FileChange(NamedTuple):
    """One difference of one file.

    ``change`` is one of added, removed, kind, content, mode, owner, link target, device, attributes. A size
    (bytes) is None where the file is not there.
    """

    path: str
    change: str
    detail: str
    old_bytes: int | None
    new_bytes: int | None


class PackageChange(NamedTuple):
    """A package with other versions; "" where the image does not have it."""

    kind: Literal["debian", "python"]
    name: str
    old: str
    new: str


class ValueChange(NamedTuple):
    """A value of the configuration: ``env PATH``, ``label x``, ``Entrypoint``; None where it is not set."""

    name: str
    old: str | None
    new: str | None


class LayerPair(NamedTuple):
    """The layers of one place, from 1. A size is that of the files (bytes), None without a layer there."""

    number: int
    instruction: str
    same: bool
    old_bytes: int | None
    new_bytes: int | None


class ImageDiff(NamedTuple):
    """All differences. ``old_bytes`` and ``new_bytes`` are the sizes of all files of the images."""

    files: tuple[FileChange, ...]
    packages: tuple[PackageChange, ...]
    values: tuple[ValueChange, ...]
    layers: tuple[LayerPair, ...]
    old_bytes: int
    new_bytes: int

    @property
    def is_empty(self) -> bool:
        """Return whether the images have the same files, packages and configuration."""
        return not (self.files or self.packages or self.values)


class _Layer(NamedTuple):
    """A layer: the digest of its content, and its entries."""

    diff_id: Digest
    entries: Mapping[str, LayerEntry]

    @property
    def size(self) -> int:
        return _size(self.entries.values())


class _Image(NamedTuple):
    config: Mapping[str, Any]
    layers: list[_Layer]
    inventory: Inventory


def diff_images(old_in: LayoutStore, old: Digest, new_in: LayoutStore, new: Digest) -> ImageDiff:
    """Return the differences of the image ``new`` to the image ``old``, both by digest.

    Raises ``StoreError``.
    """
    known: dict[Digest, Mapping[str, LayerEntry]] = {}  # images often share layers
    was, now = _read(old_in, old, known), _read(new_in, new, known)
    files = [merged(layer.entries for layer in image.layers) for image in (was, now)]
    return ImageDiff(
        tuple(file_changes(*files)),
        tuple(package_changes(was.inventory, now.inventory)),
        tuple(value_changes(was.config, now.config)),
        tuple(_pairs(was, now)),
        *(_size(each.values()) for each in files),
    )


def _read(layout: LayoutStore, image: Digest, known: dict[Digest, Mapping[str, LayerEntry]]) -> _Image:
    manifest = layout.blobs.json(image)
    config = layout.blobs.json(manifest["config"]["digest"])
    blobs = [layer["digest"] for layer in manifest["layers"] or ()]
    layers = []
    for diff_id, blob in zip(config["rootfs"]["diff_ids"] or (), blobs, strict=False):
        if diff_id not in known:
            known[diff_id] = read_entries(layout.blobs.path(blob))
        layers.append(_Layer(diff_id, known[diff_id]))
    return _Image(config, layers, read_inventory(layout, manifest))


def _size(entries: Iterable[LayerEntry]) -> int:
    return sum(entry.size for entry in entries)


# -- pure --------------------------------------------------------------------------------------------


def file_changes(old: Mapping[str, LayerEntry], new: Mapping[str, LayerEntry]) -> list[FileChange]:
    """Return the differences between two file systems, sorted by path."""
    return [
        FileChange(
            printable(path),
            change,
            printable(detail),
            old[path].size if path in old else None,
            new[path].size if path in new else None,
        )
        for path, change, detail in diff_entries(old, new, times=False)
    ]


def package_changes(old: Inventory, new: Inventory) -> list[PackageChange]:
    """Return the packages whose versions differ, sorted by name. A name may have several versions."""
    debian = [
        _versions((f"{package.name}:{package.arch}", package.version) for package in each.debian)
        for each in (old, new)
    ]
    python = [_versions(each.python) for each in (old, new)]
    changes = [PackageChange("debian", *change) for change in dpkg.version_changes(*debian)]
    return [*changes, *(PackageChange("python", *change) for change in dpkg.version_changes(*python))]


def _versions(packages: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the versions by name."""
    found: dict[str, set[str]] = {}
    for name, version in packages:
        found.setdefault(printable(name), set()).add(printable(version))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def value_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ValueChange]:
    """Return the values of two configurations that differ: those that a container of the image has."""
    before, after = _values(old), _values(new)
    return [
        ValueChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _values(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a configuration by name, variables and labels each by its own."""
    runtime: Mapping[str, Any] = config.get("config") or {}
    found = {
        name: str(config[name]) for name in ("os", "architecture", "variant", "author") if config.get(name)
    }
    for name, value in runtime.items():
        if name == "Env":
            found |= {
                f"env {variable.partition('=')[0]}": variable.partition("=")[2] for variable in value or ()
            }
        elif name == "Labels":
            found |= {f"label {label}": text for label, text in (value or {}).items()}
        elif value not in (None, "", [], {}, False):
            found[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return {printable(name): printable(str(value)) for name, value in found.items()}


def _pairs(old: _Image, new: _Image) -> list[LayerPair]:
    """Return the layers of both images, place by place, with the newer image's instruction if it has one."""
    instructions = [instructions_of_layers(image.config) for image in (old, new)]
    pairs = []
    for number, (was, now) in enumerate(zip_longest(old.layers, new.layers), 1):
        told = [each[number - 1] for each in instructions if number <= len(each)]
        same = bool(was and now and was.diff_id == now.diff_id)
        old_bytes, new_bytes = (layer.size if layer else None for layer in (was, now))
        pairs.append(LayerPair(number, told[-1] if told else "", same, old_bytes, new_bytes))
    return pairs
