"""A Dockerfile up to one of its steps, and what that step would run.

Pure. A build of this text gives the place where the step stood: its inputs are those of the whole Dockerfile,
so the builder has its layers.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, NamedTuple

from .analysis import BuildOptions, variables_at_end
from .instructions import Instruction, mounts, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..oci.platform import OciPlatform

#: The shell of a RUN without SHELL (https://docs.docker.com/reference/dockerfile/#shell).
_SHELL: tuple[str, ...] = ("/bin/sh", "-c")


class Partial(NamedTuple):
    """A Dockerfile that ends before ``step``.

    - ``text``: the lines before the step. Files that the step mounts (type bind) are copied at the end.
    - ``target``: the name of its last build stage, "" for none.
    - ``shell``: the words that run a RUN in shell form there.
    - ``arguments``: the known arguments (ARG) that the step sees. ``unknown`` are names of others.
    - ``mounts``: the step's mounts, with variables resolved where their values are known.
    """

    text: str
    step: Instruction
    target: str
    shell: tuple[str, ...]
    arguments: Mapping[str, str]
    unknown: tuple[str, ...]
    mounts: tuple[Mapping[str, str], ...]

    @property
    def script(self) -> str:
        """A script that repeats the step; "" if the step is no RUN."""
        return _script(self.step, self.shell) if self.step.cmd == "RUN" else ""


def before(text: str, step: Instruction, docker: OciPlatform, args: Mapping[str, str]) -> Partial:
    """Return the Dockerfile ``text`` up to an instruction of it, which is no FROM.

    ``docker`` is the OCI platform of the build, ``args`` are the build arguments that it sends.
    """
    lines = text.split("\n")[: step.line - 1]
    options = BuildOptions(docker, docker, tuple(args.items()), allow_unpinned=True)
    scope, resolve = variables_at_end("\n".join(lines), step.file, options)
    earlier = parse("\n".join(lines), step.file)[0]
    resolved = [{key: resolve(word, step) or word for key, word in mount.items()} for mount in mounts(step)]
    own = scope.values.keys() - scope.environment.keys()
    return Partial(
        text="\n".join([*lines, *_copies(step), ""]),
        step=step,
        target=[_alias(i) for i in earlier if i.cmd == "FROM"][-1],
        shell=_shell(earlier),
        arguments={name: scope.values[name] for name in sorted(own)},
        unknown=tuple(sorted(scope.unknown - scope.environment.keys() - {"PATH"})),
        mounts=tuple(resolved),
    )


def _shell(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the shell at the end of the instructions: a build stage inherits that of the one below."""
    shells: dict[str, tuple[str, ...]] = {}  # by the name of the build stage
    shell, name = _SHELL, ""
    for instruction in instructions:
        if instruction.cmd == "FROM":
            shells[name] = shell
            shell, name = shells.get(instruction.value[0].lower(), _SHELL), _alias(instruction)
        elif instruction.cmd == "SHELL":
            shell = instruction.value
    return shell


def _alias(start: Instruction) -> str:
    """Return the name of a build stage in lower case, "" for none."""
    return start.value[2].lower() if len(start.value) == 3 else ""


def _copies(step: Instruction) -> Iterator[str]:
    """COPY instructions for what the step mounts of build stages, images and the context."""
    for mount in mounts(step):
        if mount.get("type", "bind").lower() == "bind":
            place = mount.get("from", "")
            source = mount.get("source") or ("/" if place else ".")
            target = mount.get("target", "").rstrip("/") or "/"
            flag = f" --from={place}" if place else ""
            yield f"COPY{flag} {json.dumps([source, target])}"


def _script(run: Instruction, shell: Sequence[str]) -> str:
    if run.canonical[2]:  # the exec form
        return f"#!/bin/sh\nexec {shlex.join(run.value)}\n"
    command = run.value[0] if run.value else ""
    if run.heredocs:
        ((name, _, content), *others) = run.heredocs
        alone = not others and command.lstrip("<-'\"").rstrip("'\"") == name
        if alone and content.startswith("#!"):
            return content
        command = (
            content if alone else "\n".join([command, *(f"{text}{word}" for word, _, text in run.heredocs)])
        )
    if tuple(shell) == _SHELL:
        return f"#!/bin/sh\n{command.rstrip()}\n"
    return f"#!/bin/sh\nexec {shlex.join([*shell, command.rstrip()])}\n"
