"""What is taken from git, and what a name in a registry is taken for."""

from __future__ import annotations

import json

import pytest

from stagegraph import publish

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://example.org/team/atom.git", "https://example.org/team/atom.git"),
        ("https://user:token@example.org/team/atom.git", "https://example.org/team/atom.git"),
        ("git@example.org:team/atom.git", "ssh://example.org/team/atom.git"),
        ("example.org:team/atom.git", "ssh://example.org/team/atom.git"),
        ("/srv/atom.git", ""),
        ("file:///srv/atom.git", ""),
        ("../atom", ""),
        ("", ""),
    ],
)
def test_a_remote_as_a_uri(remote: str, expected: str) -> None:
    assert publish.uri(remote) == expected


def test_a_list_means_what_it_lists() -> None:
    digest, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    listing = json.dumps({"manifests": [{"digest": digest, "artifactType": "a"}]}).encode()
    means = publish._means
    assert means(listing, other, {digest: "a"})  # its own digest is nobody's business
    assert means(listing, other, {digest: ""})  # a tool that does not know types
    assert not means(listing, other, {digest: "b"})
    assert not means(listing, other, {digest: "a", other: "a"})
    for junk in (b"{}", b"[]", b"no json", b'{"manifests": [1]}', None):
        assert not means(junk, other, {digest: "a"})
