"""A bootstrapped base: mmdebstrap writes the root file system, a Dockerfile of two lines unpacks it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from typing import IO, TYPE_CHECKING

from ..errors import ToolError
from ..project import bootstrap
from ..system.files import relative_path
from ..system.processes import end_of, last_lines, managed_process, read_lines
from ..waits.waiting import waiting_for
from .causes import cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..keys.spec import NodeSpec
    from .log import Log


def write_bootstrap_context(
    spec: NodeSpec, view: Path, out: IO[bytes], log: Log, hear: Callable[[bytes], None]
) -> None:
    """Write the context of a bootstrapped base to ``out``: a root file system and a Dockerfile.

    ``view`` is a folder for temporary files. ``hear`` gets each line that mmdebstrap prints. Raises
    ``ToolError`` if mmdebstrap is not installed. Raises ``BuildError``, or a more precise error, with
    mmdebstrap's last lines if it fails.
    """
    rootfs = view / "rootfs.tar"
    _write_rootfs(spec, rootfs, log, hear)
    with rootfs.open("rb") as file:
        _write_context(file, rootfs.stat().st_size, spec.epoch, out)
    rootfs.unlink()


def _write_rootfs(spec: NodeSpec, out: Path, log: Log, hear: Callable[[bytes], None]) -> None:
    assert spec.bootstrap is not None
    if not shutil.which("mmdebstrap"):
        raise ToolError(
            str(spec.node),
            "mmdebstrap, which bootstraps this base, is not installed",
            "apt-get install mmdebstrap arch-test; or use an image as the base: base=debian:trixie-slim",
        )
    command = ["mmdebstrap", *bootstrap.arguments(spec.bootstrap, spec.platform.docker), str(out)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(spec.epoch), "DEBIAN_FRONTEND": "noninteractive"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    what = f"mmdebstrap {spec.bootstrap.suite}, which prints nothing; it fetches or installs packages"
    with managed_process(command, **pipes, env=env) as process, waiting_for(what) as wait:
        for line in read_lines(process, lambda: False):
            wait.heard()
            log.write(line)
            hear(line)
        status = end_of(process)
    if status != 0:
        what = f"mmdebstrap {spec.bootstrap.suite} failed with status {status}\n{last_lines(log.path)}"
        found = cause(log.path.read_text(errors="replace"))
        more = f"the whole log: doit logs {spec.node} ({relative_path(log.path)})"
        raise found.error(str(spec.node), what, f"{found.advice}\n  {more}")


def _write_context(rootfs: IO[bytes], size: int, epoch: int, out: IO[bytes]) -> None:
    import tarfile

    dockerfile = bootstrap.DOCKERFILE.encode()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data, length in (
            ("Dockerfile", io.BytesIO(dockerfile), len(dockerfile)),
            ("rootfs.tar", rootfs, size),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = length, epoch, 0o644
            tar.addfile(info, data)
