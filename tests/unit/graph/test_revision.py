"""Projects as commits have them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from helpers import git, stages, write

from stagegraph.errors import ProjectError
from stagegraph.graph import revision
from stagegraph.graph.revision import Revisions
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

NODE = Node("app", "amd64")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project with three commits, in a folder of a repository; ``other`` is no part of it."""
    git(tmp_path, "init", "-q")
    project = stages(tmp_path / "project", {"app": "FROM scratch\nCOPY file /\n"})
    for text in ("one\n", "two\n", "three\n"):
        write(tmp_path, {"project/app/file": text, "other/file": text})
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", text)
    write(tmp_path, {"other/file": "more\n"})
    git(tmp_path, "commit", "-q", "-a", "-m", "not of the project")
    return project


def file_at(revisions: Revisions, commit: str) -> str:
    graph = revisions.graph(commit)
    assert graph is not None
    (entry,) = graph.spec(NODE).entries
    return (entry.data or b"").decode()


def test_the_history_has_commits_of_the_project_only(root: Path) -> None:
    revisions = Revisions(root, {})
    assert [file_at(revisions, commit) for commit in revisions.history] == ["three\n", "two\n", "one\n"]
    assert (root / "app/file").read_text() == "three\n" and git(root, "status", "--porcelain") == ""


def test_a_folder_without_repository_has_no_history(tmp_path: Path) -> None:
    stages(tmp_path, {"app": "FROM scratch\n"})
    assert Revisions(tmp_path, {}).history == ()
    with pytest.raises(ProjectError, match="no revision 'HEAD'"):
        Revisions(tmp_path, {}).commit("HEAD")


def test_a_commit_with_a_broken_project_has_no_graph(root: Path) -> None:
    write(root, {"stages.toml": "[project"})
    git(root, "commit", "-q", "-a", "-m", "broken")
    revisions = Revisions(root, {})
    assert revisions.graph(revisions.commit("HEAD")) is None
    assert "stages.toml" in revisions.fault(revisions.commit("HEAD"))
    assert revisions.fault(revisions.commit("HEAD~1")) == ""


def test_older_files_make_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revisions = Revisions(root, {})
    newest, middle, oldest = revisions.history
    size = revision.tree_of(root.parent, newest, Path("project")).size
    monkeypatch.setattr(revision, "MOST_BYTES", 2 * size + 2)
    assert file_at(revisions, newest) == "three\n"
    files = Path(revisions.graph(newest).project.root)  # type: ignore[union-attr]
    assert file_at(revisions, middle) == "two\n" and files.exists()
    assert file_at(revisions, oldest) == "one\n" and not files.exists()
    assert file_at(revisions, newest) == "three\n"
    monkeypatch.setattr(revision, "MOST_BYTES", 10)
    assert Revisions(root, {}).graph(newest) is None


@pytest.mark.parametrize("place", ["../.gitattributes", ".gitattributes", "../.git/info/attributes"])
def test_attributes_around_the_project_apply_as_in_a_clone(root: Path, place: str) -> None:
    pattern = "app/file" if place == ".gitattributes" else "project/app/file"
    write(root, {place: f"{pattern} text eol=crlf\n"})
    git(root.parent, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "another end of lines")
    if place.endswith(".gitattributes"):
        write(root, {place: ""})  # that of the commit counts, not that of now
    revisions = Revisions(root, {})
    assert file_at(revisions, revisions.commit("HEAD")) == "three\r\n"


@pytest.mark.parametrize("name", [b"two words", b"a*", b":x", b"caf\xe9"])
def test_the_folder_of_a_project_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    top = tmp_path / os.fsdecode(name)
    project = stages(top / os.fsdecode(name), {"app": "FROM scratch\nCOPY file /\n"})
    write(project, {"app/file": "one\n"})
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "one")
    revisions = Revisions(project, {})
    (commit,) = revisions.history
    assert file_at(revisions, commit) == "one\n"


def test_temporary_files_go_with_the_object(root: Path) -> None:
    revisions = Revisions(root, {})
    graph = revisions.graph(revisions.history[0])
    assert graph is not None
    files = graph.project.root
    assert files.is_dir()
    del revisions
    assert not files.exists()


def test_a_text_is_found_by_its_digest_and_its_day(root: Path) -> None:
    revisions = Revisions(root, {})
    digest = "27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a"  # of "two\n"
    assert revisions.content("app/file", digest) == b"two\n"
    assert revisions.content("app/file", "0" * 64) is None
    day = git(root, "log", "-1", "--format=%cs", "HEAD~1")
    assert revisions.date_of("three", "app/file") == day and revisions.date_of("four", "app/file") == ""


def test_a_merge_base_is_where_a_branch_left_another(root: Path) -> None:
    base = git(root, "rev-parse", "HEAD")
    git(root, "branch", "theirs")
    write(root, {"app/file": "mine\n"})
    git(root, "commit", "-q", "-a", "-m", "mine")
    revisions = Revisions(root, {})
    assert revisions.commit("theirs", merge_base=True) == base
    git(root, "checkout", "-q", "--orphan", "alone")
    git(root, "commit", "-q", "-m", "alone")
    with pytest.raises(ProjectError, match="no commit in common"):
        revisions.commit("theirs", merge_base=True)


def test_a_partial_clone_fetches_the_files_of_a_commit_at_once(root: Path, tmp_path: Path) -> None:
    origin, clone = root.parent, tmp_path / "clone"
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    for text in ("old\n", "new\n"):
        write(root, {f"app/{name}": f"{name} {text}" for name in ("a", "b", "c")})
        git(origin, "add", "-A")
        git(origin, "commit", "-q", "-m", text)
    git(origin, "clone", "-q", "--filter=blob:none", f"file://{origin}", str(clone))
    packs = clone / ".git/objects/pack"
    before = len([*packs.glob("*.pack")])
    revisions = Revisions(clone / "project", {})
    assert file_at(revisions, revisions.history[1]) == "three\n"
    assert len([*packs.glob("*.pack")]) == before + 1


def test_small_commits_are_read_in_memory_unless_the_user_names_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision, "_MEMORY", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    places = Revisions(tmp_path, {})
    assert places._place(revision._SMALL).parent == tmp_path
    assert places._place(revision._SMALL + 1).parent != tmp_path
    monkeypatch.setenv("TMPDIR", str(tmp_path / "own"))
    assert places._place(1).parent != tmp_path
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(revision, "_MEMORY", str(tmp_path / "missing"))
    assert Revisions(tmp_path, {})._place(1).parent != tmp_path


def test_a_full_disk_is_a_fault_of_the_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    revisions = Revisions(root, {})
    (commit, *_) = revisions.history
    assert revisions.graph(commit) is None and "No space left" in revisions.fault(commit)
