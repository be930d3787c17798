"""A failed call of buildx -> the error that says where, what, and what to try.

The causes are recognized by the words of BuildKit, buildx and common tools; there are no codes to go by.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import (
    BuilderError,
    BuildError,
    DiskFullError,
    DockerfileError,
    EmulationError,
    EngineError,
    LoginError,
    LostCacheError,
    NetworkError,
    OutOfMemoryError,
    ProjectError,
    RegistryError,
    StagegraphError,
    ToolError,
)
from ..system.messages import DENIED, UNAUTHORIZED

if TYPE_CHECKING:
    from pathlib import Path

    from ..docker.progress import Tracker
    from ..keys.spec import NodeSpec

LAST_LINES = 20

#: The start of a message about the front end itself, not about a step (BuildKit,
#: frontend/dockerfile/builder/build.go; buildx, build/build.go). Newer builders give only the exit status of
#: the front end; the exit status of a step comes after other words.
_OF_FRONTEND = re.compile(
    r"failed with build-arg:BUILDKIT_SYNTAX = |current frontend does not support |exit code: \d+$"
    r"|frontend grpc server closed unexpectedly"
)


#: BuildKit's words for an entitlement that it does not grant.
NOT_GRANTED = r"granting entitlement (\S+) is not allowed"

#: What to do about an entitlement that a builder does not grant.
GRANT_ADVICE = (
    'the engine of this machine: write {"builder": {"entitlements": {"security-insecure": true}}}, or '
    '"network-host", into /etc/docker/daemon.json and restart it\n'
    "  another builder: docker buildx create --buildkitd-flags '--allow-insecure-entitlement NAME' ..., "
    "then builder=BUILDER"
)


class _Cause(NamedTuple):
    """A cause and the pattern that recognizes it.

    ``printed``: the pattern is also looked for in the output of the failing step, not only in the builder's
    messages. A step may print anything: an "unexpected EOF" of its shell does not mean a lost engine.
    """

    pattern: str
    error: type[StagegraphError]
    advice: str
    printed: bool


#: The first match counts.
_CAUSES = (
    _Cause(
        r"no space left on device|disk quota exceeded",
        DiskFullError,
        "free space where Docker keeps its data "
        "(docker info: Docker Root Dir; docker system df; docker builder prune)",
        printed=True,
    ),
    _Cause(
        r"exec format error",
        EmulationError,
        "this machine cannot run programs of that platform: register QEMU (doit doctor has the command)",
        printed=True,
    ),
    _Cause(
        r"exit code: 137|signal: killed|Killed signal terminated program|ResourceExhausted.*memory",
        OutOfMemoryError,
        "the system killed a process for lack of memory: give the engine more, or run fewer jobs at once "
        "(argument JOBS of the stage, doit -n 1)",
        printed=True,
    ),
    _Cause(
        r"cannot connect to the docker daemon|error during connect|connection refused.*docker\.sock",
        EngineError,
        "start Docker; doit doctor says how",
        printed=False,
    ),
    _Cause(
        # the last two are buildx's own words for a builder that did not answer in time
        r"code = Unavailable|transport is closing|error reading from server: EOF|listing workers for Build"
        r"|unexpected EOF|graceful_stop|no active session|^context deadline exceeded|no valid drivers found",
        EngineError,
        "the engine or builder went away during the build; run again when it is up",
        printed=False,
    ),
    _Cause(
        r"invalid progress mode",
        ToolError,
        "install docker buildx 0.13 or later",
        printed=False,
    ),
    _Cause(
        NOT_GRANTED,
        BuilderError,
        f"the builder does not grant what a step needs (allow of the stage)\n  {GRANT_ADVICE}",
        printed=False,
    ),
    _Cause(
        r"unable to derive the IP value for host-gateway",
        BuilderError,
        "only the builder of an engine knows host-gateway: write an address into extra_hosts, or name the "
        "engine: builder=default",
        printed=False,
    ),
    _Cause(
        r"private key is passphrase protected",
        ProjectError,
        'nobody can type the passphrase here: ssh-add the key, and write ssh = ["default"] for the stage',
        printed=False,
    ),
    _Cause(
        r"no builder .* found",
        EngineError,
        "list the builders: docker buildx ls",
        printed=False,
    ),
    _Cause(
        # BuildKit can reuse a step of a build that was just cancelled, although its files are gone.
        r"snapshot \S+ does not exist: not found",
        LostCacheError,
        "the builder lost a layer of its own cache; empty the cache (docker builder prune) and run again",
        printed=False,
    ),
    _Cause(
        f"{UNAUTHORIZED}|{DENIED}",
        LoginError,
        "docker login REGISTRY, then run again",
        printed=False,
    ),
    _Cause(
        r"certificate verify failed|x509: certificate|unable to get local issuer certificate"
        r"|self.signed certificate",
        NetworkError,
        "does a proxy use its own certificate authority? RUN --mount=type=secret,id=ca,target=/run/ca.crt "
        "gives this machine's bundle (SSL_CERT_FILE) to the step, and leaves it in no layer",
        printed=True,
    ),
    _Cause(
        r"Temporary failure (in name resolution|resolving)|Could not resolve|no such host"
        r"|Name or service not known|Network is unreachable|i/o timeout|TLS handshake timeout"
        r"|Failed to fetch(?!.* 404 )|Unable to connect to",
        NetworkError,
        "the step found no network: check the connection, DNS "
        "(docker run --rm IMAGE getent hosts NAME), and proxies; "
        "network=none turns the network off on purpose",
        printed=True,
    ),
    _Cause(
        r"Failed to fetch.* 404 ",
        BuildError,
        "the archive no longer has that file: if its version is pinned, pin the version that the archive has",
        printed=True,
    ),
    _Cause(
        r"failed to resolve source metadata|failed to do request|unexpected status from",
        RegistryError,
        "check that the registry is up and the name is right",
        printed=False,
    ),
)


#: The message of a failed RUN quotes its command, whose words are no cause.
_PROCESS = re.compile(r'process ".*?" did not complete successfully', re.DOTALL)


def explain(spec: NodeSpec, tracker: Tracker, log: Path, status: int, builder: str = "") -> StagegraphError:
    """The error for a build that ended with ``status``. ``builder`` is the builder that was named for it."""
    shown = tracker.output[-LAST_LINES:] or _last_lines(tracker)
    messages = "\n".join([tracker.message, *(() if tracker.failed else tracker.messages)])
    kind, hint = cause("\n".join(tracker.output), _PROCESS.sub("process failed", messages))
    line = _line(spec, tracker)
    if spec.frontend and _OF_FRONTEND.match(tracker.message):
        line = line or 1
        reader = f"{spec.frontend.reference} reads this Dockerfile, as its # syntax= line says"
        own = 'or let the builder\'s own front end read it: frontend = "builder"'
        if kind is BuildError:
            kind, hint = DockerfileError, "is it a front end, and does it know named contexts?"
        hint = f"{reader}; {hint}\n  {own}"
    where = f"{spec.node}: {spec.dockerfile}:{line}" if line else str(spec.node)
    what = _what(tracker, status)
    if builder and issubclass(kind, EngineError | EmulationError):
        what = f"on builder {builder}, for {spec.platform.docker}: {what}"
        hint = f"{hint}\n  see its state and what it runs: docker buildx inspect {builder}"
    return kind(where, f"{what}\n{_quoted(shown)}", f"{hint}\n  full log: {log}")


def cause(printed: str, messages: str = "") -> tuple[type[StagegraphError], str]:
    """The kind of error, and the advice, for a step's output and the builder's messages."""
    for one in _CAUSES:
        text = f"{messages}\n{printed}" if one.printed else messages
        if re.search(one.pattern, text, re.IGNORECASE):
            return one.error, one.advice
    return BuildError, "fix the step and run again: finished nodes are kept"


def timeout_error(spec: NodeSpec, tracker: Tracker, log: Path) -> BuildError:
    """The error for a build that reached its time limit."""
    return BuildError(
        str(spec.node),
        f"was ended after {spec.config.timeout} s, its time limit, at: {tracker.current}\n"
        f"{_quoted(_last_lines(tracker))}",
        f"the limit is set at {spec.config.declared_at}\n  full log: {log}",
    )


def _last_lines(tracker: Tracker) -> list[str]:
    return [line for line in tracker.all_lines if line.strip()][-LAST_LINES:]


def _quoted(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _what(tracker: Tracker, status: int) -> str:
    code = re.search(r"exit code: (\d+)", tracker.message)
    step = _without_place(tracker.step)
    if step and code:
        return f"exit code {code[1]} from: {step}"
    if step:
        return f"{tracker.message or 'failed'} at: {step}"
    return tracker.message or f"buildx ended with status {status}"


def _line(spec: NodeSpec, tracker: Tracker) -> int:
    """The line of the failing instruction: the one that buildx names, else the one with the same text."""
    if tracker.line:
        return tracker.line
    step = " ".join(_without_place(tracker.step).split())
    for instruction in spec.analysis.instructions:
        if step and " ".join(str(instruction).split()).startswith(step.rstrip(".")):
            return instruction.line
    return 0


def _without_place(step: str) -> str:
    """``RUN make`` of ``[build 3/3] RUN make``."""
    return re.sub(r"^\[[^\]]*\] ?", "", step)
