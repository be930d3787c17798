"""What ``docker save`` writes becomes a layout, in the form of new and of old engines."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from stagegraph.errors import StoreError
from stagegraph.store.layout import LayoutStore
from stagegraph.store.saved import unpack

pytestmark = pytest.mark.unit

CONFIG = b'{"rootfs": {"diff_ids": []}}'


def saved(files: dict[str, bytes], links: dict[str, str] | None = None) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return io.BytesIO(out.getvalue())


def manifest(layers: list[str]) -> bytes:
    return json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": layers}]).encode()


def test_layers_and_configuration_become_blobs(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path)
    # older engines name a layer that an image has twice by a link
    file = saved(
        {
            "manifest.json": manifest(["a/layer.tar", "b/layer.tar"]),
            "config.json": CONFIG,
            "a/layer.tar": b"one",
        },
        {"b/layer.tar": "../a/layer.tar"},
    )
    found = layout.blobs.json(unpack(file, layout))
    assert layout.blobs.json(found["config"]["digest"]) == json.loads(CONFIG)
    one = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert found["layers"] == [{"digest": one, "size": 3}] * 2
    assert layout.blobs.path(found["layers"][0]["digest"]).read_bytes() == b"one"


@pytest.mark.parametrize(
    "file",
    [
        io.BytesIO(b"no tar"),
        saved({"config.json": CONFIG}),
        saved({"manifest.json": b"[]"}),
        saved({"manifest.json": manifest(["missing"]), "config.json": CONFIG}),
        saved({"manifest.json": b"{"}),
    ],
)
def test_another_file_is_an_error(tmp_path: Path, file: io.BytesIO) -> None:
    with pytest.raises(StoreError, match="docker: the engine's file is not one image: "):
        unpack(file, LayoutStore(tmp_path))
