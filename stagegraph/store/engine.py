"""The engine: where final images land, tagged, for ``docker run``.

Whether an image is there is asked at every start of ``doit``; importing the docker SDK takes longer than all
else together, so that one question goes to the engine's socket directly (Docker Engine API,
``GET /images/{name}/json``). Everything else goes through the SDK.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import tarfile
import uuid
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from .. import record as records
from ..errors import DiskFullError, EmulationError, EngineError, StagegraphError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..record import Record
    from .layout import LayoutStore

DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT = 10.0


def host() -> str:
    """The engine's address as docker itself finds it: DOCKER_HOST, then the current context."""
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
    """Where docker keeps contexts, and buildx its builders."""
    from pathlib import Path

    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def context() -> str:
    """The name of docker's current context; ``default`` where DOCKER_HOST says where the engine is."""
    if os.environ.get("DOCKER_HOST"):
        return "default"
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name
    try:
        name = json.loads((config_folder() / "config.json").read_bytes()).get("currentContext")
    except (OSError, ValueError, AttributeError):
        return "default"
    return name or "default"


def image_id(reference: str) -> str | None:
    """The engine's id of a tagged image, or None where it has none. Raises ``EngineError`` if it is down."""
    address = host()
    if not address.startswith("unix://"):
        return _sdk_image_id(reference)
    status, body = _get(address.removeprefix("unix://"), f"/images/{quote(reference)}/json")
    if status == 404:
        return None
    try:
        found: dict[str, Any] = json.loads(body)
        return str(found["Id"])
    except (ValueError, KeyError):
        raise EngineError(
            "docker", f"the engine answered {status}: {body[:200].decode(errors='replace')}"
        ) from None


def _get(path: str, url: str) -> tuple[int, bytes]:
    """Status and body of a GET over a Unix socket (HTTP/1.0: the body ends with the connection)."""
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
            "start Docker; doit doctor says how",
        ) from None


def _sdk_image_id(reference: str) -> str | None:
    import docker.errors

    with _client() as client:
        try:
            return str(client.images.get(reference).id)
        except docker.errors.ImageNotFound:
            return None


def _client() -> Any:
    """A client of the SDK as a context manager. Raises ``EngineError``."""
    import docker
    import docker.errors

    try:
        client = docker.DockerClient(base_url=host(), timeout=600, use_ssh_client=True)
    except (docker.errors.DockerException, ValueError) as error:  # an address that is none
        raise EngineError(
            host(), f"no Docker engine answers: {error}", "start Docker; doit doctor says how"
        ) from None
    return contextlib.closing(client)


def has(record: Record, config: str, reference: str) -> bool:
    """Whether ``reference`` in the engine is this very image.

    With the containerd image store an id is a manifest's digest, with the older one the configuration's.
    """
    return image_id(reference) in (record.digest, config)


def load(layout: LayoutStore, record: Record, reference: str) -> None:
    """Load an image and tag it. The tag is set by the engine when all of it has arrived, never before."""
    import docker.errors
    import requests.exceptions

    with _client() as client:
        try:
            client.images.load(_Chunks(_archive(layout, record, reference)))
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
        manifest = layout.json(record.digest)
        if loaded not in (record.digest, manifest["config"]["digest"]):
            raise EngineError(
                "docker", f"{reference} was loaded, but the engine has {loaded} under that name", "run again"
            )


def untag(reference: str) -> None:
    """Take a tag away; the image goes with its last one. Harmless where there is none."""
    import docker.errors

    with _client() as client, contextlib.suppress(docker.errors.APIError):
        client.images.remove(reference)


def remove_container(name: str) -> None:
    """End a container and take it away. Harmless where there is none. Raises ``EngineError``."""
    with _client() as client:
        _remove(client, name)


def _remove(client: Any, container: str) -> None:
    import requests.exceptions
    from docker import errors

    with contextlib.suppress(errors.APIError, requests.exceptions.RequestException):
        client.api.remove_container(container, force=True, v=True)


class Answer(NamedTuple):
    """What a shell script in a container printed, and its exit status."""

    status: int
    output: str
    errors: str


def ask(reference: str, docker: str, script: str, timeout: float) -> Answer:
    """Run a shell script as root in a throw-away container of an image, with network.

    The container goes whatever happens: it has a name of its own before it is made, so that even one whose
    making was interrupted is found. Raises ``EngineError`` where the engine has no such image or the script
    does not end within ``timeout`` seconds, ``ToolError`` where the image has no shell, ``EmulationError``.
    """
    import requests.exceptions
    from docker import errors

    name = f"stagegraph-ask-{uuid.uuid4().hex}"
    with _client() as client:
        try:
            container = client.containers.create(
                reference,
                [script],
                entrypoint=["/bin/sh", "-c"],
                name=name,
                platform=docker,
                user="0",
                use_config_proxy=True,
            )
            container.start()
            status = int(container.wait(timeout=timeout)["StatusCode"])
            output, said = (
                container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False)
            )
        except errors.ImageNotFound:
            hint = "doit IMAGE:PLATFORM makes it and loads it"
            raise EngineError(reference, "the engine has no such image", hint) from None
        except errors.APIError as error:
            raise _not_started(reference, docker, str(error)) from None
        except requests.exceptions.RequestException as error:
            # the SDK gives a time limit that was reached either of two names
            if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower():
                what = f"its container did not end within {timeout:.0f} s and was removed"
                raise EngineError(reference, what, "--timeout=SECONDS gives it more") from None
            raise EngineError(
                reference, f"the engine went away: {error}", "run again when it is up"
            ) from None
        finally:
            _remove(client, name)
    if status and "exec format error" in said:
        raise _not_started(reference, docker, said)
    return Answer(status, output, said)


def _not_started(reference: str, docker: str, message: str) -> StagegraphError:
    if "exec format error" in message:
        what = f"this engine does not run programs for {docker}"
        return EmulationError(reference, what, "doit doctor has the command that registers QEMU")
    if "/bin/sh" in message:
        return ToolError(reference, "the image has no shell, /bin/sh")
    return EngineError(reference, f"its container could not be run: {message}")


class _Chunks:
    """A readable body of unknown length; requests sends it in chunks."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


def _archive(layout: LayoutStore, record: Record, reference: str) -> Iterator[bytes]:
    """The image as a tar of an OCI layout, made while it is read."""
    manifest = layout.json(record.digest)
    entry = {
        "mediaType": records.MANIFEST,
        "digest": record.digest,
        "size": record.size,
        "annotations": {
            # the full name, as containerd's importer wants it
            "io.containerd.image.name": _full(reference),
            "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
        },
    }
    index = {"schemaVersion": 2, "mediaType": records.INDEX, "manifests": [entry]}
    small = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    for name, data in small.items():
        yield _header(name, len(data))
        yield _padded(data)
    digests = dict.fromkeys(
        [
            record.digest,
            manifest["config"]["digest"],
            *(item["digest"] for item in (manifest["layers"] or ())),
        ]
    )
    for digest in digests:
        with layout.open_blob(digest) as file:
            size = os.fstat(file.fileno()).st_size
            yield _header(f"blobs/sha256/{digest.removeprefix('sha256:')}", size)
            yield from _read(file)
        yield b"\0" * (-size % tarfile.BLOCKSIZE)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(io.DEFAULT_BUFFER_SIZE * 128):
        yield chunk


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % tarfile.BLOCKSIZE)


def _full(reference: str) -> str:
    """``name:tag`` with the registry and namespace that Docker supplies for short names."""
    head, slash, _ = reference.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"
