"""Keys of nodes, written like digests: ``sha256:`` and 64 hexadecimal digits.

A key is a plain string at run time. The type keeps it apart from a digest, which names bytes: a key names
everything that determines a node.
"""

from __future__ import annotations

from typing import NewType, TypeGuard

from ..oci.digest import is_digest

#: A recipe key or a content key (``inputs``).
Key = NewType("Key", str)

_PREFIX = "sha256:"


def is_key(text: object) -> TypeGuard[Key]:
    """Return True if ``text`` has the form of a key."""
    return is_digest(text)


def digits(key: Key) -> str:
    """Return the 64 hexadecimal digits of a key, as in names of files and at the end of tags."""
    return key.removeprefix(_PREFIX)


def from_digits(text: str) -> Key:
    """Return the key with these hexadecimal digits: the reverse of ``digits``. Checks nothing."""
    return Key(_PREFIX + text)
