"""Stacks: an image as a list of stages, each of which is ``FROM ${BASE_IMAGE}``, the stage before.

Pure. A stage on each parent becomes a stage of its own (``stock--opengl``): on two parents it becomes two.
Images that share a beginning share these stages.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from .model import Stage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

#: The argument that gives a stacked stage its parent.
ARGUMENT = "BASE_IMAGE"


def name(stack: Sequence[str]) -> str:
    """Return the name of the stage that a stack becomes: ``stock--opengl--vnc``."""
    return "--".join(stack)


def prefixes(stack: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The beginnings of a stack that are stacks themselves: of two stages or more, the stack included."""
    return (prefix for prefix in accumulate((stage,) for stage in stack) if len(prefix) > 1)


def expand(
    stages: Mapping[str, Stage], stacks: Iterable[tuple[Sequence[str], Iterable[str]]]
) -> dict[str, Stage]:
    """Return ``stages`` with the stages that stacks become, instead of those that are stacked.

    A stack comes with the platforms of its image. A stage of it has the platforms of all images that need it.
    """
    platforms: dict[tuple[str, ...], set[str]] = {}
    stacked: set[str] = set()
    for stack, names in stacks:
        stacked |= {*stack[1:]}
        for prefix in prefixes(stack):
            platforms.setdefault(prefix, set()).update(names)
    expanded = {stage.name: stage for stage in stages.values() if stage.name not in stacked}
    for prefix, wanted in platforms.items():
        expanded[name(prefix)] = _stacked(stages[prefix[-1]], prefix, wanted)
    return expanded


def standing(stages: Iterable[Stage], stage: str) -> list[str]:
    """Return the names of the stages that ``stage`` becomes on its parents."""
    return [each.name for each in stages if each.stacked_on and each.name == name((each.stacked_on, stage))]


def _stacked(stage: Stage, stack: Sequence[str], platforms: Container[str]) -> Stage:
    """Return the stage at the top of a stack, on these platforms."""
    parent = name(stack[:-1])
    configs = {
        platform: config._replace(
            args={**config.args, ARGUMENT: parent}, own_args=config.own_args | {ARGUMENT}
        )
        for platform, config in stage.configs.items()
        if platform in platforms
    }
    return Stage(
        name(stack), f"{stage.description or stage.name}, on {parent}", configs, stage.declared_at, parent
    )
