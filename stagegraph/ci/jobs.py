"""Work units -> jobs: no job over the limit, at the lowest cost, in few and short jobs. Pure.

A job takes whole units and starts when all jobs that it needs are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import Job, Pipeline
from .names import names
from .problem import Problem
from .search import best_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .model import CIConfig, Executor, WorkUnit
    from .problem import Bin, Plan


def plan(
    service: str, units: Sequence[WorkUnit], executors: Sequence[Executor], config: CIConfig
) -> Pipeline:
    """Plan jobs for all units. Raises ``ProjectError`` for a unit that no executor can build in time."""
    problem = Problem(tuple(units), tuple(executors), config)
    problem.check()
    return Pipeline(service, tuple(_jobs(problem, best_plan(problem))))


def _jobs(problem: Problem, plan: Plan) -> Iterator[Job]:
    """The jobs of a plan, in the order of work and named after what they build."""
    ends, needs = problem.ends(plan), problem.needs(plan)
    assert ends is not None
    starts = [end - each.time for end, each in zip(ends, plan, strict=True)]
    # parallel jobs in the order of their first units, however the search ordered them
    ordered = sorted(range(len(plan)), key=lambda number: (starts[number], min(plan[number].units)))
    targets = [
        tuple(t for u in _last(problem, each.units) for t in problem.units[u].targets) for each in plan
    ]
    main = [(_main(problem, plan[number]), len(targets[number]) - 1) for number in ordered]
    named = dict(zip(ordered, names(main, problem.config.platform), strict=True))
    for number in ordered:
        units = plan[number].units
        yield Job(
            name=str(named[number]),
            stem=named[number].stem,
            executor=problem.executors[plan[number].executor],
            units=tuple(problem.units[u] for u in sorted(units)),
            needs=tuple(str(named[n]) for n in ordered if n in needs[number]),
            time=plan[number].time,
            start=starts[number],
            targets=targets[number],
            exported=tuple(problem.units[u].targets[0] for u in _exported(problem, units)),
        )


def _main(problem: Problem, job: Bin) -> str:
    """The target after which a job is named: its first goal, or else the one that takes longest.

    Parents that the job builds for a target count as time of the target.
    """
    last = _last(problem, job.units)
    if goals := [u for u in last if problem.units[u].goal]:
        return problem.units[goals[0]].targets[0]

    def time(unit: int) -> int:
        return sum(problem.times[each][job.executor] for each in problem.ancestors[unit] & job.units)

    return problem.units[max(last, key=time)].targets[0]


def _last(problem: Problem, units: frozenset[int]) -> list[int]:
    """The units of a job that no other unit of it needs, and those that are goals."""
    needed_here = {need for u in units for need in problem.units[u].needs}
    return [u for u in sorted(units) if u not in needed_here or problem.units[u].goal]


def _exported(problem: Problem, units: frozenset[int]) -> list[int]:
    """The units of a job that other jobs need."""
    return sorted(
        {need for u, unit in enumerate(problem.units) if u not in units for need in unit.needs} & units
    )
