"""The choice of a builder, and the errors if no builder can be used. Answers of buildx are those of 0.13."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers import AMD64, ARM64, ARM_V7, facts, graph, stages

from stagegraph.build import placement
from stagegraph.build.place import Placement
from stagegraph.build.placement import BuilderSelector
from stagegraph.docker import buildx as buildx_module
from stagegraph.docker.buildx import BuilderInfo, parse
from stagegraph.errors import AccessError, BuilderError, EmulationError, StagegraphError, ToolError
from stagegraph.graph.graph import Graph
from stagegraph.graph.native import runs
from stagegraph.host import emulation
from stagegraph.keys.spec import NodeSpec
from stagegraph.oci.platform import OciPlatform
from stagegraph.project.model import Bootstrap, Node, Platform, StageConfig

pytestmark = pytest.mark.unit

#: Platforms of three machines: amd64 with emulation, amd64 without, arm64 that emulates amd64.
ON_AMD64 = "linux/amd64, linux/amd64/v2, linux/amd64/v3, linux/arm64, linux/arm/v7"
ALONE = "linux/amd64, linux/amd64/v2"
ON_ARM64 = "linux/arm64, linux/amd64, linux/arm/v7, linux/arm/v6"


def node(name: str, platforms: str = "", status: str = "running", error: str = "") -> str:
    lines = [f"Name:             {name}", f"Endpoint:         tcp://{name}:1234"]
    lines += [f"Error: {error}"] if error else [f"Status:           {status}", "BuildKit version: v0.13.0"]
    lines += [f"Platforms:        {platforms}"] if platforms else []
    return "\n".join([*lines, "Labels:", " org.mobyproject.buildkit.worker.executor: oci"])


def answer(*nodes: str, driver: str = "remote", error: str = "") -> str:
    head = f"Name:          x\nDriver:        {driver}\nLast Activity: 2026-11-24 21:43:00 +0000 UTC\n"
    return head + (f"Error: {error}\n" if error else "\nNodes:\n" + "\n\n".join(nodes) + "\n")


class Buildx:
    """A fake docker: ``answers`` has the output for each builder, ``asked`` the words of each call."""

    def __init__(self, **answers: str) -> None:
        self.answers, self.listed, self.engine = answers, "", "28.5.2\n"
        self.asked: list[str] = []

    def __call__(
        self, command: Sequence[str], *, timeout: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        assert timeout
        words = " ".join(command[1 if "version" in command else 3 :])
        self.asked.append(words)
        if "version" in command:
            return subprocess.CompletedProcess(command, 0 if self.engine else 1, self.engine.encode(), b"")
        if command[2] == "ls":
            return subprocess.CompletedProcess(command, 0, self.listed.encode(), b"")
        if words not in self.answers:
            return subprocess.CompletedProcess(
                command, 1, b"", f'ERROR: no builder "{words}" found\n'.encode()
            )
        return subprocess.CompletedProcess(command, 0, self.answers[words].encode(), b"")


#: The engine of this machine.
HERE = Placement(machine=AMD64)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An amd64 machine with QEMU for arm64 and its own engine. Return its folder of interpreters."""
    binfmt = tmp_path / "binfmt"
    binfmt.mkdir()
    (binfmt / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: POCF\n")
    monkeypatch.setattr(emulation, "BINFMT", binfmt)
    monkeypatch.setattr(placement, "host_platform", lambda: "linux/amd64")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return binfmt


@pytest.fixture
def buildx(monkeypatch: pytest.MonkeyPatch) -> Buildx:
    buildx = Buildx(
        amd=answer(node("a", ON_AMD64)),
        alone=answer(node("a", ALONE)),
        arm=answer(node("b", ON_ARM64)),
        both=answer(node("a", ON_AMD64), node("b", ON_ARM64)),
        declared=answer(node("a", f"linux/arm64*, {ALONE}")),
        down=answer(node("c", status="inactive")),
        default=answer(node("default", ON_AMD64), driver="docker"),
        context=answer(node("context", ON_AMD64), driver="docker"),
        dead=answer(driver="", error="Cannot connect to the Docker daemon"),
        pod=answer(node("p", "linux/arm64*", "inactive"), driver="kubernetes"),
    )
    buildx.answers["--bootstrap pod"] = answer(node("p", f"linux/arm64*, {ON_ARM64}"), driver="kubernetes")
    monkeypatch.setattr(buildx_module, "run", buildx)
    return buildx


def spec(*names: str, text: str = "FROM base\nRUN x\n", docker: OciPlatform = ARM64) -> NodeSpec:
    platform = Platform("there", docker, {}, names)
    return NodeSpec(Node("x", "there"), platform, StageConfig("x"), 0, analysis=facts(text, docker=docker))


def selector(spec: NodeSpec, say: Callable[[str], None] = print) -> BuilderSelector:
    """Return a selector for a node. Only the Dockerfile tells the platforms of the programs that it runs."""
    own = spec.platform.docker
    programs = frozenset(part.platform or own for part in spec.analysis.build_stages if part.has_run)
    return BuilderSelector(lambda _: programs, say, lambda text: say(f"warning: {text}"))


def chosen(spec: NodeSpec) -> tuple[Placement, list[str]]:
    said: list[str] = []
    return selector(spec, said.append).place(spec), said


TOOLS = "FROM --platform=linux/amd64 base AS t\nRUN x\nFROM scratch\nCOPY --from=t /a /\n"


@pytest.mark.parametrize(
    ("names", "text", "name"),
    [
        (("amd",), "FROM base\nRUN x\n", "amd"),  # the only builder; it emulates
        (("amd", "arm"), "FROM base\nRUN x\n", "arm"),  # native comes before emulated, in any order
        (("arm", "amd"), "FROM base\nRUN x\n", "arm"),
        (("arm", "amd"), TOOLS, "amd"),  # the platform of its programs counts, not the target
        (("alone",), TOOLS, "alone"),
        (("alone", "amd"), "FROM base\nRUN x\n", "amd"),  # the first that can run it
        (("amd", "both"), "FROM base\nRUN x\n", "both"),
        (("amd", "declared"), "FROM base\nRUN x\n", "declared"),  # its owner declares arm64, as buildx allows
        (("declared", "amd"), TOOLS, "amd"),
        (("alone",), "FROM base\nCOPY a /\n", "alone"),  # no RUN
        (("alone", "arm"), "FROM base\nCOPY a /\n", "arm"),
    ],
)
def test_a_native_builder_is_preferred(buildx: Buildx, names: tuple[str, ...], text: str, name: str) -> None:
    place, said = chosen(spec(*names, text=text))
    assert (place.name, said) == (name, [])
    assert place.command() == ["docker", "buildx", "build", f"--builder={name}"]


def test_a_builder_that_is_native_for_the_declared_programs_comes_first(
    buildx: Buildx, tmp_path: Path
) -> None:
    """A builder that is native for ``native`` of stages.toml comes first.

    It must also run the platforms that the Dockerfile names.
    """
    dockerfiles = {"tools": "FROM scratch\nCOPY Dockerfile /\n", "x": "FROM tools AS t\nFROM t\nRUN x\n"}
    more = '[stages.tools.platforms."linux/arm64"]\nnative = "linux/amd64"\n'

    def place(made: Graph, platform: str) -> str:
        return (
            BuilderSelector(lambda node: runs(made, node), print, print)
            .place(made.spec(Node("x", platform)))
            .name
        )

    made = graph(stages(tmp_path, dockerfiles, more=more), cli={"builder": "arm,alone,amd"})
    assert (place(made, "aarch64"), place(made, "amd64")) == ("amd", "alone")
    plain = graph(stages(tmp_path, dockerfiles), cli={"builder": "arm,alone,amd"})
    assert (place(plain, "aarch64"), place(plain, "amd64")) == ("arm", "alone")


def test_a_builder_runs_32_bit_programs_of_its_family(buildx: Buildx) -> None:
    assert chosen(spec("amd", "arm", docker=ARM_V7))[0].name == "arm"
    with pytest.raises(EmulationError):
        chosen(spec("alone", docker=ARM_V7))


def test_each_builder_is_inspected_once_and_only_if_needed(buildx: Buildx) -> None:
    found = selector(spec())
    for _ in range(3):
        found.place(spec("arm", "amd"))
        found.place(spec("amd", "arm"))
    assert buildx.asked == ["arm", "amd"]
    found.forget()
    found.place(spec("arm", "amd"))
    assert buildx.asked == ["arm", "amd", "arm"]


def test_a_builder_of_a_docker_context_is_called_through_the_context(buildx: Buildx) -> None:
    place, _ = chosen(spec("context"))
    assert place.command() == ["docker", "--context=context", "buildx", "build", "--builder=context"]
    assert not place.is_own
    assert chosen(spec("default"))[0].is_own


def test_the_current_docker_context_is_the_own_engine(
    buildx: Buildx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "context")
    assert chosen(spec("context"))[0].is_own and not chosen(spec("default"))[0].is_own
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")  # it overrides DOCKER_CONTEXT, as in docker
    assert chosen(spec("default"))[0].is_own and not chosen(spec("context"))[0].is_own


def test_a_builder_that_does_not_run_is_started(buildx: Buildx) -> None:
    place, said = chosen(spec("amd", "pod"))
    assert (place.name, said) == ("pod", ["starting builder pod"])
    assert buildx.asked == ["amd", "pod", "--bootstrap pod"]


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("none", 'no builder "none" found', "docker buildx create --name=none"),
        ("down", "it does not answer; buildx calls it inactive", "docker buildx inspect --bootstrap down"),
        ("dead", "Cannot connect to the Docker daemon", "docker buildx inspect --bootstrap dead"),
    ],
)  # fmt: skip
def test_a_builder_that_cannot_be_used_is_an_error(buildx: Buildx, name: str, what: str, fix: str) -> None:
    with pytest.raises(BuilderError) as caught:
        chosen(spec(name))
    assert caught.value.exit_status == 20 and caught.value.where == "x:there"
    assert f"builder {name}, named for linux/arm64: {what}" in str(caught.value) and fix in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("docker: 'buildx' is not a docker command.", ToolError),
        ("mkdir /home/x/.docker: permission denied", AccessError),
        ("permission denied while trying to connect to the docker API at unix:///x", AccessError),
    ],
)
def test_what_no_other_builder_would_mend_is_not_the_builders_fault(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[StagegraphError]
) -> None:
    monkeypatch.setattr("stagegraph.docker.buildx.inspect", lambda name: BuilderInfo(name, error=said))
    with pytest.raises(kind) as caught:
        chosen(spec("amd"))
    assert type(caught.value) is kind and said in caught.value.what


