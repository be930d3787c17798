"""References of images: their registry, their parts and their full form."""

from __future__ import annotations

import pytest

from stagegraph.oci.reference import full, host, split

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("reference", "registry", "whole"),
    [
        ("debian:trixie", "", "docker.io/library/debian:trixie"),
        ("me/atom:stock", "", "docker.io/me/atom:stock"),
        ("localhost/atom:stock", "localhost", "localhost/atom:stock"),
        ("registry:5000/a/b:c", "registry:5000", "registry:5000/a/b:c"),
        ("registry.example.com/a:b", "registry.example.com", "registry.example.com/a:b"),
        ("localhost:5000", "", "docker.io/library/localhost:5000"),  # a name and a tag
    ],
)
def test_registry(reference: str, registry: str, whole: str) -> None:
    assert (host(reference), full(reference)) == (registry, whole)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("debian", ("debian", "", "")),
        ("h:5000/a", ("h:5000/a", "", "")),
        ("h:5000/a:b", ("h:5000/a", "b", "")),
        ("h/a:b@sha256:1", ("h/a", "b", "sha256:1")),
        ("a@sha256:1", ("a", "", "sha256:1")),
    ],
)
def test_parts(reference: str, parts: tuple[str, str, str]) -> None:
    assert split(reference) == parts
