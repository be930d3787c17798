"""``stages.toml`` and settings: the values that the loader returns, and each fault with file and line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from helpers import write

from stagegraph.errors import ProjectError
from stagegraph.oci.platform import OciPlatform
from stagegraph.project import configs, loader
from stagegraph.project.model import (
    DEFAULT_EPOCH,
    Bootstrap,
    ExternalBase,
    Node,
    Project,
    Secret,
    Settings,
    StageConfig,
)

pytestmark = pytest.mark.unit

HEAD = """\
[project]
repo = "example/atom"
[platforms.amd64]
docker = "linux/amd64"
[platforms.jetson]
docker = "linux/arm64"
args = { CPU = "a57", LEVEL = 1 }
[base]
bootstrap = "trixie"
"""
# The number of the first line that a test adds.
NEXT = HEAD.count("\n") + 1
STAGE = '[stages.blas]\npath = "blas"\n'


def load(
    root: Path,
    more: str = "",
    *,
    head: str = HEAD,
    cli: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
) -> Project:
    write(
        root,
        {"stages.toml": head + more, "blas/Dockerfile": "FROM base\n", "netlib/Dockerfile": "FROM base\n"},
    )
    return loader.load(root, cli, env or {})


def fault(root: Path, more: str = "", **given: object) -> str:
    with pytest.raises(ProjectError) as error:
        load(root, more, **given)  # type: ignore[arg-type]
    return str(error.value)


# -- values --------------------------------------------------------------------------------------


def test_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, STAGE)
    config = project.stages["blas"].configs["amd64"]
    assert project.settings == Settings("example/atom")
    assert set(project.bases.values()) == {Bootstrap("trixie", declared_at="stages.toml:9")}
    assert project.epoch == DEFAULT_EPOCH
    assert (config.context, config.dockerfile, config.network, config.target) == (
        "blas",
        "Dockerfile",
        "default",
        "",
    )
    assert dict(config.args) == {}
    assert config.declared_at == f"stages.toml:{NEXT}"


def test_later_layers_of_arguments_win(tmp_path: Path) -> None:
    text = """\
        [defaults]
        args = { A = "defaults", B = "defaults", C = "defaults", D = "defaults", CPU = "defaults", F = true }
        network = "none"
        [stages.blas]
        path = "blas"
        args = { B = "stage", C = "stage", D = "stage" }
        [stages.blas.platforms."linux/arm64"]
        args = { C = "oci", D = "oci" }
        [stages.blas.platforms.jetson]
        args = { D = "platform" }
        network = "default"
        """
    stage = load(tmp_path, text).stages["blas"]
    amd64, jetson = stage.configs["amd64"], stage.configs["jetson"]
    assert dict(amd64.args) == {
        "A": "defaults",
        "B": "stage",
        "C": "stage",
        "D": "stage",
        "CPU": "defaults",
        "F": "true",
    }
    assert dict(jetson.args) == {
        "A": "defaults", "B": "stage", "C": "oci", "D": "platform", "CPU": "a57", "LEVEL": "1", "F": "true",
    }  # fmt: skip
    assert (amd64.network, jetson.network) == ("none", "default")
    assert amd64.own_args == jetson.own_args == frozenset("BCD")


def test_defaults_are_for_every_stage_that_says_nothing_else(tmp_path: Path) -> None:
    text = """\
        [defaults]
        path = "blas"
        dockerfile = "Other"
        target = "all"
        network = "none"
        unpinned = "allow"
        archive = true
        timeout = 5
        native = "linux/amd64"
        frontend = "builder"
        [stages.plain]
        [stages.own]
        path = "netlib"
        dockerfile = "Dockerfile"
        target = ""
        network = "default"
        archive = false
        timeout = 6
        native = "linux/arm64"
        frontend = "syntax"
        [stages.own.platforms.jetson]
        target = "on jetson"
        [stages.own.alternatives.other]
        path = "blas"
        [base.platforms.jetson]
        path = "netlib"
        dockerfile = "Dockerfile"
        """
    write(tmp_path, {"blas/Other": "FROM base\n"})
    project = load(tmp_path, text)
    plain, own = (project.stages[name].configs["amd64"] for name in ("plain", "own"))
    default = StageConfig(
        "blas",
        "Other",
        target="all",
        network="none",
        args={},
        unpinned=True,
        installs_packages=True,
        timeout=5,
        native=OciPlatform("linux/amd64"),
        contexts={},
        own_frontend=True,
        declared_at=f"stages.toml:{NEXT + 10}",
    )
    assert plain._replace(set_at={}) == default
    assert own._replace(set_at={}) == StageConfig(
        "netlib",
        args={},
        unpinned=True,
        timeout=6,
        native=OciPlatform("linux/arm64"),
        contexts={},
        declared_at=f"stages.toml:{NEXT + 11}",
    )
    assert project.stages["own"].configs["jetson"].target == "on jetson"
    base = project.bases["jetson"]
    assert isinstance(base, StageConfig) and (base.target, base.timeout) == ("all", 5)
    write(tmp_path, {"netlib/Other": "FROM base\n", "blas/Dockerfile": "FROM base\n"})
    other = load(tmp_path, text, cli={"own": "other"}).stages["own"].configs["amd64"]
    assert (other.context, other.dockerfile) == ("blas", "Dockerfile")


ONLY = """\
[platforms.rpi]
docker = "linux/arm64"
[stages.low]
path = "blas"
only = ["linux/arm64", "amd64"]
[stages.top]
path = "netlib"
only = ["rpi", "amd64"]
[stages.top.platforms.jetson]
target = "of a platform without the stage"
[stages.arm]
path = "blas"
only = ["linux/arm64"]
"""


def test_a_stage_for_some_platforms_only(tmp_path: Path) -> None:
    more = """\
        [images.low]
        [images.both]
        stack = ["low", "top"]
        test = "blas"
        [images.one]
        stack = ["arm", "top"]
        [images.chosen]
        stage = "arm"
        platforms = ["rpi"]
        """
    project = load(tmp_path, ONLY + textwrap.dedent(more))
    assert {name: [*stage.configs] for name, stage in project.stages.items()} == {
        "low": ["amd64", "jetson", "rpi"],
        "arm": ["jetson", "rpi"],
        "low--top": ["amd64", "rpi"],
        "arm--top": ["rpi"],
        "both-test": ["amd64", "rpi"],
    }
    assert {name: image.platforms for name, image in project.images.items()} == {
        "low": ("amd64", "jetson", "rpi"), "both": ("amd64", "rpi"), "one": ("rpi",), "chosen": ("rpi",),
    }  # fmt: skip
    assert Node("arm", "amd64") not in project.nodes() and Node("arm", "rpi") in project.nodes()


ALTERNATIVE = (
    STAGE + 'args = { T = "1" }\n[stages.blas.alternatives.netlib]\npath = "netlib"\nargs = { T = "2" }\n'
)


@pytest.mark.parametrize(
    ("cli", "env", "folder"),
    [
        ({}, {}, "blas"),
        ({"blas": "netlib"}, {}, "netlib"),
        ({}, {"STAGEGRAPH_BLAS": "netlib"}, "netlib"),
        ({"blas": "default"}, {"STAGEGRAPH_BLAS": "netlib"}, "blas"),
    ],
)
def test_alternative(tmp_path: Path, cli: dict[str, str], env: dict[str, str], folder: str) -> None:
    config = load(tmp_path, ALTERNATIVE, cli=cli, env=env).stages["blas"].configs["amd64"]
    assert config.context == folder
    assert config.args["T"] == ("2" if folder == "netlib" else "1")


def test_alternative_of_one_platform(tmp_path: Path) -> None:
    text = ALTERNATIVE + '[stages.blas.platforms.jetson]\nalternative = "netlib"\n'
    configs = load(tmp_path, text).stages["blas"].configs
    assert (configs["amd64"].context, configs["jetson"].context) == ("blas", "netlib")
    chosen = load(tmp_path, text, cli={"blas": "default"}).stages["blas"].configs
    assert chosen["jetson"].context == "blas"


@pytest.mark.parametrize(
    ("cli", "env", "settings"),
    [
        ({"repo": "a/b", "tag": "v1"}, {"STAGEGRAPH_REPO": "c"}, Settings("a/b", "v1")),
        ({}, {"STAGEGRAPH_REPO": "c/d", "STAGEGRAPH_LOCKED": "yes"}, Settings("c/d", locked=True)),
        ({"locked": "0"}, {"STAGEGRAPH_LOCKED": "1"}, Settings("example/atom")),
        ({"registry": "host:5000/"}, {}, Settings("example/atom", registry="host:5000")),
        ({}, {"STAGEGRAPH_REPO": ""}, Settings("example/atom")),
        ({}, {"STAGEGRAPH_PUSH": "never"}, Settings("example/atom", push="never")),
        ({"push": "all"}, {"STAGEGRAPH_PUSH": "never"}, Settings("example/atom", push="all")),
        ({"push": ""}, {}, Settings("example/atom", push="built")),
    ],
)
def test_settings(tmp_path: Path, cli: dict[str, str], env: dict[str, str], settings: Settings) -> None:
    assert load(tmp_path, STAGE, cli=cli, env=env).settings == settings


BUILDERS = """
[platforms.rpi]
docker = "linux/arm64"
builder = ["arm-farm", "default"]
"""


@pytest.mark.parametrize(
    ("cli", "env", "of_amd64", "of_jetson", "of_rpi"),
    [
        (None, None, ("shared",), ("shared",), ("arm-farm", "default")),
        (None, "here", ("here",), ("here",), ("here",)),
        (None, "", ("shared",), ("shared",), ("arm-farm", "default")),
        ("there", "here", ("there",), ("there",), ("there",)),
        ("", "here", (), (), ()),
        ("a,b", None, ("a", "b"), ("a", "b"), ("a", "b")),
        ("jetson:farm", "here", ("shared",), ("farm",), ("arm-farm", "default")),
        ("linux/arm64:farm", None, ("shared",), ("farm",), ("farm",)),
        ("rpi:x,linux/arm64:y,z,rpi:w", None, ("z",), ("y",), ("x", "w")),
    ],
)
def test_builders(
    tmp_path: Path,
    cli: str | None,
    env: str | None,
    of_amd64: tuple[str, ...],
    of_jetson: tuple[str, ...],
    of_rpi: tuple[str, ...],
) -> None:
    """The builder of the call has priority over the platform's, and the platform's over the project's."""
    head = HEAD.replace("[project]\n", '[project]\nbuilder = "shared"\n')
    said = {} if cli is None else {"builder": cli}
    where = {} if env is None else {"STAGEGRAPH_BUILDER": env}
    project = load(tmp_path, STAGE + BUILDERS, head=head, cli=said, env=where)
    found = {name: platform.builders for name, platform in project.platforms.items()}
    assert found == {"amd64": of_amd64, "jetson": of_jetson, "rpi": of_rpi}


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ("arm farm", "command line: 'arm farm' is not a builder"),
        ("amd64:", "command line: '' is not a builder"),
        ("a,,b", "command line: '' is not a builder"),
        (
            ":x",
            "command line: builder=:x: no platform before the colon\n"
            "  write builder=PLATFORM:NAME or builder=NAME",
        ),
        ("amd46:x", "command line: builder=amd46:x: unknown platform 'amd46'\n  did you mean 'amd64'?"),
    ],
)
def test_an_invalid_builder_is_an_error(tmp_path: Path, builder: str, message: str) -> None:
    assert fault(tmp_path, STAGE, cli={"builder": builder}).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "builder must be a string or a list"),
        ("[3]", "3 is not a builder"),
        ('"a:b"', "'a:b' is not a builder"),
    ],
)
def test_builder_in_the_file(tmp_path: Path, value: str, message: str) -> None:
    more = f'[platforms.rpi]\ndocker = "linux/arm64"\nbuilder = {value}\n'
    assert fault(tmp_path, more + STAGE).startswith(f"stages.toml:{NEXT + 2}: {message}")


