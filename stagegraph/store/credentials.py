"""Logins for skopeo: those of ``docker login``.

skopeo reads ``auths`` and ``credHelpers`` of Docker's ``config.json``, and calls the helpers. It does not
know ``credsStore``, one helper for all registries (containers/image, pkg/docker/config). If that has the
login, this module writes a file for skopeo that names the helper for this registry. The file has no password.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

from ..docker.config import config_folder
from ..system import bounded
from .folder import Folder

_FILE = "credential-helper.json"


def environment(host: str, folder: Path) -> dict[str, str]:
    """Return the variables that skopeo needs for a registry. ``folder`` is for the file that they name."""
    if os.environ.get("REGISTRY_AUTH_FILE"):
        return {}  # the user has chosen where logins are
    helper = _helper(host)
    if not helper:
        return {}
    data = json.dumps({"credHelpers": {host: helper}}).encode()
    cache = Folder(folder)
    try:
        current = cache.read(_FILE)
    except OSError:
        current = b""
    if current != data:
        cache.write(_FILE, data)
    return {"REGISTRY_AUTH_FILE": str((folder / _FILE).absolute())}


def _helper(host: str) -> str:
    """The helper of ``credsStore`` if it has the login; "" if skopeo finds the login, or there is none."""
    try:
        config: dict[str, Any] = json.loads(bounded.read_path(config_folder() / "config.json"))
        # docker login leaves an empty entry of the registry's name for a login that the helper has
        has_login = host in config.get("auths", {}) and not config["auths"][host].get("auth")
        known_to_skopeo = host in config.get("credHelpers", {})
        return str(config.get("credsStore") or "") if has_login and not known_to_skopeo else ""
    except (OSError, ValueError, AttributeError, TypeError):
        return ""
