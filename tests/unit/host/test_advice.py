"""The commands that fix a fault, and the conditions for ``./run`` to set up an engine."""

from __future__ import annotations

import socket

import pytest
from fake_machine import Machine

from stagegraph.host import advice, docker, engine, packages, qemu, setup
from stagegraph.host.advice import Advice
from stagegraph.host.engine import Engine
from stagegraph.host.messages import SetupError, Status

pytestmark = pytest.mark.unit


@pytest.fixture
def by_run(machine: Machine) -> Advice:
    return Advice("/a b/run", Engine.from_environment())


ALONE = Advice()


@pytest.mark.parametrize(
    ("system", "root", "command"),
    [
        (("debian", "13"), True, "apt-get install -y skopeo"),
        (("ubuntu", "24.04"), False, "sudo apt-get install -y skopeo"),
        (("fedora", "42"), False, "install skopeo"),
    ],
)
def test_a_package(machine: Machine, system: tuple[str, str], root: bool, command: str) -> None:
    machine.is_system(*system)
    machine.user_is_root(root)
    assert advice.package("skopeo") == command


def test_advice_for_an_engine_that_the_user_chose(by_run: Advice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    for fix in (by_run, ALONE):
        assert fix.engine() == "start the engine of the docker context 'far', or: docker context use default"
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1")
    for fix in (by_run, ALONE):
        assert fix.engine() == "start the engine at tcp://192.0.2.1, or: unset DOCKER_HOST"


def test_an_engine_of_run_is_not_one_that_the_user_chose(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.is_system("debian", "13")
    monkeypatch.setenv("STAGEGRAPH_ENGINE_DIR", "/own")
    monkeypatch.setenv("DOCKER_HOST", "unix:///own/docker.sock")
    assert Advice("/run", Engine.from_environment()).engine() == "/run true"


def test_a_socket_that_this_user_may_not_open(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(docker.DEFAULT_SOCKET))
        assert ALONE.engine().startswith("sudo usermod -aG docker me ")


def test_no_engine(machine: Machine, by_run: Advice) -> None:
    machine.user_is_root(False)
    assert "install Docker Engine with buildx" in by_run.engine()
    assert ALONE.engine() == "install Docker Engine with buildx: https://docs.docker.com/engine/install/"
    machine.is_system("debian", "13")
    assert by_run.engine() == "sudo '/a b/run' true"
    assert ALONE.engine() == ALONE.client() == "sudo apt-get install -y docker.io docker-cli docker-buildx"
    machine.is_system("ubuntu", "24.04")
    assert ALONE.engine() == "sudo apt-get install -y docker.io docker-buildx"
    machine.is_system("debian", "12")
    assert by_run.engine() == "sudo '/a b/run' true"
    assert "docs.docker.com" in ALONE.engine() and "docs.docker.com" in ALONE.buildx()


def test_an_engine_that_is_installed_is_started(machine: Machine) -> None:
    machine.stub("dockerd")
    machine.is_system("debian", "13")
    assert ALONE.engine() == "service docker start"
    (machine.folder / "systemd").mkdir()
    assert ALONE.engine() == "systemctl start docker"
    assert ALONE.client() == "apt-get install -y docker-cli"


def test_buildx(machine: Machine, by_run: Advice) -> None:
    machine.is_system("debian", "13")
    assert ALONE.buildx() == "apt-get install -y docker-buildx"
    machine.is_system("debian", "12")
    assert by_run.buildx() == f"env STAGEGRAPH_ENGINE_DIR={engine.DEFAULT_FOLDER}-own '/a b/run' true"
    machine.stub("dpkg-query")  # Docker's own packages are installed
    assert by_run.buildx() == "apt-get install -y docker-buildx-plugin"


def test_emulation(machine: Machine) -> None:
    assert "binfmt --install arm64" in ALONE.emulation("linux/arm64")
    machine.is_system("debian", "13")
    assert ALONE.emulation("linux/arm64") == "apt-get install -y qemu-user-static"
    machine.describes_qemu()
    assert ALONE.emulation("linux/arm64") == qemu.fix("linux/arm64") != ""


@pytest.mark.parametrize(("name", "platform"), [("x86_64", "linux/arm64"), ("aarch64", "linux/amd64")])
def test_the_other_architecture(machine: Machine, name: str, platform: str) -> None:
    machine.processor(name)
    assert advice.foreign_platform() == platform


# -- setting up ------------------------------------------------------------------------------------


class Steps(list[str]):
    """The steps of a set-up: they are listed, not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        monkeypatch.setattr(packages, "install", lambda *_: self.append("install"))
        monkeypatch.setattr(engine, "start", lambda *_: self.append("start"))
        monkeypatch.setattr(qemu, "register", lambda platform: self.append(f"register {platform}"))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def ensure(fix: Advice) -> None:
    assert fix.engine_of_run
    setup.ensure_engine(fix.engine_of_run, fix)


def test_all_is_set_up(machine: Machine, by_run: Advice, steps: Steps) -> None:
    machine.is_system("debian", "13")
    ensure(by_run)
    assert steps == ["install", "start", "register linux/arm64"]


def test_an_installed_engine_is_only_started(machine: Machine, by_run: Advice, steps: Steps) -> None:
    machine.stub("dockerd")
    machine.stub("docker")
    machine.registers("qemu-aarch64")
    ensure(by_run)  # the system does not matter
    assert steps == ["start"]


def test_an_engine_that_another_call_has_started(
    machine: Machine, by_run: Advice, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.is_system("debian", "13")
    machine.registers("qemu-aarch64")
    answers = iter([False, True])  # the other call held the lock
    monkeypatch.setattr(docker, "answers", lambda: next(answers))
    ensure(by_run)
    assert steps == []


@pytest.mark.parametrize("reason", ["another system", "not root", "chosen", "macOS"])
def test_no_engine_can_be_set_up(
    machine: Machine, by_run: Advice, steps: Steps, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    machine.is_system("fedora" if reason == "another system" else "debian", "13")
    machine.user_is_root(reason != "not root")
    if reason == "chosen":
        monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1")
    if reason == "macOS":  # Docker Desktop may be installed, but not started
        monkeypatch.setattr("sys.platform", "darwin")
        machine.stub("dockerd")
        machine.stub("docker")
    with pytest.raises(SetupError) as caught:
        ensure(by_run)
    assert caught.value.status is Status.NO_ENGINE and steps == []
    assert caught.value.lines[1] == f"fix: {by_run.engine()}"


def test_an_engine_of_somebody_else_is_not_changed(
    machine: Machine,
    by_run: Advice,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(docker, "answers", lambda: True)
    with pytest.raises(SetupError, match="buildx is missing"):
        ensure(by_run)
    machine.stub("docker")
    ensure(by_run)
    assert steps == []
    assert capsys.readouterr().err.startswith("run: note: aarch64 images cannot be built here")
    monkeypatch.setattr(Engine, "pid", lambda _: 1)  # ./run started it
    ensure(by_run)
    assert steps == ["register linux/arm64"]
    machine.registers("qemu-aarch64")
    ensure(by_run)
    assert len(steps) == 1 and capsys.readouterr().err == ""
