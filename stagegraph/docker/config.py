"""Docker's own configuration: its folder, the current context, and the address of the engine."""

from __future__ import annotations

from ..host import docker
from ..host.docker import config_folder

__all__ = ["DEFAULT", "config_folder", "context", "host"]

DEFAULT = f"unix://{docker.DEFAULT_SOCKET}"


def host() -> str:
    """The engine's address, found as docker finds it: from DOCKER_HOST, else from the current context."""
    return docker.address() or DEFAULT


def context() -> str:
    """The name of docker's current context; ``default`` if DOCKER_HOST is set, which takes precedence."""
    return docker.context() or "default"
