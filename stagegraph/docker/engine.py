"""The engine: the place of final images, tagged for ``docker run``.

Every start of ``doit`` asks whether the engine has an image. To import the docker SDK takes longer than the
rest of that start, so this question goes directly to the engine's socket (Docker Engine API,
``GET /images/{name}/json``). Everything else uses the SDK.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ..errors import AccessError, DiskFullError, EngineError, SilentError, UnreadableImageError
from ..host import docker as socket
from ..output import masked
from ..waits.threads import bounded
from ..waits.waiting import patience, waiting_for
from . import liveness
from .config import host

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ..waits.waiting import Wait

_T = TypeVar("_T")

#: Seconds for a question to the engine's socket, for one through the SDK, and for work such as the load of an
#: image: there, for each part, and for what the engine does with all of it.
_ASK, _CALL, WORK = 10.0, 60.0, 1800.0

#: What an engine says about an image whose documents it cannot decode (Go, encoding/json and time).
_UNDECODABLE = re.compile(
    r"could not deserialize|failed to read config|json: |invalid character |unexpected end of JSON"
    r"|parsing time "
)

_NO_ACCESS = "you may not use the engine's socket: sudo usermod -aG docker $USER, then log in again"


def image_id(reference: str) -> str | None:
    """The engine's id of a tagged image, None if it has no such image.

    Raises ``UnreadableImageError``, or another ``EngineError``.
    """
    address = host()
    if not address.startswith("unix://"):
        return _sdk_image_id(reference)
    status, body = _get(Path(address.removeprefix("unix://")), f"/images/{quote(reference)}/json")
    if status == 404:
        return None
    try:
        image: dict[str, Any] = json.loads(body)
        return str(image["Id"])
    except (ValueError, KeyError):
        said = masked(_message(body))
        raise _unreadable(reference, said) or EngineError(
            "docker",
            f"the engine answered {status}: {said[:200]}",
            "see the log of the engine, or restart it",
        ) from None


def _get(path: Path, url: str) -> tuple[int, bytes]:
    try:
        return socket.get(path, url, _ASK)
    except PermissionError:
        raise AccessError(f"unix://{path}", "permission denied", _NO_ACCESS) from None
    except TimeoutError as error:
        raise _silent(error) from None
    except (OSError, ValueError) as error:
        raise EngineError(
            f"unix://{path}",
            f"no Docker engine answers: {error}",
            "start Docker: doit doctor has the command",
        ) from None


def _sdk_image_id(reference: str) -> str | None:
    import docker.errors

    try:
        return str(call(lambda client, _: client.images.get(reference).id, f"image {reference}"))
    except docker.errors.ImageNotFound:
        return None
    except docker.errors.DockerException as error:
        raise _unreadable(reference, str(error)) or EngineError(
            "docker",
            f"{reference} cannot be inspected: {error}",
            "see the log of the engine, or restart it",
        ) from None


def _message(body: bytes) -> str:
    """The message of an engine's answer, or the answer as it is."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:400].decode(errors="replace")


def _unreadable(reference: str, said: str) -> UnreadableImageError | None:
    """The error for an image that the engine cannot read, if the engine says so."""
    if not _UNDECODABLE.search(said):
        return None
    what = f"the engine has an image under {reference} that it cannot read: {said}"
    return UnreadableImageError("docker", what, f"remove it: docker rmi -f {reference}")


def configuration(reference: str) -> tuple[str, frozenset[str]]:
    """The OCI platform of a tagged image, and the names of the variables that it sets.

    Raises ``EngineError``.
    """
    import docker.errors

    try:
        about = call(lambda client, _: client.images.get(reference).attrs, f"image {reference}")
    except docker.errors.DockerException as error:
        raise EngineError("docker", f"{reference} cannot be inspected: {error}", "run again") from None
    platform = "/".join(filter(None, [about["Os"], about["Architecture"], about.get("Variant", "")]))
    words = (about.get("Config") or {}).get("Env") or ()
    return platform, frozenset(word.partition("=")[0] for word in words)


def _silent(error: TimeoutError) -> SilentError:
    hint = "is it stopped, or its disk too slow? doit doctor asks it; STAGEGRAPH_PATIENCE=3 waits longer"
    return SilentError(host(), f"the Docker engine is there, but silent: {error}", hint)


