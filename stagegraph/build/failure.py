"""A failed call of buildx -> the error that says where, what, and what to try.

A failure of a step begins with the instruction, then has what the step printed. A failure of the engine, the
network or a registry begins with their message. ``causes`` tells which of the two it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..docker.client_faults import Cause
from ..docker.progress import without_place
from ..errors import (
    BuildError,
    DiskFullError,
    DockerfileError,
    EmulationError,
    EngineError,
    NetworkError,
    OutOfMemoryError,
    StagegraphError,
)
from ..host.advice import Advice
from ..oci.platform import NO_PLATFORM, family
from ..system.text import LIMIT, shortened
from .causes import EMPTY, OF_BUILDER, OF_STEP, UNKNOWN, cause, client_cause
from .log import FailedStep
from .place import Placement

if TYPE_CHECKING:
    from ..docker.progress import Tracker
    from ..dockerfile.instructions import Instruction
    from ..keys.spec import NodeSpec
    from ..oci.platform import OciPlatform

LAST_LINES = 20

#: The start of a message about the front end itself, not about a step (BuildKit,
#: frontend/dockerfile/builder/build.go; buildx, build/build.go). Newer builders give only the exit status of
#: the front end; the exit status of a step comes after other words.
_OF_FRONTEND = re.compile(
    r"failed with build-arg:BUILDKIT_SYNTAX = |current frontend does not support |exit code: \d+$"
    r"|frontend grpc server closed unexpectedly"
)

#: The message of a failed RUN quotes its command, whose words are no cause. Group 1 is what happened.
_PROCESS = re.compile(r'process "(?>.*?" did not complete successfully)(?:: (.*))?', re.DOTALL)

#: What BuildKit puts before the reason of a failed COPY or ADD; its ids mean nothing to people.
_WRAPPED = re.compile(
    r"failed to (solve|compute cache key|load cache key|calculate checksum of ref [^\s:]+::\S+|copy files): "
)

#: A file that COPY does not find (BuildKit, cache/contenthash). The second form is of a new mount.
_MISSING = re.compile(r'"(.+)": not found|lstat \S*/buildkit-mount\d+(/\S+): no such file or directory')

#: Another try does not help a step that looks for the network where it has none by intention.
_NO_NETWORK = (
    "this step looks for the network, and has none: {}\n"
    "  let it have the network, or take what it needs from the context or from another stage"
)

#: These may be the fault of a step, also if the machine or the network is behind it.
_OF_STEP = (BuildError, DiskFullError, EmulationError, NetworkError, OutOfMemoryError)


class Failure(NamedTuple):
    """A build that failed. ``log`` is its log, ``placement`` where it was built."""

    spec: NodeSpec
    tracker: Tracker
    log: str
    placement: Placement = Placement()

    @property
    def step(self) -> FailedStep:
        """The step that failed, or that ran when the build was ended; its text is "" if there is none."""
        failed = self.tracker.failure
        text = without_place(failed.name if failed else self.tracker.current)
        text = " ".join(text.split()).removeprefix("ONBUILD ")
        if self.is_trigger(text):
            start = self._last_from()
            return FailedStep(start.line, str(start), text)
        instruction = self._at(self.tracker.line) or self._like(text)
        line = self.tracker.line or (instruction.line if instruction else 0)
        if failed and not failed.instruction:  # the builder's own: [internal] load metadata
            text = ""
        return FailedStep(line, str(instruction or ""), text or str(instruction or ""))

    @property
    def network(self) -> tuple[str, str]:
        """The network of the step that failed, and what sets it: a flag, or a line of ``stages.toml``."""
        line, text, _ = self.step
        own = self._at(line) or self._like(text)
        if flag := own and own.flag("network"):
            return flag, f"RUN --network={flag}"
        config = self.spec.config
        where = config.set_at.get("network", config.declared_at)
        return config.network, f'network = "{config.network}", {where}'

    def is_trigger(self, text: str) -> bool:
        """Return whether a step is a trigger of a start image.

        The line that buildx names for it is that of the trigger alone, mostly 1.
        """
        own = self._at(self.tracker.line)
        is_own = own is not None and text.startswith(own.cmd)
        return bool(text) and self.spec.analysis.needs_all and not is_own and self._like(text) is None

    def _last_from(self) -> Instruction:
        """The FROM that brings triggers: the last one that starts from an image."""
        lines = {edge.line for edge in self.spec.analysis.edges if edge.is_from}
        return [i for i in self.spec.analysis.instructions if i.cmd == "FROM" and i.line in lines][-1]

    def _at(self, line: int) -> Instruction | None:
        return next((i for i in self.spec.analysis.instructions if i.line == line), None)

    def _like(self, text: str) -> Instruction | None:
        """The instruction with the same text: buildx names no line for some failures."""
        for instruction in self.spec.analysis.instructions:
            if text and " ".join(str(instruction).split()).startswith(text.rstrip(".")):
                return instruction
        return None


def explain(failure: Failure, status: int) -> StagegraphError:
    """The error for a build that ended with ``status``."""
    spec, tracker, step = failure.spec, failure.tracker, failure.step
    found = _cause(failure)
    line, builder = step.line, failure.placement.name
    if spec.frontend and _OF_FRONTEND.match(tracker.message):
        line, found = line or 1, _of_frontend(spec, found)
    of_step = bool(step.text) and issubclass(found.error, _OF_STEP) and not _is_pull(failure, found)
    what = (
        _of_step(failure, step)
        if of_step
        else _around(failure, step, found.what or f"buildx ended with status {status}")
    )
    hint = found.advice
    if builder and issubclass(found.error, EngineError | EmulationError):
        what = f"on builder {builder}, for {spec.platform.docker}: {what}"
        hint = hint.replace(EMPTY, f"{EMPTY} --builder={builder}")
        hint += f"\n  see its state and what it runs: docker buildx inspect {builder}"
    return found.error(_where(failure, line), what, f"{hint}\n  {pointer(failure, at_step=of_step)}")


def timeout_error(failure: Failure) -> BuildError:
    """The error for a build that reached its time limit."""
    spec, tracker = failure.spec, failure.tracker
    return BuildError(
        str(spec.node),
        f"was ended after {spec.config.timeout} s, its time limit, at: {tracker.current}\n"
        f"{_quoted([line for line in tracker.all_lines if line.strip()][-LAST_LINES:])}",
        f"the limit is set at {spec.config.declared_at}\n  {pointer(failure, at_step=True)}",
    )


def pointer(failure: Failure, *, at_step: bool) -> str:
    """The commands that show more of a failure."""
    node, config = failure.spec.node, failure.spec.config
    setting = f"{node.stage}={config.alternative} " if config.alternative else ""
    text = f"the whole log: doit {setting}logs {node} ({failure.log})"
    return f"{text}\n  a shell before this step: doit {setting}shell {node} --failed" if at_step else text


def brief(step: str) -> str:
    """A step on one line. If it is long, its mounts are left out before its command is."""
    if len(step) > LIMIT:
        step = re.sub(r"(--mount=\S+ +)+", "--mount=… ", step)
    return shortened(step)


def _where(failure: Failure, line: int) -> str:
    spec = failure.spec
    return f"{spec.node}: {spec.dockerfile}:{line}" if line else str(spec.node)


def _cause(failure: Failure) -> Cause:
    tracker = failure.tracker
    messages = "\n".join([tracker.message, *(() if tracker.failed else tracker.messages)])
    is_read = _is_read(tracker)
    if not (is_read or tracker.times or tracker.failed):
        return client_cause(messages)
    found = cause("\n".join(tracker.output), _without_command(messages))
    if found is OF_STEP and not (tracker.failure and failure.step.text) and not tracker.line:
        return UNKNOWN if is_read and not tracker.failure else OF_BUILDER
    is_run = failure.step.text.upper().startswith("RUN")
    if is_run and found.printed and found.error is NetworkError and failure.network[0] == "none":
        return OF_STEP._replace(advice=_NO_NETWORK.format(failure.network[1]))
    return _of_emulation(failure, found) if found.error is EmulationError else found


def _is_read(tracker: Tracker) -> bool:
    """Return whether the last error is that of the builder, which read the Dockerfile, and not of buildx."""
    solved = any(line.startswith("ERROR: ") and "failed to solve: " in line for line in tracker.messages)
    return solved or _OF_FRONTEND.match(tracker.message) is not None


def _of_emulation(failure: Failure, found: Cause) -> Cause:
    """The cause of an "exec format error", with the command that mends it."""
    docker, placement = failure.spec.platform.docker, failure.placement
    stages = {stage.platform or docker for stage in failure.spec.analysis.build_stages} or {docker}
    machine = placement.machine and family(placement.machine)
    foreign = sorted(each for each in stages if family(each) != machine)
    if machine and not foreign:
        what = (
            f"the file is no program for {docker}: a script needs a first line such as #!/bin/sh, "
            "a program must be built for this platform"
        )
        return found._replace(error=BuildError, advice=what)
    return found._replace(advice=_mend(foreign[0] if foreign else docker, placement))


def _mend(docker: OciPlatform, placement: Placement) -> str:
    install = f"docker run --privileged --rm tonistiigi/binfmt --install {docker.split('/')[1]}"
    if placement.machine == NO_PLATFORM or not placement.is_own:
        return f"QEMU for {docker} is missing on the builder's machine; run there: {install}"
    return f"this machine does not run programs for {docker}; register QEMU: {Advice().emulation(docker)}"


def _of_frontend(spec: NodeSpec, found: Cause) -> Cause:
    assert spec.frontend
    reader = f"{spec.frontend.reference} reads this Dockerfile, as its # syntax= line says"
    own = 'or let the builder\'s own front end read it: frontend = "builder"'
    kind, hint = found.error, found.advice
    if kind is BuildError:
        kind, hint = DockerfileError, "is it a front end, and does it know named contexts?"
    return Cause(kind, f"{reader}; {hint}\n  {own}")


def _is_pull(failure: Failure, found: Cause) -> bool:
    """Return whether a failure of the network was in a pull, and not in a process or a download of a step."""
    step = without_place(failure.tracker.step)
    return found.error is NetworkError and not step.upper().startswith(("RUN", "ADD", "ONBUILD"))


# -- texts ---------------------------------------------------------------------------------------------


def _of_step(failure: Failure, step: FailedStep) -> str:
    """The instruction, what it printed, and how it ended."""
    tracker = failure.tracker
    shown, total = tracker.output[-LAST_LINES:], tracker.failure.printed if tracker.failure else 0
    ended = _ended(failure, step) + _trigger(failure, step)
    if not shown:
        return f"{brief(step.text)}\n  {ended}"
    before = [f"... ({total - len(shown)} lines before)"] if total > len(shown) else []
    return f"{brief(step.text)}\n{_quoted([*before, *shown])}\n  {ended}"


def _process(message: str) -> re.Match[str] | None:
    """Find the message of a failed RUN. Only its first start is tried: the others are in the command."""
    return _PROCESS.match(message, start) if (start := message.find('process "')) >= 0 else None


def _without_command(messages: str) -> str:
    """Return messages without the command of a failed RUN."""
    found = _process(messages)
    return f"{messages[: found.start()]}process failed: {found[1] or ''}" if found else messages


def _ended(failure: Failure, step: FailedStep) -> str:
    message, silent = failure.tracker.message, "" if failure.tracker.output else "printed nothing and "
    if process := _process(message):
        reason = (process[1] or "").partition("\n")[0]
        if code := re.fullmatch(r"exit code: (\d+)", reason):
            return f"it {silent}ended with status {code[1]}"
        return f"it {silent}ended: {reason}" if reason else f"it {silent}failed"
    reason = _WRAPPED.sub("", message)
    if missing := _MISSING.fullmatch(reason):
        place = re.search(r"--from=(\S+)", step.text)
        return f"there is no {missing[1] or missing[2]} in {place[1] if place else 'the context'}"
    if answer := re.fullmatch(r"invalid response status (\d+)", reason):
        return f"the server answered with status {answer[1]}"
    return reason or "it failed; the builder gave no reason"


def _trigger(failure: Failure, step: FailedStep) -> str:
    """A line about the image whose trigger failed; "" if the step is no trigger."""
    if not failure.is_trigger(step.text):
        return ""
    spec = failure.spec
    nodes = [str(each.node) for each in spec.parents if each.edge.line == step.line and each.edge.is_from]
    images = [each.reference for each in spec.images if each.edge.line == step.line and each.edge.is_from]
    name = next(iter((*nodes, *images)), "the image that it is based on")
    return f"\n  it is a trigger (ONBUILD) of {name}"


def _around(failure: Failure, step: FailedStep, otherwise: str) -> str:
    """The message of an engine, a registry or a network, and the instruction that it met.

    ``otherwise`` takes the place of a message, before the last lines of the log.
    """
    tracker = failure.tracker
    if not tracker.message:
        lines = [line for line in tracker.all_lines if line.strip()][-LAST_LINES:]
        return f"{otherwise}\n{_quoted(lines)}"
    at = f"\n  at: {brief(step.text)}" if step.text else ""
    return f"{_WRAPPED.sub('', tracker.message)}{at}"


def _quoted(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
