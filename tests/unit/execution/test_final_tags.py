"""The final references of a run: what git and the images say, and who may have a reference."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from helpers import HEAD, graph, image, sha, stages

from stagegraph.errors import ProjectError
from stagegraph.execution import git_values
from stagegraph.execution.final_tags import FinalTags
from stagegraph.graph.graph import Graph
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

GIT = HEAD.replace("[project]\n", '[project]\nversion = "git"\n')
PRINTS = (
    '[images.{0}]\ntags = ["py{{prints.x}}-{{arch}}", "py{{prints.x}}"]\n[images.{0}.prints]\nx = ["x"]\n'
)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def final(
    root: Path, layout: LayoutStore, more: str, head: str = HEAD, cli: dict[str, str] | None = None
) -> FinalTags:
    return FinalTags(made(root, more, head, cli).project, layout)


def made(root: Path, more: str, head: str = HEAD, cli: dict[str, str] | None = None) -> Graph:
    return graph(
        stages(root, dict.fromkeys(("app", "other"), "FROM scratch\n"), head=head, more=more), cli=cli
    )


def git(root: Path, *commands: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in commands:
        env = {"GIT_COMMITTER_DATE": "2026-02-03T23:30:00-0200", "PATH": "/usr/bin:/bin"}
        subprocess.run(
            ["git", "-C", str(root), *who, *words.split()], check=True, capture_output=True, env=env
        )


# -- git -----------------------------------------------------------------------------------------


def test_what_git_says(tmp_path: Path) -> None:
    git(tmp_path, "init -q", "commit -qm one --allow-empty", "tag other-9", "tag v1.2")
    values = git_values.read(tmp_path, version=True).values
    commit = subprocess.check_output(["git", "-C", tmp_path, "rev-parse", "HEAD"], text=True).strip()
    assert values == {"version": "1.2", "revision": commit[:12], "commit_date": "2026-02-04"}
    git(tmp_path, "commit -qm two --allow-empty")
    values = git_values.read(tmp_path, version=True).values
    assert values["version"] == f"1.2-1-g{values['revision']}"
    (tmp_path / "file").write_text("not committed")
    dirty = git_values.read(tmp_path, version=True).values
    assert dirty["version"] == values["version"] + "-dirty"
    assert dirty["revision"] == values["revision"] + "-dirty"


def test_a_version_needs_a_tag(tmp_path: Path) -> None:
    git(tmp_path, "init -q", "commit -qm one --allow-empty", "tag other")
    placeholders = git_values.read(tmp_path, version=True)
    assert set(placeholders.values) == {"revision", "commit_date"}
    assert set(placeholders.missing) == {"version"}
    assert not git_values.read(tmp_path, version=False).missing


def test_a_goal_needs_what_git_says(tmp_path: Path, layout: LayoutStore) -> None:
    more = '[images.app]\ntags = ["{version}"]\n[images.other]\n'
    tags = final(tmp_path, layout, more, GIT)
    tags.check([("other", "amd64")])  # it has no such tag
    assert tags.of_index("app") == ["example/atom:{version}"]
    with pytest.raises(ProjectError) as error:
        tags.check([("app", "amd64")])
    assert str(error.value).startswith(
        "stages.toml:15: image app: git has no version for the tag '{version}'"
    )
    final(tmp_path, layout, more, GIT, {"tag": "x"}).check([("app", "amd64")])  # no placeholder is left
    given = FinalTags(made(tmp_path, more, GIT).project, layout, "1.3")
    given.check([("app", "amd64")])
    assert (given.of_index("app"), given.version) == (["example/atom:1.3"], "1.3")


def test_two_images_get_one_tag_by_git(tmp_path: Path, layout: LayoutStore) -> None:
    git(tmp_path, "init -q", "commit -qm one --allow-empty", "tag 1", "tag v1")
    (tmp_path / ".git/info/exclude").write_text("*\n")
    more = '[images.app]\ntags = ["{version}"]\n[images.other]\ntags = ["1"]\n'
    with pytest.raises(ProjectError) as error:
        final(tmp_path, layout, more, GIT).check()
    assert "image other: the index of other would get the tag example/atom:1" in str(error.value)
    assert "as the index of app (stages.toml:15)" in str(error.value)


# -- outputs -------------------------------------------------------------------------------------


def test_an_output_is_known_once_it_is_recorded(tmp_path: Path, layout: LayoutStore) -> None:
    tags, one = final(tmp_path, layout, PRINTS.format("app")), sha("1")
    assert tags.of_platform("app", "aarch64", one) == ["example/atom:py{prints.x}-arm64"]
    assert [command.name for command in tags.commands_to_run("app", "aarch64", one)] == ["x"]
    layout.outputs.write(one, ("x",), "3\n")
    assert tags.of_platform("app", "aarch64", one) == ["example/atom:py3-arm64"]
    assert tags.commands_to_run("app", "aarch64", one, published=True) == []
    assert tags.commands_to_run("app", "aarch64", sha("2"))  # another image


def test_only_commands_that_a_tag_needs_are_run(tmp_path: Path, layout: LayoutStore) -> None:
    more = '[images.app]\ntags = ["py{prints.x}", "{arch}"]\n[images.app.prints]\nx = ["x"]\ny = ["y"]\n'
    tags = final(tmp_path, layout, more)
    assert not tags.commands_to_run("app", "amd64", sha("1"))  # a run does not set that of the index
    assert [c.name for c in tags.commands_to_run("app", "amd64", sha("1"), published=True)] == ["x"]
    assert not final(tmp_path, layout, more, cli={"tag": "x"}).commands_to_run(
        "app", "amd64", sha("1"), published=True
    )


def test_an_output_counts_only_for_the_tags_that_need_it(tmp_path: Path, layout: LayoutStore) -> None:
    """What is wrong with the output for a tag of the index is no error of a run, or with ``tag=TAG``."""
    more = '[images.app]\ntags = ["py{prints.x}", "{arch}"]\n[images.app.prints]\nx = ["x"]\n'
    layout.outputs.write(sha("1"), ("x",), "not a tag")
    tags = final(tmp_path, layout, more)
    assert tags.of_run("app", "amd64", sha("1")) == ["example/atom:amd64"]
    with pytest.raises(ProjectError, match="cannot be in a tag"):
        tags.of_index("app", {"amd64": sha("1")})
    given = final(tmp_path, layout, more, cli={"tag": "x"})
    assert given.of_index("app", {"amd64": sha("1")}) == ["example/atom:x"]


def test_a_tag_of_the_index_needs_one_output_on_all_platforms(tmp_path: Path, layout: LayoutStore) -> None:
    tags = final(tmp_path, layout, PRINTS.format("app"))
    digests = {"amd64": sha("1"), "aarch64": sha("2")}
    layout.outputs.write(sha("1"), ("x",), "3\n")
    assert tags.of_index("app", digests) == ["example/atom:py{prints.x}"]
    layout.outputs.write(sha("2"), ("x",), "3\n")
    assert tags.of_index("app", digests) == ["example/atom:py3"]
    layout.outputs.write(sha("2"), ("x",), "4\n")
    with pytest.raises(ProjectError, match="would be py3 for amd64, py4 for aarch64"):
        tags.of_index("app", digests)


# -- claims --------------------------------------------------------------------------------------


def test_a_reference_belongs_to_one_image(tmp_path: Path, layout: LayoutStore) -> None:
    tags = final(tmp_path, layout, PRINTS.format("app") + PRINTS.format("other"))
    tags.claim("app", "amd64", ["example/atom:py3-amd64"])
    tags.claim("app", "amd64", ["example/atom:py3-amd64"])  # again
    with pytest.raises(ProjectError) as error:
        tags.claim("other", "amd64", ["example/atom:py3-amd64"])
    assert str(error.value).startswith(
        "stages.toml:18: image other: other:amd64 would get the tag example/atom:py3-amd64, "
        "as app:amd64 (stages.toml:14)"
    )


def test_a_printed_tag_may_be_that_of_an_image_beside_the_run(tmp_path: Path, layout: LayoutStore) -> None:
    tags = final(tmp_path, layout, PRINTS.format("app") + "[images.other]\n")
    with pytest.raises(ProjectError, match="as other:amd64"):
        tags.claim("app", "amd64", ["example/atom:other-amd64"])


def test_an_image_beside_the_run_keeps_the_tag_of_its_last_build(tmp_path: Path, layout: LayoutStore) -> None:
    more = PRINTS.format("app") + PRINTS.format("other")
    nodes, node = made(tmp_path, more), Node("other", "amd64")
    record = image(layout, str(node))
    layout.commit(record.with_key(nodes.key(node), nodes.inputs(node), str(node)))
    layout.set_latest(str(node), nodes.key(node))
    layout.outputs.write(record.digest, ("x",), "3")
    alone = FinalTags(nodes.project, layout)
    alone.check([("app", "amd64")])
    with pytest.raises(ProjectError, match="as other:amd64"):
        alone.claim("app", "amd64", ["example/atom:py3-amd64"])
    assert alone.newest("other", "amd64") == "example/atom:py3-amd64"
    # in the same run it may move on: what it prints then counts
    both = FinalTags(nodes.project, layout)
    both.check([("app", "amd64"), ("other", "amd64")])
    both.claim("app", "amd64", ["example/atom:py3-amd64"])


def test_an_image_with_a_wrong_output_keeps_its_other_tags(tmp_path: Path, layout: LayoutStore) -> None:
    more = PRINTS.format("app") + PRINTS.format("other").replace("tags = [", 'tags = ["edge", ')
    nodes, node = made(tmp_path, more), Node("other", "amd64")
    record = image(layout, str(node))
    layout.commit(record.with_key(nodes.key(node), nodes.inputs(node), str(node)))
    layout.set_latest(str(node), nodes.key(node))
    layout.outputs.write(record.digest, ("x",), "not a tag")
    tags = FinalTags(nodes.project, layout)
    with pytest.raises(ProjectError, match="as the index of other"):
        tags.claim("app", "", ["example/atom:edge"])


def test_the_only_platform_has_the_tags_of_the_index(tmp_path: Path, layout: LayoutStore) -> None:
    tags = final(tmp_path, layout, '[images.app]\nplatforms = ["amd64"]\ntags = ["latest"]\n')
    tags.claim("app", "amd64", tags.of_run("app", "amd64"))
    tags.claim("app", "", tags.of_index("app"))


def test_a_reference_that_is_not_valid(tmp_path: Path, layout: LayoutStore) -> None:
    tags = final(tmp_path, layout, PRINTS.format("app"))
    with pytest.raises(ProjectError, match="is not a tag"):
        tags.claim("app", "amd64", [f"example/atom:py{'3' * 130}"])
