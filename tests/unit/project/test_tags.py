"""The rules for final tags: placeholders, tags of platforms and of the index, repositories, clashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import HEAD, stages

from stagegraph.errors import ProjectError
from stagegraph.project import loader, prints, tags
from stagegraph.project.model import Image, PrintCommand, Project

pytestmark = pytest.mark.unit

VERSION = HEAD.replace("[project]\n", '[project]\nversion = "1.2"\nsource_date_epoch = 86400\n')
ONE = '[images.app]\nplatforms = ["aarch64"]\n'


def project(root: Path, more: str, *, head: str = VERSION, cli: dict[str, str] | None = None) -> Project:
    dockerfiles = dict.fromkeys(("app", "other"), "FROM scratch\nARG WORD\n")
    return loader.load(stages(root, dockerfiles, head=head, more=more), cli, {})


def fault(root: Path, more: str, *, head: str = VERSION, cli: dict[str, str] | None = None) -> str:
    with pytest.raises(ProjectError) as error:
        project(root, more, head=head, cli=cli)
    return str(error.value)


def found(project: Project, image: str = "app") -> set[tuple[str, str]]:
    """Return the known tags of an image, each with its platform."""
    return {(tag.platform, tag.tag) for tag in tags.final(project, project.images[image])}


# -- kinds of tags -------------------------------------------------------------------------------


def test_nothing_declared_gives_the_usual_tags(tmp_path: Path) -> None:
    one = project(tmp_path, "[images.app]\n")
    assert found(one) == {("", "app"), ("amd64", "app-amd64"), ("aarch64", "app-aarch64")}
    assert tags.of_run(one.images["app"]) == ("{image}-{platform}",)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{version}", "1.2"),
        ("{image}.{version}-x", "other.1.2-x"),
        ("{epoch_date}", "1970-01-02"),
        ("py{args.WORD}", "py3"),
        ("latest", "latest"),
    ],
)
def test_a_tag_without_a_platform_is_of_the_index(tmp_path: Path, text: str, tag: str) -> None:
    one = project(tmp_path, f'args = {{ WORD = 3 }}\n[images.other]\ntags = ["{text}"]\n')
    # the other kind keeps its default
    assert found(one, "other") == {("", tag), ("amd64", "other-amd64"), ("aarch64", "other-aarch64")}


@pytest.mark.parametrize(("text", "amd64", "aarch64"), [
    ("{version}-{platform}", "1.2-amd64", "1.2-aarch64"),
    ("{arch}", "amd64", "arm64"),
])  # fmt: skip
def test_a_tag_with_a_platform_is_of_each(tmp_path: Path, text: str, amd64: str, aarch64: str) -> None:
    one = project(tmp_path, f'[images.app]\ntags = ["{text}"]\n')
    assert found(one) == {("", "app"), ("amd64", amd64), ("aarch64", aarch64)}


def test_a_run_sets_all_tags_of_an_image_with_one_platform(tmp_path: Path) -> None:
    image = project(tmp_path, ONE + 'tags = ["{version}", "latest"]\n').images["app"]
    assert tags.of_run(image) == ("{version}", "latest") == tags.of_index(image)
    assert tags.of_platforms(image) == ()
    image = project(tmp_path, ONE + 'tags = ["{version}-{arch}"]\n').images["app"]
    assert tags.of_run(image) == ("{version}-{arch}",) == tags.of_platforms(image)
    assert tags.of_index(image) == ("{image}",)
    image = project(tmp_path, ONE).images["app"]
    assert tags.of_run(image) == tags.of_platforms(image) == ("{image}-{platform}",)


def test_the_setting_tag_takes_the_place_of_all(tmp_path: Path) -> None:
    image = project(tmp_path, ONE + 'tags = ["{version}", "latest"]\n').images["app"]
    assert tags.of_run(image, "x") == ("x",) == tags.of_index(image, "x")
    assert tags.of_platforms(image, "x") == ("x-{platform}",)


def test_a_placeholder_that_is_not_known_stays(tmp_path: Path) -> None:
    head = HEAD.replace("[project]\n", '[project]\nversion = "git"\n')
    more = '[images.app]\ntags = ["{version}-{arch}", "{revision}", "{commit_date}", "py{prints.python}"]\n'
    one = project(tmp_path, more + '[images.app.prints]\npython = "x"\n', head=head)
    assert found(one) == set()
    assert tags.needs_git(one, one.images["app"])
    git = {"version": "7", "revision": "abc", "commit_date": "2026-01-01"}
    assert {(t.platform, t.tag) for t in tags.final(one, one.images["app"], git)} == {
        ("amd64", "7-amd64"),
        ("aarch64", "7-arm64"),
        ("", "abc"),
        ("", "2026-01-01"),
    }


def test_git_is_not_needed_for_a_version_that_is_written(tmp_path: Path) -> None:
    one = project(tmp_path, '[images.app]\ntags = ["{version}", "{epoch_date}"]\n')
    assert not tags.needs_git(one, one.images["app"])


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("tags = []", "tags is empty\n  remove it for the default tags"),
        ("tags = [1.2]", "1.2 is not a tag\n  write \"1.2\", with quotes"),
        ('tags = [""]', "'' is not a tag"),
        ('tags = ["a b"]', "'a b' is not a tag\n  letters, digits, '_', '.' and '-', at most 128"),
        ('tags = ["{version"]', "'{version' is not a tag"),
        ('tags = ["-x"]', "'-x' is not a tag"),
        (f'tags = ["{"x" * 129}"]', "is not a tag"),
        ('tags = ["x", "x"]', "tag 'x' is there twice"),
        ('tags = ["{verison}"]', "has an unknown placeholder {verison}\n  did you mean 'version'?"),
        ('tags = ["{date}"]', "unknown placeholder {date}\n  known here: arch, args.NAME, commit_date"),
        ('tags = ["{prints.x}"]', "tag '{prints.x}' has an unknown placeholder {prints.x}"),
        ('tags = ["{args.WORLD}"]', "{args.WORLD}: stages.toml gives no argument WORLD to app:amd64"),
    ],
)  # fmt: skip
def test_a_tag_that_cannot_be(tmp_path: Path, declared: str, said: str) -> None:
    text = fault(tmp_path, f"[images.app]\n{declared}\n")
    assert text.startswith("stages.toml:16: image app: ")
    assert said in text


def test_a_version_must_be_declared(tmp_path: Path) -> None:
    said = fault(tmp_path, '[images.app]\ntags = ["{version}"]\n', head=HEAD)
    assert said.startswith(
        "stages.toml:14: image app: {version} needs the version of the project\n  write version"
    )
    head = HEAD.replace("[project]\n", '[project]\nversion = "1.2+x"\n')
    assert fault(tmp_path, "", head=head).startswith("stages.toml:2: version = '1.2+x' cannot be in a tag")


def test_a_tag_of_the_index_must_be_the_same_for_all_platforms(tmp_path: Path) -> None:
    more = 'platforms = { aarch64 = { args = { WORD = "4" } } }\nargs = { WORD = "3" }\n[images.other]\n'
    said = fault(tmp_path, more + 'tags = ["py{args.WORD}"]\n')
    assert said == (
        "stages.toml:18: image other: the tag 'py{args.WORD}' is for all platforms, "
        "but would be py3 for amd64, py4 for aarch64\n"
        "  add {platform} to it: each platform then gets its own"
    )
    assert project(tmp_path, more + 'tags = ["py{args.WORD}-{platform}"]\n')


@pytest.mark.parametrize("value", ["{x}", "1+2", "{platform}", "1 2"])
def test_an_argument_that_cannot_be_in_a_tag(tmp_path: Path, value: str) -> None:
    """Braces would be taken for a placeholder that is known later, and be an error after the build."""
    more = f'[defaults]\nargs = {{ WORD = "{value}" }}\n[images.app]\ntags = ["py{{args.WORD}}"]\n'
    what = f"image app: {{args.WORD}} of the tag 'py{{args.WORD}}' is {value!r}; this cannot be in a tag"
    assert fault(tmp_path, more).startswith(f"stages.toml:18: {what}\n")


BOTH = '[images.app]\ntags = ["latest"]\n[images.other]\ntags = [{}]\n'


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ('"latest"', "the index of other would get the tag example/atom:latest, as the index of app"),
        (
            '"x-{platform}", "app-amd64"',
            "the index of other would get the tag example/atom:app-amd64, as app:amd64",
        ),
        ('"app-{platform}"', "other:amd64 would get the tag example/atom:app-amd64, as app:amd64"),
    ],
)
def test_two_images_with_one_tag(tmp_path: Path, other: str, said: str) -> None:
    text = fault(tmp_path, BOTH.format(other))
    assert text.startswith(f"stages.toml:18: image other: {said} (stages.toml:16)\n  change a tag")


def test_images_of_two_repositories_may_have_the_same_tag(tmp_path: Path) -> None:
    more = BOTH.format('"latest"') + 'repo = "{}"\n'
    one = project(tmp_path, more.format("example/other"))
    assert tags.repository(one, one.images["other"]) == "example/other"
    assert tags.repository(one, one.images["app"]) == "example/atom"
    assert "would get the tag" in fault(tmp_path, more.format("example/atom"))
    # the same repository, written in another way
    assert "would get the tag" in fault(tmp_path, more.format("docker.io/example/atom"))


def test_two_platforms_with_one_tag(tmp_path: Path) -> None:
    more = '[platforms.board]\ndocker = "linux/arm64"\n[images.app]\ntags = ["{arch}"]\n'
    said = fault(tmp_path, more)
    assert "app:board would get the tag example/atom:arm64, as app:aarch64" in said
    assert said.endswith("write {platform} in place of {arch}, or change one of the tags")


def test_a_clash_that_git_makes(tmp_path: Path) -> None:
    head = HEAD.replace("[project]\n", '[project]\nversion = "git"\n')
    one = project(tmp_path, BOTH.format('"{version}"'), head=head)
    tags.check(one, {"version": "1"})
    with pytest.raises(ProjectError, match="example/atom:latest, as the index of app"):
        tags.check(one, {"version": "latest"})
    for version in ("1/2", "1{2}"):
        said = f"{{version}} of the tag '{{version}}' is '{version}'; this cannot be in a tag"
        with pytest.raises(ProjectError, match=re.escape(said)):
            tags.check(one, {"version": version})


# -- repositories --------------------------------------------------------------------------------


def test_the_setting_repo_is_for_images_without_one(tmp_path: Path) -> None:
    one = project(tmp_path, '[images.app]\n[images.other]\nrepo = "example/other"\n', cli={"repo": "me/mine"})
    assert tags.repository(one, one.images["app"]) == "me/mine"
    assert tags.repository(one, one.images["other"]) == "example/other"
    assert one.repositories == {
        "me/mine": {""},
        "example/atom": {""},
        "example/other": {"example/other"},
    }


@pytest.mark.parametrize("repo", ["a", "a__b/c-d--e.f", "localhost:5000/x", "my-host.example:1/a/b", "1/2"])
def test_a_repository_that_an_engine_takes(tmp_path: Path, repo: str) -> None:
    one = project(tmp_path, f'[images.app]\nrepo = "{repo}"\n')
    assert one.images["app"].repo == repo


def test_each_image_of_a_family_has_a_repository_and_tags(tmp_path: Path) -> None:
    more = """
