"""What differs between two layers and two configurations, line by line."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stagegraph.compare import Image, compare, differences, read
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit


def tar(*members: tuple[str, dict[str, Any], bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, properties, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in properties.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def lines(old: bytes, new: bytes) -> list[str]:
    return list(compare(read(io.BytesIO(old)), read(io.BytesIO(new))))


FILE = ("a", {"mtime": 1}, b"x")


@pytest.mark.parametrize(
    ("new", "line"),
    [
        (("a", {"mtime": 1}, b"y"), "a: other content"),
        (("a", {"mtime": 1, "mode": 0o755}, b"x"), "a: other mode"),
        (("a", {"mtime": 1, "uid": 7}, b"x"), "a: other owner"),
        (("a", {"mtime": 2}, b"x"), "a: other time"),
        (("a", {"mtime": 2}, b"z"), "a: other content, time"),
        (
            ("a", {"mtime": 1, "type": tarfile.SYMTYPE, "linkname": "b"}, b""),
            "a: other kind, content, target",
        ),
        (("a", {"mtime": 1, "pax_headers": {"SCHILY.xattr.user.x": "1"}}, b"x"), "a: other attributes"),
    ],
)
def test_every_property_counts(new: tuple[str, dict[str, Any], bytes], line: str) -> None:
    assert lines(tar(FILE), tar(new)) == [line]
    assert lines(tar(FILE), tar(FILE)) == []


def test_paths_of_one_side() -> None:
    other: tuple[str, dict[str, Any], bytes] = ("b", {}, b"")
    assert lines(tar(FILE, other), tar(FILE)) == ["b: only in the recorded image"]
    assert lines(tar(FILE), tar(other, FILE)) == ["b: only in the rebuilt image"]


def image(store: LayoutStore, config: dict[str, Any], *layers: bytes) -> Image:
    kind = "application/vnd.oci.image.layer.v1.tar"
    described = [
        {"mediaType": kind, "digest": store.add_blob(layer)[0], "size": len(layer)} for layer in layers
    ]
    digest, size = store.add_blob(json.dumps(config).encode())
    manifest = {"config": {"digest": digest, "size": size}, "layers": described}
    return Image(store, store.add_blob(json.dumps(manifest).encode())[0])


def test_images(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    one, two = tar(FILE), tar(("a", {"mtime": 1}, b"y"))
    old = image(store, {"config": {"Env": ["A=1"]}, "rootfs": {"diff_ids": ["x"]}}, one)
    assert list(differences(old, old)) == []
    new = image(store, {"config": {"Env": ["A=2"]}, "created": "now", "rootfs": {}}, two, one)
    assert list(differences(old, new)) == [
        'configuration: Env: ["A=1"] -> ["A=2"]',
        'configuration: created: null -> "now"',
        "layer 1: a: other content",
        "layer 2: only in the rebuilt image",
    ]
    padded = image(store, {}, one + b"\0" * 512)
    assert list(differences(image(store, {}, one), padded)) == ["layer 1: the same files, packed otherwise"]
