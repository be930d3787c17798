"""Fixtures of the engine tier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import DODO, SUMMARY, Project, Registry, header, remove_images, serving_with_login
from libraries import with_libraries


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the figures that the worker processes of a parallel test run report."""
    node.config.stash.setdefault(SUMMARY, []).extend(getattr(node, "workeroutput", {}).get("figures", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash.get(SUMMARY, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(SUMMARY, []):
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def repo(request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository name for one test. Its images are removed from the engine afterwards."""
    name = f"stagegraph-test/{abs(hash(request.node.nodeid)) % 10**8}-{os.getpid()}"
    yield name
    remove_images(name)


@pytest.fixture
def project(tmp_path: Path, repo: str) -> Project:
    """A project folder with a dodo.py of one line and two platforms. Tests add the stages."""
    made = Project(tmp_path / "project")
    made.folder.mkdir()
    made.write({"dodo.py": DODO, "stages.toml": header(repo)})
    return made


@pytest.fixture
def login_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that requires a login: user robot, password secret."""
    with serving_with_login(tmp_path / "locked") as registry:
        yield registry


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a context. ``COPY program /`` puts ``/program`` and its libraries into the image.

    The program prints its arguments. ``sleep N`` sleeps, ``fail N`` ends with status N, ``noise FILE`` writes
    random bytes.
    """
    folder = tmp_path_factory.mktemp("program")
    with_libraries(folder, "sh", "sleep", "head")
    (folder / "program").write_text(
        '#!/bin/sh\necho "$*"\ncase $1 in\nsleep) exec sleep "$2" ;;\nfail) exit "$2" ;;\n'
        'noise) head -c 8 /dev/urandom >"$2" ;;\nesac\n'
    )
    (folder / "program").chmod(0o755)
    return folder
