"""Logins for skopeo: those of ``docker login``.

skopeo reads ``auths`` and ``credHelpers`` of Docker's ``config.json`` by itself, and calls the helpers. It
does not know ``credsStore``, one helper for all registries (containers/image, pkg/docker/config). Where that
holds the login, skopeo is handed a file that names the helper for this registry; no password is in it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .folder import Folder


def environment(host: str, folder: Path) -> dict[str, str]:
    """What skopeo's environment wants for a registry. ``folder`` is where a file for it may be written."""
    if os.environ.get("REGISTRY_AUTH_FILE"):
        return {}  # the user has said where logins are
    store = _store(host)
    if not store:
        return {}
    name, data = "credential-helper.json", json.dumps({"credHelpers": {host: store}}).encode()
    cache = Folder(folder)
    try:
        there = cache.read(name)
    except OSError:
        there = b""
    if there != data:
        cache.write(name, data)
    return {"REGISTRY_AUTH_FILE": str((folder / name).absolute())}


def _store(host: str) -> str:
    """The store that Docker keeps a registry's login in; "" where skopeo needs no help, or there is none."""
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        said: dict[str, Any] = json.loads(config.read_bytes())
        # docker login leaves an empty entry of the registry's name for what it gave to the store
        kept = host in said.get("auths", {}) and not said["auths"][host].get("auth")
        return str(said.get("credsStore") or "") if kept and host not in said.get("credHelpers", {}) else ""
    except (OSError, ValueError, AttributeError, TypeError):
        return ""
