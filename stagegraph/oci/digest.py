"""Digests of blobs and manifests: ``sha256:ENCODED`` (OCI image specification, descriptor.md, "Digests").

A digest is a plain string at run time. The type keeps it apart from a node's key, which is written alike.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType, TypeGuard

#: Names the bytes that hash to it.
Digest = NewType("Digest", str)

#: The digest of a reference without one.
NO_DIGEST = Digest("")

_PREFIX = "sha256:"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: object) -> TypeGuard[Digest]:
    """Return whether ``text`` is a sha256 digest as the OCI image specification writes it."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def sha256(data: bytes) -> Digest:
    """The digest of these bytes."""
    return Digest(_PREFIX + hashlib.sha256(data).hexdigest())


def encoded(digest: Digest) -> str:
    """The part after the algorithm: 64 hexadecimal digits, which also name the blob's file."""
    return digest.removeprefix(_PREFIX)


def from_encoded(digits: str) -> Digest:
    """The digest with these hexadecimal digits; the reverse of ``encoded``. Checks nothing."""
    return Digest(_PREFIX + digits)
