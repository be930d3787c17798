"""The differences between two images as a user sees them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from helpers import sha

from stagegraph.inspection.image_diff import (
    ImageDiff,
    Layer,
    ValueChange,
    diff_images,
    layer_pairs,
    value_changes,
)
from stagegraph.oci.digest import Digest
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

DPKG = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"
STATUS = "var/lib/dpkg/status"


def tar(files: dict[str, str], **more: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def add(store: LayoutStore, *layers: bytes, runtime: dict[str, Any] | None = None, level: int = 3) -> Digest:
    """Add an image of these layers. Return the digest of its manifest."""

    def item(data: bytes) -> dict[str, Any]:
        digest, size = store.blobs.add(data)
        return {"digest": digest, "size": size}

    config = {
        "architecture": "amd64",
        "config": runtime or {},
        "created": f"2026-01-0{level}",
        "history": [{"created_by": f"RUN step {n}"} for n, _ in enumerate(layers, 1)],
        "rootfs": {"diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]},
    }
    squeezed = [item(zstandard.ZstdCompressor(level=level).compress(layer)) for layer in layers]
    manifest = {"config": item(json.dumps(config).encode()), "layers": squeezed}
    return store.blobs.add(json.dumps(manifest).encode())[0]


def diff(root: Path, old: tuple[bytes, ...], new: tuple[bytes, ...]) -> ImageDiff:
    one, two = LayoutStore(root / "one"), LayoutStore(root / "two")
    return diff_images(one, add(one, *old), two, add(two, *new))


def test_files_are_compared_whatever_layer_has_them(tmp_path: Path) -> None:
    found = diff(tmp_path, (tar({"a": "1"}), tar({"b": "2"})), (tar({"b": "2", "a": "1"}),))
    assert found.files == () and found.is_empty
    assert [(pair.same, pair.old_bytes, pair.new_bytes) for pair in found.layers] == [
        (False, 1, 2),
        (False, 1, None),
    ]


def test_each_change_of_a_file_has_its_sizes(tmp_path: Path) -> None:
    base = tar({"same": "1", "longer": "1", "gone": "123"})
    found = diff(tmp_path, (base,), (base, tar({"longer": "12", ".wh.gone": "", "new": "1234"}, mode=0o755)))
    assert [tuple(each) for each in found.files] == [
        ("/gone", "removed", "file", 3, None),
        ("/longer", "content", "1 -> 2 bytes", 1, 2),
        ("/longer", "mode", "0644 -> 0755", 1, 2),
        ("/new", "added", "file", None, 4),
    ]
    assert (found.old_bytes, found.new_bytes) == (5, 7)
    assert [tuple(pair) for pair in found.layers] == [
        (1, 1, "RUN step 1", True, 5, 5),
        (None, 2, "RUN step 2", False, None, 6),
    ]


def test_times_history_and_compression_are_no_differences(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    old = add(store, tar({"a": "1"}, mtime=1), level=3)
    new = add(store, tar({"a": "1"}, mtime=2), level=9)
    assert old != new and diff_images(store, old, store, new).is_empty


def test_packages_of_dpkg_and_of_python(tmp_path: Path) -> None:
    def files(bash: str, numpy: str) -> bytes:
        metadata = f"Name: numpy\nVersion: {numpy}\n"
        both = {STATUS: DPKG.format("bash", bash), f"lib/numpy-{numpy}.dist-info/METADATA": metadata}
        return tar(both if numpy else {STATUS: both[STATUS]})

    found = diff(tmp_path, (files("5.2", "1.0"),), (files("5.3", "2.0"),))
    assert [tuple(each) for each in found.packages] == [
        ("debian", "bash:amd64", "5.2", "5.3"),
        ("python", "numpy", "1.0", "2.0"),
    ]
    gone = diff(tmp_path, (files("5.2", "1.0"),), (files("5.2", ""),))
    assert [tuple(each) for each in gone.packages] == [("python", "numpy", "1.0", "")]


def test_two_versions_of_one_package_are_both_told(tmp_path: Path) -> None:
    one = {"a/x-1.dist-info/METADATA": "Name: x\nVersion: 1\n"}
    two = one | {"b/x-2.dist-info/METADATA": "Name: x\nVersion: 2\n"}
    (change,) = diff(tmp_path, (tar(one),), (tar(two),)).packages
    assert (change.old, change.new) == ("1", "1, 2")


def test_values_of_the_configuration_have_names_of_their_own() -> None:
    old = {
        "os": "linux",
        "config": {"Env": ["A=1", "B=2", "C="], "Labels": {"x": "1"}, "Cmd": ["sh"], "User": ""},
        "history": [1],
    }
    new = {
        "os": "linux",
        "config": {"Env": ["B=3", "A=1"], "Labels": None, "Cmd": ["sh", "-l"], "User": "me"},
    }
    assert value_changes(old, new) == [
        ValueChange("Cmd", '["sh"]', '["sh", "-l"]'),
        ValueChange("User", None, "me"),
        ValueChange("env B", "2", "3"),
        ValueChange("env C", "", None),
        ValueChange("label x", "1", None),
    ]
    assert value_changes({"config": None}, {}) == []


def test_names_that_a_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    (change,) = diff(tmp_path, (tar({}),), (tar({"a\x1b[2Jb": "1"}),)).files
    assert change.path == "/a\\x1b[2Jb"


def test_one_more_layer_does_not_make_all_layers_after_it_differ() -> None:
    def layers(*digests: str) -> list[Layer]:
        return [Layer(sha(digest), {}, f"RUN {digest[0]}") for digest in digests]

    pairs = layer_pairs(layers("a1", "b1", "c1", "d1"), layers("a1", "x1", "b2", "c1", "e1"))
    assert [(pair.old_layer, pair.new_layer, pair.same) for pair in pairs] == [
        (1, 1, True),
        (None, 2, False),
        (2, 3, False),
        (3, 4, True),
        (4, 5, False),
    ]
    assert layer_pairs([], []) == []
