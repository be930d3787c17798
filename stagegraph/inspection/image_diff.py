"""The differences between two images as a user sees them: files, packages, configuration, sizes.

``diff`` compares layer by layer, to say why a rebuild has another digest. Here the layers of each image are
one file system first. Times of files, history and compression do not count. Only ``diff_images`` reads blobs.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..output import printable
from . import dpkg
from .diff import diff_entries, instructions_of_layers, read_entries
from .filesystem import merged
from .inventory import Inventory, read_inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    """A layer of each image, by its number from 1; None if only the other image has it.

    ``instruction`` is that of the newer image, if it has this layer. A size is that of the files (bytes).
    """

    old_layer: int | None
    new_layer: int | None
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


class Layer(NamedTuple):
    """A layer: the digest of its content, its entries, and the instruction that made it, if it is known."""

    diff_id: Digest
    entries: Mapping[str, LayerEntry]
    instruction: str

    @property
    def size(self) -> int:
        """Return the bytes of its files."""
        return _size(self.entries.values())


class _Image(NamedTuple):
    config: Mapping[str, Any]
    layers: list[Layer]
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
        tuple(layer_pairs(was.layers, now.layers)),
        *(_size(each.values()) for each in files),
    )


def _read(layout: LayoutStore, image: Digest, known: dict[Digest, Mapping[str, LayerEntry]]) -> _Image:
    manifest = layout.blobs.json(image)
    config = layout.blobs.json(manifest["config"]["digest"])
    blobs = [layer["digest"] for layer in manifest["layers"] or ()]
    instructions = instructions_of_layers(config)
    layers = []
    for place, (diff_id, blob) in enumerate(zip(config["rootfs"]["diff_ids"] or (), blobs, strict=False)):
        if diff_id not in known:
            known[diff_id] = read_entries(layout.blobs.path(blob))
        told = instructions[place] if place < len(instructions) else ""
        layers.append(Layer(diff_id, known[diff_id], told))
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


def layer_pairs(old: Sequence[Layer], new: Sequence[Layer]) -> list[LayerPair]:
    """Return the layers of both images side by side.

    Two layers stand in one pair if they have the same content, or else the same instruction, or else the same
    place between such layers. So one more layer does not make all layers after it differ.
    """
    shared = {layer.diff_id for layer in old} & {layer.diff_id for layer in new}
    before, after = (
        [x.diff_id if x.diff_id in shared else x.instruction for x in each] for each in (old, new)
    )
    pairs: list[LayerPair] = []
    for _, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for was, now in zip_longest(range(i, i_end), range(j, j_end)):
            first, second = None if was is None else old[was], None if now is None else new[now]
            pairs.append(
                LayerPair(
                    None if was is None else was + 1,
                    None if now is None else now + 1,
                    next(layer.instruction for layer in (second, first) if layer),
                    bool(first and second and first.diff_id == second.diff_id),
                    first.size if first else None,
                    second.size if second else None,
                )
            )
    return pairs
