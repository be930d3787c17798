"""Calling other programs: found or a clear error, never left running when this one ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from ..errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_HINTS = {
    "docker": "./run doctor says how to install Docker",
    "skopeo": "apt-get install skopeo (brew install skopeo); it moves images between cache/ and a registry",
}

_live: set[subprocess.Popen[bytes]] = set()

_once = threading.Lock()

_armed = False


def _end_children() -> None:
    for process in list(_live):
        with contextlib.suppress(OSError):
            process.terminate()


def _arm() -> None:
    """See to it that children end with this process."""
    global _armed
    with _once:
        if _armed:
            return
        _armed = True
        atexit.register(_end_children)


def install_signal_handlers() -> None:
    """SIGTERM and SIGINT end the process in order (exit status 143, 130), and not in a traceback.

    To be called from the main thread.
    """
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is default:
            signal.signal(number, _leave)


def _leave(number: int, _: object) -> None:
    if number == signal.SIGINT:
        os.write(2, b"interrupted\n")  # what is printed in a handler may come in the middle of another print
    sys.exit(128 + number)


def environment() -> Mapping[str, str]:
    """The environment for docker: as it is, without what would change a result behind the key's back."""
    hidden = (
        "DOCKER_DEFAULT_PLATFORM",
        "SOURCE_DATE_EPOCH",
        "BUILDX_NO_DEFAULT_ATTESTATIONS",
        "BUILDX_METADATA_PROVENANCE",
        "BUILDX_GIT_LABELS",
        "BUILDX_GIT_INFO",
        "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY",
    )
    return {name: value for name, value in os.environ.items() if name not in hidden} | {
        "BUILDKIT_COLORS": "",
        "NO_COLOR": "1",
    }


@contextlib.contextmanager
def managed_process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """``subprocess.Popen`` whose process is ended if the block is left early. Raises ``ToolError``."""
    _arm()
    try:
        process = subprocess.Popen(command, **options)
    except FileNotFoundError:
        raise ToolError(command[0], "is not installed", _HINTS.get(command[0], "")) from None
    _live.add(process)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _live.discard(process)
        if process.stdout is not None:
            process.stdout.close()


def read_lines(process: subprocess.Popen[bytes], over: Callable[[], bool]) -> Iterator[bytes]:
    """Lines of a process's output, to its end or until ``over``: its own child may hold the pipe open."""
    assert process.stdout is not None
    rest, source = b"", process.stdout.fileno()
    while not over():
        if not select.select([source], [], [], 0.5)[0]:
            continue
        if not (chunk := os.read(source, 65536)):
            break
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def run(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    timeout: float | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, output captured; the caller looks at the status. Raises ``ToolError``.

    ``variables`` are set in the environment besides those that are there.
    """
    try:
        return subprocess.run(
            command,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={**environment(), **(variables or {})},
            timeout=timeout,
        )
    except FileNotFoundError:
        raise ToolError(command[0], "is not installed", _HINTS.get(command[0], "")) from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, b"", f"no answer within {timeout:.0f} s".encode())


def last_lines(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
