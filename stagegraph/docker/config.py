"""Docker's own configuration: its folder, the current context, and the address of the engine."""

from __future__ import annotations

from ..host import docker
from ..host.docker import config_folder

__all__ = ["DEFAULT", "config_folder", "context", "host"]

DEFAULT = f"unix://{docker.DEFAULT_SOCKET}"


def host() -> str:
    """The engine's address as docker itself finds it: DOCKER_HOST, then the current context."""
    return docker.address() or DEFAULT


def context() -> str:
    """The name of docker's current context; ``default`` if DOCKER_HOST says where the engine is."""
    return docker.context() or "default"
