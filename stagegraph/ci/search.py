"""The search for a good plan of jobs: start plans by simple rules, then single moves that improve them. Pure.

It finds a good plan, not always the best one. The same plan is found everywhere. Times and costs are whole
numbers. Among equal plans the first one found stays, and everything is tried in one order: units as they are
given (parents first), executors as ``[ci]`` declares them, jobs by their place in the plan. A job that
replaces two is put at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .problem import IMPOSSIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .problem import Bin, Plan, Problem

#: Rounds of moves; each tries all units. Searches end after three or four.
_ROUNDS = 12


def best_plan(problem: Problem) -> Plan:
    """The plan with the lowest score that the search finds."""
    starts = [start for assignment in _assignments(problem) for start in _start_plans(problem, assignment)]
    return min((_improved(problem, start) for start in starts), key=problem.score)


# -- start plans -----------------------------------------------------------------------------------


def _assignments(problem: Problem) -> list[list[int]]:
    """Executors by unit: the cheapest for each unit; and each executor for all units that it can build."""
    room, units, executors = problem.config.room, range(len(problem.units)), problem.executors
    able = [[e for e, time in enumerate(times) if time <= room] for times in problem.times]

    def cost(unit: int, executor: int) -> int:
        return problem.times[unit][executor] * executors[executor].price

    cheapest = [min(able[u], key=lambda e: (cost(u, e), e)) for u in units]
    assignments = [cheapest]
    for executor in range(len(executors)):
        assignments.append([executor if executor in able[u] else cheapest[u] for u in units])
    return [list(each) for each in dict.fromkeys(map(tuple, assignments))]


def _start_plans(problem: Problem, assignment: list[int]) -> Iterator[Plan]:
    """Two plans for an assignment: one with few jobs, one with many.

    For few jobs, units are put into layers that change the executor, and a layer is cut when a job is full.
    For many, layers are also divided by the results that need a unit. Units needed by more results come
    first, so no two jobs need each other.
    """
    depth: list[int] = []
    for unit, executor in zip(problem.units, assignment, strict=True):
        depth.append(max((depth[n] + (assignment[n] != executor) for n in unit.needs), default=0))
    layers = list(zip(depth, assignment, strict=True))
    dependents = problem.dependents
    yield _cut_layers(problem, [(layer, frozenset()) for layer in layers])
    results = frozenset(u for u, units in enumerate(dependents) if len(units) == 1)
    yield _cut_layers(problem, [(layer, results & dependents[u]) for u, layer in enumerate(layers)])


def _cut_layers(problem: Problem, layers: list[tuple[tuple[int, int], frozenset[int]]]) -> Plan:
    bins: list[Bin] = []
    for layer in dict.fromkeys(layers):
        members = [unit for unit, own in enumerate(layers) if own == layer]
        bins += _cut(problem, members, executor=layer[0][1])
    return tuple(bins)


def _cut(problem: Problem, members: list[int], executor: int) -> Iterator[Bin]:
    current = problem.bin(executor, ())
    for unit in members:  # parents come first, so any cut is possible
        grown = problem.bin(executor, current.units | {unit})
        if problem.fits(grown):
            current = grown
        else:
            yield current
            current = problem.bin(executor, {unit})
    yield current


# -- moves -----------------------------------------------------------------------------------------


def _improved(problem: Problem, plan: Plan) -> Plan:
    """The plan after the best merges and moves, for as long as one improves it."""
    best = IMPOSSIBLE
    for _ in range(_ROUNDS):
        while (merged := _best(problem, plan, _merges(problem, plan))) != plan:
            plan = merged
        if (score := problem.score(plan)) == best:
            break
        best = score
        for unit in range(len(problem.units)):
            plan = _best(problem, plan, _moves(problem, plan, unit))
    return plan


def _best(problem: Problem, plan: Plan, others: Iterator[Plan]) -> Plan:
    """The first plan with the lowest score; ``plan`` itself if no other is better."""
    best = problem.score(plan)
    for other in others:
        if (score := problem.score(other, best)) < best:
            plan, best = other, score
    return plan


def _merges(problem: Problem, plan: Plan) -> Iterator[Plan]:
    """Move a job to another executor; merge two jobs on the executor of either."""
    for one in range(len(plan)):
        for executor in range(len(problem.executors)):
            if executor != plan[one].executor:
                yield (*plan[:one], problem.bin(executor, plan[one].units), *plan[one + 1 :])
        for two in range(one + 1, len(plan)):
            rest = [each for number, each in enumerate(plan) if number not in (one, two)]
            for executor in sorted({plan[one].executor, plan[two].executor}):
                yield (*rest, problem.bin(executor, plan[one].units | plan[two].units))


def _moves(problem: Problem, plan: Plan, unit: int) -> Iterator[Plan]:
    """Move a unit to another job or to a new one: alone, with its dependents, or with its ancestors."""
    for group in ({unit}, problem.dependents[unit], problem.ancestors[unit]):
        left = [problem.bin(e.executor, e.units - group) if e.units & group else e for e in plan]
        rest = tuple(each for each in left if each.units)
        for number, each in enumerate(rest):
            grown = problem.bin(each.executor, each.units | group)
            if problem.fits(grown):
                yield (*rest[:number], grown, *rest[number + 1 :])
        for executor in range(len(problem.executors)):
            if problem.fits(alone := problem.bin(executor, group)):
                yield (*rest, alone)
