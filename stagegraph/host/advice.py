"""The commands that fix what is missing, for this system and this user."""

from __future__ import annotations

import getpass
import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import docker, emulation, engine, qemu, system
from .system import Packages, as_root, call, has, has_systemd, offered_packages

if TYPE_CHECKING:
    from .engine import Engine

_INSTALL = "https://docs.docker.com/engine/install/"


def foreign_platform() -> str:
    """The platform that ``./run`` sets up QEMU for: arm64 on amd64, amd64 on all others."""
    return "linux/arm64" if emulation.host_platform() == "linux/amd64" else "linux/amd64"


def package(name: str) -> str:
    """The command that installs a package."""
    if offered_packages() is Packages.NONE:
        return f"install {name}"
    return as_root(f"apt-get install -y {name}")


def _client_package() -> str:
    """The package with the docker client, which Ubuntu has in that of the engine."""
    return "docker-cli" if system.os_release().get("ID") == "debian" else "docker.io"


@dataclass(frozen=True)
class Advice:
    """Commands that fix. ``run`` is the path of ``./run``; "" for users who have the package alone.

    ``engine_of_run`` is the engine that ``./run`` starts, None without it.
    """

    run: str = ""
    engine_of_run: Engine | None = None

    def _run(self, *variables: str) -> str:
        """A call of ``./run`` that sets up what is missing."""
        words = ["env", *variables] if variables else []
        return as_root(" ".join([*words, shlex.quote(self.run), "true"]))

    def engine(self) -> str:
        """For an engine that does not answer."""
        own_bridge = self.engine_of_run is not None and self.engine_of_run.bridge
        path = docker.socket_path()
        if (host := os.environ.get("DOCKER_HOST")) and not own_bridge:
            return f"start the engine at {host}, or: unset DOCKER_HOST"
        if context := docker.context():
            return f"start the engine of the docker context {context!r}, or: docker context use default"
        if path and path.is_socket() and not os.access(path, os.W_OK):
            user = getpass.getuser()
            return f"sudo usermod -aG docker {user} (you may not open {path}), then log in again"
        if self.run:
            return self._engine_by_run()
        return self._engine_alone()

    def _engine_by_run(self) -> str:
        if offered_packages() is not Packages.NONE or (has("dockerd") and docker.has_buildx()):
            return self._run()
        return (
            f"install Docker Engine with buildx ({_INSTALL}), skopeo, mmdebstrap, arch-test and QEMU user "
            "emulation; ./run does so only on Debian 12 or later and on Ubuntu"
        )

    def _engine_alone(self) -> str:
        if has("dockerd"):
            return as_root("systemctl start docker" if has_systemd() else "service docker start")
        if offered_packages() is Packages.OWN:
            client = _client_package()
            return package(" ".join(dict.fromkeys(("docker.io", client, "docker-buildx"))))
        return f"install Docker Engine with buildx: {_INSTALL}"

    def client(self) -> str:
        """For a docker client that is not installed."""
        return self.engine() if self.run or not has("dockerd") else package(_client_package())

    def buildx(self) -> str:
        """For buildx that is missing or too old."""
        if call("dpkg-query", "-W", "docker-ce-cli").returncode == 0:
            return package("docker-buildx-plugin")
        if offered_packages() is Packages.WITH_NEXT_RELEASE:  # not among its packages
            if self.run:
                return self._run(f"STAGEGRAPH_ENGINE_DIR={engine.DEFAULT_FOLDER}-own")
            return f"install Docker's own packages, with buildx: {_INSTALL}"
        return package("docker-buildx")

    def store(self) -> str:
        """For an engine without containerd's image store."""
        return f"have {engine.CONFIGURATION} in {engine.SERVICE_CONFIGURATION} and restart the engine"

    def emulation(self, platform: str) -> str:
        """For an OCI platform whose programs this machine does not run."""
        if command := qemu.fix(platform):
            return command
        if offered_packages() is Packages.NONE:
            return f"docker run --privileged --rm tonistiigi/binfmt --install {platform.split('/')[1]}"
        return package("qemu-user-static")
