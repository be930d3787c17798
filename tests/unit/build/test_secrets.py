"""The options of buildx for the secrets that a Dockerfile mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, stages

from stagegraph.build import secrets
from stagegraph.build.secrets import secret_options
from stagegraph.errors import ProjectError
from stagegraph.project.model import Node, Secret

pytestmark = pytest.mark.unit


def options(
    tmp_path: Path, name: str, declared: dict[str, Secret] | None = None
) -> tuple[list[str], list[str]]:
    """Return the options for a Dockerfile that mounts a secret, and the warnings."""
    text = f"FROM debian:trixie\nRUN --mount=type=secret,id={name} x\n"
    spec = graph(stages(tmp_path, {"app": text})).spec(Node("app", "amd64"))
    warnings: list[str] = []
    return list(secret_options(spec, declared or {}, Path("/project"), warnings.append)), warnings


def test_a_file_is_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert options(tmp_path, "a", {"a": Secret(file="x/y")}) == (["--secret=id=a,src=/project/x/y"], [])
    assert options(tmp_path, "a", {"a": Secret(file="~/y,z")}) == (['--secret=id=a,"src=/home/me/y,z"'], [])


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
    declared = {"ca": Secret(file="mine.crt")}
    assert options(tmp_path, "ca", declared) == (["--secret=id=ca,src=/project/mine.crt"], [])


def test_an_undeclared_secret_gives_no_option(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        options(tmp_path, "tokn", {"token": Secret(env="TOKEN")})
    assert caught.value.where == "app:amd64" and "[secrets.tokn]" in caught.value.hint
    assert "did you mean 'token'?" in caught.value.hint
