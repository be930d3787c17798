"""The secrets that are known before a run: nothing may print them.

They are the values of the secrets of ``stages.toml``, passwords and tokens of ``docker login``, passwords of
proxies, and the private key that signs. A login in a credential helper is not known here.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..output import hide, spare
from ..system.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..project.model import Project

#: Fields of an entry of ``auths`` that are secret (docker/cli, cli/config/types/authconfig.go).
_FIELDS = ("auth", "password", "identitytoken", "registrytoken")

#: Bytes of such a file that are read.
_MOST = 1 << 20

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def hide_known(project: Project) -> None:
    """Hide the secrets of a project and of this user. Names that ``stages.toml`` declares stay readable."""
    spare([project.settings.repo, *project.stages, *project.images, *project.groups, *project.platforms])
    if project.secrets:
        from ..build.secrets import hide_declared

        hide_declared(project.secrets, project.root)
    hide([*_logins(), *_passwords(), os.environ.get("STAGEGRAPH_SIGNING_KEY", "")])


def _logins() -> Iterator[str]:
    """The passwords and tokens of Docker's configuration, and of the file that skopeo is told to read."""
    for text in _configurations():
        try:
            entries = [*json.loads(text)["auths"].values()]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        for entry in entries:
            if isinstance(entry, dict):
                yield from _of_entry(entry)


def _of_entry(entry: dict[str, Any]) -> Iterator[str]:
    """The secrets of a login. ``auth`` is the base64 of ``USER:PASSWORD``."""
    yield from (entry[field] for field in _FIELDS if isinstance(entry.get(field), str))
    with contextlib.suppress(ValueError):
        login = base64.b64decode(str(entry.get("auth") or "")).decode("utf-8", "replace")
        yield login.partition(":")[2].rstrip("\0")


def _configurations() -> Iterator[str | bytes]:
    yield os.environ.get("DOCKER_AUTH_CONFIG", "")
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111 - never raises
    for path in (Path(folder) / "config.json", os.environ.get("REGISTRY_AUTH_FILE")):
        # a pipe is for the program that needs the login: who reads it first takes it away
        with contextlib.suppress(OSError, ValueError), open_regular(Path(path or "").resolve()) as file:
            yield file.read(_MOST)


def _passwords() -> Iterator[str]:
    """The passwords in addresses of proxies, as they are written and as they are meant."""
    for name in _PROXIES:
        for variable in (name, name.upper()):
            try:
                password = urlsplit(os.environ.get(variable, "")).password or ""
            except ValueError:
                continue
            yield from (password, unquote(password))