[images."app-{word}"]
matrix = { word = ["a", "b"] }
stage = "app"
repo = "example/{image}"
tags = ["{word}-{version}", "{word}-{arch}"]
"""
    one = project(tmp_path, more)
    assert {image.repo for image in one.images.values()} == {"example/app-a", "example/app-b"}
    assert found(one, "app-b") == {("", "b-1.2"), ("amd64", "b-amd64"), ("aarch64", "b-arm64")}


def test_the_time_of_the_commit_is_known_later(tmp_path: Path) -> None:
    head = HEAD.replace("[project]\n", '[project]\nsource_date_epoch = "commit"\n')
    one = project(tmp_path, '[images.app]\ntags = ["{epoch_date}"]\n', head=head)
    assert found(one) == {("amd64", "app-amd64"), ("aarch64", "app-aarch64")}
    assert ("", "1970-01-01") in found(one._replace(epoch=3600))


@pytest.mark.parametrize(
    ("repo", "registry", "said"),
    [
        ("Example", "", "'Example' is not a repository name\n  write example"),
        ("", "", "'' is not a repository name"),
        ("example/x:1", "", "'example/x:1' is not a repository name\n  lower case, without a tag"),
        # forms that no engine takes
        ("foo:80", "", "'foo:80' is not a repository name"),
        ("..", "", "'..' is not a repository name"),
        ("-x/y", "", "'-x/y' is not a repository name"),
        ("a..b", "", "'a..b' is not a repository name"),
        ("a" * 256, "", f"'{'a' * 256}' is not a repository name"),
        ("r.example/x", "s.example", "repo has a host (r.example/x), and registry=s.example is another"),
    ],
)
def test_a_repository_that_cannot_be(tmp_path: Path, repo: str, registry: str, said: str) -> None:
    text = fault(tmp_path, f'[images.app]\nrepo = "{repo}"\n', cli={"registry": registry})
    assert text.startswith(f"stages.toml:16: {said}")


# -- outputs of commands -------------------------------------------------------------------------


def test_the_forms_of_a_command(tmp_path: Path) -> None:
    more = (
        '[images.app.prints]\nshell = "x --version"\nwords = ["/x", "y"]\n'
        "[images.app.prints.table]\ncommand = [\"/x\"]\nmatch = '\\d+'\n"
    )
    assert project(tmp_path, more).images["app"].prints == {
        "shell": PrintCommand("shell", ("/bin/sh", "-c", "x --version"), "", "stages.toml:16"),
        "words": PrintCommand("words", ("/x", "y"), "", "stages.toml:17"),
        "table": PrintCommand("table", ("/x",), r"\d+", "stages.toml:18"),
    }


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('x = ""', "image app: prints.x has no command\n  write python ="),
        ("x = []", "image app: prints.x has no command"),
        ("x = 1", "image app: prints.x has no command"),
        ('x = ["a", 1]', "image app: prints.x has no command"),
        ('x = { match = "a" }', "image app: prints.x has no command"),
        ('x = { command = "a", macth = "a" }', "unknown key 'macth' in print [images.app.prints.x]"),
        ('x = { command = "a", match = "(" }', "match is not a regular expression"),
        (
            'x = { command = "a", match = "a{99999999999999}" }',
            "match is not a regular expression: the repetition number is too large",
        ),
        (
            'x = { command = "a", match = "[[a]" }',
            "match is not a regular expression: Possible nested set at position 1",
        ),
        (
            f'x = {{ command = "a", match = "{"(" * 9999}" }}',
            "match is not a regular expression: nested too deep",
        ),
        ('x = ["a", "\\u0000"]', "image app: the command of prints.x has a zero byte"),
        ('X = "a"', "'X' is not a name"),
    ],
)
def test_a_command_that_cannot_be(tmp_path: Path, declared: str, said: str) -> None:
    text = fault(tmp_path, f"[images.app.prints]\n{declared}\n")
    assert text.startswith(f"stages.toml:16: {said}")


def printed(output: str, match: str = "") -> str:
    return prints.value(
        Image("app", "app", "", ()), PrintCommand("x", ("x",), match, "stages.toml:9"), output
    )


@pytest.mark.parametrize(
    ("output", "match", "value"),
    [
        ("1.2.3\n", "", "1.2.3"),
        ("Python 3.12.1\n", r"\d+\.\d+", "3.12"),
        ("Python 3.12.1\n", r"Python (\S+)", "3.12.1"),
        ('NAME=x\nVERSION_ID="13"\n', r'^VERSION_ID="(.*)"$', "13"),
    ],
)
def test_the_part_of_an_output(output: str, match: str, value: str) -> None:
    assert printed(output, match) == value


@pytest.mark.parametrize(
    ("output", "match", "said"),
    [
        (
            "Python 3.12.1\n",
            "",
            "printed 'Python 3.12.1'; this cannot be in a tag\n  take a part of it: match =",
        ),
        (" \n", "", "printed nothing"),
        ("none", r"\d", "printed 'none', in which match = '\\d' finds nothing"),
        ("1+2", r".*", "printed '1+2', of which match = '.*' takes '1+2'; this cannot be in a tag"),
        ("a", r"a(b)?", "takes ''; this cannot be in a tag"),
    ],
)
def test_an_output_that_cannot_be_in_a_tag(output: str, match: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        printed(output, match)
    assert str(error.value).startswith("stages.toml:9: image app: the command of prints.x printed")
    assert said in str(error.value)
