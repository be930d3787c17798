"""The comparison of two images reports each kind of difference, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from stagegraph.errors import StoreError
from stagegraph.inspection.diff import (
    Difference,
    LayerEntry,
    compare,
    diff_entries,
    diff_values,
    read_entries,
)
from stagegraph.oci.digest import Digest
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

FILE = LayerEntry("file", "a" * 64, 3, 0o644, (0, 0), "", 1735689600, (0, 0), ())


def tar(*items: tuple[str, bytes | str], **more: Any) -> bytes:
    """Return a layer of files, and of links where the content is a text. ``more`` is set on each entry."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in items:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def squeeze(data: bytes, level: int = 3) -> bytes:
    return zstandard.ZstdCompressor(level=level).compress(data)


def add(store: LayoutStore, *layers: bytes, level: int = 3, config: dict[str, Any] | None = None) -> Digest:
    """Add an image of these layers. Return the digest of its manifest."""

    def item(data: bytes) -> dict[str, Any]:
        digest, size = store.blobs.add(data)
        return {"digest": digest, "size": size}

    history: list[dict[str, Any]] = [{"created_by": f"RUN step {n}"} for n, _ in enumerate(layers, 1)]
    history.insert(0, {"created_by": "ENV A=1", "empty_layer": True})
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    whole = {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history, **(config or {})}
    manifest = {
        "config": item(json.dumps(whole).encode()),
        "layers": [item(squeeze(layer, level)) for layer in layers],
    }
    return store.blobs.add(json.dumps(manifest).encode())[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "folder"}, ("kind", "file -> folder")),
        ({"content": "b" * 64}, ("content", "3 bytes")),
        ({"content": "b" * 64, "size": 5}, ("content", "3 -> 5 bytes")),
        ({"mode": 0o4755}, ("mode", "0644 -> 4755")),
        ({"owner": (1000, 7)}, ("owner", "0:0 -> 1000:7")),
        ({"link": "there"}, ("link target", " -> there")),
        ({"time": 1735689601.5}, ("time", "2025-01-01T00:00:00Z -> 2025-01-01T00:00:01.500000Z")),
        ({"time": 1e30}, ("time", "2025-01-01T00:00:00Z -> 1e+30")),
        ({"device": (1, 3)}, ("device", "0,0 -> 1,3")),
        ({"attributes": (("SCHILY.xattr.user.x", "1"),)}, ("attributes", "SCHILY.xattr.user.x")),
    ],
)
def test_each_facet_of_a_file(change: dict[str, Any], told: tuple[str, str]) -> None:
    assert diff_entries({"/x": FILE}, {"/x": FILE._replace(**change)}) == [("/x", *told)]


def test_files_that_one_side_has() -> None:
    assert diff_entries({"/a": FILE, "/b": FILE}, {"/b": FILE, "/c": FILE}) == [
        ("/a", "removed", "file"),
        ("/c", "added", "file"),
    ]


def test_configuration_values() -> None:
    old = {"config": {"Env": ["A=1", "B=2"], "Cmd": None}, "os": "linux"}
    new = {"config": {"Env": ["A=1", "B=3", "C=4"], "Cmd": []}, "os": "linux"}
    assert diff_values(old, new) == [
        ("config.Env[1]", "value", "'B=2' -> 'B=3'"),
        ("config.Cmd", "value", "None -> []"),
        ("config.Env[2]", "added", "'C=4'"),
    ]


@pytest.mark.parametrize("pack", [squeeze, gzip.compress, bytes])
def test_layers_of_every_compression(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(tar(("usr/f", b"abc"), ("./usr/l", "f"), uid=5, mode=0o600))
    (tmp_path / "blob").write_bytes(data)
    found = read_entries(tmp_path / "blob")
    assert set(found) == {"/usr/f", "/usr/l"}
    assert found["/usr/f"].content == hashlib.sha256(b"abc").hexdigest() and found["/usr/f"].owner == (5, 0)
    assert (found["/usr/l"].kind, found["/usr/l"].link) == ("link", "f")


def test_a_layer_of_several_compressed_frames(tmp_path: Path) -> None:
    data = tar(("f", b"x" * 5000))
    (tmp_path / "blob").write_bytes(squeeze(data[:700]) + squeeze(data[700:]))
    assert read_entries(tmp_path / "blob")["/f"].size == 5000


@pytest.mark.parametrize(
    "data",
    [b"junk" * 200, squeeze(tar(("f", b"x" * 99)))[:-30], gzip.compress(tar(("f", b"")), mtime=0)[:-9]],
)
def test_a_file_that_is_not_a_layer_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "blob").write_bytes(data)
    with pytest.raises(StoreError, match="cannot be read as a layer"):
        read_entries(tmp_path / "blob")


def test_images_file_by_file(tmp_path: Path) -> None:
    old, new = LayoutStore(tmp_path / "old"), LayoutStore(tmp_path / "new")
    same = tar(("same", b"1"))
    one = add(old, same, tar(("f", b"1"), ("l", "a")), config={"config": {"User": "a"}})
    two = add(new, same, tar(("f", b"2"), ("l", "b"), ("new\n", b"")), config={"config": {"User": "b"}})
    assert compare(old, one, new, two) == [
        Difference(2, "RUN step 2", "/f", "content", "1 bytes"),
        Difference(2, "RUN step 2", "/l", "link target", "a -> b"),
        Difference(2, "RUN step 2", "/new\\n", "added", "file"),
        Difference(None, "configuration", "config.User", "value", "'a' -> 'b'"),
    ]


def test_compression_order_and_number_of_layers(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    text = bytes(range(256)) * 300
    a, b = tar(("a", text), ("b", b"2")), tar(("b", b"2"), ("a", text))
    first = add(store, a)
    changes = {d.change for d in compare(store, first, store, add(store, a, level=19))}
    assert changes == {"compression"}
    assert [d.change for d in compare(store, first, store, add(store, b))] == ["order"]
    assert (2, "added") in [(d.layer, d.change) for d in compare(store, first, store, add(store, a, b))]
