"""What more than one file needs: a registry, a second engine, the platforms of the stock tier."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import MACHINE
from kit import Registry, free_port

RUN = Path(__file__).parents[1] / "run"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    port, folder = free_port(), tmp_path / "registry"
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {accesslog: {disabled: false}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield Registry(f"127.0.0.1:{port}", folder / "data", log, process)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of another engine with an empty data root."""
    folder = tmp_path_factory.mktemp("e")
    env = {**os.environ, "STAGEGRAPH_ENGINE_DIR": str(folder / "d")}
    done = subprocess.run(
        [str(RUN), "sh", "-c", "echo $DOCKER_HOST"], env=env, capture_output=True, text=True, check=True
    )
    yield {"DOCKER_HOST": done.stdout.strip()}
    subprocess.run([str(RUN), "down"], env=env, check=True, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=list(MACHINE))
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
