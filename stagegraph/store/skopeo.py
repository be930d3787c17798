"""Calls of skopeo: what it says, sorted; tried again where that may help; ended where nothing comes.

Whose is what (containers/image, docker/docker_client.go and body_reader.go; containers/common, pkg/retry; of
2022, which Debian 12 has, and later):

- skopeo's: the protocol, logins, proxies, TLS, digests of all that it copies; after a 429 it waits as
  Retry-After says, 60 s at most, else 2, 4, 8, 16 s, and asks again, five times in all. It does so for
  requests without a body only, whatever the sum. Later ones resume a blob that is cut after its first MiB.
- ours: another call after a 429 to what has a body (a blob that is sent, a manifest), after 5xx, after a
  connection that was cut and an answer that is not what its digest says. ``--retry-times`` is not used:
  Debian 12's version takes neither most 5xx nor half answers for passing, and its waits would multiply ours.
- ours: limits. skopeo has no time-out for a silent registry, and none for the sum of its waits.

What skopeo waits for is read from its log (``--debug``). Should a version say it in other words, such a wait
is taken for silence.
"""

from __future__ import annotations

import re
import select
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from ..system.messages import UNAUTHORIZED
from ..system.processes import environment, managed_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Seconds without a sign of life after which a registry is taken to be down.
SILENCE_TIMEOUT = 5.0

#: Seconds that one call may wait in all because the registry asks for it or stumbles.
MAX_WAIT = 60.0

#: How often a call is made; between two of them 1, 2, 4 seconds.
MAX_ATTEMPTS = 4

#: Seconds in which no byte of a copy may move while the registry answers others: it may take in a large blob.
STALL_TIMEOUT = 300.0

#: Bytes that a process moves while it only waits: its runtime's own.
IDLE_BYTES = 16384

#: "again": may pass. "down": cannot be reached. "silent": nothing comes. "later": asks for too long a wait.
Kind = Literal["ok", "absent", "login", "refused", "again", "down", "silent", "later"]


class SkopeoResult(NamedTuple):
    """How a call ended; ``message`` is what was said where that is not "ok"."""

    kind: Kind
    output: bytes = b""
    message: str = ""


# Status codes as words of their own: what skopeo says also quotes the tag, which holds a key. The first match
# counts; what matches nothing is tried again.
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"\b50[0234] (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)", "again"),
    (r"executable file not found|error getting credentials", "refused"),  # a helper for logins
    (r"open \S+: (permission denied|no such file)", "refused"),  # a file here
    (r"unauthorized: ", "login"),  # whatever it is that was "not found"
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

# It tries other formats, which the digest rules out, and then speaks of these only.
_REASON = re.compile(rb'Upload of manifest[^\n]* failed: ([^\n]*?)"?$', re.MULTILINE)

_AFTER = re.compile(rb"Retry-After' header \\?\"(\d+)")

_SLEEPS = re.compile(rb"Too many requests to .*: sleeping for (\d+)")


def kind_of(message: str, reference: str = "") -> Kind:
    """What skopeo's message about a failure comes to; ``reference`` is what was asked for: it is quoted."""
    host, _, path = reference.partition("/")
    name, _, tag = path.partition("@") if "@" in path else path.partition(":")
    for part in filter(None, (reference, f"{host}/{name}", name, tag, host)):
        message = re.sub(rf"(?<![\w.-]){re.escape(part)}(?![\w-])", "", message)
    for pattern, kind in _KINDS:
        if re.search(pattern, message, re.IGNORECASE):
            return kind
    return "again"