def test_the_next_builder_is_used_and_a_warning_names_the_first(buildx: Buildx) -> None:
    place, said = chosen(spec("down", "none", "amd"))
    assert place.name == "amd" and len(said) == 2
    assert said[0].startswith("warning: builder down (linux/arm64) cannot be used: it does not answer")
    assert said[0].endswith("; building on amd")


def test_no_builder_for_the_platform_is_an_error(buildx: Buildx) -> None:
    with pytest.raises(EmulationError) as caught:
        chosen(spec("down", "alone"))
    assert str(caught.value).startswith(
        "x:there: builder alone does not run programs for linux/arm64, only for linux/amd64, linux/amd64/v2\n"
    )
    assert caught.value.exit_status == 21 and "builder=there:NAME" in str(caught.value)


def test_no_builder_is_inspected_if_none_is_named(buildx: Buildx) -> None:
    place, said = chosen(spec())
    assert (place, said, buildx.asked) == (HERE, [], [])
    assert place.command() == ["docker", "buildx", "build"] and place.is_own


def test_a_machine_without_qemu_cannot_run_foreign_programs(
    buildx: Buildx, machine: Path, tmp_path: Path
) -> None:
    (machine / "qemu-aarch64").unlink()
    assert chosen(spec(text=TOOLS))[0] == HERE  # it runs only amd64 programs
    buildx.answers[""] = answer(node("default", ALONE), driver="docker")
    with pytest.raises(EmulationError, match="QEMU is not registered"):
        chosen(spec())
    buildx.answers[""] = answer(node("b", ON_ARM64))  # as after docker buildx use
    (tmp_path / "config/buildx/instances").mkdir(parents=True)
    (tmp_path / "config/buildx/instances/b").write_text("")
    assert chosen(spec())[0] == Placement(machine=ARM64)
    base = spec("arm")._replace(bootstrap=Bootstrap("trixie"))
    with pytest.raises(EmulationError):  # mmdebstrap runs on this machine
        chosen(base)


