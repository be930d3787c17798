"""A record: key -> image, with what went in. It *is* an OCI image index of one manifest.

The same bytes stand in ``cache/records`` and, pushed under the key's tag, in a registry; so a registry's tag
is believed only if what it holds says the key itself, and the image keeps its own digest everywhere.
Annotations hold the facts (https://github.com/opencontainers/image-spec/blob/main/image-index.md).

The entry of the image has one more annotation where the image has layers in zstd: skopeo 1.14 to 1.22 adds it
to an index that it copies, and refuses to copy an index without it where no digest may change (``entry``).
Nothing is read from it: records that were written before have none.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..keys import inputs as keys
from ..keys.inputs import Input
from ..keys.key import Key, digits
from ..oci import documents
from ..oci.digest import Digest, is_digest, sha256
from ..oci.platform import NO_PLATFORM, index_entry, joined, tag_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.platform import OciPlatform

SCHEMA = "1"

_PREFIX = "stagegraph."

_ZSTD_IMAGE = {"io.github.containers.compression.zstd": "true"}

#: The form of ``tag``. Not of lists of referrers, whose tags begin "sha256-".
TAG = re.compile(r"(?!sha256-)[a-z0-9._-]+-[0-9a-f]{64}")

# What a record says may come from a registry, and its node names files of the cache.
_NODE = re.compile(r"[a-z0-9][a-z0-9_.-]*:[a-z0-9][a-z0-9_.-]*")

_DOCKER = re.compile(r"linux/[a-z0-9_]+(/[a-z0-9_]+)?")


def tag(stage: str, docker: OciPlatform, key: Key) -> str:
    """What finds a record by its key: ``<stage>-<docker arch>-<key>``, 64 hexadecimal digits."""
    return f"{stage}-{tag_part(docker)}-{digits(key)}"


def _moment(text: str) -> datetime.datetime | None:
    """A time with its zone; None for what is none."""
    with suppress(ValueError):
        moment = datetime.datetime.fromisoformat(text)
        return moment if moment.tzinfo else None
    return None


@dataclass(frozen=True)
class Record:
    """``digest`` and ``size`` (bytes) are of the image's manifest. ``files`` and ``image`` are what a child
    can see of it: its file system, and that with its runtime configuration. ``packages`` are the versions
    (``NAME:ARCHITECTURE=VERSION``) that the distribution's archive gave, of a node that installs any.
    ``below`` are the images that it was made from, theirs included (``STAGE:PLATFORM=DIGEST``). ``cached``: a
    step came out of the builder's cache, so ``seconds`` are not what a build takes. ``machine`` is the OCI
    platform of the builder's machine and ``builder`` its version (``docker 28.5.2``, ``buildkit v0.29.0``),
    where these are known. ``recorded``: when the key was given to an image that was there (early cutoff);
    ``created`` is the image's own time."""

    key: Key
    node: str
    docker: OciPlatform
    digest: Digest
    size: int
    files: Digest
    image: Digest
    seconds: float
    created: str
    inputs: tuple[Input, ...]
    packages: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    cached: bool = False
    machine: OciPlatform = NO_PLATFORM
    recorded: str = ""
    builder: str = ""

    def under(self, key: Key, inputs: list[Input], node: str = "", recorded: str = "") -> Record:
        """The same image found by another key (early cutoff), for the same node or another."""
        return replace(self, key=key, inputs=tuple(inputs), node=node or self.node, recorded=recorded)

    @property
    def tag(self) -> str:
        """Its name in a registry and in the layout's index."""
        return tag(self.node.partition(":")[0], self.docker, self.key)

    @property
    def descriptor(self) -> dict[str, Any]:
        """Of the image's manifest (image-spec, "OCI Content Descriptors")."""
        return documents.descriptor(documents.MANIFEST, self.digest, self.size)

    @property
    def made(self) -> datetime.datetime | None:
        """When its image was made; None where the record does not say it as it should."""
        return _moment(self.created)

    @property
    def dated(self) -> datetime.datetime | None:
        """When its image was made, or found good for this key; None as for ``made``."""
        return _moment(self.recorded or self.created)

    @property
    def platform(self) -> dict[str, str]:
        """As an image index has it."""
        return index_entry(self.docker)

    def entry(self, manifest: Mapping[str, Any]) -> dict[str, object]:
        """The image in an index, written as skopeo writes it; ``manifest`` is the image's own.

        skopeo annotates the entry of an image of which any layer has zstd's media type (containers/image:
        copy/single.go, copyLayers; internal/manifest/oci_index.go, addCompressionAnnotations).
        """
        zstd = any(layer.get("mediaType") == documents.LAYER_ZSTD for layer in manifest.get("layers") or ())
        entry = {**self.descriptor, "platform": self.platform}
        return entry | ({"annotations": _ZSTD_IMAGE} if zstd else {})

    def to_bytes(self, manifest: Mapping[str, Any]) -> bytes:
        """The record as it is stored and pushed; ``manifest`` is the image's own."""
        annotations = {
            "schema": SCHEMA,
            "key": self.key,
            "node": self.node,
            "files": self.files,
            "image": self.image,
            "seconds": f"{self.seconds:.1f}",
            "created": self.created,
            "inputs": json.dumps([i if i.shown else i[:-1] for i in self.inputs], separators=(",", ":")),
        }
        for name, words in (("versions", self.packages), ("below", self.below)):
            if words:
                annotations[name] = json.dumps(words, separators=(",", ":"))
        if self.cached:
            annotations["cached"] = "1"
        for name in ("machine", "builder", "recorded"):
            if word := getattr(self, name):
                annotations[name] = word
        notes = {_PREFIX + name: value for name, value in annotations.items()}
        return documents.canonical(documents.index([self.entry(manifest)], notes))


