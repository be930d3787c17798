"""The engine: the place of final images, tagged for ``docker run``.

Every start of ``doit`` asks whether the engine has an image. To import the docker SDK takes longer than the
rest of that start, so this question goes directly to the engine's socket (Docker Engine API,
``GET /images/{name}/json``). Everything else uses the SDK.
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import AccessError, DiskFullError, EngineError
from ..output import masked
from .config import host

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_TIMEOUT = 10.0


def image_id(reference: str) -> str | None:
    """The engine's id of a tagged image, None if it has no such image. Raises ``EngineError``."""
    address = host()
    if not address.startswith("unix://"):
        return _sdk_image_id(reference)
    status, body = _get(address.removeprefix("unix://"), f"/images/{quote(reference)}/json")
    if status == 404:
        return None
    try:
        image: dict[str, Any] = json.loads(body)
        return str(image["Id"])
    except (ValueError, KeyError):
        raise EngineError(
            "docker", f"the engine answered {status}: {masked(body.decode(errors='replace'))[:200]}"
        ) from None


def _get(path: str, url: str) -> tuple[int, bytes]:
    """The status and body of a GET over a Unix socket (HTTP/1.0: the body ends with the connection)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(path)
            connection.sendall(f"GET {url} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1]), body
    except (OSError, ValueError, IndexError) as error:
        raise EngineError(
            f"unix://{path}",
            f"no Docker engine answers: {error}",
            "start Docker: doit doctor has the command",
        ) from None


def _sdk_image_id(reference: str) -> str | None:
    import docker.errors

    with connect() as client:
        try:
            return str(client.images.get(reference).id)
        except docker.errors.ImageNotFound:
            return None


def configuration(reference: str) -> tuple[str, frozenset[str]]:
    """The OCI platform of a tagged image, and the names of the variables that it sets.

    Raises ``EngineError``.
    """
    import docker.errors

    with connect() as client:
        try:
            about = client.images.get(reference).attrs
        except docker.errors.DockerException as error:
            raise EngineError("docker", f"{reference} cannot be inspected: {error}", "run again") from None
    platform = "/".join(filter(None, [about["Os"], about["Architecture"], about.get("Variant", "")]))
    words = (about.get("Config") or {}).get("Env") or ()
    return platform, frozenset(word.partition("=")[0] for word in words)


def connect() -> Any:
    """A client of the SDK as a context manager. Raises ``EngineError``."""
    import docker
    import docker.errors

    try:
        client = docker.DockerClient(base_url=host(), timeout=600, use_ssh_client=True)
    except (docker.errors.DockerException, ValueError) as error:  # ValueError for a malformed address
        if isinstance(error, ValueError) or "bind address" in str(error):
            what, hint = f"is no address of an engine: {error}", "correct DOCKER_HOST, or unset it"
            raise AccessError(host(), what, hint) from None
        raise EngineError(
            host(), f"no Docker engine answers: {error}", "start Docker: doit doctor has the command"
        ) from None
    return contextlib.closing(client)


def has(reference: str, ids: Collection[str]) -> bool:
    """Return whether ``reference`` in the engine is the image with one of these ids.

    An id is the digest of the manifest with the containerd image store, and the digest of the configuration
    with the older image store. Raises ``EngineError``.
    """
    return image_id(reference) in ids


class _Chunks:
    """A readable body of unknown length; requests sends it in chunks."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


def load(image: Iterator[bytes], ids: Collection[str], reference: str) -> None:
    """Load the tar of an image with its tag, and check that its id is one of ``ids`` (see ``has``).

    The engine sets the tag only after the whole image has arrived. Raises ``EngineError`` or
    ``DiskFullError``.
    """
    import docker.errors
    import requests.exceptions

    with connect() as client:
        try:
            client.images.load(_Chunks(image))
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            if "no space left" in str(error):
                raise DiskFullError(
                    "docker",
                    f"{reference} could not be loaded: {error}",
                    "free space where Docker keeps its data",
                ) from None
            raise EngineError(
                "docker",
                f"{reference} could not be loaded: {error}",
                "run again when the engine is up; the image is in cache/",
            ) from None
        loaded = image_id(reference)
        if loaded not in ids:
            raise EngineError(
                "docker", f"{reference} was loaded, but the engine now has {loaded} under it", "run again"
            )


def save(reference: str, file: IO[bytes]) -> None:
    """Write an image of the engine into a file, as ``docker save`` does. Raises ``EngineError``."""
    import docker.errors
    import requests.exceptions

    with connect() as client:
        try:
            for chunk in client.api.get_image(reference):
                file.write(chunk)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            what = f"{reference} could not be read: {error}"
            raise EngineError("docker", what, "is the engine up? docker images lists its images") from None


def tag(reference: str, new: str, ids: Collection[str]) -> None:
    """Give the image of a tag another one, and check that it has one of ``ids``. Raises ``EngineError``."""
    import docker.errors
    import requests.exceptions

    repository, _, word = new.rpartition(":")
    with connect() as client:
        try:
            client.api.tag(reference, repository, word)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineError("docker", f"{new} could not be set: {error}", "run again") from None
    if not has(new, ids):
        raise EngineError("docker", f"{new} was set, but the engine has another image under it", "run again")


def untag(reference: str) -> None:
    """Remove a tag; with its last tag the image is deleted. Harmless if there is no such tag."""
    import docker.errors

    with connect() as client, contextlib.suppress(docker.errors.APIError):
        client.images.remove(reference)
