"""Calls of skopeo: its errors by kind, retries, and time limits.

Who does what (containers/image, docker/docker_client.go and body_reader.go; containers/common, pkg/retry; of
2022, which Debian 12 has, and later):

- skopeo: the protocol, logins, proxies, TLS, digests of everything that it copies. After a 429 it waits for
  Retry-After, at most 60 s, or else 2, 4, 8, 16 s, and tries again, five times in all. It does so only for
  requests without a body, and does not limit the sum. Later versions resume a blob that is cut after its
  first MiB.
- this module: another call after a 429 to a request with a body (a blob or a manifest that is sent), after
  a 5xx, after a connection that was cut, and after an answer with another digest. It does not use
  ``--retry-times``: Debian 12's version does not retry most 5xx and half answers, and its waits would
  multiply ours.
- this module: limits. skopeo has no time-out for a silent registry, and none for the sum of its waits. It
  writes a blob to the disk as long as the registry sends, and compares the size afterwards.

skopeo's log (``--debug``) tells when it waits. If a version says so in other words, the wait counts as
silence.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from ..oci.reference import split
from ..system.bounded import MAX_ANSWER, MAX_MESSAGES, shown
from ..system.messages import UNAUTHORIZED
from ..system.processes import end_of, environment, managed_process
from ..waits.waiting import patience, waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..waits.waiting import Wait

#: The following times are multiplied by the user's patience, except the registry's own.

#: Seconds of silence after which a registry counts as down.
SILENCE_TIMEOUT = 5.0

#: Seconds that one call may wait in all, at the registry's request or after temporary failures.
MAX_WAIT = 60.0

#: How many attempts a call has; the waits between them are 1, 2, 4 seconds.
MAX_ATTEMPTS = 4

#: Seconds without a moved byte after which a copy has failed, though the registry answers other requests.
#: Long, since the registry may be storing a large blob.
STALL_TIMEOUT = 300.0

#: Bytes that a waiting process moves: its runtime reads and writes a little.
IDLE_BYTES = 16384

#: "again": a temporary failure. "down": unreachable. "silent": no answer in time. "later": the registry asks
#: for too long a wait.
Kind = Literal["ok", "absent", "login", "refused", "again", "down", "silent", "later"]


class SkopeoResult(NamedTuple):
    """How a call ended; ``message`` says why, if not "ok"."""

    kind: Kind
    output: bytes = b""
    message: str = ""


# Status codes must be words of their own: messages also quote the tag, which has a key. The first match
# counts. Other messages are temporary failures.
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"\b50[0234] (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)", "again"),
    (r"executable file not found|error getting credentials", "refused"),  # a helper for logins
    (r"open \S+: (permission denied|no such file)", "refused"),  # a file here
    (r"unauthorized: ", "login"),  # also if it says that something was "not found"
    (r"manifest unknown|not found|name unknown|\b404\b|repository name not known", "absent"),
    (rf"{UNAUTHORIZED}|\b40[13]\b|denied", "login"),
    (r"connection refused|no such host|no route to host|network is unreachable|dial tcp", "down"),
    (
        r"manifest invalid|unsupported|stopped after \d+ redirects|x509|HTTP response to HTTPS client"
        r"|no space left|(?:status:|status code from registry|StatusCode:) 4(?!08|29)\d\d",
        "refused",
    ),
)

_QUIET = re.compile(rb"^time=\S+ level=(?:debug|info|trace) ")

# The reason of a failed upload. skopeo then tries other formats, which the digest rules out, and its last
# message is only about those.
_REASON = re.compile(rb"^(?>[^\n]*?Upload of manifest)[^\n]* failed: ([^\n]*)$", re.MULTILINE)

_AFTER = re.compile(rb"Retry-After' header \\?\"(\d+)")

_SLEEPS = re.compile(rb"Too many requests to .*: sleeping for (\d+)")


def kind_of(message: str, reference: str = "") -> Kind:
    """Classify skopeo's message about a failure. The message quotes ``reference``, that of the call."""
    repository, tag, digest = split(reference)
    host, _, path = repository.partition("/")
    for part in filter(None, (reference, repository, path, tag, digest, host)):
        message = re.sub(rf"(?<![\w.-]){re.escape(part)}(?![\w-])", "", message)
    for pattern, kind in _KINDS:
        if re.search(pattern, message, re.IGNORECASE):
            return kind
    return "again"


class WaitBudget:
    """How long one call may still wait for the registry: ``left``, in seconds."""

    def __init__(self, total: float | None = None) -> None:
        """``total`` is by default ``MAX_WAIT``, times the user's patience."""
        self.total = MAX_WAIT * patience() if total is None else total
        self.left = self.total
        self.until = 0.0  # the end of the wait that skopeo has announced

    def take(self, seconds: float) -> bool:
        """Start a wait; return whether the budget allows it. Waits at the same time count once."""
        now = time.monotonic()
        end = now + seconds
        if end > self.until:
            self.left -= end - max(now, self.until)
            self.until = end
        return self.left >= 0

    def what(self, host: str) -> str:
        """What the call waits for now."""
        if (seconds := self.until - time.monotonic()) > 0:
            return f"registry {host}, which asks for {seconds:.0f} s more (too many requests)"
        return f"registry {host}, which sends nothing"


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    alive: Callable[[], bool] | None = None,
    patient: Callable[[], bool] = lambda: False,
    excess: Callable[[], str] = lambda: "",
) -> SkopeoResult:
    """Call skopeo until it succeeds, cannot succeed, or has used its attempts. Raises ``ToolError``.

    ``alive`` tells whether the registry answers other requests while this one is silent. Without it, silence
    ends the call. ``patient`` tells whether to retry if the registry is unreachable, and once if it is
    silent. ``excess`` tells what has become larger than it may be, "" for nothing; that ends the call, too.
    """
    waits, host = WaitBudget(), split(_reference(command)).repository.partition("/")[0]
    with waiting_for(lambda: waits.what(host)) as wait:
        for attempt in range(MAX_ATTEMPTS):
            answer = _attempt(command, env or {}, waits, alive, excess, wait)
            silent = answer.kind == "silent" and alive is None and attempt == 0  # alive() was called already
            temporary = answer.kind == "again" or ((answer.kind == "down" or silent) and patient())
            if not temporary or attempt == MAX_ATTEMPTS - 1 or not waits.take(2**attempt):
                break
            time.sleep(2**attempt)
    return answer


