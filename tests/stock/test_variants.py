"""Variants and production images on both platforms. The build of each includes its own test."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import pytest
from images import MACHINE, OCI, Image, build, built, copied, doit, files

pytestmark = pytest.mark.stock

NAMES = ("opengl", "opengl-vnc", "opencv", "opencv-opengl", "production-stock", "production-opencv")
BROWSER = Path(__file__).parent / "browser"
GREEN = (0x00, 0xC0, 0x40)


@pytest.fixture(scope="session")
def images(platform: str) -> dict[str, Image]:
    """All variants of a platform, and stock, built and in the engine."""
    return built(platform, "stock", *NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_program_is_for_the_platform(images: dict[str, Image], platform: str, name: str) -> None:
    found = {file.machine for file in files(images[name]).values()} - {None}
    assert found == {MACHINE[platform][1]}


@pytest.mark.parametrize(
    ("name", "of", "share"), [("production-stock", "stock", 0.5), ("production-opencv", "opencv", 0.6)]
)
def test_production_is_small_and_has_no_shell_and_no_root(
    images: dict[str, Image], platform: str, name: str, of: str, share: float
) -> None:
    whole, least = (unpacked(images[n]) for n in (of, name))
    assert least <= whole * share
    paths = set(files(images[name]))
    assert {"etc/debian_version", "usr/share/doc/libc6/copyright"} <= paths  # for scanners, for lawyers
    assert not paths & {f"usr/bin/{tool}" for tool in ("sh", "dash", "bash", "dpkg", "apt-get", "perl")}
    config = json.loads(
        subprocess.run(
            ["docker", "image", "inspect", "--format={{json .Config}}", images[name].tag],
            check=True, capture_output=True,
        ).stdout
    )  # fmt: skip
    assert config["User"] == "1000:1000"
    where = f"--platform=linux/{OCI[platform]}"
    program = "import os, sys, numpy; print(os.getuid(), sys.prefix, numpy.__version__)"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", where, images[name].tag, "python", "-c", program],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split()[:2] == ["1000", "/opt/venv"]


def unpacked(image: Image) -> int:
    """Return the bytes of an image's files."""
    created = subprocess.run(
        ["docker", "create", "--pull=never", f"--platform=linux/{OCI[image.platform]}", image.tag, "none"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    try:
        with (
            subprocess.Popen(["docker", "export", created], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as tar,
        ):
            return sum(member.size for member in tar)
    finally:
        subprocess.run(["docker", "rm", "--force", created], check=True, capture_output=True)


@contextmanager
def desktop(image: Image) -> Iterator[str]:
    """A container with a desktop filled with green. Yield its name. It listens only on its own loopback."""
    command = ["desktop", "xterm", "-bg", "#00c040", "-geometry", "300x100+0+0", "-e", "sleep 600"]
    name = subprocess.run(
        [
            *("docker", "run", "--detach", "--pull=never", f"--platform=linux/{OCI[image.platform]}"),
            *("--env=VNC_PASSWORD=robot-77", image.tag, *command),
        ],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    try:
        with subprocess.Popen(["docker", "logs", "--follow", name], stderr=subprocess.PIPE) as logs:
            assert logs.stderr
            assert any(b"browsers:" in line for line in logs.stderr)
            logs.terminate()
        yield name
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


@pytest.fixture(scope="session")
def browser() -> str:
    """An image with chromium, for the machine's own platform."""
    tag = "stagegraph-test/browser:1"
    build("stock:amd64")
    image = "--build-arg=IMAGE=elementaryrobotics/atom:stock-amd64"
    command = ["docker", "build", "--quiet", f"--tag={tag}", image]
    subprocess.run([*command, str(BROWSER)], check=True, capture_output=True)
    return tag


def seen(browser: str, container: str, password: str, seconds: float) -> float:
    """Return the green share of noVNC's page (0 to 1), some seconds after a browser opened it."""
    page = f"http://127.0.0.1:6080/vnc.html?autoconnect=1&reconnect=0&password={password}"
    done = subprocess.run(
        [
            *("docker", "run", "--rm", f"--network=container:{container}", browser),
            *("python", "/look.py", page, str(seconds)),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    picture = PIL.Image.open(io.BytesIO(done.stdout)).convert("RGB")
    green = sum(count for count, colour in picture.getcolors(1 << 24) or () if colour == GREEN)
    return green / (picture.width * picture.height)


def test_novnc_in_a_browser(images: dict[str, Image], browser: str) -> None:
    patience = 10 if images["opengl-vnc"].platform == "amd64" else 60
    with desktop(images["opengl-vnc"]) as container:
        assert seen(browser, container, "robot-77", patience) > 0.3
        assert seen(browser, container, "robot-78", patience) == 0


def test_a_change_of_redis_compiles_no_opencv(
    images: dict[str, Image], platform: str, tmp_path: Path
) -> None:
    """Only stages that depend on redis are built: assemblies and their tests."""
    folder = copied(tmp_path / "project")
    dockerfile = folder / "stock/redis/Dockerfile"
    before = dockerfile.read_text()
    dockerfile.write_text(before.replace("make install", "true && make install", 1))
    assert dockerfile.read_text() != before
    steps = json.loads(doit(folder, "plan", "--json", f"opencv:{platform}", f"opencv-opengl:{platform}"))
    assert {step["node"] for step in steps["nodes"] if step["decision"] == "build"} == {
        f"{stage}:{platform}"
        for stage in (
            "redis", "stock", "stock--opencv", "opencv-test", "stock--opengl", "stock--opengl--opencv",
            "opencv-opengl-test",
        )
    }  # fmt: skip


#: A stand-in for NVIDIA's image: a library of the same name and path that answers a call.
CUDA = "nvidia/cuda:12.8.1-runtime-ubuntu24.04"
CUDART = "int cudaRuntimeGetVersion(int *v) { *v = 12080; return 0; }"
STAND_IN = f"""
FROM elementaryrobotics/atom:stock-dev-amd64
WORKDIR /usr/local/cuda-12.8/lib64
RUN echo '{CUDART}' | cc -x c -shared -fPIC -Wl,-soname,libcudart.so.12 -o libcudart.so.12.8.90 - \\
 && ln -s libcudart.so.12.8.90 libcudart.so.12 \\
 && ln -s /usr/local/cuda-12.8 /etc/alternatives/cuda && ln -s /etc/alternatives/cuda /usr/local/cuda
"""


def test_cuda_builds_on_a_stand_in(tmp_path: Path) -> None:
    """NVIDIA's own images are not available everywhere. A stand-in takes the same way through the program."""
    build("stock:amd64", "stock-dev:amd64")
    there = subprocess.run(["docker", "image", "inspect", CUDA], capture_output=True, check=False)
    if there.returncode == 0:
        pytest.skip(f"the engine has {CUDA} itself")
    subprocess.run(
        ["docker", "build", "--quiet", f"--tag={CUDA}", "-"],
        input=STAND_IN.encode(),
        check=True,
        capture_output=True,
    )
    folder = copied(tmp_path / "project")  # a copy, because the lock is written
    try:
        doit(folder, "cuda:amd64")
    finally:
        subprocess.run(["docker", "rmi", CUDA], check=True, capture_output=True)
    image = Image("elementaryrobotics/atom:cuda-amd64", "cuda", "amd64")
    assert "usr/local/cuda/lib64/libcudart.so.12.8.90" in files(image)
    subprocess.run(["docker", "rmi", image.tag], check=True, capture_output=True)