def call(ask: Callable[[Any, Wait], _T], what: str, seconds: float = 0.0) -> _T:
    """Call ``ask`` with a client of the SDK, and with the wait, whose ``heard`` tells of progress.

    The SDK's own time limit is for each read from the socket, so an engine that drips would never end it.
    ``what`` names the question for those who wait. Raises ``EngineError``, ``SilentError`` after ``seconds``
    without progress (by default ``_CALL``), and the errors of the SDK.
    """
    import docker.errors  # noqa: F401 - here, as a thread that is left to itself may be in the middle of it

    limit = seconds or _CALL

    def asked(wait: Wait) -> _T:
        with _connect(limit) as client:
            return ask(client, wait)

    lively = liveness.Liveness(socket.answers)

    def is_lost(wait: Wait) -> bool:
        if wait.seconds < liveness.FIRST * min(1.0, patience()):
            lively.heard()
        return lively.is_lost(silence)

    try:
        with waiting_for(lambda: lively.what(f"the engine at {host()}")) as silence:
            return bounded(asked, limit, f"the engine at {host()}: {what}", is_lost)
    except TimeoutError as error:
        raise _silent(error) from None


def _connect(seconds: float) -> Any:
    """A client of the SDK as a context manager. Raises ``EngineError``."""
    import docker
    import docker.errors

    try:
        client = docker.DockerClient(
            base_url=host(), timeout=int(patience() * seconds) + 1, use_ssh_client=True
        )
    except (docker.errors.DockerException, ValueError) as error:  # ValueError for a malformed address
        if isinstance(error, ValueError) or "bind address" in str(error):
            what, hint = f"is no address of an engine: {error}", "correct DOCKER_HOST, or unset it"
            raise AccessError(host(), what, hint) from None
        if "PermissionError" in str(error):
            raise AccessError(host(), "permission denied", _NO_ACCESS) from None
        raise EngineError(
            host(), f"no Docker engine answers: {error}", "start Docker: doit doctor has the command"
        ) from None
    return contextlib.closing(client)


def has(reference: str, ids: Collection[str]) -> bool:
    """Return whether ``reference`` in the engine is the image with one of these ids.

    An id is the digest of the manifest with the containerd image store, and the digest of the configuration
    with the older image store. One that the engine cannot read is none of them. Raises ``EngineError``.
    """
    try:
        return image_id(reference) in ids
    except UnreadableImageError:
        return False


def remove_unreadable(reference: str) -> bool:
    """Remove an image that the engine cannot read, with its tag. Return whether there was one.

    Raises ``EngineError``.
    """
    import docker.errors

    try:
        image_id(reference)
    except UnreadableImageError as unreadable:
        try:
            call(lambda client, _: client.images.remove(reference, force=True), f"image {reference}")
        except docker.errors.DockerException as error:
            what = f"{unreadable.what}; it could not be removed: {error}"
            raise EngineError("docker", what, unreadable.hint) from None
        return True
    return False


class _Chunks:
    """A readable body of unknown length; requests sends it in chunks."""

    def __init__(self, parts: Iterator[bytes], wait: Wait) -> None:
        self._parts, self._wait = parts, wait

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self._wait.heard()
            yield part
        self._wait.heard()


def load(image: Iterator[bytes], ids: Collection[str], reference: str) -> None:
    """Load the tar of an image with its tag, and check that its id is one of ``ids`` (see ``has``).

    The engine sets the tag only after the whole image has arrived. Raises ``EngineError`` or
    ``DiskFullError``.
    """
    import docker.errors
    import requests.exceptions

    try:
        call(lambda client, wait: client.images.load(_Chunks(image, wait)), f"load {reference}", WORK)
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

    def read(client: Any, wait: Wait) -> None:
        for chunk in client.api.get_image(reference):
            file.write(chunk)
            wait.heard()

    try:
        call(read, f"save {reference}", WORK)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        what = f"{reference} could not be read: {error}"
        raise EngineError("docker", what, "is the engine up? docker images lists its images") from None


def tag(reference: str, new: str, ids: Collection[str]) -> None:
    """Give the image of a tag another one, and check that it has one of ``ids``. Raises ``EngineError``."""
    import docker.errors
    import requests.exceptions

    repository, _, word = new.rpartition(":")
    try:
        call(lambda client, _: client.api.tag(reference, repository, word), f"tag {new}")
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise EngineError("docker", f"{new} could not be set: {error}", "run again") from None
    if not has(new, ids):
        raise EngineError("docker", f"{new} was set, but the engine has another image under it", "run again")


def untag(reference: str) -> None:
    """Remove a tag; with its last tag the image is deleted. Harmless if there is no such tag."""
    import docker.errors

    with contextlib.suppress(docker.errors.APIError):
        call(lambda client, _: client.images.remove(reference), f"remove {reference}", WORK)
