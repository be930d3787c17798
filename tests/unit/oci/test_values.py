"""Digests and keys look alike, but a type checker tells them apart."""

from __future__ import annotations

import pytest
from helpers import AMD64, key_of, sha

from stagegraph.keys.key import Key, digits, from_digits, is_key
from stagegraph.oci.digest import Digest, encoded, from_encoded, is_digest, sha256
from stagegraph.oci.platform import OciPlatform, parts
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_and_its_digits() -> None:
    assert sha256(b"") == from_encoded(EMPTY) == f"sha256:{EMPTY}"
    assert encoded(sha256(b"")) == EMPTY
    assert is_digest(sha256(b""))
    for text in (
        EMPTY,
        f"sha256:{EMPTY}0",
        f"sha256:{EMPTY.upper()}",
        f"md5:{EMPTY}",
        f"sha256:{EMPTY}\n",
        7,
        None,
    ):
        assert not is_digest(text)


def test_a_key_and_its_digits() -> None:
    assert digits(from_digits(EMPTY)) == EMPTY
    assert is_key(from_digits(EMPTY)) and not is_key(EMPTY)


def test_the_type_checker_tells_them_apart() -> None:
    """mypy reports an ignore that is not needed. So each ignored line below is a real error of types."""

    def takes(key: Key, digest: Digest, platform: OciPlatform) -> None:
        """Accept one value of each type."""

    takes(key_of("a"), sha("a"), AMD64)
    takes(sha("a"), sha("a"), AMD64)  # type: ignore[arg-type]
    takes(key_of("a"), key_of("a"), AMD64)  # type: ignore[arg-type]
    takes(key_of("a"), sha("a"), str(Node("a", "amd64")))  # type: ignore[arg-type]
    takes(str(Node("a", "amd64")), sha("a"), AMD64)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        parts(Node("a", "amd64"))  # type: ignore[arg-type]
