"""The images that BuildKit builds from a plain folder: the reference for keys and selection."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from kit import NATIVE


@dataclass(frozen=True)
class Content:
    """The content of an image, without what is not preserved: owner, times, modes other than execution."""

    files: tuple[tuple[str, str, str], ...]
    config: str

    @property
    def paths(self) -> set[str]:
        return {path for path, _, _ in self.files}


def build(
    folder: Path, args: Mapping[str, str] | None = None, *, no_cache: bool = False, **contexts: Path
) -> tuple[Content | None, Path]:
    """Build a folder. Return the content of the image, or None if BuildKit refuses, and the OCI layout.

    The folder is copied to a new name each time, because BuildKit reuses a file with the same path, size and
    time. With ``no_cache``, BuildKit runs every step again.
    """
    fresh = folder.parent / uuid.uuid4().hex
    shutil.copytree(folder, fresh, symlinks=True)
    layout = folder.parent / f"{fresh.name}.oci"
    command = ["docker", "buildx", "build", "--provenance=false", f"--platform={NATIVE}", "--progress=plain"]
    command += [f"--build-context={name}=oci-layout://{path}" for name, path in contexts.items()]
    command += [f"--build-arg={name}={value}" for name, value in (args or {}).items()]
    command += ["--no-cache"] * no_cache
    command += [f"--output=type=oci,dest={layout},tar=false,rewrite-timestamp=true"]
    command += ["--build-arg=SOURCE_DATE_EPOCH=1735689600", str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(fresh)
    if done.returncode != 0:
        return None, layout
    return read(layout, digest(layout)), layout


def digest(layout: Path) -> str:
    index = json.loads((layout / "index.json").read_text())
    return str(index["manifests"][0]["digest"])


def read(layout: Path, image: str) -> Content:
    """Return the content of one image of a layout."""

    def blob(name: str) -> bytes:
        return (layout / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()

    manifest: dict[str, Any] = json.loads(blob(image))
    files: dict[str, tuple[str, str]] = {}
    for layer in manifest["layers"] or ():
        with tarfile.open(fileobj=io.BytesIO(_plain(blob(layer["digest"])))) as archive:
            for item in archive:
                files[item.name.rstrip("/")] = _entry(archive, item)
    config = json.loads(blob(manifest["config"]["digest"])).get("config", {})
    entries = tuple((path, *entry) for path, entry in sorted(files.items()))
    return Content(entries, json.dumps(config, sort_keys=True))


def _plain(layer: bytes) -> bytes:
    """Return a layer without zstd compression. tarfile reads gzip itself."""
    if not layer.startswith(zstandard.FRAME_HEADER):
        return layer
    return zstandard.ZstdDecompressor().stream_reader(layer, read_across_frames=True).read()


def _entry(archive: tarfile.TarFile, item: tarfile.TarInfo) -> tuple[str, str]:
    if item.isdir():
        return "dir", ""
    if item.issym():
        return "link", item.linkname
    file = archive.extractfile(item)  # of a hard link, this is the file that it names
    assert file is not None
    return "exec" if item.mode & 0o100 else "file", hashlib.sha256(file.read()).hexdigest()
