"""A simulated machine for the tests of ``stagegraph.host``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_machine import Machine

from stagegraph.host import docker, emulation, engine, packages, qemu, system


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """An amd64 machine with an unknown system and without programs. The user is root."""
    with tempfile.TemporaryDirectory() as name:  # the path of a socket must be short
        folder = Path(name)
        machine = Machine(folder, monkeypatch)
        places = {
            (docker, "DEFAULT_SOCKET"): folder / "docker.sock",
            (docker, "_PLUGINS"): (),
            (emulation, "BINFMT"): folder / "binfmt_misc",
            (engine, "LOCK_FOLDER"): folder,
            (engine, "SERVICE_CONFIGURATION"): folder / "etc/docker/daemon.json",
            (engine, "DEFAULT_FOLDER"): str(folder / "default"),
            (packages, "APT"): folder / "etc/apt",
            (packages, "POLICY"): folder / "policy/policy-rc.d",
            (packages, "VENV_LOG"): folder / "venv.log",
            (qemu, "CONFIGURATIONS"): folder / "binfmt.d",
            (system, "SYSTEMD"): folder / "systemd",
        }
        for (module, attribute), value in places.items():
            monkeypatch.setattr(module, attribute, value)
        for new in ("binfmt_misc", "binfmt.d", "policy", "etc/apt/sources.list.d", "etc/apt/preferences.d"):
            (folder / new).mkdir(parents=True)
        (folder / "binfmt_misc/register").touch()
        monkeypatch.setenv("PATH", str(machine.bin))
        monkeypatch.setenv("HOME", str(folder))
        variables = (
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "STAGEGRAPH_ENGINE_DIR",
            "SSL_CERT_FILE",
        )
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)
        machine.is_system("")
        machine.user_is_root()
        machine.processor("x86_64")
        yield machine
