"""One image in a blob store, found by its record: manifest, configuration, layers.

The manifest says which blobs belong to the image. Its digests become names of files, so it is checked before
they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StoreError
from ..oci import readable
from ..oci.digest import Digest, is_digest
from .record import content_digests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .blobs import BlobStore
    from .record import Record


class Blob(NamedTuple):
    """A blob as a manifest names it; ``size`` in bytes."""

    digest: Digest
    size: int


def image_blobs(blobs: BlobStore, record: Record) -> Iterator[Blob]:
    """The manifest, then configuration and layers. The manifest is read only after it was yielded.

    Raises ``StoreError`` for something that is not an image's manifest.
    """
    yield Blob(record.digest, record.size)
    yield from _named(blobs, record, blobs.json(record.digest))


def _named(blobs: BlobStore, record: Record, manifest: dict[str, Any]) -> Iterator[Blob]:
    """The configuration and the layers that the record's manifest names. Raises ``StoreError``."""
    try:
        items = [(item["digest"], item["size"]) for item in (manifest["config"], *(manifest["layers"] or ()))]
    except (KeyError, TypeError):
        raise blobs.unreadable(record.digest, "not an image's manifest") from None
    for digest, size in items:
        if not is_digest(digest) or type(size) is not int:
            raise blobs.unreadable(record.digest, f"names no blob: {digest!r}")
        yield Blob(digest, size)


def is_intact(blobs: BlobStore, record: Record) -> bool:
    """Return whether the record's image is here as a whole, as the record says, and readable for an engine.

    Corrupt blobs go to quarantine. The manifest and the configuration are read once, for all records of the
    image in one block (``BlobStore.kept``): the blobs are looked at each time.
    """
    with blobs.kept() as store:
        assert store.described is not None  # in a block
        image = record.digest, record.size, record.files, record.image
        try:
            if described := store.described.get(image):
                return store.are_intact(described)
            found = _described(store, record)
        except StoreError:
            return False
        if found is None:
            return False
        store.described[image] = found
        return True


def _described(store: BlobStore, record: Record) -> list[Blob] | None:
    """Read the documents of an image, and return its blobs; None if one or the image is not as it should be.

    Raises ``StoreError``.
    """
    found = [Blob(record.digest, record.size)]
    manifest: dict[str, Any] = {}

    def listed() -> Iterator[Blob]:
        yield found[0]  # it is verified before it is read
        manifest.update(store.json(record.digest))
        found.extend(_named(store, record, manifest))
        yield from found[1:]

    if not store.are_intact(listed()):
        return None
    return None if any(_faults(store.json(manifest["config"]["digest"]), manifest, record)) else found


def verify(blobs: BlobStore, record: Record, known: dict[Digest, str]) -> tuple[str, ...]:
    """Read every blob of the record's image, whatever was verified before, and return all faults.

    Corrupt blobs go to quarantine, so that the next run fetches or builds them again. ``known`` holds the
    faults of blobs that were read before, "" for good ones: images share layers.
    """
    faults: tuple[str, ...] = ()
    try:
        for digest, size in image_blobs(blobs, record):
            fault = known[digest] = known[digest] if digest in known else blobs.fault(digest, size)
            if fault:
                faults += (f"blob {digest} {fault}",)
                if digest == record.digest:  # it alone says which blobs there should be
                    return faults
        if not faults:
            faults += tuple(_faults(config(blobs, record), blobs.json(record.digest), record))
    except StoreError as error:
        faults += (f"{error.where} {error.what}",)
    return faults


def _faults(config: dict[str, Any], manifest: dict[str, Any], record: Record) -> Iterator[str]:
    """What is wrong with an image whose blobs are all good."""
    if content_digests(config) != (record.files, record.image):
        yield "the record does not match the image's files or configuration"
    yield from (f"{each}: no engine can read that" for each in readable.faults(config, manifest))


def config(blobs: BlobStore, record: Record) -> dict[str, Any]:
    """The image's configuration. Raises ``StoreError``."""
    return blobs.json(config_digest(blobs, record))


def config_digest(blobs: BlobStore, record: Record) -> Digest:
    """The digest of the image's configuration. Raises ``StoreError`` where the manifest names none."""
    entry = blobs.json(record.digest).get("config")
    digest = entry.get("digest") if isinstance(entry, dict) else None
    if not is_digest(digest):
        raise StoreError(
            record.node, "its manifest names no configuration", "run again: the image is then built again"
        )
    return digest


def layers_size(blobs: BlobStore, record: Record) -> int:
    """Bytes of the image's layers as stored, which is mostly compressed."""
    return sum(layer["size"] for layer in (blobs.json(record.digest)["layers"] or ()))
