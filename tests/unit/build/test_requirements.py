"""What is wrong before anything is built: not declared, not on this machine, or not granted by a builder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import HEAD, graph, stages, write

from stagegraph.build import entitlements, requirements, secrets
from stagegraph.build.entitlements import Grants
from stagegraph.build.ssh import ssh_options
from stagegraph.docker import buildx
from stagegraph.docker.buildx import BuilderInfo, BuilderNode
from stagegraph.errors import ProjectError, StagegraphError
from stagegraph.keys.spec import NodeSpec
from stagegraph.project.model import Node, Secret

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


#: The start of messages about the step, and the end of those about what the stage does not declare.
STEP, AT = "app/Dockerfile:2: app:amd64: ", "(stages.toml:9), or in [defaults]"


def spec(root: Path, step: str, own: str = "", *, head: str = HEAD, name: str = "app") -> NodeSpec:
    """Return a node whose Dockerfile has this step in line 2."""
    stages(root, {"app": f"FROM base\n{step}\n", "kid": "FROM app\nRUN y\n"}, head=head)
    text = (root / "stages.toml").read_text().replace('path = "app"\n', f'path = "app"\n{own}\n')
    write(root, {"stages.toml": text})
    return graph(root).spec(Node(name, "amd64"))


def told(errors: Iterator[ProjectError]) -> list[str]:
    return [str(error) for error in errors]


def undeclared(root: Path, step: str, own: str = "", **more: str) -> list[str]:
    return told(requirements.undeclared(spec(root, step, own, **more), {"token": Secret(env="TOKEN")}))


# -- what the project's files lack -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "own"),
    [
        ("RUN x", ""),
        ("RUN --mount=type=secret,id=token,required=true x", ""),
        ("RUN --mount=type=secret,id=ca,required=true x", ""),
        ("RUN --mount=type=ssh x", ""),
        ("RUN --mount=type=ssh,required=true x", 'ssh = ["default"]'),
        ("RUN --mount=type=ssh,id=git,required=true x", 'ssh = ["git=key"]'),
        ("RUN --network=host x", 'allow = ["network.host"]'),
        ("RUN --security=insecure x", 'allow = ["network.host", "security.insecure"]'),
        ("RUN x", 'network = "host"\nallow = ["network.host"]'),
        ("ENV A=1", 'network = "host"'),
    ],
)
def test_what_is_declared_is_no_error(tmp_path: Path, step: str, own: str) -> None:
    assert undeclared(tmp_path, step, own) == []


@pytest.mark.parametrize(
    ("step", "own", "message"),
    [
        (
            "RUN --mount=type=secret,id=tokn x",
            "",
            f"{STEP}mounts a secret 'tokn', which is not declared\n"
            "  declare it in stages.toml: [secrets.tokn] with file or env; did you mean 'token'?",
        ),
        (
            "RUN --mount=type=ssh,required=true x",
            "",
            f"{STEP}RUN --mount=type=ssh requires the SSH agent 'default', which the stage "
            f'does not declare\n  write ssh = ["default"] for the stage {AT}',
        ),
        (
            "RUN --mount=type=ssh,id=gti,required=true x",
            'ssh = ["git=key"]',
            f"{STEP}RUN --mount=type=ssh requires the SSH agent 'gti', which the stage does "
            f'not declare\n  write ssh = ["gti"] for the stage {AT}; it declares git',
        ),
        (
            "RUN --network=host x",
            'allow = ["security.insecure"]',
            f"{STEP}RUN --network=host needs the entitlement network.host, which the stage "
            f'does not declare\n  write allow = ["network.host"] for the stage {AT}',
        ),
        (
            "RUN x",
            'network = "host"',
            'stages.toml:9: app:amd64: network = "host" needs the entitlement network.host\n'
            f'  write allow = ["network.host"] for the stage {AT}',
        ),
    ],
)
def test_what_is_not_declared_is_an_error(tmp_path: Path, step: str, own: str, message: str) -> None:
    assert undeclared(tmp_path, step, own) == [message]


def test_a_child_needs_what_a_trigger_of_its_parent_needs(tmp_path: Path) -> None:
    (message,) = undeclared(tmp_path, "ONBUILD RUN --security=insecure x", name="kid")
    assert message.startswith("app/Dockerfile:2: kid:amd64: RUN --security=insecure needs")
    assert undeclared(tmp_path, "ONBUILD RUN --security=insecure x") == []


def test_defaults_may_declare(tmp_path: Path) -> None:
    head = HEAD + '[defaults]\nallow = ["network.host"]\nssh = ["default"]\n'
    step = "RUN --network=host --mount=type=ssh,required=true x"
    assert undeclared(tmp_path, step, head=head) == []


# -- what this machine lacks -------------------------------------------------------------------------


def missing(root: Path, step: str, own: str = "", **declared: Secret) -> list[str]:
    return told(requirements.missing(spec(root, step, own), declared, root))


def test_a_required_secret_whose_variable_is_not_set_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "RUN --mount=type=secret,id=a,env=A,required=true x"
    monkeypatch.delenv("TOKEN", raising=False)
    assert missing(tmp_path, step, a=Secret(env="TOKEN")) == [
        f"{STEP}RUN --mount=type=secret requires the secret 'a': the variable TOKEN is not "
        "set, or empty\n  give it a value, or change [secrets.a] in stages.toml"
    ]
    assert missing(tmp_path, step.replace(",required=true", ""), a=Secret(env="TOKEN")) == []
    monkeypatch.setenv("TOKEN", "x")
    assert missing(tmp_path, step, a=Secret(env="TOKEN")) == []


def test_a_required_secret_whose_file_does_not_exist_is_an_error(tmp_path: Path) -> None:
    step = "RUN --mount=type=secret,id=a,required=true x"
    (message,) = missing(tmp_path, step, a=Secret(file="token"))
    assert f"requires the secret 'a': there is no file {tmp_path}/token to read" in message
    (tmp_path / "token").mkdir()
    assert missing(tmp_path, step, a=Secret(file="token")) == [message]
    (tmp_path / "token").rmdir()
    (tmp_path / "token").write_text("x")
    assert missing(tmp_path, step, a=Secret(file="token")) == []


def test_a_machine_without_certificate_authorities_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "CA_BUNDLES", ())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    (message,) = missing(tmp_path, "RUN --mount=type=secret,id=ca,required=true x")
    assert "this machine has no bundle of certificate authorities" in message


def test_a_required_agent_that_does_not_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, own = "RUN --mount=type=ssh,required=true x", 'ssh = ["default"]'
    (message,) = missing(tmp_path, step, own)
    assert "requires the SSH agent 'default': the variable SSH_AUTH_SOCK is not set" in message
    assert missing(tmp_path, "RUN --mount=type=ssh x", own) == []
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "socket"))
    assert "socket, which does not exist" in missing(tmp_path, step, own)[0]
    (tmp_path / "socket").write_text("")
    assert missing(tmp_path, step, own) == []


def test_a_required_key_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    step, own = "RUN --mount=type=ssh,required=true x", 'ssh = ["default=one,two"]'
    (tmp_path / "one").write_text("")
    (message,) = missing(tmp_path, step, own)
    assert f"{tmp_path}/two does not exist, or cannot be read" in message


def test_the_first_thing_that_is_wrong_ends_a_build(tmp_path: Path) -> None:
    node = spec(tmp_path, "RUN --network=host --mount=type=ssh,required=true x", 'ssh = ["default"]')
    with pytest.raises(ProjectError, match=r"network\.host"):
        requirements.check(node, {}, tmp_path)


# -- options of buildx for SSH -----------------------------------------------------------------------


def test_only_agents_that_a_step_mounts_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "socket"))
    write(tmp_path, {"socket": "", "one": "", "two": ""})
    own = 'ssh = ["default", "git=one,~/two", "other=one"]'
    warnings: list[str] = []

    def sent(step: str) -> list[str]:
        return list(ssh_options(spec(tmp_path, step, own), tmp_path, warnings.append))

    assert sent("RUN x") == []
    assert sent("RUN --mount=type=ssh x") == ["--ssh=default"]
    assert sent("RUN --mount=type=ssh,id=git x") == [f"--ssh=git={tmp_path}/one,{tmp_path}/two"]
    assert warnings == []


def test_an_agent_that_is_not_here_is_not_sent(tmp_path: Path) -> None:
    """buildx would end the build, although no step requires it."""
    warnings: list[str] = []
    node = spec(tmp_path, "RUN --mount=type=ssh x", 'ssh = ["default"]')
    assert list(ssh_options(node, tmp_path, warnings.append)) == []
    assert len(warnings) == 1 and "app:amd64: ssh default: the variable SSH_AUTH_SOCK" in warnings[0]


# -- what builders grant -----------------------------------------------------------------------------

REFUSAL = "ERROR: failed to solve: granting entitlement {} is not allowed by build daemon configuration"


class Builders:
    """Fake builders. ``refused`` has the entitlements that each builder refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **refused: set[str]) -> None:
        self.refused, self.asked, self.stopped = refused, list[str](), set[str]()
        monkeypatch.setattr(buildx, "inspect", self.inspect)
        monkeypatch.setattr(entitlements, "run", self.run)

    def inspect(self, name: str) -> BuilderInfo:
        return BuilderInfo(name, "remote", (BuilderNode("stopped" if name in self.stopped else "running"),))

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        self.asked.append(" ".join(command))
        words = dict(word.removeprefix("--").split("=", 1) for word in command if "=" in word)
        builder, name = words.get("builder", "current"), words["allow"]
        refused = name in self.refused[builder]
        return subprocess.CompletedProcess(command, int(refused), b"", REFUSAL.format(name).encode())


