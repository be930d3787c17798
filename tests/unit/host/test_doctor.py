"""The list that ``doit doctor`` prints."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_machine import Machine

from stagegraph.host import docker, doctor, engine, probes, system
from stagegraph.host.advice import Advice
from stagegraph.host.doctor import Check, Needs
from stagegraph.host.engine import Engine

pytestmark = pytest.mark.unit

DOCKER = """\
case "$*" in
--version) echo 'Docker version 28.2.2' ;;
version*) echo '28.2.2 (linux/amd64)' ;;
info*) echo '{store}' ;;
'buildx version') echo '{buildx}' ;;
'buildx inspect') printf 'Driver: {driver}\\nStatus: running\\nPlatforms: {platforms}\\n' ;;
'buildx inspect farm') printf 'Status: running\\nPlatforms: linux/arm64*\\n' ;;
'buildx inspect down') printf 'Status: inactive\\nPlatforms: linux/arm64*\\n' ;;
*) exit 1 ;;
esac"""
GOOD = {
    "store": "[[driver-type io.containerd.snapshotter.v1]]",
    "buildx": "github.com/docker/buildx v0.13.1 abc",
    "driver": "docker",
    "platforms": "linux/amd64, linux/arm64",
}


def works(machine: Machine, monkeypatch: pytest.MonkeyPatch, **different: str) -> None:
    """Add a docker client with an engine that answers."""
    monkeypatch.setattr(docker, "answers", lambda: True)
    machine.stub("docker", DOCKER.format(**{**GOOD, **different}))


@pytest.fixture
def healthy(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    works(machine, monkeypatch)
    (machine.folder / "ca").touch()
    monkeypatch.setattr(system, "CA_BUNDLES", (str(machine.folder / "ca"),))
    monkeypatch.setattr(probes, "FREE", 0)
    return machine


def needs(machine: Machine, **more: tuple[str, ...]) -> Needs:
    return Needs(machine.folder, **more)  # type: ignore[arg-type]


def found(wanted: Needs, fix: Advice | None = None) -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(wanted, fix or Advice())}


def states(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.state for name, check in checks.items()}


def test_everything_is_there(healthy: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    healthy.registers("qemu-aarch64")
    healthy.stub("skopeo")
    wanted = needs(
        healthy,
        platforms=("linux/amd64", "linux/arm64"),
        builders=("farm",),
        emulated=("linux/arm64",),
        tools=("skopeo",),
    )
    assert doctor.report(doctor.examine(wanted, Advice())) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok       ") for line in lines) and len(lines) == 10
    assert "ok       builder farm       linux/arm64*" in lines


def test_nothing_is_there(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(machine.folder.rglob("*"))
    machine.is_system("debian", "13")
    wanted = needs(
        machine,
        platforms=("linux/amd64",),
        builders=("farm",),
        emulated=("linux/arm64",),
        tools=("skopeo", "mmdebstrap"),
    )
    assert doctor.report(doctor.examine(wanted, Advice())) == 1
    lines = capsys.readouterr().out.splitlines()
    missing = {line[9:27].strip(): line for line in lines if line.startswith("missing  ")}
    assert all("fix: " in line for line in missing.values())
    assert {
        *("docker client", "engine", "containerd store", "buildx", "builder platforms", "builder farm"),
        *("QEMU linux/arm64", "skopeo", "mmdebstrap"),
    } <= missing.keys()
    install = "fix: apt-get install -y docker.io docker-cli docker-buildx"
    assert missing["containerd store"].endswith(install)  # docker must be installed first
    assert sorted(machine.folder.rglob("*")) == before


def test_an_engine_that_run_started_is_named(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Engine.from_environment()
    fix = Advice("/run", target)
    assert found(needs(healthy), fix)["engine"].fact == "28.2.2 (linux/amd64)"
    monkeypatch.setattr(Engine, "pid", lambda _: 1)
    fact = found(needs(healthy), fix)["engine"].fact
    assert fact == f"28.2.2 (linux/amd64), started by ./run, data in {engine.DEFAULT_FOLDER}"


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("github.com/docker/buildx v0.12.1 abc", "missing"),
        ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", "ok"),
        ("github.com/docker/buildx v1.0.0 abc", "ok"),
        ("built by somebody", "ok"),
        ("", "missing"),
    ],
)
def test_old_buildx(healthy: Machine, monkeypatch: pytest.MonkeyPatch, version: str, state: str) -> None:
    works(healthy, monkeypatch, buildx=version)
    check = found(needs(healthy))["buildx"]
    assert check.state == state
    assert ("0.13 or later is needed" in check.fix) == ("0.12" in version)


@pytest.mark.parametrize(("driver", "state"), [("docker", "missing"), ("docker-container", "unneeded")])
def test_the_older_image_store(
    healthy: Machine, monkeypatch: pytest.MonkeyPatch, driver: str, state: str
) -> None:
    works(healthy, monkeypatch, store="[[Backing Filesystem extfs]]", driver=driver)
    check = found(needs(healthy, platforms=("linux/amd64",)))["containerd store"]
    assert check.state == state
    if state == "missing":
        assert "/etc/docker/daemon.json and restart the engine" in check.fix


def test_a_platform_that_the_builder_lacks(healthy: Machine) -> None:
    wanted = needs(healthy, platforms=("linux/amd64", "linux/riscv64"))
    check = found(wanted)["builder platforms"]
    assert check.state == "missing"
    assert check.fix == "docker run --privileged --rm tonistiigi/binfmt --install riscv64 (for linux/riscv64)"


def test_a_builder_that_is_down(healthy: Machine) -> None:
    checks = found(needs(healthy, builders=("farm", "down", "none")))
    assert [checks[f"builder {name}"].state for name in ("farm", "down", "none")] == [
        "ok",
        "missing",
        "missing",
    ]
    assert "docker buildx inspect --bootstrap down" in checks["builder down"].fix


def test_a_platform_that_no_named_builder_builds(healthy: Machine) -> None:
    placed = (("linux/arm64", ("down", "farm")), ("linux/amd64", ("down", "farm")))
    checks = found(Needs(healthy.folder, builders=("farm", "down"), placed=placed))
    assert "linux/arm64" not in checks  # one of the builders builds for it
    assert checks["linux/amd64"].fix.startswith("register QEMU on the machine of builder down or farm")


def test_emulation(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    name, wanted = "QEMU linux/arm64", needs(healthy, emulated=("linux/arm64",))
    # the builder runs these programs, perhaps on another machine
    assert found(wanted)[name].state == "unneeded"
    bootstrapped = needs(healthy, emulated=("linux/arm64",), bootstrapped=("linux/arm64",))
    assert found(bootstrapped)[name].state == "missing"  # mmdebstrap runs here
    works(healthy, monkeypatch, platforms="linux/amd64")
    assert found(wanted)[name].state == "missing"
    healthy.registers("qemu-aarch64")
    assert found(bootstrapped)[name].fact == "runs aarch64 programs"


def test_a_tool_that_nothing_needs(healthy: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Needs(healthy.folder, optional=(("skopeo", "needed with a registry"),))
    assert doctor.report(doctor.examine(wanted, Advice())) == 0
    assert "-        skopeo             not installed; needed with a registry" in capsys.readouterr().out
    healthy.stub("skopeo")
    assert found(wanted)["skopeo"].fact == str(healthy.bin / "skopeo")


def test_a_full_disk(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Needs(healthy.folder / "not/yet/there")
    assert found(wanted)["disk"].fact.endswith(f" GiB free for {healthy.folder}/not/yet/there")
    monkeypatch.setattr(probes, "FREE", 2**40)
    assert found(wanted)["disk"].state == "missing"


def test_the_certificates(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(needs(healthy))["CA bundle"].fact.startswith(f"{healthy.folder}/ca (")
    monkeypatch.setattr(system, "CA_BUNDLES", ())
    assert found(needs(healthy))["CA bundle"].fix == "install ca-certificates"


# -- a registry --------------------------------------------------------------------------------------


@contextmanager
def registry(status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/v2/"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "fact", "fault"),
    [
        (200, "answers", ""),
        (401, "answers, and requires a login", ""),
        (404, "answers", ""),
        (503, "", "answers 503"),
    ],
)
def test_a_registry(monkeypatch: pytest.MonkeyPatch, status: int, fact: str, fault: str) -> None:
    monkeypatch.setattr(
        urllib.request, "_opener", urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )
    with registry(status) as url:
        assert probes.registry(url) == (f"{url} {fact}" if fact else "", f"{url} {fault}" if fault else "")


def test_a_registry_that_is_down(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        urllib.request, "_opener", urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )
    with registry(200) as url:
        pass
    check = found(Needs(healthy.folder, registry=url))["registry"]
    assert check.state == "missing" and f"{url} does not answer: " in check.fix


def test_json() -> None:
    assert Check("a", "ok", "b").to_json() == {"name": "a", "state": "ok", "fact": "b", "fix": ""}


def test_a_path_may_be_relative(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(healthy.folder)
    assert found(Needs(Path("x")))["disk"].state == "ok"
