"""Short-lived containers of the engine, through the Docker SDK."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tarfile
import tempfile
import uuid
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..errors import EmulationError, EngineError, StagegraphError, ToolError
from ..system.processes import environment, run
from .engine import call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..oci.platform import OciPlatform
    from ..waits.waiting import Wait


#: Seconds that the engine may need to make and start a container: it may have to unpack the image.
_START = 600.0

#: Seconds for a question.
_ASK = 60.0


def remove_container(name: str) -> None:
    """Kill and remove a container; harmless if there is none. Raises ``EngineError``."""
    import requests.exceptions
    from docker import errors

    with contextlib.suppress(errors.APIError, requests.exceptions.RequestException):
        call(
            lambda client, _: client.api.remove_container(name, force=True, v=True),
            f"remove container {name}",
        )


def interact(
    reference: str,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> int:
    """Run a command in a container of an image, on this process's terminal; return its status.

    ``options`` are those of ``docker create``. ``variables`` are for docker's own environment, from which
    ``--env=NAME`` takes its value. ``files`` are put into the container, by absolute path, for everybody to
    read, change and run. The container is removed afterwards. The status is 127 if the command could not be
    started, as with ``docker run``. Raises ``EngineError``.
    """
    name = reference.rpartition(":")[2]
    create = ["docker", "create", f"--name={name}", "--interactive", *options]
    create += ["--tty"] if sys.stdin.isatty() else []
    create += [f"--entrypoint={command[0]}", reference, *command[1:]]
    try:
        done = run(create, variables=variables, timeout=_START)
        if done.returncode == 0 and files:
            with tempfile.TemporaryFile() as tar:
                _write_tar(files, tar)
                done = run(["docker", "cp", "-", f"{name}:/"], stdin=tar, timeout=_START)
        if done.returncode:
            what = f"its container could not be made: {done.stderr.decode(errors='replace').strip()}"
            raise EngineError(reference, what, "doit doctor checks the engine")
        start = ["docker", "start", "--attach", "--interactive", name]
        status = subprocess.run(start, env=environment(), check=False).returncode
        return 127 if status and not _has_started(name) else status
    finally:  # an interrupt ends docker's client alone
        remove_container(name)


def _has_started(name: str) -> bool:
    """Return whether a container has ever run."""
    done = run(["docker", "container", "inspect", "--format={{.State.Status}}", name], timeout=_ASK)
    return done.stdout.strip() != b"created"


def _write_tar(files: Mapping[str, bytes], out: IO[bytes]) -> None:
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(data), 0o777
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)


class ContainerResult(NamedTuple):
    """The exit status and the output of a command in a container."""

    status: int
    output: str
    errors: str


def run_script(reference: str, docker: OciPlatform, script: str, timeout: float) -> ContainerResult:
    """Run a shell script as root in a temporary container of an image, with network.

    Raises the errors of ``run_command``.
    """
    options, slow = {"user": "0", "use_config_proxy": True}, "allow more time: --timeout=SECONDS"
    return _run_and_remove(reference, docker, ("/bin/sh", "-c", script), timeout, options, slow)


def run_command(
    reference: str, docker: OciPlatform, command: Sequence[str], timeout: float
) -> ContainerResult:
    """Run a command as the image's own user in a temporary container of an image, without network.

    Raises ``EngineError`` if the engine has no such image or the command takes over ``timeout`` seconds,
    ``ToolError`` if the image has no shell and the command needs it, and ``EmulationError``.
    """
    options, slow = {"network_mode": "none"}, "it has no network and no input"
    return _run_and_remove(reference, docker, command, timeout, options, slow)


def _run_and_remove(
    reference: str,
    docker: OciPlatform,
    command: Sequence[str],
    timeout: float,
    options: Mapping[str, Any],
    slow: str,
) -> ContainerResult:
    """Run a command in a container, which is removed in any case.

    It has a name before it is created, so that it is found even if its creation was interrupted.
    """
    name = f"stagegraph-ask-{uuid.uuid4().hex}"
    more = {"name": name, "platform": docker, **options}
    try:
        with _engine_errors(reference, docker, timeout, slow):
            what = f"run {command[0]} in {reference}"
            result = call(
                lambda client, wait: _run_in(client, reference, command, timeout, more, wait),
                what, timeout + _START,
            )  # fmt: skip
    finally:
        remove_container(name)
    if result.status and "exec format error" in result.errors:
        raise _not_started(reference, docker, result.errors)
    return result


def _run_in(
    client: Any,
    reference: str,
    command: Sequence[str],
    timeout: float,
    options: Mapping[str, Any],
    wait: Wait,
) -> ContainerResult:
    first, *rest = command
    container = client.containers.create(reference, rest, entrypoint=[first], **options)
    container.start()
    wait.heard()
    status = int(container.wait(timeout=timeout)["StatusCode"])
    output, errors = (
        container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False)
    )
    return ContainerResult(status, output, errors)


@contextlib.contextmanager
def _engine_errors(reference: str, docker: OciPlatform, timeout: float, slow: str) -> Iterator[None]:
    """Turn the errors of the SDK into errors of this program. ``slow`` is the hint for a time limit."""
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
            raise EngineError(reference, what, slow) from None
        what = f"the engine went away: {error}"
        raise EngineError(reference, what, "run again when it is up") from None


def _not_started(reference: str, docker: OciPlatform, message: str) -> StagegraphError:
    if "exec format error" in message:
        what = f"this engine does not run programs for {docker}"
        return EmulationError(reference, what, "doit doctor has the command that registers QEMU")
    if "/bin/sh" in message:
        return ToolError(reference, "the image has no shell, /bin/sh")
    return EngineError(reference, f"its container could not be run: {message}")
