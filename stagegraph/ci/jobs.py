"""Work units -> jobs: no job over the limit, at the lowest cost, in few and short jobs. Pure.

A job takes whole units and starts when all jobs that it needs are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import Job, Pipeline
from .problem import Problem
from .search import best_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .model import CIConfig, Executor, WorkUnit
    from .problem import Plan


def plan(
    service: str, units: Sequence[WorkUnit], executors: Sequence[Executor], config: CIConfig
) -> Pipeline:
    """Plan jobs for all units. Raises ``ProjectError`` for a unit that no executor can build in time."""
    problem = Problem(tuple(units), tuple(executors), config)
    problem.check()
    return Pipeline(service, tuple(_jobs(problem, best_plan(problem))))


def _jobs(problem: Problem, plan: Plan) -> Iterator[Job]:
    """The jobs of a plan, in the order of work and named by executor and number."""
    ends, needs = problem.ends(plan), problem.needs(plan)
    assert ends is not None
    starts = [end - each.time for end, each in zip(ends, plan, strict=True)]
    # parallel jobs in the order of their first units, however the search ordered them
    ordered = sorted(range(len(plan)), key=lambda number: (starts[number], min(plan[number].units)))
    names = _names(problem, plan, ordered)
    for number in ordered:
        units = plan[number].units
        yield Job(
            name=names[number],
            executor=problem.executors[plan[number].executor],
            units=tuple(problem.units[u] for u in sorted(units)),
            needs=tuple(sorted((names[n] for n in needs[number]), key=list(names.values()).index)),
            time=plan[number].time,
            start=starts[number],
            targets=tuple(target for u in _last(problem, units) for target in problem.units[u].targets),
            exported=tuple(problem.units[u].targets[0] for u in _exported(problem, units)),
        )


def _names(problem: Problem, plan: Plan, ordered: Sequence[int]) -> dict[int, str]:
    names: dict[int, str] = {}
    count: dict[int, int] = {}
    for number in ordered:
        executor = plan[number].executor
        count[executor] = count.get(executor, 0) + 1
        names[number] = f"{problem.executors[executor].name}-{count[executor]}"
    return names


def _last(problem: Problem, units: frozenset[int]) -> list[int]:
    """The units of a job that no other unit of it needs, and those that are goals."""
    needed_here = {need for u in units for need in problem.units[u].needs}
    return [u for u in sorted(units) if u not in needed_here or problem.units[u].goal]


def _exported(problem: Problem, units: frozenset[int]) -> list[int]:
    """The units of a job that other jobs need."""
    return sorted(
        {need for u, unit in enumerate(problem.units) if u not in units for need in unit.needs} & units
    )
