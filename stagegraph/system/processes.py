"""Calls of other programs. A missing program is a clear error, and no process outlives this program."""

from __future__ import annotations

import atexit
import contextlib
import errno
import math
import os
import select
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from ..errors import OutOfMemoryError, ProjectError, ToolError
from ..output import tell
from ..waits.waiting import patience, waiting_for
from . import bounded
from .early import end_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_HINTS = {
    "dot": "apt-get install graphviz (brew install graphviz); it draws the picture",
    "docker": "install Docker: doit doctor has the command",
    "skopeo": "apt-get install skopeo (brew install skopeo); it moves images between cache/ and a registry",
}

#: What to do about a program that does not answer.
_ADVICE = {
    "docker": "is the engine stopped? doit doctor asks it",
    "git": "does another git use the repository?",
}

#: Seconds that a child has to end after SIGTERM. Then it gets SIGKILL, and as long again.
_GRACE = 10

#: Seconds that a call may take which names no other limit.
LONGEST = 3600.0

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
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel waits for a disk that is gone
                process.wait(_GRACE)


class Interrupted(SystemExit):
    """A signal ends this process. ``is_told``: somebody has said so already."""

    is_told = False

    def tell(self) -> None:
        """Tell the user about SIGINT, once. A handler cannot: its print could interrupt another one."""
        if self.code == 128 + signal.SIGINT and not self.is_told:
            tell("interrupted")
        self.is_told = True


def install_signal_handlers() -> None:
    """Let SIGTERM and SIGINT raise ``Interrupted``: status 143 or 130, without a traceback.

    Handlers that somebody else installed stay. Call this from the main thread.
    """
    ours = ((signal.SIGTERM, (signal.SIG_DFL,)), (signal.SIGINT, (signal.default_int_handler, end_quietly)))
    for number, before in ours:
        if signal.getsignal(number) in before:
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

    ``options`` are those of ``subprocess.Popen``. Raises ``ToolError`` for a program that does not start,
    ``OutOfMemoryError`` without memory or processes for it, ``ProjectError`` for a command line that is too
    long.
    """
    with _starting:
        if _is_over:  # only a daemon thread comes here; it ends with the process
            raise SystemExit(1)
        try:
            process = subprocess.Popen(command, **options)
        except OSError as error:
            raise _not_started(command, error) from None
        _running.add(process)
    try:
        yield process
    finally:
        _end([process])
        _running.discard(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _not_started(command: Sequence[str], error: OSError) -> Exception:
    """The error for a program that does not start: what the caller's own files have nothing to do with."""
    name = command[0]
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ToolError(name, "is not installed", _HINTS.get(name, ""))
    if isinstance(error, PermissionError) or error.errno == errno.ENOEXEC:
        what = f"is on the PATH, but cannot be started: {error.strerror}"
        return ToolError(name, what, "see which file it is (command -v), and install it again")
    if error.errno == errno.E2BIG:
        longest = max(command, key=len)
        words = "=".join(longest.split("=", 2)[:2])
        what = f"its command line is longer than this system allows; {words[:60]} has {len(longest)} bytes"
        return ProjectError(name, what, "shorten it: let a step read long text from a file of its context")
    what = f"cannot be started: {error.strerror}"
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return OutOfMemoryError(name, what, "see ulimit -u and ulimit -v")
    return ToolError(name, what)


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
        if len(rest) > bounded.MAX_LINE:  # no line: pass it on as it is
            yield rest
            rest = b""
    if rest:
        yield rest


def run(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    timeout: float = LONGEST,
    variables: Mapping[str, str] | None = None,
    name: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and capture its output. The caller checks the status.

    After ``timeout`` seconds, times the user's patience, the program is killed; the status is then 124, as
    that of ``timeout(1)``. ``variables`` are added to the environment. ``name`` is for those who wait; the
    default is the words of the command before its first option. Raises ``ToolError``.
    """
    limit = timeout * patience()
    pipes = {"stdin": stdin or subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    waits_for = _waits_for(name or _words(command), command[0], limit)
    with (
        managed_process(command, **pipes, env={**environment(), **(variables or {})}) as process,
        waiting_for(waits_for),
    ):
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            return subprocess.CompletedProcess(command, 124, b"", f"no answer within {limit:.0f} s".encode())
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _words(command: Sequence[str]) -> str:
    first = next((place for place, word in enumerate(command) if word.startswith("-")), len(command))
    return " ".join(command[:first])


def _waits_for(name: str, program: str, limit: float) -> str:
    advice = _ADVICE.get(program, "")
    return f"{name}, at most {limit:.0f} s{': ' if advice else ''}{advice}"


def end_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that has closed its output; return its status. Raises ``ToolError``."""
    limit = LONGEST * patience()
    program = str(process.args[0])  # type: ignore[index]
    with waiting_for(f"the end of {program}, process {process.pid}, which has closed its output"):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            what = f"closed its output, but did not end within {limit:.0f} s"
            raise ToolError(program, what) from None


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
