"""Fixtures for several tiers: a registry, a second engine, the platforms of the stock tier.

Every ``stages.toml`` that a test loads must also fit the schema for editors.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from images import MACHINE
from jsonschema import Draft4Validator
from kit import Registry, serving
from machines import engine

from stagegraph import output
from stagegraph.cli import program
from stagegraph.project import loader
from stagegraph.project.editor_schema import document
from stagegraph.project.model import Project

# A shell that starts this in the background (COMMAND &) lets it ignore Ctrl-C, and so its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that calls ``main`` sets the program's name; the next test must not see it."""
    monkeypatch.setattr(program, "_program", program._program)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that a test loads hides its secrets; the next test must not miss them in its texts."""
    monkeypatch.setattr(output, "_mask", output.Mask())


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


@pytest.fixture(scope="session", autouse=True)
def fits_the_schema() -> Iterator[None]:
    """Check every file that the loader accepts against the schema, too."""
    validator, load = Draft4Validator(document()), loader.load

    @functools.wraps(load)
    def checked(
        root: Path,
        cli: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        text: str | None = None,
    ) -> Project:
        project = load(root, cli, env, text=text)
        tables, _ = loader.parse(loader.read(root) if text is None else text)
        assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(tables)] == []
        return project

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "load", checked)
        yield