def refusals(
    root: Path, builders: str = "", step: str = "RUN --security=insecure x"
) -> list[StagegraphError]:
    head = HEAD.replace('"linux/amd64"\n', f'"linux/amd64"\n{builders}\n')
    node = spec(root, step, 'allow = ["network.host", "security.insecure"]', head=head)
    grants = Grants()
    assert [str(error) for error in grants.refusals(node)] == [str(error) for error in grants.refusals(node)]
    return list(grants.refusals(node))


def test_an_entitlement_that_the_current_builder_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builders = Builders(monkeypatch, current={"security.insecure"})
    (error,) = refusals(tmp_path)
    assert error.exit_status == 20 and str(error).startswith(
        "app:amd64: the current builder does not grant the entitlement security.insecure, which "
        "RUN --security=insecure (app/Dockerfile:2) needs\n"
    )
    assert builders.asked == [
        "docker buildx build --allow=security.insecure --output=type=cacheonly -"
    ]  # once for all nodes


def test_one_builder_that_grants_it_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builders = Builders(monkeypatch, current=set(), a={"security.insecure"}, b=set())
    assert refusals(tmp_path) == []
    assert refusals(tmp_path, 'builder = ["a", "b"]') == []
    (error,) = refusals(tmp_path, 'builder = ["a"]')
    assert "app:amd64: builder a does not grant" in str(error)
    builders.stopped.add("a")
    assert refusals(tmp_path, 'builder = ["a"]') == []  # nobody knows; plan starts no builder


def test_nobody_is_asked_about_what_no_step_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builders = Builders(monkeypatch, current=set())
    assert refusals(tmp_path, step="RUN x") == [] and builders.asked == []
