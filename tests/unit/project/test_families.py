"""Entries that stand for several: a matrix, a glob. They load like the same tables written out."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from helpers import HEAD, Registry, graph, write

from stagegraph.errors import ProjectError
from stagegraph.graph.graph import Graph
from stagegraph.project import loader
from stagegraph.project.matrix import Matrix
from stagegraph.project.model import Project
from stagegraph.project.positions import SourceMap
from stagegraph.project.tables import TableReader

pytestmark = pytest.mark.unit

# The number of the first line that a test adds.
NEXT = HEAD.count("\n") + 1


def load(root: Path, more: str) -> Project:
    files = dict.fromkeys(("a/Dockerfile", "b/Dockerfile", "b/Other"), "FROM base\nARG A\nARG B\n")
    write(root, {"stages.toml": HEAD + textwrap.dedent(more), **files})
    return loader.load(root, {}, {})


def fault(root: Path, more: str) -> str:
    with pytest.raises(ProjectError) as error:
        load(root, more)
    return str(error.value)


# -- matrix --------------------------------------------------------------------------------------


def test_a_matrix_has_every_combination_the_last_key_first(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """\
        [stages."{distro}-{version}{kind}"]
        matrix = { distro = ["humble", "jazzy"], version = [3, "3.12"], kind = ["", "-dev"] }
        path = "a"
        args = { A = "{version}", B = "{{{distro}}}" }
        """,
    )
    assert list(project.stages) == [
        "humble-3", "humble-3-dev", "humble-3.12", "humble-3.12-dev",
        "jazzy-3", "jazzy-3-dev", "jazzy-3.12", "jazzy-3.12-dev",
    ]  # fmt: skip
    assert dict(project.stages["jazzy-3.12-dev"].configs["amd64"].args) == {"A": "3.12", "B": "{jazzy}"}


def test_an_exclusion_leaves_out_all_combinations_with_its_values(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """\
        [stages."{x}-{y}-{z}"]
        matrix = { x = ["a", "b"], y = ["a", "b"], z = [true, 7] }
        exclude = [{ x = "a", y = "b" }, { z = true, x = "b" }]
        path = "a"
        """,
    )
    assert list(project.stages) == ["a-a-true", "a-a-7", "b-a-7", "b-b-7"]


def test_placeholders_in_every_string_of_an_entry(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """\
        [stages."{d.name}-low"]
        matrix = { d = [{ name = "x", folder = "a" }, { name = "y", folder = "b" }] }
        path = "{d.folder}"
        names = ["ros:{d.name}"]
        [stages."{d.name}"]
        matrix = { d = [{ name = "x", file = "Dockerfile" }, { name = "y", file = "Other" }] }
        path = "b"
        dockerfile = "{d.file}"
        description = "for {d.name}"
        target = "t{d.name}"
        needs = ["{d.name}-low"]
        contexts = { "debian:{d.name}" = "debian:{d.file}" }
        [stages."{d.name}".platforms.amd64]
        args = { A = "{d.name}" }
        [stages."{d.name}".alternatives."slim-{d.name}"]
        path = "b"
        [images."i{d}"]
        matrix = { d = ["x", "y"] }
        stack = ["{d}-low", "{d}"]
        test = "a"
        [images."{d}-low"]
        matrix = { d = ["x", "y"] }
        description = "image {d}"
        """,
    )
    assert list(project.stages) == ["x-low", "y-low", "x-low--x", "y-low--y", "ix-test", "iy-test"]
    stage = project.stages["y-low--y"]
    config = stage.configs["amd64"]
    assert (config.context, config.dockerfile, config.target) == ("b", "Other", "ty")
    assert (stage.description, dict(config.args)["A"]) == ("for y, on y-low", "y")
    assert dict(config.contexts) == {"debian:y": "debian:Other"}
    assert project.images["y-low"].description == "image y"
    assert project.stages["y-low"].names == ("ros:y",)


def test_a_matrix_gives_the_same_keys_as_the_stages_written_out(tmp_path: Path) -> None:
    matrix = """\
        [stages."{d}-{v}"]
        matrix = { d = ["a", "b"], v = ["1", "2"] }
        exclude = [{ d = "b", v = "2" }]
        path = "{d}"
        args = { A = "{v}" }
        [stages."{d}-{v}".platforms.amd64]
        args = { B = "{d}" }
        [images."{d}-{v}"]
        matrix = { d = ["a", "b"], v = ["1"] }
        """
    out = "".join(
        f'[stages.{d}-{v}]\npath = "{d}"\nargs = {{ A = "{v}" }}\n'
        f'[stages.{d}-{v}.platforms.amd64]\nargs = {{ B = "{d}" }}\n'
        for d, v in ("a1", "a2", "b1")
    )
    graphs = [
        _graph(tmp_path / "matrix", matrix),
        _graph(tmp_path / "out", f"{out}[images.a-1]\n[images.b-1]\n"),
    ]
    first, second = ({str(node): each.key(node) for node in each.nodes} for each in graphs)
    assert first == second and len(first) == 6
    assert list(graphs[0].project.images) == ["a-1", "b-1"]


def _graph(root: Path, more: str) -> Graph:
    load(root, more)
    return graph(root, Registry())


def test_nothing_is_filled_in_without_a_matrix(tmp_path: Path) -> None:
    more = '[stages.s]\npath = "a"\nargs = { A = "{x}", B = "{{y}}" }\n'
    assert dict(load(tmp_path, more).stages["s"].configs["amd64"].args) == {"A": "{x}", "B": "{{y}}"}


def test_placeholders_of_tags_that_are_filled_in_later_stay() -> None:
    table = {"matrix": {"d": ["x"]}}
    matrix = Matrix(TableReader({}, SourceMap("", "f")), ("images", "{d}"), table)
    (words,) = matrix.combinations()
    assert matrix.filled(["{d}-{version}", "{{", "{args.A}{", "a{d}"], words, "tags") == [
        "x-{version}", "{{", "{args.A}{", "ax",
    ]  # fmt: skip
    with pytest.raises(ProjectError, match="nothing is called"):
        matrix.filled("{version}", words, "description")


MATRIX = '[stages."{d}"]\nmatrix = { d = ["x", "y"] }\npath = "a"\n'

MATRIX_FAULTS = {
    "no placeholder in the name": (
        '[stages.x]\nmatrix = { d = ["x"] }\npath = "a"\n',
        '{1}: [stages."x"] has a matrix, but no placeholder in its name\n'
        "  write a key of it in the name, in braces: {{KEY}}",
    ),
    "no matrix": (
        '[stages."{d}"]\npath = "a"\n',
        '{0}: [stages."{{d}}"] has a placeholder in its name, but no matrix\n'
        '  write the values: matrix = {{ KEY = ["VALUE", ...] }}',
    ),
    "a placeholder without a value": (
        '[stages."{distro}"]\nmatrix = { distro = ["x"] }\npath = "{distr}"\n',
        "{2}: [stages.\"{{distro}}\"]: nothing is called {{distr}} in '{{distr}}'\n"
        "  did you mean 'distro'?\n  write {{{{ and }}}} for braces",
    ),
    "a placeholder in the name without a value": (
        '[stages."{e}-{d}"]\nmatrix = { d = ["x"] }\npath = "a"\n',
        "{0}: [stages.\"{{e}}-{{d}}\"]: nothing is called {{e}} in '{{e}}-{{d}}'\n"
        "  known here: d\n  write {{{{ and }}}} for braces",
    ),
    "a brace": (
        MATRIX + 'args = { A = "{" }\n',
        "{3}: [stages.\"{{d}}\"]: a single brace in '{{'\n  write {{{{ or }}}} for a brace",
    ),
    "a table of words": (
        '[stages."{d}"]\nmatrix = { d = [{ a = "x", b = "y" }] }\npath = "a"\n',
        "{0}: [stages.\"{{d}}\"]: {{d}} in '{{d}}' is a table of words\n"
        "  write one of them: {{d.a}}, {{d.b}}",
    ),
    "not a matrix": (
        '[stages."{d}"]\nmatrix = ["x"]\n',
        '{1}: matrix must be a table\n  write matrix = {{ distro = ["humble", "jazzy"] }}',
    ),
    "an empty matrix": (
        '[stages."{d}"]\nmatrix = {}\n',
        '{1}: [stages."{{d}}"]: the matrix is empty\n  write matrix = {{ distro = ["humble", "jazzy"] }}',
    ),
    "a key": (
        '[stages."{d}"]\nmatrix = { "1 2" = ["x"] }\n',
        "{1}: [stages.\"{{d}}\"]: '1 2' cannot be a key of a matrix\n  use letters, digits, '_' and '-'",
    ),
    "no list": (
        '[stages."{d}"]\nmatrix = { d = "x" }\n',
        '{1}: [stages."{{d}}"]: d must be a list\n  d = ["VALUE", ...]',
    ),
    "an empty list": (
        '[stages."{d}"]\nmatrix = { d = [] }\n',
        '{1}: [stages."{{d}}"]: d has no values\n  give it one, or remove d',
    ),
    "a float": (
        '[stages."{d}"]\nmatrix = { d = [3.10] }\n',
        '{1}: [stages."{{d}}"]: a value of d is neither a string nor a whole number\n  put it in quotes',
    ),
    "a list as a value": (
        '[stages."{d.a}"]\nmatrix = { d = [{ a = [] }] }\n',
        '{1}: [stages."{{d.a}}"]: a value of d.a is neither a string nor a whole number\n  put it in quotes',
    ),
    "other words": (
        '[stages."{d.a}"]\nmatrix = { d = [{ a = "x", b = "x" }, { a = "y" }] }\n',
        '{1}: [stages."{{d.a}}"]: value 2 of d does not have the words of the others: a, b\n'
        "  give all values of a key the same words",
    ),
    "a table and a string": (
        '[stages."{d.a}"]\nmatrix = { d = ["x", { a = "y" }] }\n',
        '{1}: [stages."{{d.a}}"]: value 1 of d does not have the words of the others: a\n'
        "  give all values of a key the same words",
    ),
    "an empty table": (
        '[stages."{d.a}"]\nmatrix = { d = [{}] }\n',
        '{1}: [stages."{{d.a}}"]: a table of d is empty\n  d = [{{ name = "VALUE" }}, ...]',
    ),
    "too many": (
        '[stages."{a}"]\nmatrix = {'
        + ", ".join(f"{key} = [{', '.join(map(str, range(10)))}]" for key in "abcde")
        + "}\n",
        '{1}: [stages."{{a}}"]: the matrix has 100000 combinations; at most 10000 are possible',
    ),
    "a name twice": (
        '[stages."{d}"]\nmatrix = { d = ["x", "y"], v = [1, 2] }\npath = "a"\n',
        "{0}: [stages.\"{{d}}\"]: 'x' comes out for d = x, v = 1 and for d = x, v = 2\n"
        "  write {{v}} in the name, too",
    ),
    "a value twice": (
        '[stages."{d}"]\nmatrix = { d = ["x", "x"] }\npath = "a"\n',
        "{0}: [stages.\"{{d}}\"]: 'x' comes out for d = x and for d = x\n  use each value once",
    ),
    "a name of another entry": (
        MATRIX + '[stages.y]\npath = "b"\n',
        '{3}: \'y\' comes out of [stages."{{d}}"] and of [stages."y"]\n  rename one',
    ),
    "a name of an entry before": (
        '[stages.y]\npath = "b"\n' + MATRIX,
        '{2}: \'y\' comes out of [stages."y"] and of [stages."{{d}}"]\n'
        '  exclude it: exclude = [{{ d = "y" }}]',
    ),
    "a key twice": (
        MATRIX + 'contexts = { "debian:x" = "a", "debian:{d}" = "b" }\n',
        "{3}: [stages.\"{{d}}\"]: two keys become 'debian:x' for d = x",
    ),
    "an exclusion of nothing": (
        MATRIX + 'exclude = [{ d = "x" }, { d = "z" }]\n',
        '{3}: [stages."{{d}}"]: exclusion 2 matches no combination: d = z\n'
        "  correct its values, or remove it",
    ),
    "an exclusion of everything": (
        MATRIX + 'exclude = [{ d = "x" }, { d = "y" }]\n',
        '{3}: [stages."{{d}}"]: every combination is excluded\n  remove an exclusion',
    ),
    "an exclusion by another key": (
        '[stages."{distro}"]\nmatrix = { distro = ["x", "y"] }\nexclude = [{ distr = "x" }]\n',
        '{2}: [stages."{{distro}}"]: exclude has distr, which is not in the matrix\n'
        "  did you mean 'distro'?",
    ),
    "an exclusion by a whole table": (
        '[stages."{d.a}"]\nmatrix = { d = [{ a = "x" }] }\nexclude = [{ d = "x" }]\n',
        '{2}: [stages."{{d.a}}"]: exclude has d, which is not in the matrix\n  known here: d.a',
    ),
    "no exclusion": (
        MATRIX + "exclude = [7]\n",
        '{3}: [stages."{{d}}"]: an exclusion is not a table of values\n  {{ distro = "humble" }}',
    ),
    "an exclusion of a folder": (
        MATRIX + 'exclude = ["x"]\n',
        "{3}: [stages.\"{{d}}\"] is no glob, and excludes 'x'\n"
        "  a string leaves out folders of a glob; for a matrix write {{ KEY = VALUE }}",
    ),
    "a list of paths": (
        MATRIX.replace('"a"', '["a"]'),
        '{2}: [stages."{{d}}"] is no glob, and has a list of paths\n  write one path',
    ),
    "an unknown key": (
        MATRIX + 'pth = "a"\n',
        "{3}: unknown key 'pth' in family of stages [stages.{{d}}]\n  did you mean 'path'?",
    ),
    "a key of an image": (
        '[images."{d}"]\nmatrix = { d = ["x"] }\npath = "a"\n',
        "{2}: unknown key 'path' in family of images [images.{{d}}]\n  known here: ",
    ),
    "an error of a reader": (
        MATRIX + '[stages."{d}".platforms.amd64]\nnative = "{d}"\n',
        "{4}: native = 'x' is not an OCI platform\n  known here: ",
    ),
    "an unknown stage": (
        '[images."{d}"]\nmatrix = { d = ["x"] }\nstage = "{d}"\n',
        "{2}: image x: no stage 'x'\n  none is declared",
    ),
    "not a name": (
        '[stages."{d}"]\nmatrix = { d = ["x y"] }\npath = "a"\n',
        "{0}: 'x y' is not a name\n  use lower-case letters",
    ),
    "not a table": ('[stages]\n"{d}" = 7\n', "{1}: stages.{{d}} must be a table"),
    "exclude alone": (
        '[stages.x]\npath = "a"\nexclude = [{ d = 1 }]\n',
        "{2}: [stages.\"x\"] has no matrix, and excludes {{'d': 1}}\n"
        '  a glob leaves out what its "*" stands for: exclude = ["NAME", ...]',
    ),
}


@pytest.mark.parametrize(("more", "message"), MATRIX_FAULTS.values(), ids=MATRIX_FAULTS)
def test_faults_of_a_matrix(tmp_path: Path, more: str, message: str) -> None:
    expected = message.format(*(f"stages.toml:{NEXT + line}" for line in range(8)))
    found = fault(tmp_path, more)
    assert found == expected or (expected.endswith((": ", "letters")) and found.startswith(expected))


# -- glob ----------------------------------------------------------------------------------------


def folders(root: Path, *names: str, dockerfile: str = "Dockerfile") -> None:
    write(root, {f"{name}/{dockerfile}": "FROM base\nARG A\n" for name in names})


def test_a_glob_has_a_stage_for_each_folder_with_a_dockerfile(tmp_path: Path) -> None:
    folders(tmp_path, "images/z", "images/c", "images/.hidden", "images/c/deep", "images/m")
    write(tmp_path, {"images/none/file": "", "images/file": ""})
    (tmp_path / "images/link").symlink_to("m")
    project = load(tmp_path, '[stages."*"]\npath = "images/*"\nargs = { A = "1" }\n[images."*"]\n')
    assert list(project.stages) == ["c", "link", "m", "z"] == list(project.images)
    config = project.stages["c"].configs["amd64"]
    assert (config.context, dict(config.args)) == ("images/c", {"A": "1"})
    assert config.declared_at == f"stages.toml:{NEXT}"


def test_the_star_can_be_part_of_a_name(tmp_path: Path) -> None:
    folders(
        tmp_path, "libs/x-lib/docker", "libs/y-lib/docker", "libs/-lib/docker", "more/.w", "libs/lib/docker"
    )
    project = load(
        tmp_path,
        """\
        [stages."lib-*".platforms.aarch64]
        alternative = "other"
        [stages."lib-*"]
        path = ["libs/*-lib/docker", "more/.*"]
        target = "t-*"
        needs = ["base-*"]
        description = "a *"
        [stages."lib-*".alternatives.other]
        target = "other-*"
        [stages."base-{d}"]
        matrix = { d = ["x", "y", "w"] }
        path = "a"
        """,
    )
    found = {name: stage.configs["amd64"] for name, stage in project.stages.items() if "lib" in name}
    assert {name: (c.context, c.target) for name, c in found.items()} == {
        "lib-w": ("more/.w", "t-w"),
        "lib-x": ("libs/x-lib/docker", "t-x"),
        "lib-y": ("libs/y-lib/docker", "t-y"),
    }
    assert project.stages["lib-x"].description == "a *"
    assert project.stages["lib-x"].configs["aarch64"].target == "other-x"


def test_an_entry_beside_a_glob_is_laid_over_it(tmp_path: Path) -> None:
    folders(tmp_path, "images/x", "images/y", "images/z", "z-new")
    folders(tmp_path, "images/other", dockerfile="Containerfile")
    project = load(
        tmp_path,
        """\
        [stages.y]
        description = "another"
        args = { B = "own" }
        [stages.y.platforms.amd64]
        target = "own"
        [stages."*"]
        path = "images/*"
        exclude = ["[x]"]
        description = "all"
        timeout = 7
        args = { A = "all", B = "all" }
        [stages."*".platforms.amd64]
        network = "none"
        [stages.z]
        path = "z-new"
        [stages.other]
        dockerfile = "Containerfile"
        """,
    )
    assert list(project.stages) == ["y", "other", "z"]
    stage = project.stages["y"]
    amd64, arm64 = stage.configs["amd64"], stage.configs["aarch64"]
    assert (stage.description, amd64.timeout, amd64.target, arm64.target) == ("another", 7, "own", "")
    assert (amd64.network, arm64.network, dict(amd64.args)) == ("none", "default", {"A": "all", "B": "own"})
    assert (stage.declared_at, project.stages["z"].declared_at) == (
        f"stages.toml:{NEXT}", f"stages.toml:{NEXT + 13}",
    )  # fmt: skip
    assert project.stages["z"].configs["amd64"].context == "z-new"
    assert project.stages["other"].configs["amd64"].dockerfile == "Containerfile"


def test_images_over_a_glob(tmp_path: Path) -> None:
    folders(tmp_path, "images/x", "images/y", "images/x/test", "images/y/test", "top")
    project = load(
        tmp_path,
        """\
        [stages.top]
        path = "top"
        [stages."*"]
        path = "images/*"
        [images."*"]
        test = "images/*/test"
        [images."*-top"]
        stage = "*"
        [images.x]
        description = "one"
        [images."i-*"]
        stage = "*"
        exclude = ["y"]
        """,
    )
    assert [(i.name, i.stage, i.test, i.description) for i in project.images.values()] == [
        ("x", "x", "x-test", "one"),
        ("y", "y", "y-test", ""),
        ("x-top", "x", "", ""),
        ("y-top", "y", "", ""),
        ("i-x", "x", "", ""),
    ]
    assert project.stages["y-test"].configs["amd64"].context == "images/y/test"


def test_a_star_in_names_repositories_and_tags(tmp_path: Path) -> None:
    folders(tmp_path, "images/x", "images/y")
    project = load(
        tmp_path,
        """\
        [stages."*"]
        path = "images/*"
        names = ["old/*:1"]
        args = { A = "*" }
        [images."*"]
        repo = "example/*"
        tags = ["*-{arch}", "*-{revision}", "*"]
        description = "a *"
        """,
    )
    image = project.images["y"]
    assert project.stages["y"].names == ("old/y:1",)
    assert (image.repo, image.tags) == ("example/y", ("y-{arch}", "y-{revision}", "y"))
    assert (image.description, project.stages["y"].configs["amd64"].args["A"]) == ("a *", "*")


def test_an_image_beside_a_glob_may_have_a_stack_instead(tmp_path: Path) -> None:
    folders(tmp_path, "images/x", "images/y", "top")
    more = """\
        [stages.top]
        path = "top"
        [stages."*"]
        path = "images/*"
        [images."i-*"]
        stage = "*"
        [images.i-x]
        stack = ["x", "top"]
        """
    assert [i.stage for i in load(tmp_path, more).images.values()] == ["x--top", "y"]


def test_a_matrix_of_globs(tmp_path: Path) -> None:
    folders(tmp_path, "one/x", "one/z", "two/x", "two/y", "two/z")
    project = load(
        tmp_path,
        """\
        [stages."{d}-*"]
        matrix = { d = ["one", "two", "none"] }
        exclude = ["z", { d = "none" }]
        path = "{d}/*"
        [stages.two-x]
        description = "one of them"
        [images."{d}-*"]
        matrix = { d = ["two"] }
        """,
    )
    assert list(project.stages) == ["one-x", "two-x", "two-y"]
    assert list(project.images) == ["two-x", "two-y"]
    assert project.images["two-x"].description == "one of them"


GLOB = '[stages."*"]\npath = "images/*"\n'

GLOB_FAULTS = {
    "no folder": (
        '[stages."*"]\npath = "image/*"\n',
        "{1}: [stages.\"*\"]: no folder matches 'image/*'\n  paths are relative to stages.toml",
    ),
    "no Dockerfile": (
        GLOB + 'dockerfile = "Containerfile"\n',
        "{1}: [stages.\"*\"]: none of the 2 folders of 'images/*' has the Dockerfile\n"
        '  if it has another name, write dockerfile = "NAME"',
    ),
    "no path": (
        '[stages."*"]\n',
        "{0}: [stages.\"*\"]: the path '' needs exactly one '*'\n  write the folders: path = \"images/*\"",
    ),
    "two stars in the path": (
        '[stages."*"]\npath = "*/*"\n',
        "{1}: [stages.\"*\"]: the path '*/*' needs exactly one '*'\n  write the folders: path = \"images/*\"",
    ),
    "two stars in the name": (
        '[stages."*-*"]\npath = "images/*"\n',
        "{0}: [stages.\"*-*\"] has more than one '*'\n  keep one",
    ),
    "a star in the path alone": (
        '[stages.x]\npath = "images/*"\n',
        "{1}: no folder 'images/*'\n"
        '  for each folder that matches, write a "*" in the name, too: [stages."*"]',
    ),
    "a zero byte": (
        '[stages."*"]\npath = "images\\u0000/*"\n',
        "{1}: [stages.\"*\"]: no folder matches 'images\\x00/*'\n  paths are relative to stages.toml",
    ),
    "a folder twice": (
        '[stages."*"]\npath = ["images/*", "more/*"]\n',
        "{1}: [stages.\"*\"]: 'i-x' is images/i-x and more/i-x\n  rename one of the folders",
    ),
    "two globs": (
        GLOB + '[stages."i-*"]\npath = "images/*"\n',
        '{2}: \'i-x\' comes out of [stages."*"] and of [stages."i-*"]\n'
        '  leave it out of one: exclude = ["x"]',
    ),
    "a glob and a matrix": (
        GLOB + '[stages."{d}"]\nmatrix = { d = ["x"] }\npath = "more/x"\n',
        '{0}: \'x\' comes out of [stages."{{d}}"] and of [stages."*"]\n'
        '  leave it out of one: exclude = ["x"]',
    ),
    "an exclusion of nothing": (
        GLOB + 'exclude = ["i-y"]\n',
        "{2}: [stages.\"*\"] excludes 'i-y', which matches nothing\n  did you mean 'i-x'?",
    ),
    "an exclusion of everything": (
        GLOB + 'exclude = ["*"]\n',
        '{2}: [stages."*"] excludes all that it matches',
    ),
    "an exclusion of a combination": (
        GLOB + 'exclude = [{ d = "x" }]\n',
        "{2}: [stages.\"*\"] has no matrix, and excludes {{'d': 'x'}}\n"
        '  a glob leaves out what its "*" stands for: exclude = ["NAME", ...]',
    ),
    "a name that is none": (
        '[stages."*"]\npath = "bad/*"\n',
        "{0}: 'X Y' is not a name\n  use lower-case letters",
    ),
    "images over no glob": (
        GLOB + '[images."lib-*"]\n',
        '{2}: [images."lib-*"] is over the stages of [stages."lib-*"], which is no glob\n  known here: *',
    ),
    "images over a stage": (
        GLOB + '[images."*"]\nstage = "x"\n',
        '{3}: [images."*"] is over the stages of [stages."x"], which is no glob\n  known here: *',
    ),
    "images over a list": (
        GLOB + '[images."*"]\nstack = [["x"]]\n',
        '{3}: [images."*"] is over the stages of [stages."[\'x\']"], which is no glob\n  known here: *',
    ),
    "an entry that is no table": (
        '[stages]\nx = 7\n"*" = { path = "images/*" }\n',
        "{1}: stages.x must be a table",
    ),
    "an error beside a glob": (
        GLOB + "[stages.x]\ntimeout = 0\n",
        "{3}: timeout is in seconds: at least 1, at most a year",
    ),
    "an error of a glob": (
        GLOB + "timeout = 0\n[stages.x]\narchive = true\n",
        "{2}: timeout is in seconds: at least 1, at most a year",
    ),
}


@pytest.mark.parametrize(("more", "message"), GLOB_FAULTS.values(), ids=GLOB_FAULTS)
def test_faults_of_a_glob(tmp_path: Path, more: str, message: str) -> None:
    folders(tmp_path, "images/x", "images/i-x", "more/x", "more/i-x", "bad/X Y")
    expected = message.format(*(f"stages.toml:{NEXT + line}" for line in range(8)))
    found = fault(tmp_path, more)
    assert found == expected or (expected.endswith("letters") and found.startswith(expected))


def test_a_link_that_leaves_the_project(tmp_path: Path) -> None:
    folders(tmp_path, "out", "project/images/x")
    (tmp_path / "project/images/y").symlink_to(tmp_path / "out")
    assert fault(tmp_path / "project", GLOB) == (
        f"stages.toml:{NEXT + 1}: path 'images/y' is outside the project's folder\n"
        "  a stage's folder must be inside the project"
    )


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    folders(tmp_path, "images/x")
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert fault(tmp_path, GLOB) == (
        f"stages.toml:{NEXT + 1}: [stages.\"*\"]: 'images/*' cannot be read: Permission denied"
    )


def test_lines_of_an_entry_under_another_name() -> None:
    lines = SourceMap(
        '[stages."*"]\npath = "x"\n[stages."*".args]\nA = 1\n[stages.y]\n[stages.y.args]\n', "f"
    )
    derived = lines.with_origins({("stages", "y"): ("y", "*")})
    places = [("stages", "y"), ("stages", "y", "path"), ("stages", "y", "args", "A"), ("stages", "y", "args")]
    assert [derived.where(*place) for place in places] == ["f:5", "f:2", "f:4", "f:6"]
    assert lines.where("stages", "y", "path") == "f:5"
