"""A call of git returns the output or the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.errors import ToolError
from stagegraph.system.git import git

pytestmark = pytest.mark.unit


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert not git(tmp_path, "init", "--quiet", "--initial-branch=main").error
    return tmp_path


def test_output(repository: Path) -> None:
    assert git(repository, "symbolic-ref", "HEAD").text == "refs/heads/main"


def test_failure(repository: Path) -> None:
    assert git(repository, "rev-parse", "--verify", "HEAD").error.startswith("fatal: ")
    # git prints no message here
    assert git(repository, "config", "--get", "no.such").error == "git config --get no.such failed"


def test_another_index(repository: Path, tmp_path: Path) -> None:
    (repository / "file").write_text("x")
    other = tmp_path / "other-index"
    assert not git(repository, "add", "file", index=other).error
    assert git(repository, "ls-files", index=other).text == "file"
    assert git(repository, "ls-files").text == ""


def test_git_is_missing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="git: is not installed"):
        git(repository, "status")
