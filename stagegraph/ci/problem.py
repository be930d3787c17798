"""The problem of planning jobs: work units, executors, and the score of a plan. Pure.

A plan puts each unit into a bin; a bin becomes a job. The lowest score is the best: first the cost, then the
number of jobs, then the time until all jobs are done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProjectError
from ..system.text import human_time
from .model import COST, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import CIConfig, Executor, WorkUnit

#: Costs that round to the same multiple of it are equal: a thousandth of a cent.
STEP = COST // 10**5

#: The cost in such steps, the number of jobs, and the milliseconds until all jobs are done.
Score = tuple[float, int, int]

#: The score of a plan that is not possible.
IMPOSSIBLE: Score = (math.inf, 0, 0)


class Bin(NamedTuple):
    """A future job: the index of its executor, the indexes of its units, its time in milliseconds."""

    executor: int
    units: frozenset[int]
    time: int


Plan = tuple[Bin, ...]


@dataclass(frozen=True)
class Problem:
    """The work units, parents first, and the executors that can take them."""

    units: tuple[WorkUnit, ...]
    executors: tuple[Executor, ...]
    config: CIConfig

    def check(self) -> None:
        """Raise ``ProjectError`` for a unit that no executor can build within the limit of a job."""
        room = self.config.room
        for unit in self.units:
            times = [unit.times[e.name] for e in self.executors if e.name in unit.times]
            if not times:
                what = "no executor of [ci] runs the programs that it needs"
                hint = "declare an executor of its platform, or one with emulated = 0.1"
                raise ProjectError(unit.targets[0], what, hint)
            if min(times) > room:
                limit = self.config.limit
                what = (
                    f"takes {human_time(min(times) // 1000)} by itself; a job may take "
                    f"{human_time(max(room, 0) // 1000)} ({limit} minutes without setup and margin)"
                )
                hint = "split the stage, raise the limit (--limit, [ci] limit), or use a faster executor"
                raise ProjectError(unit.targets[0], what, hint)

    # -- units -----------------------------------------------------------------------------------

    @cached_property
    def times(self) -> list[list[int]]:
        """Milliseconds by unit, then executor; more than any job may take if the executor cannot build it."""
        never = self.config.planned + 1
        return [[unit.times.get(e.name, never) for e in self.executors] for unit in self.units]

    @cached_property
    def ancestors(self) -> list[frozenset[int]]:
        """For each unit: itself and all units that it is built from."""
        ancestors: list[frozenset[int]] = []
        for number, unit in enumerate(self.units):
            ancestors.append(frozenset({number}).union(*(ancestors[need] for need in unit.needs)))
        return ancestors

    @cached_property
    def dependents(self) -> list[frozenset[int]]:
        """For each unit: itself and all units that are built from it."""
        numbers = range(len(self.units))
        return [frozenset(n for n in numbers if unit in self.ancestors[n]) for unit in numbers]

    # -- bins ------------------------------------------------------------------------------------

    def bin(self, executor: int, units: Iterable[int]) -> Bin:
        units, times = frozenset(units), self.times
        setup = self.config.setup * MINUTE
        return Bin(executor, units, sum([times[unit][executor] for unit in units], setup))

    def fits(self, a_bin: Bin) -> bool:
        return a_bin.time <= self.config.planned

    # -- plans -----------------------------------------------------------------------------------

    def needs(self, plan: Plan) -> list[set[int]]:
        """For each bin: the bins with units that its own units need."""
        bin_of = [0] * len(self.units)
        for number, a_bin in enumerate(plan):
            for unit in a_bin.units:
                bin_of[unit] = number
        needs: list[set[int]] = [set() for _ in plan]
        for unit, own in enumerate(bin_of):
            needs[own].update([bin_of[need] for need in self.units[unit].needs])
        for number, needed in enumerate(needs):
            needed.discard(number)
        return needs

    def ends(self, plan: Plan) -> list[int] | None:
        """The end of each bin in milliseconds; None if two bins need each other."""
        needs, ends = self.needs(plan), [-1] * len(plan)
        waiting = list(range(len(plan)))
        while waiting:
            rest = []
            for number in waiting:
                if all(ends[need] >= 0 for need in needs[number]):
                    start = max([ends[need] for need in needs[number]], default=0)
                    ends[number] = start + plan[number].time
                else:
                    rest.append(number)
            if len(rest) == len(waiting):
                return None
            waiting = rest
        return ends

    def score(self, plan: Plan, limit: Score = IMPOSSIBLE) -> Score:
        """The score of a plan; ``IMPOSSIBLE`` also for one that costs more than ``limit``."""
        cost = sum([each.time * self.executors[each.executor].price for each in plan])
        if _steps(cost) > limit[0] or not all(map(self.fits, plan)):
            return IMPOSSIBLE
        ends = self.ends(plan)
        if ends is None:
            return IMPOSSIBLE
        time = max(ends, default=0)
        return _steps(cost + self.config.waiting * time), len(plan), time


def _steps(cost: int) -> int:
    """The nearest multiple of ``STEP``, as a number of steps."""
    return (cost + STEP // 2) // STEP
