"""An engine whose disk was full, whose network is gone, which has an image that it cannot read.

Each run says so, and the next one finds its way back. The engine is one of these tests alone: such an image
breaks the list of all its images.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit import DODO, NATIVE, Project
from machines import RUN, engine

from stagegraph.host.engine import checksum
from stagegraph.oci.digest import Digest, encoded, sha256
from stagegraph.oci.documents import LAYOUT, LAYOUT_FILE, MANIFEST, index

pytestmark = pytest.mark.engine

#: Bytes of the engine's disk, and those that are left when it is nearly full. The step fills them and takes
#: no notice, so the builder itself is the first to fail.
DISK, LEFT = 100 << 20, 1500 << 10

REPO = "stagegraph-test/engine-faults"

STAGES = f"""\
[project]
repo = "{REPO}"
[platforms.here]
docker = "{NATIVE}"
[base]
image = "127.0.0.1:1/none:1"
[stages.low]
path = "low"
[stages.app]
path = "app"
[images.app]
"""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own for the data of the engine in ``folder``."""
    if os.geteuid() != 0:
        pytest.skip("mounts a disk, which needs root")
    data = folder / "d/docker"
    data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "small", str(data)], check=True)
    try:
        yield data
    finally:
        subprocess.run(["umount", str(data)], check=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of an engine with a small disk."""
    path = Path("/tmp") / f"small-{os.getpid()}-{time.monotonic_ns() % 10**9}"  # short, for the socket
    with small_disk(path), engine(path):
        yield path


@pytest.fixture
def app(folder: Path, tmp_path: Path, program: Path) -> Project:
    made = Project(tmp_path / "project")
    made.env |= {
        "DOCKER_HOST": f"unix://{folder}/d/docker.sock",
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "STAGEGRAPH_ENGINE_DIR": f"{folder}/d",
    }
    shutil.copytree(program, made.folder / "low")
    made.write(
        {
            "dodo.py": DODO,
            "stages.toml": STAGES,
            "low/Dockerfile": "FROM scratch\nCOPY . /\n",
            "app/Dockerfile": "FROM low\nCOPY seed /\nRUN head -c 4000000 /dev/zero >/big || :\n",
            "app/seed": tmp_path.name,
        }
    )
    made.built("low:here")
    return made


def call(app: Project, *command: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **app.env}
    return subprocess.run(command, env=env, input=data, capture_output=True, check=False)


def fill(data: Path) -> Path:
    file = data / "fill"
    with file.open("wb") as out:
        space = os.statvfs(data)
        os.posix_fallocate(out.fileno(), 0, space.f_bavail * space.f_frsize - LEFT)
    return file


def test_the_way_back_after_a_full_disk(app: Project, folder: Path) -> None:
    """Found with Docker 26.1: until its cache was emptied, each build of the step failed anew."""
    for turn in range(5):  # what is lost depends on where the builder finds the disk full
        app.write({"app/seed": f"{folder} {turn}"})
        filled = fill(folder / "d/docker")
        run = app.doit("app:here")
        assert run.status == 24 and "free space" in run.output, run.output
        filled.unlink()
        run = app.built("app:here")
        if "snapshot does not exist: not found; trying once more" in run.output:
            return
    pytest.fail(f"the builder lost nothing of its cache, so this test shows nothing: {run.output}")


def test_a_bridge_that_is_gone_is_not_the_fault_of_the_step(app: Project, folder: Path) -> None:
    bridge = f"sg-{checksum(os.fsencode(folder / 'd'))}"
    subprocess.run(["ip", "link", "delete", bridge], check=True)
    run = app.doit("app:here")
    assert run.status == 20 and "the network of the engine is gone" in run.output, run.output
    assert "fix the step" not in run.output and "systemctl restart docker" in run.output
    for words in (["down"], ["true"]):  # as the message says, for an engine without systemd
        assert call(app, str(RUN), *words).returncode == 0
    app.built("app:here")


def odd_image(tag: str) -> bytes:
    """An image without layers as an archive; its configuration has a history that Docker cannot decode."""
    system, architecture = NATIVE.split("/")
    config = {"os": system, "architecture": architecture, "rootfs": {"type": "layers"}, "history": [1]}
    blobs: dict[Digest, bytes] = {}

    def blob(document: object, kind: str) -> dict[str, object]:
        data = json.dumps(document).encode()
        blobs[sha256(data)] = data
        return {"mediaType": kind, "digest": sha256(data), "size": len(data)}

    described = blob(config, "application/vnd.oci.image.config.v1+json")
    entry = blob({"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}, MANIFEST)
    name = {"io.containerd.image.name": f"docker.io/{tag}"}
    files = {LAYOUT_FILE: LAYOUT, "index.json": json.dumps(index([{**entry, "annotations": name}])).encode()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in {
            **files,
            **{f"blobs/sha256/{encoded(d)}": data for d, data in blobs.items()},
        }.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_a_tag_that_is_stuck_is_set_anew(app: Project) -> None:
    tag = f"{REPO}:app-here"
    call(app, "docker", "load", data=odd_image(tag))
    assert call(app, "docker", "images").returncode != 0  # otherwise this test shows nothing
    run = app.built("app:here")
    assert f"{tag}: the engine could not read its own image" in run.output
    listed = call(app, "docker", "images", "--no-trunc", "--format={{.Repository}}:{{.Tag}}")
    assert listed.returncode == 0 and tag in listed.stdout.decode().split()
    assert call(app, "docker", "image", "inspect", tag).returncode == 0
    run = app.built("app:here")
    assert not run.built and "could not read" not in run.output