def parse(data: bytes, key: Key) -> Record | None:
    """The record for ``key``, or None if ``data`` is not one that can be believed.

    Believed is a record of this schema that names the key itself and whose inputs hash to it.
    """
    try:
        index = json.loads(data)
        notes = {k.removeprefix(_PREFIX): v for k, v in index["annotations"].items() if k.startswith(_PREFIX)}
        if notes["schema"] != SCHEMA or notes["key"] != key:
            return None
        (manifest,) = index["manifests"]
        platform = manifest["platform"]
        record = Record(
            key=key,
            node=notes["node"],
            docker=joined(platform["os"], platform["architecture"], platform.get("variant", "")),
            digest=manifest["digest"],
            size=manifest["size"],
            files=notes["files"],
            image=notes["image"],
            seconds=float(notes["seconds"]),
            created=notes["created"],
            inputs=tuple(Input(*item) for item in json.loads(notes["inputs"])),
            packages=tuple(json.loads(notes.get("versions", "[]"))),
            below=tuple(json.loads(notes.get("below", "[]"))),
            cached="cached" in notes,
            machine=notes.get("machine", ""),
            recorded=notes.get("recorded", ""),
            builder=notes.get("builder", ""),
        )
        return record if _plausible(record) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _plausible(record: Record) -> bool:
    return (
        all(map(is_digest, (record.digest, record.files, record.image)))
        and type(record.size) is int
        and record.size > 0
        and math.isfinite(record.seconds)
        and isinstance(record.created, str)
        and all(isinstance(word, str) for word in (record.machine, record.recorded, record.builder))
        and _NODE.fullmatch(record.node) is not None
        and _DOCKER.fullmatch(record.docker) is not None
        and all(isinstance(part, str) for item in record.inputs for part in item)
        and all(isinstance(word, str) and "=" in word for word in (*record.packages, *record.below))
        and keys.digest(record.inputs) == record.key
    )


def content_digests(config: dict[str, Any]) -> tuple[Digest, Digest]:
    """What a child can see of an image, as two digests: its files, and those with its configuration.

    ``COPY --from`` sees files only; ``FROM`` inherits environment, labels, entry point, author and the like
    too. History and creation time are seen by neither. Raises ``StoreError`` for what is no configuration.
    """
    rootfs = config.get("rootfs")
    # an image of no layers has null there
    if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids", ""), list | None):
        raise StoreError("image", "its configuration lists no layers", "is the builder's version supported?")
    layers = rootfs["diff_ids"] or []
    runtime = config.get("config") or {}
    where = [config.get("os"), config.get("architecture"), config.get("variant"), config.get("author")]
    return sha256(documents.canonical(layers)), sha256(documents.canonical([layers, runtime, where]))
