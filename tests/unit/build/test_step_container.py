"""The options of the container that stands in for a step, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import AMD64, facts

from stagegraph.build.step_container import StepContainer, container_of
from stagegraph.dockerfile.partial import before
from stagegraph.keys.spec import NodeSpec
from stagegraph.project.model import Node, Platform, RunOptions, Secret, StageConfig

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def local(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "agent").touch()
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    monkeypatch.setenv("TOKEN", "hidden")


def container(tmp_path: Path, options: str = "", **config: Any) -> StepContainer:
    """Return the container of a RUN with these options."""
    text = f"FROM a\nARG A=1\nARG SOURCE_DATE_EPOCH\nRUN {options} make\n"
    secrets = {"token": Secret(env="TOKEN"), "absent": Secret(env="ABSENT"), "file": Secret(file="value")}
    (tmp_path / "value").write_text("of a file")
    spec = NodeSpec(
        Node("x", "amd64"), Platform("amd64", AMD64), StageConfig("x", **config), 7, analysis=facts(text)
    )
    partial = before(text, spec.analysis.instructions[-1], AMD64, {})
    (tmp_path / "private").mkdir()
    return container_of(spec, partial, secrets, tmp_path, tmp_path / "private")


def test_arguments_are_variables(tmp_path: Path) -> None:
    made = container(tmp_path)
    assert made.options == ["--env=A", "--env=SOURCE_DATE_EPOCH"]
    assert made.variables == {"A": "1", "SOURCE_DATE_EPOCH": "7"} and made.notes == []


def test_network_hosts_and_limits(tmp_path: Path) -> None:
    run_options = RunOptions(extra_hosts=(("h", "192.0.2.1"),), shm_size=5, ulimits=(("core", "0:1"),))
    made = container(tmp_path, "--security=insecure", network="none", run_options=run_options)
    assert made.options[:5] == [
        "--network=none",
        "--add-host=h:192.0.2.1",
        "--shm-size=5",
        "--ulimit=core=0:1",
        "--privileged",
    ]


def test_the_network_of_the_step_comes_first(tmp_path: Path) -> None:
    assert container(tmp_path, "--network=host", network="none").options[0] == "--network=host"


def test_caches_and_memory_are_empty_folders(tmp_path: Path) -> None:
    mounts = "--mount=type=cache,target=/c,uid=3,mode=0700 --mount=type=tmpfs,target=/t,size=9"
    made = container(tmp_path, mounts)
    assert made.options[-2:] == ["--tmpfs=/c:exec,mode=0700,uid=3", "--tmpfs=/t:exec,mode=0755,size=9"]
    assert made.notes == ["the cache mount /c is empty here: only the builder can read it"]


def test_secrets(tmp_path: Path) -> None:
    mounts = (
        "--mount=type=secret,id=token --mount=type=secret,id=file,target=/f,mode=0440 "
        "--mount=type=secret,id=token,env=T --mount=type=secret,id=absent"
    )
    made = container(tmp_path, mounts)
    files = sorted((tmp_path / "private").iterdir())
    assert [file.read_text() for file in files] == ["hidden", "of a file"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o400, 0o440]
    assert made.options[2:] == [
        f"--mount=type=bind,source={files[0]},target=/run/secrets/token,readonly",
        f"--mount=type=bind,source={files[1]},target=/f,readonly",
        "--env=T",
    ]
    assert made.variables["T"] == "hidden" and "hidden" not in " ".join(made.options)
    assert made.notes == ["the secret absent is not there: the variable ABSENT is not set, or empty"]


def test_an_ssh_agent(tmp_path: Path) -> None:
    mounts = "--mount=type=ssh --mount=type=ssh,id=key --mount=type=ssh,id=other"
    made = container(tmp_path, mounts, run_options=RunOptions(ssh={"default": (), "key": ("id_rsa",)}))
    agent = tmp_path / "agent"
    assert f"--mount=type=bind,source={agent},target=/run/buildkit/ssh_agent.0" in made.options
    assert made.variables["SSH_AUTH_SOCK"] == "/run/buildkit/ssh_agent.0"
    assert made.notes == [
        "the SSH agent key is not there: it is a key, and only an agent can be given: ssh-add the key",
        "the SSH agent other is not there: the stage declares no such agent",
    ]


def test_an_engine_on_another_machine_gets_no_files(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    mounts = "--mount=type=secret,id=token --mount=type=secret,id=token,env=T --mount=type=ssh"
    made = container(tmp_path, mounts, run_options=RunOptions(ssh={"default": ()}))
    assert made.options[2:] == ["--env=T"]
    assert made.notes == [
        "the secret token is not there: the engine is on another machine",
        "the SSH agent default is not there: the engine is on another machine",
    ]


def test_a_bind_mount_is_a_copy(tmp_path: Path) -> None:
    assert container(tmp_path, "--mount=target=/ctx").notes == [
        "/ctx is a copy of what the step mounts there"
    ]
