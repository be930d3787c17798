"""Records: the image of a key, and everything that determined it. A record *is* an OCI image index.

The index has one manifest, that of the image, and says the rest in annotations (OCI image specification,
image-index.md). The same bytes are in ``cache/records`` and, under the key's tag, in a registry; there one
more annotation holds the record's signatures (``signatures``). The record names its key, so a tag in a
registry is believed only if the record under it names the right key. The image has the same digest
everywhere.

If the image has layers in zstd, its entry has one more annotation. skopeo 1.14 to 1.22 adds the annotation to
an index that it copies, and refuses to copy an index without it if no digest may change (``Record.entry``).
Nothing reads the annotation; older records do not have it.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from contextlib import suppress
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StoreError
from ..keys import inputs as keys
from ..keys.inputs import Input
from ..keys.key import Key, digits
from ..oci import documents
from ..oci.digest import Digest, is_digest, sha256
from ..oci.platform import NO_PLATFORM, index_entry, joined, tag_part
from ..system import checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..oci.platform import OciPlatform

SCHEMA = "1"

_PREFIX = "stagegraph."

_ZSTD_IMAGE = {"io.github.containers.compression.zstd": "true"}

#: The form of ``tag``. Tags of lists of referrers begin with "sha256-" and do not match.
TAG = re.compile(r"(?!sha256-)[a-z0-9._-]+-[0-9a-f]{64}")

# A record may come from a registry, and its node becomes the name of a file in the cache.
_NODE = re.compile(r"[a-z0-9][a-z0-9_.-]*:[a-z0-9][a-z0-9_.-]*")

_DOCKER = re.compile(r"linux/[a-z0-9_]+(/[a-z0-9_]+)?")


def tag(stage: str, docker: OciPlatform, key: Key) -> str:
    """The tag of a record in a registry: ``STAGE-ARCHITECTURE-DIGITS``, with the digits of its key.

    ``project.tags`` decides the final tags of images.
    """
    return f"{stage}-{tag_part(docker)}-{digits(key)}"


def _moment(text: str) -> datetime.datetime | None:
    """Parse a time with its zone; return None for other text."""
    with suppress(ValueError):
        moment = datetime.datetime.fromisoformat(text)
        return moment if moment.tzinfo else None
    return None


class Record(NamedTuple):
    """A key, the image that it finds, and everything that determined the image.

    ``digest`` and ``size`` (bytes) are those of the image's manifest. ``files`` and ``image`` are digests of
    what a child can see of the image: its files, and its files with its runtime configuration
    (``content_digests``). ``seconds`` is the time of the build.

    ``packages`` are the versions of installed packages (``NAME:ARCHITECTURE=VERSION``), if the build
    installed any. ``materials`` are the images that the build used, and the materials of those
    (``STAGE:PLATFORM=DIGEST``). ``cached``: a step came out of the builder's cache, so ``seconds`` is less
    than a whole build takes. ``machine`` is the OCI platform of the builder's machine, and ``builder`` the
    builder's version (``docker 28.5.2``, ``buildkit v0.29.0``); both "" if not known.

    ``created`` is the image's own time. ``recorded`` is the time when an image that existed got this key
    (early cutoff). ``signatures`` are Sigstore bundles, where somebody looked for them (``signatures``).
    """

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
    materials: tuple[str, ...] = ()
    cached: bool = False
    machine: OciPlatform = NO_PLATFORM
    recorded: str = ""
    builder: str = ""
    signatures: tuple[str, ...] = ()

    def with_key(self, key: Key, inputs: list[Input], node: str = "", recorded: str = "") -> Record:
        """The record of the same image under another key (early cutoff), for this node or another one."""
        named = node or self.node
        return self._replace(key=key, inputs=tuple(inputs), node=named, recorded=recorded, signatures=())

    @property
    def tag(self) -> str:
        """The record's tag in a registry, and the image's name in the layout's index."""
        return tag(self.node.partition(":")[0], self.docker, self.key)

    @property
    def descriptor(self) -> dict[str, Any]:
        """The descriptor of the image's manifest (OCI image specification, descriptor.md)."""
        return documents.descriptor(documents.MANIFEST, self.digest, self.size)

    @property
    def image_created(self) -> datetime.datetime | None:
        """The time when the image was built; None if ``created`` is no time with a zone."""
        return _moment(self.created)

    @property
    def recorded_or_created(self) -> datetime.datetime | None:
        """The time when the image got this key, else when it was built; None as for ``image_created``."""
        return _moment(self.recorded or self.created)

    @property
    def platform(self) -> dict[str, str]:
        """The platform as an image index has it."""
        return index_entry(self.docker)

    def entry(self, manifest: Mapping[str, Any]) -> dict[str, object]:
        """The image's entry in an index, as skopeo writes it; ``manifest`` is that of the image.

        skopeo annotates the entry if any layer has the media type of zstd (containers/image: copy/single.go,
        copyLayers; internal/manifest/oci_index.go, addCompressionAnnotations).
        """
        zstd = any(layer.get("mediaType") == documents.LAYER_ZSTD for layer in manifest.get("layers") or ())
        entry = {**self.descriptor, "platform": self.platform}
        return entry | ({"annotations": _ZSTD_IMAGE} if zstd else {})

    def to_bytes(self, manifest: Mapping[str, Any], signatures: Sequence[str] = ()) -> bytes:
        """The record as it is stored, or pushed with these signatures; ``manifest`` is that of the image."""
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
        for name, words in (("versions", self.packages), ("below", self.materials)):
            if words:
                annotations[name] = json.dumps(words, separators=(",", ":"))
        if signatures:
            annotations["signatures"] = json.dumps(signatures, separators=(",", ":"))
        if self.cached:
            annotations["cached"] = "1"
        for name in ("machine", "builder", "recorded"):
            if word := getattr(self, name):
                annotations[name] = word
        notes = {_PREFIX + name: value for name, value in annotations.items()}
        return documents.canonical(documents.index([self.entry(manifest)], notes))


