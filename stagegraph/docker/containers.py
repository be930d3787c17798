"""Short-lived containers of the engine, through the Docker SDK."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import EmulationError, EngineError, StagegraphError, ToolError
from .engine import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..oci.platform import OciPlatform


def remove_container(name: str) -> None:
    """Kill and remove a container; harmless if there is none. Raises ``EngineError``."""
    with connect() as client:
        _remove(client, name)


def _remove(client: Any, container: str) -> None:
    import requests.exceptions
    from docker import errors

    with contextlib.suppress(errors.APIError, requests.exceptions.RequestException):
        client.api.remove_container(container, force=True, v=True)


class ContainerResult(NamedTuple):
    """The exit status and the output of a shell script in a container."""

    status: int
    output: str
    errors: str


def run_in_container(reference: str, docker: OciPlatform, script: str, timeout: float) -> ContainerResult:
    """Run a shell script as root in a temporary container of an image, with network.

    The container is removed in any case. It has a name before it is created, so that it is found even if its
    creation was interrupted.

    Raises ``EngineError`` if the engine has no such image or the script runs longer than ``timeout`` seconds,
    ``ToolError`` if the image has no shell, and ``EmulationError``.
    """
    name = f"stagegraph-ask-{uuid.uuid4().hex}"
    with connect() as client:
        try:
            with _engine_errors(reference, docker, timeout):
                result = _run(client, name, reference, docker, script, timeout)
        finally:
            _remove(client, name)
    if result.status and "exec format error" in result.errors:
        raise _not_started(reference, docker, result.errors)
    return result


def _run(
    client: Any, name: str, reference: str, docker: OciPlatform, script: str, timeout: float
) -> ContainerResult:
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
    output, errors = (
        container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False)
    )
    return ContainerResult(status, output, errors)


@contextlib.contextmanager
def _engine_errors(reference: str, docker: OciPlatform, timeout: float) -> Iterator[None]:
    """Turn the errors of the SDK into errors of this program."""
    import requests.exceptions
    from docker import errors

    try:
        yield
    except errors.ImageNotFound:
        hint = "build it and load it: doit IMAGE:PLATFORM"
        raise EngineError(reference, "the engine has no such image", hint) from None
    except errors.APIError as error:
        raise _not_started(reference, docker, str(error)) from None
    except requests.exceptions.RequestException as error:
        # the SDK reports a time limit by either of two errors
        if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower():
            what = f"its container did not end within {timeout:.0f} s and was removed"
            raise EngineError(reference, what, "allow more time: --timeout=SECONDS") from None
        what = f"the engine went away: {error}"
        raise EngineError(reference, what, "run again when it is up") from None


def _not_started(reference: str, docker: OciPlatform, message: str) -> StagegraphError:
    if "exec format error" in message:
        what = f"this engine does not run programs for {docker}"
        return EmulationError(reference, what, "doit doctor has the command that registers QEMU")
    if "/bin/sh" in message:
        return ToolError(reference, "the image has no shell, /bin/sh")
    return EngineError(reference, f"its container could not be run: {message}")
