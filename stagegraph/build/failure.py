"""A failed buildx call -> the error that says where, what, and what to try."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import (
    BuildError,
    DiskFullError,
    DockerfileError,
    EmulationError,
    EngineError,
    LoginError,
    LostCacheError,
    NetworkError,
    OutOfMemoryError,
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

#: How messages begin that are of the front end itself, not of a step that it asked for (BuildKit,
#: frontend/dockerfile/builder/build.go; buildx, build/build.go).
#: Newer builders only give its exit status; of a step, other words stand before that.
_OF_FRONTEND = re.compile(
    r"failed with build-arg:BUILDKIT_SYNTAX = |current frontend does not support |exit code: \d+$"
    r"|frontend grpc server closed unexpectedly"
)


class _Cause(NamedTuple):
    """What to look for. ``printed``: also in what the failing step printed, not only in what is said of it.

    A step may print anything: its shell's "unexpected EOF" is no engine that went away.
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
        "the system killed a process for memory: give the engine more, or lower the number of parallel jobs "
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
        # the last two are buildx's own words for a builder that it waits for in vain
        r"code = Unavailable|transport is closing|error reading from server: EOF|listing workers for Build"
        r"|unexpected EOF|graceful_stop|no active session|^context deadline exceeded|no valid drivers found",
        EngineError,
        "the engine or builder went away during the build; run again when it is up",
        printed=False,
    ),
    _Cause(
        r"invalid progress mode",
        ToolError,
        "docker buildx 0.13 or later is needed",
        printed=False,
    ),
    _Cause(
        r"no builder .* found",
        EngineError,
        "docker buildx ls lists the builders that there are",
        printed=False,
    ),
    _Cause(
        # BuildKit can hand on a step of a build that was just cancelled after its files are gone.
        r"snapshot \S+ does not exist: not found",
        LostCacheError,
        "the builder lost a layer of its own cache; empty that (docker builder prune) and run again",
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
        "a proxy with its own certificate authority? RUN --mount=type=secret,id=ca,target=/run/ca.crt hands "
        "the machine's bundle (SSL_CERT_FILE) to the step without leaving it in a layer",
        printed=True,
    ),
    _Cause(
        r"Temporary failure (in name resolution|resolving)|Could not resolve|no such host"
        r"|Name or service not known|Network is unreachable|i/o timeout|TLS handshake timeout"
        r"|Failed to fetch(?!.* 404 )|Unable to connect to",
        NetworkError,
        "the step found no network: check the connection, DNS "
        "(docker run --rm IMAGE getent hosts NAME), and proxies; "
        "a step with network=none has none on purpose",
        printed=True,
    ),
    _Cause(
        r"Failed to fetch.* 404 ",
        BuildError,
        "the archive has that file no longer: where it is pinned, pin what the archive has now",
        printed=True,
    ),
    _Cause(
        r"failed to resolve source metadata|failed to do request|unexpected status from",
        RegistryError,
        "is the registry up, and the name right?",
        printed=False,
    ),
)


def explain(spec: NodeSpec, tracker: Tracker, log: Path, status: int, builder: str = "") -> StagegraphError:
    """The error for a buildx call that ended with ``status``; ``builder`` was named for it, or none."""
    printed = tracker.output[-LAST_LINES:] or [line for line in tracker.all if line.strip()][-LAST_LINES:]
    said = "\n".join([tracker.message, *(() if tracker.failed else tracker.said)])
    output = "\n".join(tracker.output)
    kind, hint = cause(output, said)
    line = _line(spec, tracker)
    if spec.frontend and _OF_FRONTEND.match(tracker.message):
        line = line or 1
        reader = f"{spec.frontend.reference} reads this Dockerfile, as its # syntax= line says"
        own = 'or let the builder\'s own front end read it: frontend = "builder"'
        if kind is BuildError:
            kind, hint = DockerfileError, "is it a front end, and one that knows named contexts?"
        hint = f"{reader}; {hint}\n  {own}"
    where = f"{spec.node}: {spec.dockerfile}:{line}" if line else str(spec.node)
    what = _what(tracker, status)
    if builder and issubclass(kind, EngineError | EmulationError):
        what = f"on builder {builder}, for {spec.platform.docker}: {what}"
        hint = f"{hint}\n  docker buildx inspect {builder} says how it is and what it runs"
    quoted = "\n".join(f"    {text}" for text in printed)
    return kind(where, f"{what}\n{quoted}", f"{hint}\n  full log: {log}")


def cause(printed: str, said: str = "") -> tuple[type[StagegraphError], str]:
    """The kind of error and the advice for what a step printed and the builder said."""
    for one in _CAUSES:
        if re.search(one.pattern, f"{said}\n{printed}" if one.printed else said, re.IGNORECASE):
            return one.error, one.advice
    return BuildError, "fix the step and run again: what is finished is kept"


def too_late(spec: NodeSpec, tracker: Tracker, log: Path) -> BuildError:
    """The error for a build that was ended because it took too long."""
    last = [line for line in tracker.all if line.strip()][-LAST_LINES:]
    quoted = "\n".join(f"    {text}" for text in last)
    return BuildError(
        str(spec.node),
        f"was ended after {spec.config.timeout} s, its time limit, at: {tracker.current}\n{quoted}",
        f"the limit stands at {spec.config.declared_at}\n  full log: {log}",
    )


def _what(tracker: Tracker, status: int) -> str:
    code = re.search(r"exit code: (\d+)", tracker.message)
    step = re.sub(r"^\[[^\]]*\] ?", "", tracker.step)
    if step and code:
        return f"exit code {code[1]} from: {step}"
    if step:
        return f"{tracker.message or 'failed'} at: {step}"
    return tracker.message or f"buildx ended with status {status}"


def _line(spec: NodeSpec, tracker: Tracker) -> int:
    """Line of the failing instruction: as buildx says it, or by its text."""
    if tracker.line:
        return tracker.line
    step = " ".join(re.sub(r"^\[[^\]]*\] ?", "", tracker.step).split())
    for instruction in spec.analysis.instructions:
        if step and " ".join(str(instruction).split()).startswith(step.rstrip(".")):
            return instruction.line
    return 0