def _reference(command: Sequence[str]) -> str:
    """The reference that a command names, "" for none."""
    word = next((word for word in command if word.startswith("docker://")), "")
    return word.removeprefix("docker://")


def _attempt(
    command: Sequence[str],
    env: Mapping[str, str],
    waits: WaitBudget,
    alive: Callable[[], bool] | None,
    excess: Callable[[], str],
    wait: Wait,
) -> SkopeoResult:
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": {**environment(), **env}}
    with tempfile.TemporaryFile() as out:
        with managed_process(["skopeo", "--debug", *command], stdout=out, **options) as process:
            assert process.stderr is not None
            with process.stderr:
                size = partial(_excess_of_answer, out, excess)
                text, failure = _watch(process, process.stderr, waits, alive, size, wait)
            if failure is not None:
                return failure
            status = end_of(process)
        if status == 0 and (much := _excess_of_answer(out, excess)):
            return SkopeoResult("refused", message=much)
        out.seek(0)
        if status == 0:
            return SkopeoResult("ok", out.read())
    if reasons := _REASON.findall(text):
        text = reasons[0].removesuffix(b'"')
    message = text.decode(errors="replace").strip()
    kind = kind_of(message, _reference(command))
    return SkopeoResult(kind, message=message or f"skopeo ended with status {status}")


def _watch(
    process: subprocess.Popen[bytes],
    pipe: IO[bytes],
    waits: WaitBudget,
    alive: Callable[[], bool] | None,
    excess: Callable[[], str],
    wait: Wait,
) -> tuple[bytes, SkopeoResult | None]:
    """Read skopeo's messages to its end; return them without its log. Or return why it must not go on."""
    rest, text, moved, count = b"", b"", 0, 0
    silence, stall = SILENCE_TIMEOUT * patience(), STALL_TIMEOUT * patience()
    since = checked = measured = time.monotonic()
    while True:
        readable, _, _ = select.select([pipe], [], [], 0.5)
        now = time.monotonic()
        if now >= measured + 0.2 and (much := excess()):
            process.kill()  # it ends at once, and writes nothing more
            return text, SkopeoResult("refused", message=much)
        measured = now if now >= measured + 0.2 else measured
        if readable:
            if not (chunk := pipe.read1(65536)):  # type: ignore[attr-defined]
                return text + rest, None
            *lines, rest = (rest + chunk).split(b"\n")
            text += b"".join(line + b"\n" for line in lines if _is_message(line))
            text, rest = text[-MAX_MESSAGES:], rest[-MAX_MESSAGES:]
            if (failure := _track_backoff(lines, waits)) is not None:
                return text, failure
            since = checked = now
            wait.heard()
        elif now < waits.until:
            since = checked = now
        elif alive and (count := _io_bytes(process.pid)) - moved > IDLE_BYTES:
            moved, since, checked = count, now, now
            wait.heard()
        elif now - checked >= silence:
            if alive is None or not alive():
                return text, SkopeoResult("silent", message=f"no answer within {silence:.0f} s")
            if now - since >= stall:
                return text, SkopeoResult("again", message=f"nothing moved for {stall:.0f} s")
            checked = time.monotonic()


def _excess_of_answer(out: IO[bytes], excess: Callable[[], str]) -> str:
    """Return what has become too large: the answer itself, or what ``excess`` tells."""
    if os.fstat(out.fileno()).st_size > MAX_ANSWER:
        return f"the registry's answer is larger than {shown(MAX_ANSWER)}, the limit here"
    return excess()


def _is_message(line: bytes) -> bool:
    """Return whether a line is a message, or a line of the log that says why something failed."""
    return not _QUIET.match(line) or bool(_REASON.search(line))


def _track_backoff(lines: Sequence[bytes], waits: WaitBudget) -> SkopeoResult | None:
    """Count the waits that skopeo announces. Return a failure if they are longer than the budget."""
    for line in lines:
        if (after := _AFTER.search(line)) and int(after[1]) > waits.total:
            limit = f"the limit is {waits.total:.0f} s"
            what = f"the registry asked to wait {int(after[1])} s (Retry-After); {limit}"
            return SkopeoResult("later", message=f"too many requests: {what}")
        if (sleeps := _SLEEPS.search(line)) and not waits.take(float(sleeps[1])):
            what = f"the registry asked to wait more than {waits.total:.0f} s in all"
            return SkopeoResult("later", message=f"too many requests: {what}")
    return None


def _io_bytes(pid: int) -> int:
    """Bytes that a process has read and written, sockets included; 0 where the system does not say."""
    with suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/io").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines()[:2])
    return 0
