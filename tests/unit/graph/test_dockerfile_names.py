"""The meaning of a name in a Dockerfile: a stage, an image of the project, a stand-in, an external image."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import HEAD, Registry, graph, resolved, sha, stages

from stagegraph.errors import DockerfileError, ProjectError, ResolveError
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.project import loader
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

IMAGES = "[images.core]\n[images.app]\n"
CORE = "FROM scratch\nCOPY . /\n"
USES = ("FROM {}\n", "FROM scratch\nCOPY --from={} / /\n", "FROM scratch\nRUN --mount=from={},target=/x y\n")


def family(root: Path, app: str, more: str = IMAGES, *, head: str = HEAD) -> Path:
    """Write a project with two stages: ``core``, and ``app`` with this Dockerfile."""
    return stages(root, {"core": CORE, "app": app}, head=head, more=more)


def parents(root: Path, platform: str = "amd64", cli: dict[str, str] | None = None) -> list[str]:
    return [str(node) for node in graph(root, cli=cli).parents(Node("app", platform))]


def fault(root: Path, platform: str = "amd64") -> str:
    with pytest.raises(DockerfileError) as error:
        graph(root).key(Node("app", platform))
    return str(error.value)


# -- final tags ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "example/atom:core-amd64",
        "docker.io/example/atom:core-amd64",
        "index.docker.io/example/atom:core-amd64",
        "example/atom:core",  # the published image, for all platforms
    ],
)
@pytest.mark.parametrize("use", USES)
def test_a_final_tag_means_the_node(tmp_path: Path, reference: str, use: str) -> None:
    assert parents(family(tmp_path, use.format(reference))) == ["core:amd64"]


def test_a_final_tag_may_contain_arguments(tmp_path: Path) -> None:
    text = "ARG REPO=example/atom\nARG WHAT\nFROM $REPO:${WHAT}-${TARGETARCH}\n"
    root = family(tmp_path, text, 'args = { WHAT = "core" }\n' + IMAGES)
    assert parents(root) == ["core:amd64"]


def test_an_edit_of_an_image_changes_the_key_of_a_child_that_names_its_tag(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM example/atom:core-amd64\n")
    before = graph(root).key(Node("app", "amd64"))
    (root / "core/file").write_text("edited")
    assert graph(root).key(Node("app", "amd64")) != before


def test_the_final_tag_of_a_stack_means_the_node(tmp_path: Path) -> None:
    top, app = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n", "FROM example/atom:both-amd64\n"
    root = stages(
        tmp_path,
        {"low": "FROM scratch\n", "top": top, "app": app},
        more='[images.both]\nstack = ["low", "top"]\n',
    )
    assert parents(root) == ["low--top:amd64"]


@pytest.mark.parametrize("registry", ["registry.example", "registry.example:5000", "registry.example/team"])
def test_the_final_tag_in_the_registry_means_the_node(tmp_path: Path, registry: str) -> None:
    root = family(tmp_path, f"FROM {registry}/example/atom:core-amd64\n")
    assert parents(root, cli={"registry": registry}) == ["core:amd64"]
    # without that setting, it would be an external image that is pinned once
    said = fault(root)
    assert "in a registry that the project does not declare" in said
    assert f'[project] registry = "{registry}"' in said


def test_the_final_tag_in_the_registry_of_ci_means_the_node(tmp_path: Path) -> None:
    """CI jobs use this registry. Otherwise the name would be an external image that is pinned once."""
    root = family(
        tmp_path, "FROM ci.example/example/atom:core-amd64\n", IMAGES + '[ci]\nregistry = "ci.example/"\n'
    )
    assert parents(root) == ["core:amd64"]


OWN = """
[images.core]
repo = "example/core"
tags = ["1.2", "1.2-{arch}", "{revision}", "{prints.x}"]
[images.core.prints]
x = "x"
[images.app]
"""


@pytest.mark.parametrize(
    "reference",
    [
        "example/core:1.2",
        "example/core:1.2-amd64",
        "docker.io/example/core:1.2",
        "r.example/example/core:1.2",
    ],
)
def test_the_tag_of_an_image_with_a_repository_of_its_own(tmp_path: Path, reference: str) -> None:
    root = family(tmp_path, f"FROM {reference}\n", OWN)
    assert parents(root, cli={"registry": "r.example"}) == ["core:amd64"]
    # the setting repo does not move it
    assert parents(root, cli={"registry": "r.example", "repo": "me/mine"}) == ["core:amd64"]


@pytest.mark.parametrize(
    "reference",
    [
        "example/core:core-amd64",  # it has other tags
        "example/core:0123456789ab",  # keys must not depend on git, and on outputs
        "example/core",
        "example/atom:core-amd64",  # it has another repository
        "example/atom:1.2",
    ],
)
def test_a_tag_that_an_image_of_its_own_repository_does_not_get(tmp_path: Path, reference: str) -> None:
    said = fault(family(tmp_path, f"FROM {reference}\n", OWN))
    assert "has this project's repository, but no image of the project gets that tag" in said


def test_the_repository_of_an_image_in_another_registry(tmp_path: Path) -> None:
    said = fault(family(tmp_path, "FROM r.example/example/core:1.2\n", OWN))
    assert "in a registry that the project does not declare" in said


def test_an_image_called_latest(tmp_path: Path) -> None:
    head = HEAD.replace("example/atom", "atom")
    dockerfiles = {"latest": CORE, "app": "FROM atom:latest\n"}
    root = stages(tmp_path, dockerfiles, head=head, more="[images.latest]\n")
    assert parents(root) == ["latest:amd64"]
    (root / "stages.toml").write_text((root / "stages.toml").read_text() + '[contexts]\natom = "x:1"\n')
    with pytest.raises(ProjectError, match="atom is the tag of image latest"):
        loader.load(root, {}, {})


def test_the_declared_repository_and_that_of_the_call_both_mean_the_node(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM example/atom:core-amd64\nCOPY --from=me/mine:core-amd64 / /\n")
    assert parents(root, cli={"repo": "me/mine", "tag": "x"}) == ["core:amd64"]


def test_a_test_that_uses_the_image_of_another_platform_is_an_error(tmp_path: Path) -> None:
    head = HEAD + '[platforms.jetson]\ndocker = "linux/arm64"\n'
    dockerfiles = {"core": CORE, "t": "FROM example/atom:core-aarch64\nRUN x\n"}
    more = '[images.core]\nplatforms = ["aarch64", "jetson"]\ntest = "t"\n'
    nodes = graph(stages(tmp_path, dockerfiles, head=head, more=more))
    assert nodes.key(Node("core-test", "aarch64"))
    with pytest.raises(DockerfileError) as error:
        nodes.key(Node("core-test", "jetson"))
    assert error.value.what == "the test of image core uses core:aarch64 instead of core:jetson"


def test_a_final_tag_of_another_platform_with_the_same_oci_platform(tmp_path: Path) -> None:
    head = HEAD + '[platforms.jetson]\ndocker = "linux/arm64"\n'
    root = family(tmp_path, "FROM example/atom:core-aarch64\n", head=head)
    assert parents(root, "jetson") == ["core:aarch64"]
    asked = family(tmp_path / "b", "FROM --platform=linux/arm64 example/atom:core-jetson\n", head=head)
    assert parents(asked, "amd64") == ["core:jetson"]


def test_a_tag_of_another_platform(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM example/atom:core-aarch64\n")
    assert fault(root) == (
        "app/Dockerfile:1: example/atom:core-aarch64 is for aarch64, "
        "but it is used in a build for linux/amd64\n"
        "  write the stage's name, core: it means the right image for each platform"
    )
    assert parents(root, "aarch64") == ["core:aarch64"]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("example/atom:cora-amd64", "did you mean the stage 'core'?"),
        ("example/atom:core-arm64", "did you mean the stage 'core'?"),
        ("example/atom:cores", "did you mean the stage 'core'?"),
        ("example/atom", "known here: app, app-aarch64, app-amd64, core, core-aarch64, core-amd64"),
        ("example/atom:2024", "known here: app, app-aarch64, app-amd64, core, core-aarch64, core-amd64"),
    ],
)
def test_a_tag_that_no_image_gets(tmp_path: Path, reference: str, hint: str) -> None:
    assert fault(family(tmp_path, f"FROM {reference}\n")) == (
        f"app/Dockerfile:1: {reference} has this project's repository, "
        f"but no image of the project gets that tag\n  {hint}\n"
        f'  if you mean that image, declare it: [contexts] "{reference}" = "{reference}"'
    )


@pytest.mark.parametrize("tail", ["core", "core:amd64", "core:latest"])
def test_a_path_below_the_repository(tmp_path: Path, tail: str) -> None:
    said = fault(family(tmp_path, f"FROM example/atom/{tail}\n"))
    assert "looks like stage core of this project" in said
    written = tail.removesuffix(":latest")
    assert f'stage\'s name, core, or add this name to it: names = ["example/atom/{written}"]' in said


def test_a_digest_in_the_repository_of_the_project_is_external(tmp_path: Path) -> None:
    name = f"example/atom@{sha('old')}"
    root = family(tmp_path, f"FROM {name}\n")
    assert not graph(root).parents(Node("app", "amd64"))
    assert graph(root, Registry({name: resolved("old")})).spec(Node("app", "amd64")).images


def test_other_repositories_are_external(tmp_path: Path) -> None:
    for name in ("example/atoms:core-amd64", "example/atom/other:1", "quay.io/another/atom:core-amd64"):
        root = family(tmp_path, f"FROM {name}\n")
        assert graph(root, Registry({name: resolved("x")})).spec(Node("app", "amd64")).images


# -- further names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("ros:jazzy-ros-core", "ros:jazzy-ros-core"),
        ("ros:jazzy-ros-core", "docker.io/library/ros:jazzy-ros-core"),
        ("docker.io/library/ros:jazzy-ros-core", "ros:jazzy-ros-core"),
        ("quay.io/jupyter/base-notebook", "quay.io/jupyter/base-notebook"),
        ("quay.io/jupyter/base-notebook", "quay.io/jupyter/base-notebook:latest"),
        ("quay.io/jupyter/base-notebook:latest", "quay.io/jupyter/base-notebook"),
        ("tools", "tools"),
    ],
)
def test_a_further_name_means_the_node(tmp_path: Path, name: str, used: str) -> None:
    root = family(tmp_path, f"FROM {used}\n", f'[stages.core2]\npath = "core"\nnames = ["{name}"]\n')
    assert parents(root) == ["core2:amd64"]


def test_a_further_name_may_contain_arguments(tmp_path: Path) -> None:
    text = "ARG REPO=mcr.example/dotnet\nARG OS=noble\nFROM $REPO:8.0-$OS\n"
    more = '[stages.core2]\npath = "core"\nnames = ["mcr.example/dotnet:8.0-noble"]\n'
    assert parents(family(tmp_path, text, more)) == ["core2:amd64"]


def test_another_tag_of_a_further_name_must_be_declared(tmp_path: Path) -> None:
    """An error, because a forgotten name would silently use an old image for ever."""
    more = '[stages.core2]\npath = "core"\nnames = ["ros:jazzy"]\n'
    assert fault(family(tmp_path, "FROM ros:humble\n", more)) == (
        "app/Dockerfile:1: ros:humble has the repository of ros:jazzy, a name of stage core2, "
        'but is not a name of a stage\n  add it to the names of its stage: names = ["ros:humble"]\n'
        '  if you mean that image, declare it: [contexts] "ros:humble" = "ros:humble"'
    )
    declared = family(tmp_path / "b", "FROM ros:humble\n", more + '[contexts]\n"ros:humble" = "ros:humble"\n')
    assert external(graph(declared, Registry({"ros:humble": resolved("x")}))) == ["ros:humble"]
    digest = family(tmp_path / "c", f"FROM ros@{sha('x')}\n", more)
    assert external(graph(digest, Registry({f"ros@{sha('x')}": resolved("x")}))) == [f"ros@{sha('x')}"]


def test_an_older_image_of_the_project_may_be_declared(tmp_path: Path) -> None:
    more = IMAGES + '[contexts]\n"example/atom:2024" = "example/atom:2024"\n'
    root = family(tmp_path, "FROM example/atom:2024\n", more)
    assert external(graph(root, Registry({"example/atom:2024": resolved("x")}))) == ["example/atom:2024"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[stages.x]\npath = "core"\nnames = ["a:1"]\n'
         '[stages.y]\npath = "core"\nnames = ["docker.io/library/a:1"]\n',
         "stages.toml:18: stage y: docker.io/library/a:1 is a name of stage x already"),
        ('[stages.x]\npath = "core"\nnames = ["core"]\n',
         "stages.toml:15: stage x: core is the name of stage core already"),
        ('[stages.x]\npath = "core"\nnames = ["base:latest"]\n',
         "stages.toml:15: stage x: base:latest is a reserved word already"),
        ('[stages.x]\npath = "core"\nnames = ["example/atom:core-amd64"]\n[images.core]\n',
         "stages.toml:15: stage x: example/atom:core-amd64 is the tag of image core already"),
        ('[stages.x]\npath = "core"\nnames = ["a b"]\n', "stages.toml:15: stage x: 'a b' is not an image"),
        ('[stages.x]\npath = "core"\nnames = [1]\n', "stages.toml:15: stage x: 1 is not an image"),
        ('[stages.x]\npath = "top"\nnames = ["a:1"]\n[images.both]\nstack = ["core", "x"]\n',
         "stages.toml:15: stage x is only part of stacks, and cannot have names of its own"),
        ('names = ["x"]\n[stages.x]\npath = "top"\n[images.both]\nstack = ["core", "x"]\n',
         "stages.toml:13: stage app: x is the name of stage x already"),
        ('[contexts]\nx = "y:1"\n[stages.x]\npath = "top"\n[images.both]\nstack = ["core", "x"]\n',
         "stages.toml:14: x is the name of stage x"),
    ],
)  # fmt: skip
def test_an_invalid_further_name_is_an_error(tmp_path: Path, more: str, said: str) -> None:
    root = family(tmp_path, "FROM scratch\n", more)
    (root / "top").mkdir()
    (root / "top/Dockerfile").write_text("ARG BASE_IMAGE\nFROM $BASE_IMAGE\n")
    with pytest.raises(ProjectError) as error:
        loader.load(root, {}, {})
    assert str(error.value).startswith(said)


# -- stand-ins -----------------------------------------------------------------------------------

MIRROR = "mirror.example/debian:12"


def external(nodes: Graph, stage: str = "app") -> list[str]:
    return [image.reference for image in nodes.spec(Node(stage, "amd64")).images]


def test_a_mirror_for_all(tmp_path: Path) -> None:
    registry = Registry({MIRROR: resolved("mirror")})
    root = family(tmp_path, "FROM docker.io/library/debian:12\n", f'[contexts]\n"debian:12" = "{MIRROR}"\n')
    assert external(graph(root, registry)) == [MIRROR]
    assert registry.asked == [MIRROR]


def test_a_mirror_for_one_stage(tmp_path: Path) -> None:
    registry = Registry({MIRROR: resolved("mirror"), "debian:12": resolved("hub")})
    more = f'contexts = {{ "debian:12" = "{MIRROR}" }}\n[stages.other]\npath = "app"\n'
    nodes = graph(family(tmp_path, "FROM debian:12\n", more), registry)
    assert (external(nodes), external(nodes, "other")) == ([MIRROR], ["debian:12"])


def test_later_layers_of_stand_ins_win(tmp_path: Path) -> None:
    registry = Registry({MIRROR: resolved("mirror"), "own:1": resolved("own")})
    more = f'contexts = {{ "debian:12" = "{MIRROR}" }}\n[contexts]\n"debian:12" = "own:1"\n'
    assert external(graph(family(tmp_path, "FROM debian:12\n", more), registry)) == [MIRROR]


def test_the_key_contains_the_image_that_is_really_used(tmp_path: Path) -> None:
    same = Registry({MIRROR: resolved("hub"), "debian:12": resolved("hub")})
    plain = graph(family(tmp_path / "a", "FROM debian:12\n"), same).key(Node("app", "amd64"))
    more = IMAGES + f'[contexts]\n"debian:12" = "{MIRROR}"\n'
    other = Registry({MIRROR: resolved("other")})
    moved = graph(family(tmp_path / "b", "FROM debian:12\n", more), other).key(Node("app", "amd64"))
    assert plain != moved
    again = graph(family(tmp_path / "c", "FROM debian:12\n", more), same).key(Node("app", "amd64"))
    assert plain == again


def test_a_stage_as_a_stand_in_for_an_image(tmp_path: Path) -> None:
    """The stage ``patched`` replaces debian:12, and is itself based on the real debian:12."""
    registry = Registry({"debian:12": resolved("hub")})
    root = stages(
        tmp_path,
        {"patched": "FROM debian:12\nRUN patch\n", "app": "FROM debian:12\n"},
        more='[contexts]\n"debian:12" = "patched"\n',
    )
    assert parents(root) == ["patched:amd64"]
    assert external(graph(root, registry), "patched") == ["debian:12"]


@pytest.mark.parametrize("value", ["patched", "patched:latest", "example/atom:patched-amd64", "own/name:1"])
def test_a_stage_is_never_its_own_stand_in(tmp_path: Path, value: str) -> None:
    registry = Registry({"debian:12": resolved("hub")})
    root = stages(
        tmp_path,
        {"app": "FROM debian:12\n", "patched": "FROM debian:12\n"},
        more=f'names = ["own/name:1"]\n[images.patched]\n[contexts]\n"debian:12" = "{value}"\n',
    )
    assert parents(root) == ["patched:amd64"]
    assert external(graph(root, registry), "patched") == ["debian:12"]


def test_a_stage_as_a_stand_in_for_a_bare_name(tmp_path: Path) -> None:
    registry = Registry({"redis": resolved("redis")})
    root = stages(
        tmp_path, {"app": "FROM redis\n", "own": "FROM redis\n"}, more='[contexts]\nredis = "own"\n'
    )
    assert parents(root) == ["own:amd64"]
    assert external(graph(root, registry), "own") == ["redis"]


def test_another_tag_of_a_name_that_ends_in_latest(tmp_path: Path) -> None:
    more = '[stages.core2]\npath = "core"\nnames = ["ros:latest"]\n'
    assert "ros:humble has the repository of ros" in fault(family(tmp_path, "FROM ros:humble\n", more))


def test_a_stand_in_for_the_base(tmp_path: Path) -> None:
    registry = Registry({MIRROR: resolved("mirror")})
    root = family(tmp_path, "FROM base\n", f'[contexts]\n"debian:trixie" = "{MIRROR}"\n')
    assert external(graph(root, registry)) == [MIRROR]
    (root / "stages.toml").write_text((root / "stages.toml").read_text().replace(MIRROR, "core"))
    assert parents(root) == ["core:amd64"]


def test_a_bare_name_that_is_declared(tmp_path: Path) -> None:
    registry = Registry({"redis": resolved("redis"), "redis:7": resolved("seven")})
    root = family(tmp_path, "FROM scratch\nCOPY --from=redis / /\n", '[contexts]\nredis = "redis:7"\n')
    assert external(graph(root, registry)) == ["redis:7"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[contexts]\ncore = "x:1"\n', "stages.toml:14: core is the name of stage core"),
        ('[contexts]\nscratch = "x:1"\n', "stages.toml:14: scratch is a reserved word"),
        ('[contexts]\nbase = "cora"\n', "stages.toml:14: no stage is called 'cora'\n  did you mean 'core'?"),
        ('[contexts]\n"example/atom:core-amd64" = "x:1"\n[images.core]\n',
         "stages.toml:14: example/atom:core-amd64 is the tag of image core"),
        ('[contexts]\n"x:1" = "cora"\n', "stages.toml:14: no stage is called 'cora'\n  did you mean 'core'?"),
        ('[contexts]\n"x:1" = 1\n', "stages.toml:14: 1 is neither an image nor a stage"),
        ('[contexts]\n"x y" = "x:1"\n', "stages.toml:14: 'x y' is not an image"),
        ('[contexts]\n"x:1" = "y:1"\n"docker.io/library/x:1" = "z:1"\n',
         "stages.toml:15: docker.io/library/x:1 has two stand-ins"),
        ('[[contexts]]\n', "stages.toml: contexts must be a table"),
        ('names = ["n:1"]\ncontexts = { "n:1" = "x:1" }\n', "stages.toml:14: n:1 is a name of stage app"),
    ],
)  # fmt: skip
def test_an_invalid_stand_in_is_an_error(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        loader.load(family(tmp_path, "FROM scratch\n", more), {}, {})
    assert str(error.value).startswith(said)


def test_a_stage_can_stand_in_for_the_base(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM base\n", '[contexts]\nbase = "core"\n')
    assert parents(root) == ["core:amd64"]


def test_an_image_can_stand_in_for_the_base(tmp_path: Path) -> None:
    registry = Registry({"x:1": resolved("x")})
    assert external(graph(family(tmp_path, "FROM base\n", '[contexts]\nbase = "x:1"\n'), registry)) == ["x:1"]


def test_a_stand_in_for_the_base_may_itself_start_from_the_base(tmp_path: Path) -> None:
    registry = Registry({"debian:trixie": resolved("debian")})
    root = family(tmp_path, "FROM base\n", '[contexts]\nbase = "app"\n')
    assert external(graph(root, registry)) == ["debian:trixie"]


# -- bare names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
def test_a_bare_name_that_is_not_a_stage_is_an_error(tmp_path: Path, use: str) -> None:
    said = fault(family(tmp_path, use.format("cores")))
    assert said == (
        f"app/Dockerfile:{use.count(chr(10))}: no stage is called 'cores'\n  did you mean 'core'?\n"
        "  for the public image write a tag (cores:TAG), or declare it in stages.toml: "
        '[contexts] cores = "cores:TAG"'
    )


def test_a_bare_name_beside_the_same_with_a_tag(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM cores:latest AS a\nFROM cores\nCOPY --from=a / /\n")
    assert "no stage is called 'cores'" in fault(root)


def test_a_name_with_a_tag_is_external(tmp_path: Path) -> None:
    root = family(tmp_path, "FROM cores:latest\n")
    assert external(graph(root, Registry({"cores": resolved("x")}))) == ["cores"]


# -- front ends ----------------------------------------------------------------------------------

SYNTAX = "# syntax=docker/dockerfile:1\nFROM scratch\n"


def frontend(root: Path, registry: Registry) -> str | None:
    spec = graph(root, registry).spec(Node("app", "amd64"))
    return spec.frontend.pinned if spec.frontend else None


def test_a_front_end_is_pinned_like_any_other_image(tmp_path: Path) -> None:
    registry = Registry({"docker/dockerfile:1": resolved("front end")})
    root = family(tmp_path, SYNTAX)
    assert frontend(root, registry) == f"docker/dockerfile@{sha('front end index')}"
    before = graph(root, registry).key(Node("app", "amd64"))
    registry.images["docker/dockerfile:1"] = resolved("newer")
    assert graph(root, registry).key(Node("app", "amd64")) == before  # the lock has the pin
    (root / "stages.lock").unlink()
    assert graph(root, registry).key(Node("app", "amd64")) != before


def test_a_front_end_with_options_and_by_digest(tmp_path: Path) -> None:
    pinned = f"docker/dockerfile:1@{sha('x')}"
    root = family(tmp_path, f"# syntax={pinned} --opt  two\nFROM scratch\n")
    assert frontend(root, Registry()) == f"docker/dockerfile@{sha('x')} --opt  two"


def test_a_front_end_as_an_argument_comes_first(tmp_path: Path) -> None:
    registry = Registry({"own/frontend:1": resolved("own")})
    root = family(
        tmp_path, SYNTAX + "ARG BUILDKIT_SYNTAX\n", 'args = { BUILDKIT_SYNTAX = "own/frontend:1" }\n'
    )
    assert frontend(root, registry) == f"own/frontend@{sha('own index')}"


def test_a_mirror_of_a_front_end(tmp_path: Path) -> None:
    registry = Registry({"mirror.example/dockerfile:1": resolved("mirror")})
    root = family(tmp_path, SYNTAX, '[contexts]\n"docker/dockerfile:1" = "mirror.example/dockerfile:1"\n')
    assert frontend(root, registry) == f"mirror.example/dockerfile@{sha('mirror index')}"


@pytest.mark.parametrize("more", ['frontend = "builder"\n', '[defaults]\nfrontend = "builder"\n'])
def test_the_builders_own_front_end(tmp_path: Path, more: str) -> None:
    root = family(tmp_path, SYNTAX, more)
    assert frontend(root, Registry()) is None
    plain = family(tmp_path / "plain", "# a comment\nFROM scratch\n", more)
    node = Node("app", "amd64")
    assert graph(root).key(node) == graph(plain).key(node)
    assert graph(root).spec(node).sent_text == "#\nFROM scratch\n"


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("example/atom:core-amd64", IMAGES),
        ("docker.io/example/atom:core", IMAGES),
        ("core", ""),
        ("docker.io/library/core:latest", ""),
        ("own/reader:1", 'names = ["own/reader:1"]\n'),
        ("docker/dockerfile:1", '[contexts]\n"docker/dockerfile:1" = "core"\n'),
    ],
)
def test_a_front_end_that_is_an_image_of_this_project_is_an_error(
    tmp_path: Path, line: str, more: str
) -> None:
    said = fault(family(tmp_path, f"# syntax={line}\nFROM scratch\n", more))
    assert said.startswith(f"app/Dockerfile:1: # syntax={line} means ")


def test_the_pin_of_a_front_end_is_valid_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key has no platform. A lock that was written on one machine serves all others."""
    root = family(tmp_path, SYNTAX)
    node = Node("app", "amd64")
    before = graph(root, Registry({"docker/dockerfile:1": resolved("front end")})).key(node)
    monkeypatch.setattr("stagegraph.graph.reader.host_platform", lambda: "linux/riscv64")
    assert Graph(loader.load(root, {}, {}), Lock(root, Registry(), locked=True)).key(node) == before


def test_a_front_end_that_cannot_be_resolved_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResolveError) as error:
        graph(family(tmp_path, SYNTAX)).key(Node("app", "amd64"))
    assert str(error.value).startswith("app/Dockerfile:1: docker/dockerfile:1: no such image\n")
    assert 'frontend = "builder"' in str(error.value)


def test_an_unknown_front_end_setting_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"stages.toml:13: unknown frontend 'own'"):
        loader.load(family(tmp_path, SYNTAX, 'frontend = "own"\n'), {}, {})
