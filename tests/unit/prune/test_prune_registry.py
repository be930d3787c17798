"""Tags that stay in a registry: those of kept revisions, those that find the same images, young ones."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import git, image, key_of, sha, stages, write

from stagegraph.errors import ProjectError
from stagegraph.execution.workspace import Workspace
from stagegraph.keys.key import Key
from stagegraph.oci.digest import Digest
from stagegraph.oci.digest import sha256 as remote_sha256
from stagegraph.prune import registry, revisions
from stagegraph.prune.registry import NodeTag
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
OLD, YOUNG = "2026-01-01T00:00:00+00:00", "2026-05-30T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def made(store: LayoutStore, name: str, created: str = OLD) -> Record:
    return image(store, name, (name.encode(),))._replace(created=created)


def tag(record: Record, digest: Digest | None = None) -> NodeTag:
    return NodeTag(
        f"{record.node.partition(':')[0]}-amd64-{record.key[7:]}", digest or sha(record.key), record
    )


def choose(*tags: NodeTag, keys: set[Key]) -> registry.RetentionPlan:
    return registry.plan_retention(registry.TagInventory(tags), keys, NOW - datetime.timedelta(days=30))


def test_an_old_image_that_nothing_needs_is_deleted(store: LayoutStore) -> None:
    needed, young, old = made(store, "a"), made(store, "b", YOUNG), made(store, "c")
    choice = choose(*map(tag, (needed, young, old)), keys={needed.key})
    assert choice == registry.RetentionPlan((tag(needed),), (tag(young),), (tag(old),))


def test_every_tag_of_a_needed_image_stays(store: LayoutStore) -> None:
    needed = made(store, "a")
    other = made(store, "b")._replace(digest=needed.digest)
    assert choose(tag(needed), tag(other), keys={needed.key}).needed == (tag(needed), tag(other))


def test_a_manifest_that_a_kept_tag_names_stays(store: LayoutStore) -> None:
    """If prune deleted the manifest, the kept tag would be deleted, too."""
    needed, old = made(store, "a"), made(store, "b")
    choice = choose(tag(needed, sha("one")), tag(old, sha("one")), keys={needed.key})
    assert not choice.to_delete


def test_a_manifest_with_another_tag_stays(store: LayoutStore) -> None:
    old, older = made(store, "a"), made(store, "b")
    tags = (tag(old, sha("one")), tag(older, sha("two")))
    choice = registry.plan_retention(registry.TagInventory(tags, frozenset({sha("one")})), set(), NOW)
    assert choice.to_delete == tags[1:]


def test_only_tags_of_records_are_tags_of_nodes(store: LayoutStore) -> None:
    record = made(store, "a")
    lie = f"a-amd64-{'0' * 64}"  # the record has another key
    held = store.document(record)
    data = {record.tag: held, lie: held, "stock-amd64": b"image", "gone": None}
    remote = SimpleNamespace(tags=lambda: list(data), reference=str, read_manifest=data.get)
    found = registry.list_tags(remote)  # type: ignore[arg-type]
    assert [each.name for each in found.node_tags] == [record.tag]
    assert found.other_digests == {remote_sha256(data[name] or b"") for name in (lie, "stock-amd64")}


def test_an_image_that_got_another_key_recently_counts_as_young(store: LayoutStore) -> None:
    """All of its tags stay. Otherwise a run could not find it by its content key."""
    old, other = made(store, "a"), made(store, "b")
    lately = old.with_key(key_of("other"), list(old.inputs), recorded=YOUNG)
    choice = choose(tag(old), tag(lately), tag(other), keys=set())
    assert choice == registry.RetentionPlan((), (tag(old), tag(lately)), (tag(other),))


@pytest.mark.parametrize("created", ["", "yesterday", "2026-01-01T00:00:00"])
def test_an_image_with_an_invalid_time_counts_as_young(store: LayoutStore, created: str) -> None:
    assert choose(tag(made(store, "a", created)), keys=set()).recent


def test_tags_of_nodes() -> None:
    assert registry.is_node_tag(f"blas-arm64-{'0' * 64}")
    for other in ("stock-amd64", "stock", f"sha256-{'0' * 64}", f"x-{'0' * 64}.sig"):
        assert not registry.is_node_tag(other)


# -- revisions -----------------------------------------------------------------------------------


HEAD = """\
[project]
repo = "example/own"
[platforms.amd64]
docker = "linux/amd64"
[base]
bootstrap = "trixie"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write(folder, {"README": "nothing yet\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    for text in ("one", "two"):
        stages(folder, {"app": f"FROM scratch\nENV A={text}\n"}, head=HEAD)
        write(folder, {"stages.lock": 'archive = "2026-01-01"\n'})
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", text)
        git(folder, "tag", text)
    return folder


def keys(folder: Path) -> set[str]:
    made = Workspace.open(folder, {}).graph
    return {made.key(node) for node in made.nodes}


def test_keys_of_a_revision_are_those_of_its_files(repository: Path) -> None:
    now, commits = keys(repository), revisions.revisions(repository)
    assert set(commits) == {"HEAD", "refs/heads/main", "refs/tags/one", "refs/tags/two"}
    at = {name: revisions.keys_at(repository, commit, {}, pytest.fail) for name, commit in commits.items()}
    assert at["HEAD"] == at["refs/tags/two"] == now
    assert at["refs/tags/one"] != now
    assert len(at["refs/tags/one"] & now) == 1  # the key of the base
    assert keys(repository) == now  # the clone has not changed


def test_a_revision_without_a_project_needs_nothing(repository: Path) -> None:
    (commit,) = revisions.revisions(repository, ["one~1"]).values()
    assert revisions.keys_at(repository, commit, {}, pytest.fail) == set()


def test_a_project_that_has_moved(repository: Path) -> None:
    now = keys(repository)
    (repository / "moved").mkdir()
    git(repository, "mv", "app", "stages.toml", "stages.lock", "moved")
    git(repository, "commit", "-qm", "moved")
    (commit,) = revisions.revisions(repository / "moved", ["two"]).values()
    assert revisions.keys_at(repository / "moved", commit, {}, pytest.fail) == now


def test_a_project_in_a_folder_of_its_repository(tmp_path: Path, repository: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(repository, whole / "part", ignore=shutil.ignore_patterns(".git"))
    git(whole, "init", "-q")
    git(whole, "add", "-A")
    git(whole, "commit", "-qm", "all")
    (commit,) = revisions.revisions(whole / "part", ["HEAD"]).values()
    assert revisions.keys_at(whole / "part", commit, {}, pytest.fail) == keys(whole / "part")


def test_an_unknown_revision_is_an_error(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no revision 'nowhere'"):
        revisions.revisions(repository, ["nowhere"])
    with pytest.raises(ProjectError, match="not a git repository"):
        revisions.revisions(tmp_path)


def test_a_revision_whose_keys_cannot_be_computed_is_an_error(repository: Path) -> None:
    write(repository, {"stages.toml": "[project\n"})
    git(repository, "commit", "-qam", "broken")
    (commit,) = revisions.revisions(repository, ["HEAD"]).values()
    with pytest.raises(ProjectError, match="--revisions"):
        revisions.keys_at(repository, commit, {}, pytest.fail)


def test_files_that_git_archive_leaves_out_are_part_of_the_keys(repository: Path) -> None:
    write(repository, {".gitattributes": "app/file export-ignore\n", "app/file": "one"})
    write(repository, {"app/Dockerfile": "FROM scratch\nCOPY . /\n"})
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "with attributes")
    (commit,) = revisions.revisions(repository, ["HEAD"]).values()
    assert revisions.keys_at(repository, commit, {}, pytest.fail) == keys(repository)


def test_a_shallow_clone_is_an_error_unless_revisions_are_named(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    with pytest.raises(ProjectError, match="shallow"):
        revisions.revisions(tmp_path / "shallow")
    assert set(revisions.revisions(tmp_path / "shallow", ["HEAD"])) == {"HEAD"}


def test_keys_for_the_settings_of_a_call_are_needed_too(repository: Path) -> None:
    toml = (repository / "stages.toml").read_text()
    write(repository, {"stages.toml": f'{toml}[stages.app.alternatives.other]\npath = "other"\n'})
    write(repository, {"other/Dockerfile": "FROM scratch\nENV B=1\n"})
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "alternative")
    (commit,) = revisions.revisions(repository, ["HEAD"]).values()
    needed = revisions.keys_at(repository, commit, {"app": "other"}, pytest.fail)
    assert needed > keys(repository)
