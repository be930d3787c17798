"""The epoch of a project that declares the time of the last commit."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import HEAD, write

from stagegraph.errors import ProjectError
from stagegraph.execution.workspace import Workspace
from stagegraph.graph.epoch import with_epoch
from stagegraph.project import loader, tags
from stagegraph.prune import revisions
from stagegraph.system.git import git

pytestmark = pytest.mark.unit

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.com")
STAGE = '[stages.app]\npath = "app"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    head = HEAD.replace("[project]\n", '[project]\nsource_date_epoch = "commit"\n')
    root = tmp_path / "project"
    write(root, {"stages.toml": head + STAGE, "app/Dockerfile": "FROM scratch\nWORKDIR /a\n"})
    git(root, "init", "--quiet")
    return root


def commit(root: Path, time: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{time} +0100")
    git(root, "add", ".")
    assert not git(root, *AUTHOR, "commit", "--quiet", "--allow-empty", "--message=one").error
    return git(root, "rev-parse", "HEAD").text


def test_without_a_commit_there_is_no_time(project: Path) -> None:
    with pytest.raises(
        ProjectError, match=r"source_date_epoch: .* unknown: fatal: .*\n  commit, or write seconds"
    ):
        Workspace.open(project, {})


def test_a_number_needs_no_repository(tmp_path: Path) -> None:
    write(tmp_path, {"stages.toml": HEAD.replace("[project]\n", "[project]\nsource_date_epoch = 5\n")})
    assert Workspace.open(tmp_path, {}).project.epoch == 5


def test_every_commit_changes_the_keys(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for time in (1234567890, 1234567891):
        commit(project, time, monkeypatch)
        workspace = Workspace.open(project, {})
        assert workspace.project.epoch == time
        keys |= {workspace.graph.key(node) for node in workspace.graph.nodes}
    assert len(keys) == 4


def test_the_keys_of_an_older_commit_have_its_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = commit(project, 1234567890, monkeypatch)
    graph = Workspace.open(project, {}).graph
    keys = {graph.key(node) for node in graph.nodes}
    commit(project, 1234567891, monkeypatch)
    assert revisions.keys_at(project, first, {}, lambda _: None) == keys
    assert with_epoch(loader.load(project), project, first).epoch == 1234567890


@pytest.mark.parametrize(("epoch", "names"), [('"commit"', set()), ("1234567890", {"2009-02-13"})])
def test_the_date_of_a_commit_is_no_name_in_dockerfiles(
    project: Path, monkeypatch: pytest.MonkeyPatch, epoch: str, names: set[str]
) -> None:
    """Otherwise FROM would mean a stage on one day, and an external image on the next one."""
    text = (project / "stages.toml").read_text().replace('"commit"', epoch)
    write(project, {"stages.toml": f'{text}[images.app]\ntags = ["{{epoch_date}}"]\n'})
    commit(project, 1234567890, monkeypatch)
    opened = Workspace.open(project, {}).project
    named = tags.named(opened, "example/atom")
    assert {name for name, tag in named.items() if not tag.platform} == names
    assert {tag.tag for tag in tags.final(opened, opened.images["app"])} >= {"2009-02-13"}
