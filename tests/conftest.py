"""What more than one file needs: a registry, a second engine, the platforms of the stock tier."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import MACHINE
from kit import Registry, serving

RUN = Path(__file__).parents[1] / "run"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with serving(tmp_path / "registry") as started:
        yield started


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
