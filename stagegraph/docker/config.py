"""Docker's own configuration: its folder, the current context, and the address of the engine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "unix:///var/run/docker.sock"


def host() -> str:
    """The engine's address, found as docker finds it: from DOCKER_HOST, else from the current context."""
    if address := os.environ.get("DOCKER_HOST"):
        return address
    if (name := context()) == "default":
        return DEFAULT
    import hashlib

    meta = config_folder() / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    try:
        return str(json.loads(meta.read_bytes())["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT


def config_folder() -> Path:
    """The folder in which docker keeps its contexts, and buildx its builders."""
    from pathlib import Path

    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def context() -> str:
    """The name of docker's current context; ``default`` if DOCKER_HOST is set, which takes precedence."""
    if os.environ.get("DOCKER_HOST"):
        return "default"
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name
    try:
        name = json.loads((config_folder() / "config.json").read_bytes()).get("currentContext")
    except (OSError, ValueError, AttributeError):
        return "default"
    return name or "default"
