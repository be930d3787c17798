"""An engine whose build cache ``./run`` removed: images stay, and containerd frees the rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import RUN

from stagegraph.host import build_cache
from stagegraph.host.engine import Engine

pytestmark = pytest.mark.engine


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine in its own folder. It does not run."""
    if os.geteuid() != 0:
        pytest.skip("starts an engine of its own, which needs root")
    monkeypatch.setenv("STAGEGRAPH_ENGINE_DIR", str(tmp_path_factory.mktemp("e")))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    yield Engine.from_environment()
    run("down")


def run(*command: str) -> str:
    """Run a command by ``./run``, which starts the engine. Return its output."""
    return subprocess.run(
        [str(RUN), *command], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout


def leases(engine: Engine) -> set[str]:
    socket = str(engine.containerd_socket)
    words = ["ctr", "--address", socket, "--namespace", engine.namespace, "leases", "ls", "--quiet"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def test_images_outlive_the_build_cache(own: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    run("docker", "build", "--quiet", "--tag", "kept", str(tmp_path))
    container = run("docker", "create", "kept", "/none").strip()
    of_the_cache = leases(own) - {container}
    assert of_the_cache and container in leases(own)
    run("down")

    build_cache.remove(own.data)
    assert run("docker", "buildx", "du").split()[-1] == "0B"
    build_cache.release(own.containerd_socket, own.namespace)

    assert leases(own) == {container}
    run("docker", "cp", f"{container}:/file", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "content"
    run("docker", "build", "--quiet", str(tmp_path))  # the new cache works
