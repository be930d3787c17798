"""The options of buildx for the secrets that a Dockerfile mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, stages, write

from stagegraph.build import secrets, ssh
from stagegraph.build.secrets import secret_options
from stagegraph.project.model import Node, Secret

pytestmark = pytest.mark.unit


def options(
    tmp_path: Path, name: str, declared: dict[str, Secret] | None = None
) -> tuple[list[str], list[str]]:
    """Return the options for a Dockerfile that mounts a secret, and the warnings."""
    text = f"FROM debian:trixie\nRUN --mount=type=secret,id={name} x\n"
    spec = graph(stages(tmp_path, {"app": text})).spec(Node("app", "amd64"))
    warnings: list[str] = []
    return list(secret_options(spec, declared or {}, tmp_path, warnings.append)), warnings


def test_a_file_is_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    write(tmp_path, {"x/y": "", "me/y,z": ""})
    assert options(tmp_path, "a", {"a": Secret(file="x/y")}) == ([f"--secret=id=a,src={tmp_path}/x/y"], [])
    assert options(tmp_path, "a", {"a": Secret(file="~/y,z")}) == (
        [f'--secret=id=a,"src={tmp_path}/me/y,z"'],
        [],
    )


def test_a_file_that_does_not_exist_is_not_sent(tmp_path: Path) -> None:
    """buildx would end the build, although no step requires it."""
    found, (warning,) = options(tmp_path, "a", {"a": Secret(file="x/y")})
    assert not found and warning.startswith(f"app:amd64: secret a: there is no file {tmp_path}/x/y to read")


def test_a_user_without_a_home_is_an_ordinary_name(tmp_path: Path) -> None:
    found, (warning,) = options(tmp_path, "a", {"a": Secret(file="~nosuchuser/y")})
    assert not found and f"there is no file {tmp_path}/~nosuchuser/y to read" in warning
    assert ssh.lack(("~nosuchuser/key",), tmp_path).startswith(f"{tmp_path}/~nosuchuser/key does not exist")


def test_a_secret_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t")
    assert options(tmp_path, "a", {"a": Secret(env="TOKEN")}) == (["--secret=id=a,env=TOKEN"], [])
    for unset in (True, False):
        monkeypatch.delenv("TOKEN") if unset else monkeypatch.setenv("TOKEN", "")
        found, (warning,) = options(tmp_path, "a", {"a": Secret(env="TOKEN")})
        assert not found
        assert warning.startswith("app:amd64: secret a: the variable TOKEN is not set, or empty")


def test_the_certificate_authorities_of_this_machine_are_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = tmp_path / "own.crt", tmp_path / "system.crt"
    monkeypatch.setattr(secrets, "CA_BUNDLES", ("/nowhere.crt", str(system)))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert options(tmp_path, "ca") == ([], [])
    system.write_text("")
    assert options(tmp_path, "ca") == ([f"--secret=id=ca,src={system}"], [])
    own.write_text("")
    assert options(tmp_path, "ca") == ([f"--secret=id=ca,src={own}"], [])
    declared = {"ca": Secret(file="own.crt")}
    assert options(tmp_path, "ca", declared) == ([f"--secret=id=ca,src={own}"], [])


def test_triggers_may_mount_every_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "CA_BUNDLES", ())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("TOKEN", "t")
    stages(tmp_path, {"par": "FROM base\nONBUILD RUN x\n", "kid": "FROM par\n"})
    spec = graph(tmp_path).spec(Node("kid", "amd64"))
    found = secret_options(spec, {"a": Secret(env="TOKEN")}, tmp_path, lambda _: None)
    assert list(found) == ["--secret=id=a,env=TOKEN"]
