"""The engine that the docker client uses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from fake_engine import answering
from fake_machine import Machine

from stagegraph.host import docker

pytestmark = pytest.mark.unit


def configure(machine: Machine, text: str) -> None:
    folder = machine.folder / ".docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(text)


def test_docker_host_comes_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(machine, '{"auths": {}, "currentContext": "far"}')
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert (docker.context(), docker.address(), docker.socket_path()) == ("", "tcp://192.0.2.1:2375", None)
    monkeypatch.delenv("DOCKER_HOST")
    assert docker.context() == "other"
    monkeypatch.delenv("DOCKER_CONTEXT")
    assert docker.context() == "far"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert (docker.context(), docker.socket_path()) == ("", docker.DEFAULT_SOCKET)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"currentContext": ""}', '{"currentContext": "default"}']
)
def test_no_context_is_chosen(machine: Machine, text: str) -> None:
    configure(machine, text)
    assert docker.context() == ""


def test_the_address_of_a_context(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "rootless")
    assert docker.address() == ""
    meta = machine.folder / ".docker/contexts/meta" / hashlib.sha256(b"rootless").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///run/user/1000/docker.sock"}}}))
    assert docker.socket_path() == Path("/run/user/1000/docker.sock")


def test_an_engine_that_answers(machine: Machine) -> None:
    assert not docker.answers()
    with answering(docker.DEFAULT_SOCKET):
        assert docker.answers()
    assert not docker.answers()


@pytest.mark.parametrize("answer", [b"HTTP/1.0 500 Oh\r\n\r\n", b"hello", b"HTTP/1.0 x\r\n"])
def test_a_socket_that_is_not_an_engine(machine: Machine, answer: bytes) -> None:
    with answering(docker.DEFAULT_SOCKET, answer):
        assert not docker.answers()


def test_a_remote_engine_is_asked_through_docker(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://there")
    assert not docker.answers()
    machine.stub("docker", "echo 28.0")
    assert docker.answers()
    machine.stub("docker", "exit 1")
    assert not docker.answers()


def test_buildx_is_found_without_a_call(machine: Machine) -> None:
    assert not docker.has_buildx()
    machine.stub("docker", "exit 1")
    assert not docker.has_buildx()
    plugin = machine.folder / ".docker/cli-plugins/docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.touch(mode=0o755)
    before = machine.calls
    assert docker.has_buildx() and machine.calls == before
    plugin.unlink()
    machine.stub("docker", "")  # the plugin may be in a folder that only docker knows
    assert docker.has_buildx()


INSPECT = """\
printf 'Name: farm\\nDriver:  docker-container\\n\\nNodes:\\nName: a\\nStatus:  inactive\\nPlatforms: \\n'
printf 'Name: b\\nStatus: running\\nPlatforms: linux/arm64*, linux/arm/v7\\n'
"""


def test_the_output_of_buildx_inspect_is_parsed(machine: Machine) -> None:
    machine.stub("docker", INSPECT)
    found = docker.inspect("farm")
    assert machine.calls == ["docker buildx inspect farm"]
    assert found["Driver"] == ["docker-container"] and found["Status"] == ["inactive", "running"]
    assert docker.platforms(found) == ["linux/arm64", "linux/arm/v7"]
    machine.stub("docker", f"{INSPECT}exit 1")
    assert docker.inspect() == {} and docker.platforms({}) == []