@pytest.mark.parametrize(
    ("cli", "env", "said"),
    [
        ({"push": "allways"}, {}, "command line: invalid value push=allways\n  did you mean 'all'?"),
        (
            {},
            {"STAGEGRAPH_PUSH": "nevr"},
            "STAGEGRAPH_PUSH: invalid value push=nevr\n  did you mean 'never'?",
        ),
        (
            {},
            {"STAGEGRAPH_PUSH": "1"},
            "STAGEGRAPH_PUSH: invalid value push=1\n  known here: all, built, never, nodes",
        ),
    ],
)
def test_an_invalid_value_of_push_is_an_error(
    tmp_path: Path, cli: dict[str, str], env: dict[str, str], said: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, STAGE, cli=cli, env=env)
    assert str(caught.value) == said


def test_a_misspelled_setting_in_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, STAGE, env={"STAGEGRAPH_LOKED": "1"})
    assert str(caught.value) == "STAGEGRAPH_LOKED: is not a setting\n  did you mean 'locked'?"
    # a variable that resembles no setting may belong to another program
    assert load(tmp_path, STAGE, env={"STAGEGRAPH_ELSEWHERE": "1", "STAGEGRAPH_JOBS": "3"})


def test_an_empty_setting_on_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    head = HEAD.replace('atom"\n', 'atom"\nregistry = "host"\n')
    assert load(tmp_path, STAGE, head=head).settings.registry == "host"
    assert load(tmp_path, STAGE, head=head, cli={"registry": ""}).settings.registry == ""


