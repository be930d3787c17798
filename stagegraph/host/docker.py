"""The engine that the docker client uses, and buildx. Nothing here changes anything.

``context``, ``address`` and ``config_folder`` follow docker's own rules:
https://docs.docker.com/engine/manage-resources/contexts/
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from ..waits.waiting import patience, waiting_for
from .system import call, has

#: Bytes of a file of docker's settings that are read; the rest makes it no JSON.
_MAX_SETTINGS = 16 << 20

DEFAULT_SOCKET = Path("/var/run/docker.sock")
#: Seconds for an answer: of a socket on this machine, of the docker client, of buildx.
PING, ASK, INSPECT = 5, 15, 30

#: Bytes of an answer that the engine may give over its socket.
_LONGEST = 16 << 20

#: The system's folders of plugins, besides the user's own.
_PLUGINS = (
    Path("/usr/local/lib/docker"),
    Path("/usr/local/libexec/docker"),
    Path("/usr/lib/docker"),
    Path("/usr/libexec/docker"),
)


def config_folder() -> Path:
    """The folder where docker keeps its configuration, its contexts and the user's plugins."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def context() -> str:
    """The name of docker's current context; "" for the default one, or if DOCKER_HOST names the engine."""
    if os.environ.get("DOCKER_HOST"):
        return ""
    name = os.environ.get("DOCKER_CONTEXT")
    if not name:
        try:
            name = _json(config_folder() / "config.json").get("currentContext")
        except (OSError, ValueError, AttributeError):
            return ""
    return "" if not name or name == "default" else str(name)


def address() -> str:
    """The engine's address (``unix:///var/run/docker.sock``); "" if the current context is not known."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if not (name := context()):
        return f"unix://{DEFAULT_SOCKET}"
    folder = config_folder() / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    try:
        return str(_json(folder / "meta.json")["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def socket_path() -> Path | None:
    """The engine's socket; None if it is reached in another way."""
    prefix, _, path = address().partition("unix://")
    return Path(path) if path and not prefix else None


def answers() -> bool:
    """True if the engine answers."""
    if path := socket_path():
        return _answers_ping(path)
    return call("docker", "version", "--format={{.Server.Version}}", timeout=ASK).returncode == 0


def _answers_ping(path: Path) -> bool:
    """Ask the socket itself: that takes half the time of the docker client, or less."""
    try:
        return get(path, "/_ping", PING)[0] < 400
    except (OSError, ValueError):
        return False


def get(path: Path, url: str, seconds: float) -> tuple[int, bytes]:
    """The status and body of a GET over a Unix socket (HTTP/1.0: the body ends with the connection).

    All of it takes at most ``seconds``, times the user's patience. Raises ``TimeoutError``, ``OSError``, and
    ``ValueError`` for an answer that is not one.
    """
    limit = seconds * patience()
    try:
        with waiting_for(f"the engine at unix://{path}"):
            answer = _exchange(path, f"GET {url} HTTP/1.0\r\nHost: docker\r\n\r\n".encode(), limit)
    except TimeoutError:
        raise TimeoutError(f"no answer within {limit:g} s") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2:
        raise ValueError("no answer" if not head else f"not HTTP: {head[:80]!r}")
    return int(words[1]), body


def _exchange(path: Path, question: bytes, seconds: float) -> bytes:
    """Send a question to a Unix socket, and read to the end of the connection."""
    end, chunks, size = time.monotonic() + seconds, list[bytes](), 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(question)
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)  # it is for each call, so a server that drips would never meet it
            if not (chunk := connection.recv(65536)):
                return b"".join(chunks)
            chunks.append(chunk)
            if (size := size + len(chunk)) > _LONGEST:
                raise ValueError(f"an answer of more than {_LONGEST} bytes")
    raise TimeoutError


def has_buildx() -> bool:
    """True if docker has its plugin buildx. To look for the file first saves a call of docker."""
    if not has("docker"):
        return False
    if any(
        os.access(folder / "cli-plugins/docker-buildx", os.X_OK) for folder in (config_folder(), *_PLUGINS)
    ):
        return True
    return call("docker", "buildx", "version", timeout=ASK).returncode == 0


def inspect(*name: str) -> dict[str, list[str]]:
    """The fields that buildx prints of a builder, by default of the current one, each with its values."""
    fields: dict[str, list[str]] = {}
    done = call("docker", "buildx", "inspect", *name, timeout=INSPECT)
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        field, _, value = line.partition(":")
        fields.setdefault(field.strip(), []).append(value.strip())
    return fields


def platforms(builder: dict[str, list[str]]) -> list[str]:
    """The OCI platforms of a builder that ``inspect`` read. A star marks those that its user declared."""
    words = (word.strip() for line in builder.get("Platforms", ()) for word in line.split(","))
    return [word.removesuffix("*") for word in words if word]


def _json(path: Path) -> Any:
    """Read a JSON file. Raises ``OSError`` or ``ValueError``."""
    with path.open("rb") as file:
        return json.loads(file.read(_MAX_SETTINGS))
