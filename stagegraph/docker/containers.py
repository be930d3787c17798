"""Short-lived containers of the engine, through the Docker SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform

import contextlib
import uuid
from typing import Any, NamedTuple

from ..errors import EmulationError, EngineError, StagegraphError, ToolError
from .engine import connect


def remove_container(name: str) -> None:
    """End a container and take it away. Harmless where there is none. Raises ``EngineError``."""
    with connect() as client:
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


def ask(reference: str, docker: OciPlatform, script: str, timeout: float) -> Answer:
    """Run a shell script as root in a throw-away container of an image, with network.

    The container goes whatever happens: it has a name of its own before it is made, so that even one whose
    making was interrupted is found. Raises ``EngineError`` where the engine has no such image or the script
    does not end within ``timeout`` seconds, ``ToolError`` where the image has no shell, ``EmulationError``.
    """
    import requests.exceptions
    from docker import errors

    name = f"stagegraph-ask-{uuid.uuid4().hex}"
    with connect() as client:
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


def _not_started(reference: str, docker: OciPlatform, message: str) -> StagegraphError:
    if "exec format error" in message:
        what = f"this engine does not run programs for {docker}"
        return EmulationError(reference, what, "./run doctor has the command that registers QEMU")
    if "/bin/sh" in message:
        return ToolError(reference, "the image has no shell, /bin/sh")
    return EngineError(reference, f"its container could not be run: {message}")