@pytest.mark.parametrize(
    ("cli", "base"),
    [
        ({"base": "debian:sid"}, ExternalBase("debian:sid", declared_at="command line")),
        ({"base": "bootstrap:forky"}, Bootstrap("forky", declared_at="command line")),
    ],
)
def test_base_on_the_command_line(tmp_path: Path, cli: dict[str, str], base: object) -> None:
    assert set(load(tmp_path, STAGE, cli=cli).bases.values()) == {base}


BASES = """
[base.platforms."linux/arm64"]
path = "netlib"
args = { X = "1" }
[base.platforms.jetson]
image = "l4t:r36"
"""


def test_the_base_of_a_platform_comes_before_that_of_its_oci_platform(tmp_path: Path) -> None:
    bases = load(tmp_path, '[platforms.aarch64]\ndocker = "linux/arm64"\n' + STAGE + BASES).bases
    assert bases["amd64"] == Bootstrap("trixie", declared_at="stages.toml:9")
    assert isinstance(bases["jetson"], ExternalBase) and bases["jetson"].image == "l4t:r36"
    config = bases["aarch64"]
    assert isinstance(config, StageConfig)
    assert (config.context, set(config.own_args), config.args) == ("netlib", {"X"}, {"X": "1"})


def test_a_base_of_the_command_line_is_for_every_platform(tmp_path: Path) -> None:
    bases = load(tmp_path, STAGE + BASES, cli={"base": "debian:sid"}).bases
    assert set(bases.values()) == {ExternalBase("debian:sid", "command line")}


def test_an_images_test_is_a_stage(tmp_path: Path) -> None:
    text = STAGE + '[images.x]\nstage = "blas"\ntest = "netlib"\n[images.blas]\n'
    project = load(tmp_path, text)
    assert (project.images["x"].test, project.images["blas"].test) == ("x-test", "")
    config = project.stages["x-test"].configs["jetson"]
    assert (config.context, config.timeout) == ("netlib", configs.TEST_TIMEOUT)
    assert config.args == {"IMAGE": "blas", "CPU": "a57", "LEVEL": "1"}
    assert project.test("x", "jetson") == Node("x-test", "jetson")
    assert project.test("blas", "jetson") is None
    project = load(tmp_path, text.replace('"netlib"', '"netlib"\ntest_timeout = 5'))
    assert project.stages["x-test"].configs["amd64"].timeout == 5


def test_a_host_in_both_repo_and_registry_is_an_error(tmp_path: Path) -> None:
    for repo in ("example.org/atom", "localhost/atom", "127.0.0.1:5000/atom"):
        said = fault(tmp_path, cli={"repo": repo, "registry": "r.example.org"})
        assert f"repo has a host ({repo})" in said
        assert load(tmp_path, cli={"repo": repo}).settings.repo == repo
    assert load(tmp_path, cli={"repo": "me/atom", "registry": "r.example.org"}).settings.registry


def test_images_and_secrets(tmp_path: Path) -> None:
    text = STAGE + 'description = "what"\n[images.blas]\n[images.x]\nstage = "blas"\nplatforms = ["jetson"]\n'
    project = load(tmp_path, text + '[secrets.GIT_TOKEN]\nenv = "TOKEN"\n')
    assert project.images["blas"].platforms == ("amd64", "jetson")
    assert project.images["blas"].description == "what"
    assert (project.images["x"].stage, project.images["x"].platforms) == ("blas", ("jetson",))
    assert project.secrets == {"GIT_TOKEN": Secret(env="TOKEN")}