def parse(data: bytes, key: Key) -> Record | None:
    """Parse the record of ``key``; return None if ``data`` is not a record or cannot be believed.

    A record is believed if it has this schema, names the key, and has inputs that hash to the key.
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
            inputs=tuple(starmap(Input, json.loads(notes["inputs"]))),
            packages=tuple(json.loads(notes["versions"])) if "versions" in notes else (),
            materials=tuple(json.loads(notes["below"])) if "below" in notes else (),
            cached="cached" in notes,
            machine=notes.get("machine", ""),
            recorded=notes.get("recorded", ""),
            builder=notes.get("builder", ""),
            signatures=_list(notes.get("signatures")),
        )
        return record if _plausible(record) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def is_newer(data: bytes) -> bool:
    """Return whether this is a record that a newer version of this program wrote, in a schema of its own."""
    try:
        schema = json.loads(data)["annotations"][f"{_PREFIX}schema"]
        return schema.isascii() and schema.isdecimal() and len(schema) < 10 and int(schema) > int(SCHEMA)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_name(value: str) -> bool:
    """Return whether a value is a text, or a name of a file with bytes that are not UTF-8 (PEP 383)."""
    with suppress(UnicodeEncodeError):
        value.encode("utf-8", "surrogateescape")
        return True
    return False


def _is_text(value: object) -> bool:
    """Return whether a value is a text that every output can hold (``checked.text``)."""
    try:
        checked.text(value)
    except (TypeError, ValueError):
        return False
    return True


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text is not None else ()


def _plausible(record: Record) -> bool:
    return (
        all(map(is_digest, (record.digest, record.files, record.image)))
        and type(record.size) is int
        and record.size > 0
        and math.isfinite(record.seconds)
        and all(map(_is_text, (record.created, record.machine, record.recorded, record.builder)))
        and _NODE.fullmatch(record.node) is not None
        and _DOCKER.fullmatch(record.docker) is not None
        and set(map(type, parts := tuple(chain.from_iterable(record.inputs)))) <= {str}
        and _is_name("".join(parts))
        and all(isinstance(text, str) for text in record.signatures)
        and all(_is_text(word) and "=" in word for word in (*record.packages, *record.materials))
        and keys.digest(record.inputs) == record.key
    )


def content_digests(config: dict[str, Any]) -> tuple[Digest, Digest]:
    """Digests of what a child can see of an image: its files, and its files with its configuration.

    ``COPY --from`` sees files only. ``FROM`` also inherits environment, labels, entry point, author and so
    on. Neither sees history and creation time. Raises ``StoreError`` for something that is no configuration.
    """
    rootfs = config.get("rootfs")
    # null for an image without layers
    if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids", ""), list | None):
        raise StoreError("image", "its configuration lists no layers", "is the builder's version supported?")
    layers = rootfs["diff_ids"] or []
    runtime = config.get("config") or {}
    other = [config.get("os"), config.get("architecture"), config.get("variant"), config.get("author")]
    return sha256(documents.canonical(layers)), sha256(documents.canonical([layers, runtime, other]))
