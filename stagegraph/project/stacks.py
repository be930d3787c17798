"""Stacks: an image as a list of stages, each of which starts ``FROM ${BASE_IMAGE}`` on the one before.

A stage on a parent is a stage of its own: the same on two parents is two, on one parent it is one, whatever
images it is part of. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from .model import Stage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

#: The argument that tells a stacked stage what it stands on.
ARGUMENT = "BASE_IMAGE"


def name(stack: Sequence[str]) -> str:
    """The stage that a stack comes to: ``stock--opengl--vnc``."""
    return "--".join(stack)


def prefixes(stack: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The stacks that one is built through, from two stages on."""
    return (part for part in accumulate((stage,) for stage in stack) if len(part) > 1)


def expand(
    stages: Mapping[str, Stage], stacks: Iterable[tuple[Sequence[str], Iterable[str]]]
) -> dict[str, Stage]:
    """``stages`` with those that the stacks come to in place of those that are stacked.

    A stack comes with the platforms of its image; a stage of it is on those of all images that go through it.
    """
    platforms: dict[tuple[str, ...], set[str]] = {}
    stacked: set[str] = set()
    for stack, names in stacks:
        stacked |= {*stack[1:]}
        for part in prefixes(stack):
            platforms.setdefault(part, set()).update(names)
    made = {stage.name: stage for stage in stages.values() if stage.name not in stacked}
    for part, wanted in platforms.items():
        made[name(part)] = _on(stages[part[-1]], part, wanted)
    return made


def standing(stages: Iterable[Stage], stage: str) -> list[str]:
    """What a stacked stage comes to, on each of its parents."""
    return [made.name for made in stages if made.stacked_on and made.name == name((made.stacked_on, stage))]


def _on(stage: Stage, stack: Sequence[str], platforms: Container[str]) -> Stage:
    """A stage at the top of a stack."""
    parent = name(stack[:-1])
    recipes = {
        platform: replace(
            recipe, args={**recipe.args, ARGUMENT: parent}, own_args=recipe.own_args | {ARGUMENT}
        )
        for platform, recipe in stage.configs.items()
        if platform in platforms
    }
    return Stage(
        name(stack), f"{stage.description or stage.name}, on {parent}", recipes, stage.declared_at, parent
    )