def test_a_message_names_a_native_builder_that_is_not_used(buildx: Buildx, tmp_path: Path) -> None:
    """One message names the native builder. The build still runs on this machine's engine."""
    (tmp_path / "config/buildx/instances").mkdir(parents=True)
    (tmp_path / "config/buildx/instances/arm").write_text("")
    buildx.answers[""] = answer(node("default", ON_AMD64), driver="docker")
    machines = '"Nodes": [{"Status": "running", "Platforms": ["linux/arm64", "linux/amd64"]}]'
    buildx.listed = '{"Name": "down", "Driver": "remote", "Nodes": [{"Status": "inactive"}]}\nnot JSON\n'
    buildx.listed += '{"Name": "arm", "Driver": "remote", %s}\n' % machines  # noqa: UP031
    said: list[str] = []
    found = selector(spec(), said.append)
    assert [found.place(spec()) for _ in range(2)] == [HERE, HERE]
    assert said == ["linux/arm64 is emulated here; builder arm is native for it: builder=there:arm"]
    assert buildx.asked == ["", "--format=json"]
    assert chosen(spec(text=TOOLS)) == (HERE, []) and "--format=json" not in buildx.asked[2:]


def test_a_builder_on_another_machine_is_remote(buildx: Buildx) -> None:
    found = selector(spec())
    assert found.is_remote(found.place(spec("arm"))) and found.is_remote(found.place(spec("context")))
    assert not found.is_remote(found.place(spec("default")))
    buildx.answers[""] = answer(node("default", ON_AMD64), driver="docker")
    assert not found.is_remote(Placement())
    found.forget()
    buildx.answers[""] = answer(node("b", ON_ARM64))
    assert found.is_remote(Placement())


