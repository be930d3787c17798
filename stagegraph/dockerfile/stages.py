"""The build stages of one Dockerfile: where each starts, what it starts from, which ones the target needs.

Pure. A *build stage* is what one FROM starts
(https://docs.docker.com/build/building/multi-stage/); a *stage* of the project is a whole Dockerfile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import DockerfileError, nearest
from ..oci.platform import NO_PLATFORM, normalized
from ..oci.reference import familiar
from .dependencies import BuildStageSummary
from .instructions import Instruction, from_names
from .triggers import trigger_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..oci.platform import OciPlatform


@dataclass
class BuildStage:
    """The instructions from one FROM to the next.

    ``base`` and ``platform`` are the words of FROM with arguments expanded; ``platform`` is "" where FROM has
    none. ``alias`` is in lower case.
    """

    index: int
    base: str
    alias: str
    platform: OciPlatform
    start: Instruction
    body: list[Instruction] = field(default_factory=list)


def split_head(
    instructions: Sequence[Instruction], name: str
) -> tuple[Sequence[Instruction], Sequence[Instruction]]:
    """Return the ARGs before the first FROM, and the rest. Raises ``DockerfileError``."""
    for index, instruction in enumerate(instructions):
        if instruction.cmd == "FROM":
            return instructions[:index], instructions[index:]
        if instruction.cmd != "ARG":
            raise instruction.error(f"{instruction.cmd} before the first FROM", "only ARG is allowed there")
    raise DockerfileError(name, "has no FROM", "start with FROM NAME or FROM scratch")


def split(instructions: Iterable[Instruction], expand: Callable[[str, Instruction, str], str]) -> BuildStages:
    """Divide instructions, of which the first is a FROM, into build stages.

    ``expand`` resolves a word of a FROM; its third argument is the word in context, for a message.
    Raises ``DockerfileError``.
    """
    stages: list[BuildStage] = []
    for instruction in instructions:
        if instruction.cmd != "FROM":
            stages[-1].body.append(instruction)
            continue
        value = instruction.value
        if len(value) not in (1, 3) or (len(value) == 3 and value[1].upper() != "AS"):
            raise instruction.error("FROM takes NAME or NAME AS ALIAS")
        base = expand(value[0], instruction, f"FROM {value[0]}")
        platform = NO_PLATFORM
        if (flag := instruction.flag("platform")) is not None:
            platform = normalized(expand(flag, instruction, f"FROM --platform={flag}"))
        alias = value[2].lower() if len(value) == 3 else ""
        stages.append(BuildStage(len(stages), base, alias, platform, instruction))
    return BuildStages(stages)


class BuildStages:
    """All build stages of one Dockerfile, in its order."""

    def __init__(self, stages: Sequence[BuildStage]) -> None:
        self._stages = stages

    def target(self, name: str) -> BuildStage:
        """Return the stage of this name, or the last one for "". Raises ``DockerfileError``."""
        if not name:
            return self._stages[-1]
        target = _named(self._stages, name)
        if target is None:
            aliases = [stage.alias for stage in self._stages if stage.alias]
            file = self._stages[0].start.file
            raise DockerfileError(file, f"has no stage {name!r}", nearest(name, aliases))
        return target

    def parent(self, stage: BuildStage) -> BuildStage | None:
        """Return the earlier stage that ``stage`` is FROM; None if it starts from an image."""
        return _named(self._stages[: stage.index], stage.base)

    def steps(self, stage: BuildStage) -> list[Instruction]:
        """Return what a stage runs: the triggers of its parent, which no later stage inherits; its body."""
        parent = self.parent(stage)
        triggers = [trigger_of(i) for i in parent.body if i.cmd == "ONBUILD"] if parent else []
        return [*triggers, *stage.body]

    def has_run(self, stage: BuildStage) -> bool:
        return any(step.cmd == "RUN" for step in self.steps(stage))

    def copied_from(self, name: str, instruction: Instruction, stage: BuildStage) -> BuildStage | None:
        """Return the stage that ``--from=name`` means in an instruction of ``stage``; None for an image.

        Raises ``DockerfileError`` for a name that BuildKit does not take.
        """
        if "$" in name:
            hint = "name it first: FROM $NAME AS alias, then from=alias"
            raise instruction.error(f"from={name}: BuildKit does not expand variables here", hint)
        if re.fullmatch(r"[+-]\d+", name, re.ASCII):
            raise instruction.error(f"from={name}: the number has a sign", "write only the digits")
        if name.isascii() and name.isdecimal():
            if instruction.cmd == "RUN":
                hint = "name the build stage with FROM ... AS NAME"
                raise instruction.error(f"from={name}: a mount cannot use a number", hint)
            if int(name) >= stage.index:
                raise instruction.error(f"from={name}: no earlier build stage has this number")
            return self._stages[int(name)]
        earlier = _named(self._stages[: stage.index], name)
        if earlier is None and _named(self._stages, name) is not None:
            raise instruction.error(f"from={name}: the build stage is defined here or later", "move it up")
        return earlier

    def reached(self, target: BuildStage) -> list[BuildStage]:
        """Return the stages that the target needs, itself included, in the order of the Dockerfile.

        Raises ``DockerfileError``.
        """
        reached: dict[int, BuildStage] = {}
        waiting = [target]
        while waiting:
            stage = waiting.pop()
            if stage.index in reached:
                continue
            reached[stage.index] = stage
            used = [self.copied_from(name, i, stage) for i in stage.body for name in from_names(i)]
            waiting += [needed for needed in (self.parent(stage), *used) if needed is not None][::-1]
        return [reached[index] for index in sorted(reached)]

    def summary(self, stage: BuildStage) -> BuildStageSummary:
        """Return the image at the bottom of a stage, its platform, and whether the stage has a RUN.

        BuildKit takes the platform of the stage that it starts from (d.platform = d.base.platform).
        """
        bottom = stage
        while (parent := self.parent(bottom)) is not None:
            bottom = parent
        return BuildStageSummary(familiar(bottom.base), bottom.platform, self.has_run(stage))


def _named(stages: Sequence[BuildStage], name: str) -> BuildStage | None:
    """Return the last stage of this name, case ignored, as BuildKit does."""
    alias = name.lower()
    for stage in reversed(stages):
        if stage.alias == alias != "":
            return stage
    return None
