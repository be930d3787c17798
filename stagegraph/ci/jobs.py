"""Units -> jobs: no job over the limit, cheapest first, then as few and as short as can be found. Pure.

Jobs take whole units; a job starts when all that it needs are done. What is sought is the lowest (cost,
number of jobs, time until all is done): a start by simple rules, then single moves for as long as one is
better. It finds a good plan, not always the best one.

The same plan is found everywhere. Times and costs are whole numbers. Of plans that are worth the same the one
that was found first stays, and all is tried in one order: units as they are given (what is needed comes
first), executors as ``[ci]`` declares them, jobs by their place in the plan. Where two jobs become one, it is
put at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProjectError
from ..system.text import human_time
from .model import COST, MINUTE, Job, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .model import Executor, Table, Unit

#: Rounds of moves; each is over all units. Searches end after three or four.
_ROUNDS = 12

#: Costs that round to the same multiple of it are the same: a thousandth of a cent.
_STEP = COST // 10**5

#: Cost in such steps, number of jobs, milliseconds until all is done.
Score = tuple[float, int, int]

#: Of a plan that cannot be.
_NEVER: Score = (math.inf, 0, 0)


def plan(service: str, units: Sequence[Unit], executors: Sequence[Executor], table: Table) -> Pipeline:
    """Jobs for all units. Raises ``ProjectError`` for a unit that no executor can make within the limit."""
    problem = _Problem(tuple(units), tuple(executors), table)
    problem.check()
    starts = [start for assignment in problem.assignments() for start in problem.starts(assignment)]
    best = min((problem.improved(start) for start in starts), key=problem.score)
    return Pipeline(service, tuple(problem.jobs(best)))


class _Bin(NamedTuple):
    """A job in the making: an executor's index, units' indexes, milliseconds."""

    executor: int
    units: frozenset[int]
    time: int


_Bins = tuple[_Bin, ...]


@dataclass(frozen=True)
class _Problem:
    units: tuple[Unit, ...]
    executors: tuple[Executor, ...]
    table: Table

    @cached_property
    def times(self) -> list[list[int]]:
        """By unit, then executor: milliseconds; where the executor cannot make it, more than fits."""
        never = self.table.planned + 1
        return [[unit.times.get(e.name, never) for e in self.executors] for unit in self.units]

    def check(self) -> None:
        room = self.table.room
        for unit in self.units:
            able = [unit.times[e.name] for e in self.executors if e.name in unit.times]
            if not able:
                what = "no executor of [ci] runs what it needs"
                hint = "declare one of its platform, or one with emulated = 0.1"
                raise ProjectError(unit.words[0], what, hint)
            if min(able) > room:
                what = (
                    f"takes {human_time(min(able) // 1000)} by itself, and a job may be planned with "
                    f"{human_time(max(room, 0) // 1000)} ({self.table.limit} minutes less setup and margin)"
                )
                hint = "split the stage, raise the limit (--limit, [ci] limit), or take a faster executor"
                raise ProjectError(unit.words[0], what, hint)

    # -- a plan's worth --------------------------------------------------------------------------

    def bin(self, executor: int, units: Iterable[int]) -> _Bin:
        units, times = frozenset(units), self.times
        return _Bin(
            executor, units, sum([times[unit][executor] for unit in units], self.table.setup * MINUTE)
        )

    def fits(self, a_bin: _Bin) -> bool:
        return a_bin.time <= self.table.planned

    def needs(self, bins: _Bins) -> list[set[int]]:
        """For each job the jobs whose units its own need."""
        place = [0] * len(self.units)
        for number, a_bin in enumerate(bins):
            for unit in a_bin.units:
                place[unit] = number
        needs: list[set[int]] = [set() for _ in bins]
        for unit, own in enumerate(place):
            needs[own].update([place[need] for need in self.units[unit].needs])
        for number, needed in enumerate(needs):
            needed.discard(number)
        return needs

    def ends(self, bins: _Bins) -> list[int] | None:
        """When each job is done; None where two need each other."""
        needs, ends = self.needs(bins), [-1] * len(bins)
        todo = list(range(len(bins)))
        while todo:
            rest = []
            for number in todo:
                if all(ends[need] >= 0 for need in needs[number]):
                    start = max([ends[need] for need in needs[number]], default=0)
                    ends[number] = start + bins[number].time
                else:
                    rest.append(number)
            if len(rest) == len(todo):
                return None
            todo = rest
        return ends

    def score(self, bins: _Bins, limit: Score = _NEVER) -> Score:
        """What a plan is worth; ``_NEVER`` also where it costs more than ``limit``."""
        cost = sum([each.time * self.executors[each.executor].price for each in bins])
        if _steps(cost) > limit[0] or not all(map(self.fits, bins)):
            return _NEVER
        ends = self.ends(bins)
        if ends is None:
            return _NEVER
        time = max(ends, default=0)
        return _steps(cost + self.table.waiting * time), len(bins), time

    # -- starts ----------------------------------------------------------------------------------

    def assignments(self) -> list[list[int]]:
        """Executors by unit: each where it is cheapest, and all on one where that is possible."""
        room = self.table.room
        able = [[e for e, time in enumerate(times) if time <= room] for times in self.times]

        def cost(unit: int, executor: int) -> int:
            return self.times[unit][executor] * self.executors[executor].price

        cheapest = [min(able[u], key=lambda e: (cost(u, e), e)) for u in range(len(self.units))]
        found = [cheapest]
        for executor in range(len(self.executors)):
            found.append([executor if executor in able[u] else cheapest[u] for u in range(len(self.units))])
        return [list(each) for each in dict.fromkeys(map(tuple, found))]

    def starts(self, assignment: list[int]) -> Iterator[_Bins]:
        """Units in layers that change the executor, each cut where a job is full: as few jobs as that gives.

        And as many: layers further divided by the results that need a unit. What is needed by more results
        comes first, so no two jobs need each other.
        """
        depth: list[int] = []
        for unit, executor in zip(self.units, assignment, strict=True):
            depth.append(max((depth[n] + (assignment[n] != executor) for n in unit.needs), default=0))
        whole = list(zip(depth, assignment, strict=True))
        yield self._layers([(layer, frozenset()) for layer in whole])
        ends = frozenset(u for u, above in enumerate(self._above) if len(above) == 1)
        yield self._layers([(layer, ends & self._above[u]) for u, layer in enumerate(whole)])

    def _layers(self, layers: list[tuple[tuple[int, int], frozenset[int]]]) -> _Bins:
        bins: list[_Bin] = []
        for layer in dict.fromkeys(layers):
            bins += self._cut([u for u, own in enumerate(layers) if own == layer], layer[0][1])
        return tuple(bins)

    def _cut(self, members: list[int], executor: int) -> Iterator[_Bin]:
        current = self.bin(executor, ())
        for unit in members:  # what is needed comes first, so any cut is possible
            grown = self.bin(executor, current.units | {unit})
            if self.fits(grown):
                current = grown
            else:
                yield current
                current = self.bin(executor, {unit})
        yield current

    # -- moves -----------------------------------------------------------------------------------

    def improved(self, bins: _Bins) -> _Bins:
        """The plan after the best merges and moves, for as long as any is better."""
        best = _NEVER
        for _ in range(_ROUNDS):
            while (merged := self._best(bins, self._merges(bins))) != bins:
                bins = merged
            if (score := self.score(bins)) == best:
                break
            best = score
            for unit in range(len(self.units)):
                bins = self._best(bins, self._moves(bins, unit))
        return bins

    def _best(self, bins: _Bins, others: Iterator[_Bins]) -> _Bins:
        """The first with the lowest score, ``bins`` where none is better."""
        best = self.score(bins)
        for other in others:
            if (score := self.score(other, best)) < best:
                bins, best = other, score
        return bins

    def _merges(self, bins: _Bins) -> Iterator[_Bins]:
        """Two jobs become one, on the executor of either; a job goes to another executor."""
        for one in range(len(bins)):
            for executor in range(len(self.executors)):
                if executor != bins[one].executor:
                    yield (*bins[:one], self.bin(executor, bins[one].units), *bins[one + 1 :])
            for two in range(one + 1, len(bins)):
                rest = [each for number, each in enumerate(bins) if number not in (one, two)]
                for executor in sorted({bins[one].executor, bins[two].executor}):
                    yield (*rest, self.bin(executor, bins[one].units | bins[two].units))

    def _moves(self, bins: _Bins, unit: int) -> Iterator[_Bins]:
        """A unit goes to another job, to a job of its own, and with all that need it, or that it needs."""
        for group in ({unit}, self._above[unit], self._below[unit]):
            left = [self.bin(e.executor, e.units - group) if e.units & group else e for e in bins]
            rest = tuple(each for each in left if each.units)
            for number, each in enumerate(rest):
                grown = self.bin(each.executor, each.units | group)
                if self.fits(grown):
                    yield (*rest[:number], grown, *rest[number + 1 :])
            for executor in range(len(self.executors)):
                if self.fits(alone := self.bin(executor, group)):
                    yield (*rest, alone)

    @cached_property
    def _below(self) -> list[frozenset[int]]:
        """For each unit itself and all that it is made of."""
        below: list[frozenset[int]] = []
        for number, unit in enumerate(self.units):
            below.append(frozenset({number}).union(*(below[need] for need in unit.needs)))
        return below

    @cached_property
    def _above(self) -> list[frozenset[int]]:
        """For each unit itself and all that is made of it."""
        numbers = range(len(self.units))
        return [frozenset(n for n in numbers if unit in self._below[n]) for unit in numbers]

    # -- the result ------------------------------------------------------------------------------

    def jobs(self, bins: _Bins) -> Iterator[Job]:
        """Jobs in the order of work, named by executor and number."""
        ends, needs = self.ends(bins), self.needs(bins)
        assert ends is not None
        starts = [end - each.time for end, each in zip(ends, bins, strict=True)]
        # parallel jobs in the order of their first units, whatever order the search left them in
        ready = sorted(range(len(bins)), key=lambda number: (starts[number], min(bins[number].units)))
        names: dict[int, str] = {}
        count: dict[int, int] = {}
        for number in ready:
            executor = bins[number].executor
            count[executor] = count.get(executor, 0) + 1
            names[number] = f"{self.executors[executor].name}-{count[executor]}"
        used = {need for unit in self.units for need in unit.needs}
        for number in ready:
            mine = bins[number].units
            outside = {n for u, unit in enumerate(self.units) if u not in mine for n in unit.needs} & mine
            inside = {need for u in mine for need in self.units[u].needs}
            last = [u for u in sorted(mine) if u not in inside or self.units[u].goal]
            assert mine <= used | {*last}
            yield Job(
                name=names[number],
                executor=self.executors[bins[number].executor],
                units=tuple(self.units[u] for u in sorted(mine)),
                needs=tuple(sorted((names[n] for n in needs[number]), key=list(names.values()).index)),
                time=bins[number].time,
                start=starts[number],
                words=tuple(word for u in last for word in self.units[u].words),
                handed=tuple(self.units[u].words[0] for u in sorted(outside)),
            )


def _steps(cost: int) -> int:
    """The nearest multiple of ``_STEP``, as a number of steps."""
    return (cost + _STEP // 2) // _STEP
