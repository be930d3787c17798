"""What more than one file needs: a registry, a second engine, the platforms of the stock tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from images import MACHINE
from kit import Registry, serving
from machines import engine


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with serving(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of another engine with an empty data root."""
    with engine(tmp_path_factory.mktemp("e")) as host:
        yield {"DOCKER_HOST": host}


@pytest.fixture(scope="session", params=list(MACHINE))
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
