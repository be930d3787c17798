"""A call of git returns the output or the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.errors import ToolError
from stagegraph.system import git as git_module
from stagegraph.system.git import GitResult, ask, git, head

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


def test_a_question_without_git_has_the_error_as_its_answer(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(repository, "rev-parse", "HEAD").error.startswith("fatal: ")
    assert "\n" not in ask(repository, "rev-parse", "HEAD").error
    monkeypatch.setenv("PATH", "")
    assert head(repository).error.startswith("git: is not installed")


def test_the_commit_says_that_there_are_changes(repository: Path) -> None:
    assert head(repository).text == "" and head(repository).error
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    assert not git(repository, *who, "commit", "--quiet", "--allow-empty", "--message=one").error
    commit = git(repository, "rev-parse", "HEAD").text
    assert head(repository) == (f"{commit}\n".encode(), "")
    (repository / "file").write_text("x")
    assert head(repository).text == f"{commit}-dirty"


SIGNED = """tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author a <a@example.com> 1700000000 +0000
committer a <a@example.com> 1700000000 +0000
gpgsig -----BEGIN SSH SIGNATURE-----
 eA==
 -----END SSH SIGNATURE-----

signed
"""


def test_answers_do_not_depend_on_the_settings_of_a_user(repository: Path, tmp_path: Path) -> None:
    git(repository, "hash-object", "-t", "tree", "-w", "/dev/null")
    (tmp_path / "signed").write_text(SIGNED)
    commit = git(repository, "hash-object", "-t", "commit", "-w", str(tmp_path / "signed")).text
    assert not git(repository, "update-ref", "HEAD", commit).error
    git(repository, "config", "log.showSignature", "true")
    git(repository, "config", "gpg.format", "ssh")
    git(repository, "config", "status.showUntrackedFiles", "no")
    assert git(repository, "log", "-1", "--format=%ct").text == "1700000000"
    assert head(repository).text == f"{commit}-dirty"  # a file that git does not track


def test_a_commit_whose_changes_are_unknown_is_not_clean(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_module, "ask", lambda _, *words: GitResult(b"c" * 40, "x" * ("status" in words)))
    assert head(repository).error == "x"
