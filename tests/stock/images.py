"""Shared helpers for tests of images: calls of doit, programs in a container, the files of an image."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: The kernel's name of the processor, and its number in ELF headers (e_machine), by the project's platform.
MACHINE = {"amd64": ("x86_64", 62), "aarch64": ("aarch64", 183)}
OCI = {"amd64": "amd64", "aarch64": "arm64"}


def doit(folder: Path, *words: str) -> str:
    """Call doit, which must succeed. Return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "doit", *words],
        cwd=folder,
        env={**os.environ, "CI": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Image:
    """An image in the engine. ``platform`` is the project's name of its platform."""

    tag: str
    stage: str
    platform: str

    def run(self, script: str, *, stdin: bytes = b"", status: int = 0) -> bytes:
        """Run a script in a container without network; it must end with ``status``.

        Return its standard output.
        """
        options = ["--rm", "--interactive", "--pull=never", "--network=none"]
        where = f"--platform=linux/{OCI[self.platform]}"
        done = subprocess.run(
            ["docker", "run", *options, where, self.tag, "timeout", "600", "sh", "-euc", script],
            input=stdin,
            capture_output=True,
            check=False,
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == status, f"{self.tag}: status {done.returncode}\n{script}\n{said[-4000:]}"
        return done.stdout

    def says(self, script: str, *, stdin: bytes = b"") -> list[str]:
        """Return the lines that a script prints."""
        return self.run(script, stdin=stdin).decode().splitlines()


@dataclass(frozen=True)
class File:
    """A regular file of an image: its mode, and the machine of its ELF header if it has one."""

    mode: int
    machine: int | None


def machine(head: bytes) -> int | None:
    """Return ``e_machine`` of an ELF header, None for other files."""
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    order = "<" if head[5] == 1 else ">"
    return int(struct.unpack_from(f"{order}H", head, 18)[0])


def files(image: Image) -> dict[str, File]:
    """Return all regular files of an image by path. Links are left out; their targets are included."""
    created = subprocess.run(
        ["docker", "create", "--pull=never", f"--platform=linux/{OCI[image.platform]}", image.tag, "true"],
        capture_output=True,
        text=True,
        check=True,
    )
    container = created.stdout.strip()
    found = {}
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as tar,
        ):
            for member in tar:
                if member.isreg() and (content := tar.extractfile(member)):
                    found[member.name] = File(member.mode, machine(content.read(20)))
        assert process.returncode == 0
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=True)
    return found


def build(*goals: str) -> dict[str, Any]:
    """Call ``doit`` for these goals. Return the content of ``last-run.json``."""
    last = ROOT / "cache" / "last-run.json"
    last.unlink(missing_ok=True)
    doit(ROOT, *goals)
    run: dict[str, Any] = json.loads(last.read_text())
    return run


def built(platform: str, *names: str) -> dict[str, Image]:
    """Build images of a platform and load them into the engine. Return them by name."""
    tags = build(*(f"{name}:{platform}" for name in names))["images"]
    found = {}
    for name in names:
        [tag] = [tag for tag in tags if tag.endswith(f":{name}-{platform}")]
        found[name] = Image(tag, name, platform)
    return found


def copied(folder: Path) -> Path:
    """Copy the project's declarations to ``folder``. The copy uses the same store."""
    for name in ("stock", "variant"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in ("stages.toml", "stages.lock", "dodo.py"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / "cache").symlink_to(ROOT / "cache", target_is_directory=True)  # links below it are not followed
    return folder