def test_a_record_names_the_kind_of_machine(buildx: Buildx, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record names the kind of machine, so that times of other machines do not count for this one."""
    found = selector(spec())
    assert found.place(spec("arm")).machine == "linux/arm64"
    second = spec("amd", docker=OciPlatform("linux/amd64/v2"))
    assert selector(second).place(second).machine == "linux/amd64"
    assert found.place(spec("default")).machine == "linux/amd64"
    buildx.answers[""] = answer(node("default", ALONE), driver="docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2376")
    assert found.place(spec(text=TOOLS)).machine == "linux/amd64"
    found.forget()
    buildx.answers[""] = answer(node("b", ON_ARM64))
    assert found.place(spec()).machine == "linux/arm64"
    found.forget()
    buildx.answers[""] = answer(driver="", error="no such host")
    assert found.place(spec()).machine == ""


VERSION = "version --format={{.Server.Version}}"


@pytest.mark.parametrize(
    ("named", "who", "asked"),
    [
        ("", "docker 28.5.2", [VERSION]),
        ("arm", "buildkit v0.13.0", ["arm"]),
        ("context", "docker 28.5.2", ["context", f"--context=context {VERSION}"]),
        ("nameless", "", ["nameless"]),
        ("two", "buildkit v0.29.0", ["two"]),
    ],
)
def test_a_record_names_the_version_of_the_builder(
    buildx: Buildx, named: str, who: str, asked: list[str]
) -> None:
    """A record names the builder's version. It is read once a run, and never for a placement."""
    buildx.answers["nameless"] = answer(node("a", ON_ARM64).replace("v0.13.0", "v0.0.0+unknown"))
    arm = node("b", ON_ARM64).replace("BuildKit version: v0.13.0", "Buildkit: v0.29.0")
    buildx.answers["two"] = answer(node("a", ON_AMD64), arm)
    found = selector(spec(named) if named else spec())
    place = found.place(spec(named) if named else spec())
    assert VERSION not in " ".join(buildx.asked)
    assert [found.version(place) for _ in range(2)] == [who, who]
    assert buildx.asked == asked


def test_an_engine_without_a_version_gives_an_empty_version(buildx: Buildx) -> None:
    buildx.engine = ""
    assert selector(spec()).version(HERE) == ""


def test_the_output_of_buildx_inspect_is_parsed() -> None:
    found = parse("x", answer(node("a", f"linux/arm64*, {ALONE}"), node("b", error="no such host")))
    assert found.driver == "remote" and found.is_running and not found.error
    first, second = found.nodes
    assert first.declared == ("linux/arm64",) and first.platforms == ("linux/amd64", "linux/amd64/v2")
    assert (second.error, second.platforms, second.status) == ("no such host", (), "")
    assert parse("x", "") == parse("x", "gibberish: x\n")