class WaitBudget:
    """What one call has waited for the registry so far, and may still (seconds)."""

    def __init__(self, total: float = MAX_WAIT) -> None:
        self.left = total
        self.until = 0.0  # end of the wait that skopeo has announced

    def take(self, seconds: float) -> bool:
        """Begin a wait, unless it is too long; several at once count as one."""
        now = time.monotonic()
        end = now + seconds
        if end > self.until:
            self.left -= end - max(now, self.until)
            self.until = end
        return self.left >= 0


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    alive: Callable[[], bool] | None = None,
    patient: Callable[[], bool] = lambda: False,
) -> SkopeoResult:
    """Call skopeo until it succeeds, cannot, or has been tried often enough. Raises ``ToolError``.

    ``alive`` asks whether the registry answers others while nothing moves here; without it silence is enough.
    ``patient``: whether one that cannot be reached is tried again, and one that says nothing once more.
    """
    waits = WaitBudget()
    for attempt in range(MAX_ATTEMPTS):
        answer = _attempt(command, env or {}, waits, alive)
        silent = answer.kind == "silent" and alive is None and attempt == 0  # who is alive was asked already
        may_pass = answer.kind == "again" or ((answer.kind == "down" or silent) and patient())
        if not may_pass or attempt == MAX_ATTEMPTS - 1 or not waits.take(2**attempt):
            break
        time.sleep(2**attempt)
    return answer


def _attempt(
    command: Sequence[str], env: Mapping[str, str], waits: WaitBudget, alive: Callable[[], bool] | None
) -> SkopeoResult:
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": {**environment(), **env}}
    with tempfile.TemporaryFile() as out:
        with managed_process(["skopeo", "--debug", *command], stdout=out, **options) as process:
            assert process.stderr is not None
            with process.stderr:
                said, ended = _watch(process, process.stderr, waits, alive)
            if ended is not None:
                return ended
            status = process.wait()
        out.seek(0)
        if status == 0:
            return SkopeoResult("ok", out.read())
    if reasons := _REASON.findall(said):
        said = reasons[0]
    message = said.decode(errors="replace").strip()
    asked = next((word for word in command if word.startswith("docker://")), "")
    return SkopeoResult(
        kind_of(message, asked.removeprefix("docker://")),
        message=message or f"skopeo ended with status {status}",
    )


def _watch(
    process: subprocess.Popen[bytes], pipe: IO[bytes], waits: WaitBudget, alive: Callable[[], bool] | None
) -> tuple[bytes, SkopeoResult | None]:
    """What skopeo says until it ends, without its log; or why it is not waited for any longer."""
    rest, said, moved, count = b"", b"", 0, 0
    since = asked = time.monotonic()
    while True:
        readable, _, _ = select.select([pipe], [], [], 0.5)
        now = time.monotonic()
        if readable:
            chunk = pipe.read1(65536)  # type: ignore[attr-defined]
            if not chunk:
                return said + rest, None
            *lines, rest = (rest + chunk).split(b"\n")
            said += b"".join(line + b"\n" for line in lines if _is_message(line))
            if (ended := _track_backoff(lines, waits)) is not None:
                return said, ended
            since = asked = now
        elif now < waits.until or (alive and (count := _io_bytes(process.pid)) - moved > IDLE_BYTES):
            moved, since, asked = count, now, now
        elif now - asked >= SILENCE_TIMEOUT:
            if alive is None or not alive():
                return said, SkopeoResult("silent", message=f"no answer within {SILENCE_TIMEOUT:.0f} s")
            if now - since >= STALL_TIMEOUT:
                return said, SkopeoResult("again", message=f"nothing moved for {STALL_TIMEOUT:.0f} s")
            asked = time.monotonic()


def _is_message(line: bytes) -> bool:
    """Whether a line is for people, or says why something failed."""
    return not _QUIET.match(line) or bool(_REASON.search(line))


def _track_backoff(lines: Sequence[bytes], waits: WaitBudget) -> SkopeoResult | None:
    """Count the waits that skopeo says it makes; an answer where they come to more than is waited."""
    for line in lines:
        if (after := _AFTER.search(line)) and int(after[1]) > MAX_WAIT:
            what = (
                f"it wants to be asked again in {int(after[1])} s; more than {MAX_WAIT:.0f} s is not waited"
            )
            return SkopeoResult("later", message=f"too many requests: {what}")
        if (sleeps := _SLEEPS.search(line)) and not waits.take(float(sleeps[1])):
            what = f"it made us wait for more than {MAX_WAIT:.0f} s in all"
            return SkopeoResult("later", message=f"too many requests: {what}")
    return None


def _io_bytes(pid: int) -> int:
    """Bytes that a process has read and written, sockets included; 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/io").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines()[:2])
    return 0
