"""``cache/signatures/``: who has signed which record, as Sigstore bundles.

    cache/signatures/<key>/<signer>.sigstore.json    the last word of one signer about a key

A signer's bundle may be about another image than the record of the key: builders may disagree. In a registry
the bundles about the record's own image are an annotation of the record. So a look-up finds them by the
request that reads the record, in registries without an API for referrers too, and a tag names both at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..keys.key import digits
from ..oci.digest import encoded, sha256
from ..oci.documents import canonical
from ..system.files import os_errors_on_read, os_errors_on_write
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..keys.key import Key
    from ..oci.digest import Digest
    from ..trust.statement import Claim
    from .record import Record

_SUFFIX = ".sigstore.json"


class SignatureFiles:
    """The signatures of one store. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root, "signatures")

    def of(self, key: Key) -> tuple[str, ...]:
        """Return the bundles about a key, whatever they say, ``MOST`` at most. Raises ``StoreError``."""
        from ..trust.bundle import LARGEST
        from ..trust.policy import MOST

        place, found = self.folder.below(digits(key)), []
        with os_errors_on_read(place.path):
            for name in place.entries()[:MOST]:
                if name.endswith(_SUFFIX) and place.has_file(name) and place.size(name) <= LARGEST:
                    found.append(place.read(name).decode(errors="replace"))
        return tuple(found)

    def all(self, record: Record) -> tuple[str, ...]:
        """Return the bundles about the key of a record: those that it carries, and those in the store."""
        return tuple(dict.fromkeys((*record.signatures, *self.of(record.key))))

    def about(self, record: Record) -> tuple[str, ...]:
        """Return those of ``all`` that are about the image of the record."""
        return tuple(text for text in self.all(record) if is_about(text, record.digest))

    def add(self, key: Key, texts: Iterable[str]) -> None:
        """Keep bundles about a key, each in place of what its signer said before.

        Raises ``StoreError`` or ``DiskFullError``.
        """
        for text in texts:
            from ..trust import bundle as bundles  # only where something is signed

            if bundle := bundles.parse(text):
                name = hashlib.sha256(bundle.hint.encode()).hexdigest()[:16]
                self.folder.below(digits(key)).write(name + _SUFFIX, text.encode())

    def remove(self, key: Key) -> None:
        """Delete all bundles about a key; harmless where there are none."""
        with os_errors_on_write(self.folder.path / digits(key)):
            self.folder.remove(digits(key))


def is_about(text: str, digest: Digest) -> bool:
    """Return whether a bundle is about this image, whoever has signed it."""
    from ..trust import bundle as bundles
    from ..trust.statement import subject_of

    bundle = bundles.parse(text)
    return bundle is not None and subject_of(bundle.payload) == encoded(digest)


def claim(record: Record) -> Claim:
    """Return what a signature of a record is about: the image, and everything that later keys depend on.

    Two builders that agree make the same claim. Times and versions are no part of it (``details``).
    """
    from ..trust.statement import Claim

    facts = {
        "key": record.key,
        "node": record.node,
        "platform": record.docker,
        "content": {"files": record.files, "image": record.image},
        "packages": _hash(list(record.packages)),
        "materials": _hash(list(record.materials)),
    }
    return Claim(record.tag, record.digest, facts)


def details(record: Record) -> dict[str, object]:
    """Return what a signer says about the making of an image. Other builders may say something else."""
    return {
        "inputs": _hash([list(item) for item in record.inputs]),
        "builder": {"version": record.builder, "machine": record.machine},
        "created": record.created,
        "recorded": record.recorded,
    }


def _hash(value: object) -> Digest:
    return sha256(canonical(value))
