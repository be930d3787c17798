"""Shared parts of the benchmarks: calls that must succeed, a registry, an empty engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64"}
REPOSITORY = Path(__file__).resolve().parents[1]
DOIT = [sys.executable, "-m", "doit"]


def call(folder: Path, *command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed. Return its standard output; show the rest only after a failure."""
    # let Python write byte code; otherwise every call compiles the project's modules, but not those of doit
    environment = {**os.environ, "CI": "true", **(env or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        message = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{message}")
    return done.stdout.decode()


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry on a free port of this machine, with its data in ``folder``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        host, _, port = address.partition(":")
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit(f"docker-registry does not listen: {(folder / 'log').read_text()[-1000:]}")
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def cleared(*repositories: str) -> Iterator[None]:
    """Remove the images of these repositories from the engine afterwards."""
    try:
        yield
    finally:
        for name in repositories:
            listed = subprocess.run(
                ["docker", "images", "--format={{.Repository}}:{{.Tag}}", name],
                capture_output=True,
                text=True,
                check=False,
            )
            # remove by name: removal by id leaves an image without a name
            if tags := listed.stdout.split():
                subprocess.run(["docker", "rmi", *tags], capture_output=True, check=False)


@contextlib.contextmanager
def engine() -> Iterator[dict[str, str]]:
    """The environment of another engine with an empty data root."""
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp") as folder:
        env = {**os.environ, "STAGEGRAPH_ENGINE_DIR": f"{folder}/d"}
        run = str(REPOSITORY / "run")
        host = subprocess.run(
            [run, "sh", "-c", "echo $DOCKER_HOST"], env=env, capture_output=True, text=True, check=True
        )
        try:
            yield {"DOCKER_HOST": host.stdout.strip()}
        finally:
            subprocess.run([run, "down"], env=env, check=True, capture_output=True)
            shutil.rmtree(f"{folder}/d", ignore_errors=True)


def rows(table: list[tuple[str, ...]]) -> str:
    """Return a Markdown table. The first row is its head."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [table[0], tuple("-" * width for width in widths), *table[1:]]
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in lines)