def test_whole_project_as_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": "FROM base\n"})
    assert load(tmp_path, '[stages.all]\npath = "."\n').stages["all"].configs["amd64"].context == "."


def test_folder_through_a_link_inside(tmp_path: Path) -> None:
    write(tmp_path, {"real/Dockerfile": "FROM base\n"})
    (tmp_path / "link").symlink_to("real")
    assert load(tmp_path, '[stages.a]\npath = "link"\n').stages["a"].configs["amd64"].context == "real"


def test_byte_order_mark(tmp_path: Path) -> None:
    assert load(tmp_path, STAGE, head="\ufeff" + HEAD).stages


# -- faults --------------------------------------------------------------------------------------

PUBLIC = f"MCowBQYDK2VwAyEA{'A' * 43}="

FAULTS = {
    "unknown table": ("[stage.x]\n", "stages.toml:{0}: unknown table [stage]\n  did you mean 'stages'?"),
    "unknown key": (
        STAGE + 'pth = "x"\n',
        "stages.toml:{2}: unknown key 'pth' in stage [stages.blas]\n  did you mean 'path'?",
    ),
    "unknown key on a platform": (
        STAGE + "[stages.blas.platforms.amd64]\nagrs = {}\n",
        "stages.toml:{3}: unknown key 'agrs' in stage on a platform [stages.blas.platforms.amd64]\n"
        "  did you mean 'args'?",
    ),
    "unknown key of a platform that no platform has": (
        STAGE + '[stages.blas.platforms."linux/riscv64"]\nagrs = {}\n',
        "stages.toml:{3}: unknown key 'agrs' in stage on a platform [stages.blas.platforms.linux/riscv64]\n"
        "  did you mean 'args'?",
    ),
    "unknown key of an alternative not chosen": (
        STAGE + "[stages.blas.alternatives.a]\nagrs = {}\n",
        "stages.toml:{3}: unknown key 'agrs' in alternative [stages.blas.alternatives.a]\n"
        "  did you mean 'args'?",
    ),
    "wrong type": (
        "[stages.blas]\npath = 3\n",
        'stages.toml:{1}: path must be a string\n  put it in quotes: path = "3"',
    ),
    "boolean for a number": (
        "[defaults]\nnetwork = true\n",
        "stages.toml:{1}: network must be a string",
    ),
    "string for a boolean": (
        STAGE + 'archive = "yes"\n',
        "stages.toml:{2}: archive must be true or false\n  write it without quotes",
    ),
    "replacement that is a number, of an alternative not chosen": (
        STAGE + "[stages.blas.alternatives.a]\ncontexts = {{ redis = 7 }}\n".format(),
        "stages.toml:{3}: 7 is neither an image nor a stage\n"
        '  write "debian:trixie" = "mirror.example.com/debian:trixie", or the name of a stage',
    ),
    "stage that is not a table": ("[stages]\nblas = 3\n", "stages.toml:{1}: stages.blas must be a table"),
    "stage twice": (
        STAGE + STAGE,
        "stages.toml:{2}: stages.blas is written twice, first in line {0}\n  keep one of them",
    ),
    "platform twice": (
        '[platforms.amd64]\ndocker = "linux/386"\n',
        "stages.toml:{0}: platforms.amd64 is written twice, first in line 3\n  keep one of them",
    ),
    "only for an unknown platform": (
        STAGE + 'only = ["amd64", "jetsn"]\n',
        "stages.toml:{2}: stage blas: unknown platform 'jetsn'\n  did you mean 'jetson'?",
    ),
    "only for an OCI platform that no platform has": (
        STAGE + 'only = ["linux/s390x"]\n',
        "stages.toml:{2}: stage blas: unknown platform 'linux/s390x'\n"
        "  known here: amd64, jetson, linux/amd64, linux/arm64",
    ),
    "only for a number": (
        STAGE + "only = [7]\n",
        "stages.toml:{2}: stage blas: unknown platform 7\n"
        "  known here: amd64, jetson, linux/amd64, linux/arm64",
    ),
    "only for nothing": (
        STAGE + "only = []\n",
        "stages.toml:{2}: stage blas is for no platform\n  remove it for all platforms",
    ),
    "an image where its stage is not": (
        STAGE + 'only = ["jetson"]\n[images.blas]\nplatforms = ["jetson", "amd64"]\n',
        "stages.toml:{4}: image blas: stage blas is not built for amd64\n"
        '  add amd64 to the list "only" of the stage, or remove it here',
    ),
    "an image for no platform": (
        STAGE + 'only = ["jetson"]\n[stages.low]\npath = "blas"\nonly = ["amd64"]\n'
        '[images.x]\nstack = ["low", "blas"]\n',
        "stages.toml:{6}: image x: no platform has all stages of its stack\n"
        '  compare the lists "only" of these stages',
    ),
    "a list of platforms for a stage": (
        STAGE + 'platforms = ["jetson"]\n',
        "stages.toml:{2}: platforms must be a table\n"
        '  a stage that is not for all platforms has a list called only: only = ["NAME"]',
    ),
    "a path in defaults": (
        '[defaults]\npath = "gone"\n[stages.blas]\n',
        "stages.toml:{1}: no folder 'gone'\n  create it, with a Dockerfile in it",
    ),
    "a Dockerfile in defaults": (
        '[defaults]\ndockerfile = "gone"\n[stages.blas]\npath = "blas"\n',
        "stages.toml:{0}: no gone in 'blas'",
    ),
    "what cannot be a default": (
        '[defaults]\ndescription = "x"\n',
        "stages.toml:{1}: unknown key 'description' in defaults [defaults]\n"
        "  description is different for each stage; write it there",
    ),
    "stand-ins in defaults": (
        "[defaults]\ncontexts = {}\n",
        "stages.toml:{1}: unknown key 'contexts' in defaults [defaults]\n"
        "  write [contexts], which is for all stages",
    ),
    "no path": (
        "[stages.blas]\n",
        'stages.toml:{0}: stage blas has no path\n  write its folder: path = "FOLDER"',
    ),
    "missing folder": (
        '[stages.x]\npath = "no"\n',
        "stages.toml:{1}: no folder 'no'\n  create it, with a Dockerfile in it",
    ),
    "missing folder of an alternative not chosen": (
        STAGE + '[stages.blas.alternatives.a]\npath = "no"\n',
        "stages.toml:{3}: no folder 'no'\n  create it, with a Dockerfile in it",
    ),
    "folder that leaves by ..": (
        '[stages.x]\npath = "../outside"\n',
        "stages.toml:{1}: path '../outside' is outside the project's folder\n"
        "  a stage's folder must be inside the project",
    ),
    "folder that leaves by a link": (
        '[stages.x]\npath = "link"\n',
        "stages.toml:{1}: path 'link' is outside the project's folder\n"
        "  a stage's folder must be inside the project",
    ),
    "absolute folder": (
        '[stages.x]\npath = "/"\n',
        "stages.toml:{1}: path '/' is outside the project's folder\n"
        "  a stage's folder must be inside the project",
    ),
    "empty folder": ('[stages.x]\npath = ""\n', "stages.toml:{1}: path '' is not a folder"),
    "no Dockerfile": ('[stages.x]\npath = "empty"\n', "stages.toml:{1}: no Dockerfile in 'empty'"),
    "Dockerfile elsewhere": (
        STAGE + 'dockerfile = "../netlib/Dockerfile"\n',
        "stages.toml:{2}: dockerfile '../netlib/Dockerfile' cannot be used\n"
        "  write a plain path inside the stage's folder",
    ),
    "name": (
        "[stages.Blas]\n",
        "stages.toml:{0}: 'Blas' is not a name\n"
        "  use lower-case letters and digits, with single '-', '_' or '.' between them; 54 at most",
    ),
    "reserved name": (
        '[stages.tag]\npath = "blas"\n',
        "stages.toml:{0}: a stage cannot be called 'tag'\n  the word is reserved; choose another",
    ),
    "network": (
        STAGE + 'network = "bridge"\n',
        'stages.toml:{2}: network must be "default", "none" or "host"',
    ),
    "network of defaults": (
        '[defaults]\nnetwork = "bridge"\n',
        'stages.toml:{1}: network must be "default", "none" or "host"',
    ),
    "unpinned": (STAGE + 'unpinned = "yes"\n', 'stages.toml:{2}: unpinned can only be "allow"'),
    "number that loses digits": (
        STAGE + "args = { VERSION = 3.10 }\n",
        "stages.toml:{2}: argument VERSION must be a string or a whole number\n  put it in quotes",
    ),
    "list as an argument": (
        STAGE + "args = { A = [] }\n",
        "stages.toml:{2}: argument A must be a string or a whole number\n  put it in quotes",
    ),
    "automatic argument": (
        STAGE + 'args = { TARGETARCH = "x" }\n',
        "stages.toml:{2}: argument TARGETARCH is set by BuildKit for each build and cannot be set here",
    ),
    "unknown platform of a stage": (
        STAGE + "[stages.blas.platforms.amd46]\n",
        "stages.toml:{2}: stage blas: unknown platform 'amd46'\n  did you mean 'amd64'?",
    ),
    "unknown alternative": (
        STAGE + '[stages.blas.platforms.amd64]\nalternative = "x"\n',
        "stages.toml:{3}: stage blas has no alternative 'x'\n  known here: default",
    ),
    "OCI platform": (
        '[platforms.x]\ndocker = "linux/arm46"\n',
        "stages.toml:{1}: platform x: docker = 'linux/arm46' is not an OCI platform\n"
        "  did you mean 'linux/arm64'?",
    ),
    "image without a stage": (
        STAGE + "[images.blass]\n",
        "stages.toml:{2}: image blass: no stage 'blass'\n  did you mean 'blas'?",
    ),
    "image with another stage's name": (
        STAGE + '[stages.b]\npath = "netlib"\n[images.b]\nstage = "blas"\n',
        "stages.toml:{4}: image b has the name of a stage that is not its own (blas)\n"
        "  rename one of the two",
    ),
    "image called base": (
        STAGE + '[images.base]\nstage = "blas"\n',
        "stages.toml:{2}: an image cannot be called 'base'\n  the word is reserved; choose another",
    ),
    "unknown platform of an image": (
        STAGE + '[images.blas]\nplatforms = ["amd46"]\n',
        "stages.toml:{3}: image blas: unknown platform 'amd46'\n  did you mean 'amd64'?",
    ),
    "platform of an image that is not a string": (
        STAGE + "[images.blas]\nplatforms = [[]]\n",
        "stages.toml:{3}: image blas: unknown platform []\n  known here: amd64, jetson",
    ),
    "platform of an image twice": (
        STAGE + '[images.blas]\nplatforms = ["amd64", "amd64"]\n',
        "stages.toml:{3}: image blas: name at least one platform, each once",
    ),
    "timeout": (
        STAGE + "timeout = 9999999999\n",
        "stages.toml:{2}: timeout is in seconds: at least 1, at most a year",
    ),
    "timeout of a test": (
        STAGE + '[images.blas]\ntest = "netlib"\ntest_timeout = 0\n',
        "stages.toml:{4}: test_timeout is in seconds: at least 1, at most a year",
    ),
    "folder of a test": (
        STAGE + '[images.blas]\ntest = "tests"\n',
        "stages.toml:{3}: no folder 'tests'\n  create it, with a Dockerfile in it",
    ),
    "name of a test": (
        STAGE + '[stages.blas-test]\npath = "netlib"\n[images.blas]\ntest = "netlib"\n',
        "stages.toml:{5}: its test needs the stage name blas-test\n  rename the other",
    ),
    "stage with a command's name": (
        '[stages.plan]\npath = "blas"\n',
        "stages.toml:{0}: a stage cannot be called 'plan'\n  the word is reserved; choose another",
    ),
    "argument with a zero byte": (
        STAGE + 'args = {{ A = "x\\u0000" }}\n'.format(),
        "stages.toml:{2}: argument A has a zero byte, which no argument can have",
    ),
    "argument that no program takes": (
        STAGE + f'args = {{ A = "{"x" * 130_000}" }}\n',
        "stages.toml:{2}: argument A has over 130000 bytes, its name included\n"
        "  put the text into a file, which the Dockerfile copies",
    ),
    "secret's file": (
        '[secrets.x]\nfile = "\\u0000"\n',
        "stages.toml:{1}: '\\x00' is not the path of a file",
    ),
    "secret's variable": (
        '[secrets.x]\nenv = "A B"\n',
        "stages.toml:{1}: 'A B' is not the name of a variable",
    ),
    "tags that clash": (
        STAGE + '[images.blas]\n[images.blas-amd64]\nstage = "blas"\n',
        "stages.toml:{3}: image blas-amd64: the index of blas-amd64 would get the tag "
        "example/atom:blas-amd64, as blas:amd64 (stages.toml:{2})\n"
        "  change a tag, or give one of the two images a repo of its own",
    ),
    "level of trust": (
        STAGE + '[trust]\nlevel = "require"\n',
        "stages.toml:{3}: level = 'require' is no level of trust\n  did you mean 'required'?",
    ),
    "trusted key": (
        STAGE + '[trust.keys.ci]\npublic = "ssh-ed25519 AAAA"\n',
        "stages.toml:{3}: public = 'ssh-ed25519 AAAA' is no public key of ed25519\n  doit trust init prints "
        "it: the text between the first and the last line of a PEM file",
    ),
    "trusted key without the key": (
        STAGE + '[trust.keys.ci]\nstages = ["blas"]\n',
        "stages.toml:{2}: trust.keys.ci has no public key\n  doit trust init prints it: the text between "
        "the first and the last line of a PEM file",
    ),
    "trusted key for nothing": (
        STAGE + f'[trust.keys.ci]\npublic = "{PUBLIC}"\nstages = ["blass"]\n',
        "stages.toml:{4}: 'blass' matches no stage\n  did you mean 'blas'?",
    ),
    "one key under two names": (
        STAGE + f'[trust.keys.ci]\npublic = "{PUBLIC}"\n[trust.keys.me]\npublic = "{PUBLIC}"\n',
        "stages.toml:{4}: me and ci are the same public key\n  keep one of them",
    ),
    "more signatures than keys": (
        STAGE + f'[trust]\nthresholds = {{ "b*" = 2 }}\n[trust.keys.ci]\npublic = "{PUBLIC}"\n',
        "stages.toml:{3}: stage base needs 2 signatures, but 1 of [trust.keys] may sign it\n"
        "  add keys, or need fewer",
    ),
    "number of signatures": (
        STAGE + "[trust]\nthreshold = 0\n",
        "stages.toml:{3}: threshold = 0 is no number of signatures\n  write a whole number from 1 to 32",
    ),
    "secret": (
        '[secrets.x]\nfile = "a"\nenv = "B"\n',
        "stages.toml:{0}: secret x needs either file or env",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_file_is_an_error(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    (root / "empty").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    text, said = FAULTS[name]
    assert fault(root, text) == said.format(*range(NEXT, NEXT + 10))


@pytest.mark.parametrize("path", ["x" * 300, "loop"])
def test_a_path_that_cannot_be_followed_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be followed: " in fault(tmp_path, f'[stages.b]\npath = "{path}"\n')


HEADS = {
    "no repository": (
        ('repo = "example/atom"', ""),
        "stages.toml:1: no repository for images\n"
        '  write repo = "example/atom" under [project], or pass repo=...',
    ),
    "repository": (
        ("example/atom", "Example:1"),
        "stages.toml:2: 'Example:1' is not a repository name\n  lower case, without a tag: example/atom",
    ),
    "registry": (
        ('atom"', 'atom"\nregistry = "https://x"'),
        "stages.toml:3: 'https://x' is not a registry\n  HOST, HOST:PORT or HOST/PATH, without https://",
    ),
    "port of the registry": (
        ('atom"', 'atom"\nregistry = "host:65536"'),
        "stages.toml:3: 'host:65536' is not a registry\n  HOST, HOST:PORT or HOST/PATH, without https://",
    ),
    **{
        f"registry {value}": (
            ('atom"', f'atom"\nregistry = "{value}"'),
            f"stages.toml:3: '{value}' is not a registry\n  HOST, HOST:PORT or HOST/PATH, without https://",
        )
        for value in ("h/..", "h/../x", "h/-x", "h/x/./y", "h/.", "a..b", "h-", "h.-x:5000", "../x")
    },
    "registry that looks like an option": (
        ('atom"', 'atom"\nregistry = "-x"'),
        "stages.toml:3: '-x' is not a registry\n  HOST, HOST:PORT or HOST/PATH, without https://",
    ),
    "push": (
        ('atom"', 'atom"\npush = "build"'),
        "stages.toml:3: invalid value push=build\n  did you mean 'built'?",
    ),
    "epoch": (
        ('atom"', 'atom"\nsource_date_epoch = -1'),
        "stages.toml:3: source_date_epoch is before 1970",
    ),
    "epoch that is a boolean": (
        ('atom"', 'atom"\nsource_date_epoch = true'),
        "stages.toml:3: source_date_epoch must be a whole number or a string",
    ),
    "epoch that no date can have": (
        ('atom"', 'atom"\nsource_date_epoch = 253402300800'),
        "stages.toml:3: source_date_epoch is after the year 9999\n  write seconds",
    ),
    "number that is too long": (
        ('atom"', f'atom"\nsource_date_epoch = 0x{"f" * 6000}'),
        "stages.toml:3: a whole number has more than 64 bits\n  write a smaller one, or put it in quotes",
    ),
    "number that is too long in a list": (
        ('atom"', f'atom"\nbuilder = ["a", 0b{"1" * 64}]'),
        "stages.toml:3: a whole number has more than 64 bits\n  write a smaller one, or put it in quotes",
    ),
    "epoch that is a word": (
        ('atom"', 'atom"\nsource_date_epoch = "now"'),
        "stages.toml:3: source_date_epoch is 'now'\n"
        '  write seconds since 1970, or "commit" for the time of the last commit',
    ),
    "no base": (
        ('bootstrap = "trixie"', ""),
        "stages.toml:8: no base is declared\n"
        '  write [base] with bootstrap = "trixie" or image = "debian:trixie-slim"',
    ),
    "suite": (
        ('"trixie"', '"--help"'),
        "stages.toml:9: '--help' is not a suite\n  write a release of the distribution, such as \"trixie\"",
    ),
    "package": (
        ('"trixie"', '"trixie"\ninclude = ["a b"]'),
        "stages.toml:10: 'a b' is not a package name",
    ),
    "package of an image": (
        ('bootstrap = "trixie"', 'image = "debian"\ninclude = ["a"]'),
        "stages.toml:10: include is only for a bootstrapped base",
    ),
    "image of the base": (
        ('bootstrap = "trixie"', 'image = "de bian"'),
        "stages.toml:9: 'de bian' is not an image\n  write a reference, such as \"debian:trixie-slim\"",
    ),
    "base of an unknown platform": (
        ('"trixie"', '"trixie"\n[base.platforms.amd46]\nimage = "x"'),
        "stages.toml:10: base: unknown platform 'amd46'\n  did you mean 'amd64'?",
    ),
    "base of a platform that the project lacks": (
        ('"trixie"', '"trixie"\n[base.platforms."linux/s390x"]\nimage = "x"'),
        "stages.toml:10: base: linux/s390x is not a platform of this project\n  declare it under [platforms]",
    ),
    "key that an external base does not use": (
        ('"trixie"', '"trixie"\n[base.platforms.jetson]\nimage = "x"\ntarget = "y"'),
        "stages.toml:12: target is only for a base that is a stage\n  write path, or remove target",
    ),
    "two bases": (
        ('"trixie"', '"trixie"\nimage = "x"'),
        "stages.toml:10: the base needs exactly one of bootstrap, image and path\n"
        "  there are bootstrap and image",
    ),
    "no base for a platform": (
        ('"trixie"', '"trixie"\n[base.platforms.amd64]\nnetwork = "none"'),
        "stages.toml:10: the base needs exactly one of bootstrap, image and path\n  there is none",
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_wrong_head_of_the_file_is_an_error(tmp_path: Path, name: str) -> None:
    change, said = HEADS[name]
    assert fault(tmp_path, STAGE, head=HEAD.replace(*change)) == said


def test_a_project_without_platforms_is_an_error(tmp_path: Path) -> None:
    head = '[project]\nrepo = "a"\n'
    assert fault(tmp_path, head=head) == (
        'stages.toml: no platform is declared\n  write [platforms.amd64] with docker = "linux/amd64"'
    )


@pytest.mark.parametrize(
    ("cli", "env", "said"),
    [
        ({"rpo": "x"}, {}, "command line: unknown setting rpo=x\n  did you mean 'repo'?"),
        ({"blass": "x"}, {}, "command line: unknown setting blass=x\n  did you mean 'blas'?"),
        (
            {"tag": "a b"},
            {},
            "command line: 'a b' is not a tag\n  letters, digits, '_', '.' and '-', at most 128",
        ),
        (
            {"blas": "netlb"},
            {},
            "command line: stage blas has no alternative 'netlb'\n  did you mean 'netlib'?",
        ),
        (
            {},
            {"STAGEGRAPH_BLAS": "netlb"},
            "STAGEGRAPH_BLAS: stage blas has no alternative 'netlb'\n  did you mean 'netlib'?",
        ),
        (
            {},
            {"STAGEGRAPH_REPO": "A"},
            "STAGEGRAPH_REPO: 'A' is not a repository name\n  write a",
        ),
        (
            {"locked": "ture"},
            {},
            "command line: locked=ture is neither true nor false\n  locked=1 or locked=0",
        ),
        (
            {"base": "bootstrap:"},
            {},
            "command line: '' is not a suite\n  write a release of the distribution, such as \"trixie\"",
        ),
        (
            {"repo": ""},
            {},
            "command line: no repository for images\n"
            '  write repo = "example/atom" under [project], or pass repo=...',
        ),
    ],
)
def test_an_invalid_setting_is_an_error(
    tmp_path: Path, cli: dict[str, str], env: dict[str, str], said: str
) -> None:
    assert fault(tmp_path, ALTERNATIVE, cli=cli, env=env) == said


@pytest.mark.parametrize("name", ["a..b", "a-", "-a", ".a", "1", "a___b", "a/b", "ä", "a" * 55])
def test_invalid_names_of_stages(tmp_path: Path, name: str) -> None:
    assert "is not a name" in fault(tmp_path, f'[stages."{name}"]\npath = "blas"\n')


@pytest.mark.parametrize("name", ["a.b", "a__b", "a--b", "3d", "a" * 54])
def test_valid_names_of_stages(tmp_path: Path, name: str) -> None:
    assert name in load(tmp_path, f'[stages."{name}"]\npath = "blas"\n').stages


# -- files that are not a stages.toml --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[project\n", "1"),
        ("[project]\nrepo = \n", "2"),
        ("[project]\nrepo = 'a\n", "2"),
        ("x\n", "1"),
        ("a = 1 1\n", "1"),
    ],
)
def test_malformed(tmp_path: Path, text: str, line: str) -> None:
    assert fault(tmp_path, head=text).startswith(f"stages.toml:{line}: not valid TOML: ")


@pytest.mark.parametrize(
    "text", ["a = [", "a = {", 'a = """', "[[", "a = [1, 'x'", "= 1", "[]", '"a" "b" = 1', "\x00"]
)
def test_malformed_toml_of_unusual_forms_is_an_error(tmp_path: Path, text: str) -> None:
    assert "stages.toml" in fault(tmp_path, head=text)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(
        ProjectError, match=r"stages.toml: no such file\n  a project is a folder with a stages.toml"
    ):
        loader.load(tmp_path)


def test_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, {"stages.toml": b"\xff"})
    with pytest.raises(ProjectError, match="is not UTF-8"):
        loader.load(tmp_path)


def test_a_folder_named_stages_toml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stages.toml").mkdir()
    with pytest.raises(ProjectError, match="cannot be read: Is a directory"):
        loader.load(tmp_path)


def test_this_project_loads() -> None:
    project = loader.load(Path(__file__).parents[3], env={})
    assert set(project.platforms) >= {"amd64", "aarch64"}


STACKS = """
[stages.opengl]
path = "netlib"
description = "GL"
[stages.vnc]
path = "netlib"
needs = ["opengl"]
[images.opengl]
stack = ["blas", "opengl"]
[images.opengl-vnc]
stack = ["blas", "opengl", "vnc"]
"""


def test_each_stage_of_a_stack_is_on_top_of_the_one_before(tmp_path: Path) -> None:
    project = load(tmp_path, STAGE + STACKS)
    assert list(project.stages) == ["blas", "blas--opengl", "blas--opengl--vnc"]
    assert {image.name: image.stage for image in project.images.values()} == {
        "opengl": "blas--opengl",
        "opengl-vnc": "blas--opengl--vnc",
    }
    top = project.stages["blas--opengl--vnc"]
    assert (top.stacked_on, top.configs["amd64"].args["BASE_IMAGE"]) == ("blas--opengl", "blas--opengl")
    assert project.images["opengl"].description == "GL"


STACK_FAULTS = {
    "unknown": ('["blas", "opengl"]', '["blas", "opengk"]', "no stage 'opengk'\n  did you mean 'opengl'?"),
    "twice": (
        '["blas", "opengl"]',
        '["blas", "opengl", "opengl"]',
        "stage opengl is in the stack twice",
    ),
    "empty": ('["blas", "opengl"]', "[]", "the stack is empty\n  list its stages, the lowest first"),
    "no stage": ('["blas", "opengl"]', "[1]", "no stage 1\n  known here: blas, opengl, vnc"),
    "order": ('"opengl", "vnc"]', '"vnc", "opengl"]', "vnc needs opengl before it in the stack"),
    "lowest": (
        '["blas", "opengl"]',
        '["opengl"]',
        "image opengl-vnc: opengl is stacked here, but is the first stage of image opengl\n"
        "  a stage that is FROM ${BASE_IMAGE} can never be the first of a stack",
    ),
    "stage and stack": (
        'stack = ["blas", "opengl"]',
        'stack = ["blas", "opengl"]\nstage = "blas"',
        "has a stage and a stack",
    ),
    "base": (
        '["blas", "opengl"]',
        '["base", "opengl"]',
        "base cannot be in a stack\n  name a stage that is FROM base",
    ),
    "need that is not a string": ('needs = ["opengl"]', 'needs = [["opengl"]]', "which is not a stage"),
    "need": ('needs = ["opengl"]', 'needs = ["opengk"]', "stage vnc needs 'opengk', which is not a stage"),
}


@pytest.mark.parametrize("name", STACK_FAULTS)
def test_a_wrong_stack_is_an_error(tmp_path: Path, name: str) -> None:
    old, new, said = STACK_FAULTS[name]
    assert STACKS.count(old) == 1
    assert said in fault(tmp_path, STAGE + STACKS.replace(old, new))


@pytest.mark.parametrize(
    "more",
    [
        # two pairs of stages have the same joined name
        '[stages.a]\npath = "blas"\n[stages.a--b]\npath = "blas"\n[stages.b--c]\npath = "blas"\n'
        '[stages.c]\npath = "blas"\n[images.x]\nstack = ["a", "b--c"]\n[images.y]\nstack = ["a--b", "c"]\n',
        # a pair of stages has the name of another image's test
        '[stages.a]\npath = "blas"\n[stages.b]\npath = "blas"\n[stages.b-test]\npath = "blas"\n'
        '[images.a--b]\nstack = ["a", "b"]\ntest = "blas"\n[images.y]\nstack = ["a", "b-test"]\n',
    ],
)
def test_two_stacks_cannot_give_the_same_stage_name(tmp_path: Path, more: str) -> None:
    assert "image y: a stage of its stack would be called" in fault(tmp_path, STAGE + more)


def test_a_stacked_stage_cannot_have_the_name_of_another_stage(tmp_path: Path) -> None:
    text = STAGE + STACKS + '[stages.blas--opengl]\npath = "blas"\n'
    assert "a stage of its stack would be called blas--opengl" in fault(tmp_path, text)
