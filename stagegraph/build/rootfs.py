"""A bootstrapped base: mmdebstrap makes the root file system, a Dockerfile of two lines unpacks it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import ToolError
from ..project import bootstrap
from ..system.processes import last_lines, managed_process
from .failure import cause

if TYPE_CHECKING:
    from ..keys.spec import NodeSpec
    from .log import Log


def rootfs(spec: NodeSpec, out: Path, log: Log) -> None:
    """Write the root file system of a bootstrapped base as a tar to ``out``.

    Raises ``ToolError`` where mmdebstrap is missing and ``BuildError`` with its last lines where it fails.
    """
    assert spec.bootstrap is not None
    if not shutil.which("mmdebstrap"):
        raise ToolError(
            str(spec.node),
            "the base is bootstrapped by mmdebstrap, which is not installed",
            "apt-get install mmdebstrap arch-test; or stand on an image instead: base=debian:trixie-slim",
        )
    command = ["mmdebstrap", *bootstrap.arguments(spec.bootstrap, spec.platform.docker), str(out)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(spec.epoch), "DEBIAN_FRONTEND": "noninteractive"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": log.file, "stderr": subprocess.STDOUT}
    with managed_process(command, **pipes, env=env) as process:
        status = process.wait()
    if status != 0:
        what = f"mmdebstrap {spec.bootstrap.suite} failed with status {status}\n{last_lines(log.path)}"
        kind, hint = cause(log.path.read_text(errors="replace"))
        raise kind(str(spec.node), what, f"{hint}\n  full log: {log.path}")


def bootstrap_context(rootfs_tar: IO[bytes], size: int, epoch: int, out: IO[bytes]) -> None:
    """The context of a bootstrapped base: the root file system and a Dockerfile that unpacks it."""
    import tarfile

    dockerfile = bootstrap.DOCKERFILE.encode()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, length in (
            ("Dockerfile", io.BytesIO(dockerfile), len(dockerfile)),
            ("rootfs.tar", rootfs_tar, size),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = length, epoch, 0o644
            tar.addfile(info, data)
