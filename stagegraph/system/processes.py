"""Calls of other programs. A missing program is a clear error, and no process outlives this program."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from ..errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_HINTS = {
    "dot": "apt-get install graphviz (brew install graphviz); it draws the picture",
    "docker": "install Docker: doit doctor has the command",
    "skopeo": "apt-get install skopeo (brew install skopeo); it moves images between cache/ and a registry",
}

#: Seconds that a child has to end after SIGTERM. Then it gets SIGKILL.
_GRACE = 10

_running: set[subprocess.Popen[bytes]] = set()
#: Whoever starts a child holds it, so that a thread starts none while this process ends its children.
_starting = threading.Lock()
_is_over = False


@atexit.register
def _end_children() -> None:
    """End the children of threads that nobody waits for."""
    global _is_over
    with _starting:
        _is_over, children = True, list(_running)
    try:
        _end(children)
    except SystemExit:  # a second Ctrl-C
        for process in children:
            process.kill()


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate processes, and wait for their end. After ``_GRACE`` seconds, kill them."""
    for process in children:
        process.terminate()
    limit = time.monotonic() + _GRACE
    for process in children:
        try:
            process.wait(max(0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Interrupted(SystemExit):
    """A signal ends this process. ``is_told``: somebody has said so already."""

    is_told = False

    def tell(self) -> None:
        """Tell the user about SIGINT, once. A handler cannot: its print could interrupt another one."""
        if self.code == 128 + signal.SIGINT and not self.is_told:
            print("interrupted", file=sys.stderr)
        self.is_told = True


def install_signal_handlers() -> None:
    """Let SIGTERM and SIGINT raise ``Interrupted``: status 143 or 130, without a traceback.

    Handlers that somebody else installed stay. Call this from the main thread.
    """
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is default:
            signal.signal(number, _exit)


#: Seconds in which a second SIGTERM is the same request as the first.
_SAME_REQUEST = 1.0
#: When SIGTERM last raised ``Interrupted``, on the monotonic clock.
_terminated = -math.inf


def _exit(number: int, _: object) -> None:
    """Raise ``Interrupted``, once for a SIGTERM that comes twice.

    timeout(1) sends it to its child, and then to its group. The second one would end what the first one
    began: to keep the results of the run.
    """
    global _terminated
    if number == signal.SIGTERM:
        before, _terminated = _terminated, time.monotonic()
        if _terminated - before < _SAME_REQUEST:
            return
    raise Interrupted(128 + number)


def environment() -> Mapping[str, str]:
    """The environment of children: this process's, without variables that change a result but no key.

    No child needs the key that signs records.
    """
    hidden = (
        "STAGEGRAPH_SIGNING_KEY",
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
    """Start a process that does not outlive the block: it is terminated, after 10 s killed.

    ``options`` are those of ``subprocess.Popen``. Raises ``ToolError``.
    """
    with _starting:
        if _is_over:  # only a daemon thread comes here; it ends with the process
            raise SystemExit(1)
        try:
            process = subprocess.Popen(command, **options)
        except FileNotFoundError:
            raise ToolError(command[0], "is not installed", _HINTS.get(command[0], "")) from None
        _running.add(process)
    try:
        yield process
    finally:
        _end([process])
        _running.discard(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def read_lines(process: subprocess.Popen[bytes], over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the lines of a process's output, to its end or until ``over`` returns true.

    The end may never come: a child of the process may hold the pipe open.
    """
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
    """Run a program to its end and capture its output. The caller checks the status.

    After ``timeout`` seconds the program is killed; the status is then 124, as that of ``timeout(1)``.
    ``variables`` are added to the environment. Raises ``ToolError``.
    """
    pipes = {"stdin": stdin or subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with managed_process(command, **pipes, env={**environment(), **(variables or {})}) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return subprocess.CompletedProcess(
                command, 124, b"", f"no answer within {timeout:.0f} s".encode()
            )
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_in_group(command: Sequence[str]) -> int:
    """Run a program in a process group of its own, with this process's output. Return its status.

    If a signal ends this process meanwhile (``Interrupted``), the whole group gets the same signal, as from a
    terminal. Then its end is awaited. The program tells the user.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return process.wait()
    except Interrupted as ending:
        ending.is_told = True
        number = signal.SIGTERM if ending.code == 128 + signal.SIGTERM else signal.SIGINT
        while process.poll() is None:
            with contextlib.suppress(Interrupted):  # the next signal is passed on as well
                os.killpg(process.pid, number)
                process.wait()
        raise


def last_lines(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented; "" if it cannot be read."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
