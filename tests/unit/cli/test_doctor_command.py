"""``doit doctor``: the needs of a project, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from derived import differences
from helpers import HEAD, write

from stagegraph.cli.commands import doctor
from stagegraph.host import emulation
from stagegraph.host.doctor import Needs

pytestmark = pytest.mark.unit

BOOTSTRAPPED = HEAD.replace('image = "debian:trixie"', 'bootstrap = "trixie"')


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    """An amd64 machine with its own engine and without settings."""
    monkeypatch.setattr(emulation, "host_platform", lambda: "linux/amd64")
    monkeypatch.setenv("DOCKER_HOST", "unix:///none.sock")
    for name in [name for name in os.environ if name.startswith("STAGEGRAPH_")]:
        monkeypatch.delenv(name)


def needs(folder: Path, stages: str) -> Needs:
    return doctor._needs(doctor._project(write(folder, {"stages.toml": stages})))


def doit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "doctor", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_project_whose_base_is_an_image(tmp_path: Path) -> None:
    found = needs(tmp_path, HEAD)
    assert found.platforms == ("linux/amd64", "linux/arm64")
    assert (found.emulated, found.bootstrapped) == (("linux/arm64",), ())
    assert (found.tools, found.registry, found.builders) == ((), "", ())
    assert [name for name, _ in found.optional] == ["skopeo", "mmdebstrap", "arch-test"]


def test_a_base_that_is_bootstrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = needs(tmp_path, BOOTSTRAPPED)
    assert found.tools == ("mmdebstrap", "arch-test")
    assert found.bootstrapped == ("linux/amd64", "linux/arm64")
    monkeypatch.setenv("DOCKER_HOST", "ssh://there")  # mmdebstrap still runs on this machine
    assert needs(tmp_path, BOOTSTRAPPED).emulated == ("linux/arm64",)
    assert needs(tmp_path, HEAD).emulated == ()


def test_named_builders(tmp_path: Path) -> None:
    one = HEAD.replace('docker = "linux/arm64"', 'docker = "linux/arm64"\nbuilder = ["farm", "default"]')
    found = needs(tmp_path, one)
    assert (found.platforms, found.builders) == (("linux/amd64",), ("farm", "default"))
    assert found.placed == (("linux/arm64", ("farm", "default")),)
    assert found.emulated == ()


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000/team", "http://127.0.0.1:5000"),
        ("registry.example.com/team", "https://registry.example.com"),
        ("docker.io", "https://registry-1.docker.io"),
    ],
)
def test_a_registry(tmp_path: Path, registry: str, url: str) -> None:
    head = HEAD.replace("[project]", f'[project]\nregistry = "{registry}"')
    found = needs(tmp_path, head)
    assert (found.registry, found.tools) == (url, ("skopeo",))


def test_outside_a_project(tmp_path: Path) -> None:
    assert doctor._project(tmp_path) is None
    done = doit(tmp_path, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["schema"] == 1
    assert differences("doit doctor --json", found) == set()
    by_name = {check["name"]: check for check in found["checks"]}
    assert by_name["engine"]["fix"] == "start the engine at unix:///none.sock, or: unset DOCKER_HOST"
    assert not any(name.startswith(("QEMU", "builder", "registry", "Python")) for name in by_name)
    assert by_name["skopeo"]["state"] in ("ok", "unneeded")
    assert list(tmp_path.iterdir()) == []


def test_in_a_project_without_a_dodo_py(tmp_path: Path) -> None:
    write(tmp_path, {"stages.toml": HEAD})
    done = doit(tmp_path, "registry=127.0.0.1:1")
    assert done.returncode == 1 and done.stderr == ""
    assert "missing  builder platforms" in done.stdout
    assert "http://127.0.0.1:1 does not answer: " in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["stock"], 10, "doit doctor takes no goal: 'stock'"),
        (["--jsno"], 10, "did you mean '--json'?"),
        (["registri=x"], 10, "did you mean 'registry'?"),
        (["--help"], 0, ""),
    ],
)
def test_a_wrong_command_line_is_an_error(tmp_path: Path, words: list[str], status: int, said: str) -> None:
    write(tmp_path, {"stages.toml": HEAD})
    done = doit(tmp_path, *words)
    assert done.returncode == status and said in done.stderr


def test_a_project_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, {"stages.toml": "[project\n"})
    done = doit(tmp_path)
    assert done.returncode == 10 and "stages.toml:1" in done.stderr


def test_builders_for_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.print_builders(tmp_path)
    write(tmp_path, {"stages.toml": HEAD.replace("[project]", '[project]\nbuilder = "farm"')})
    doctor.print_builders(tmp_path)
    assert capsys.readouterr().out == '[]\n["farm"]\n'
