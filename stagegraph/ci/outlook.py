"""How long a pipeline still takes when one of its jobs ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .model import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..project.model import Node
    from .model import CIConfig, Job, Pipeline


class Outlook(NamedTuple):
    """The jobs that need a job, and the seconds from its end until the last of them is done.

    ``known``: nodes that a store has are not counted. Otherwise all are, and the time is the longest.
    """

    jobs: tuple[str, ...]
    seconds: int
    known: bool


def behind(
    pipeline: Pipeline, name: str, config: CIConfig, needed: Callable[[Node], bool] | None = None
) -> Outlook | None:
    """Return the outlook at the end of a job; None if the pipeline has no job of this name.

    ``needed`` tells for a node whether it must still be built. Jobs that run side by side with this one take
    as long as planned.
    """
    job = next((each for each in pipeline.jobs if each.name == name), None)
    if job is None:
        return None
    now = job.start + job.time
    ends = {name: 0}
    waiting: list[str] = []
    for each in pipeline.jobs:
        if {name, *waiting}.isdisjoint(each.needs):
            left = _left(each, needed)
            ends.setdefault(each.name, max(0, each.start + each.time - now) if left else 0)
        else:
            start = max(ends[need] for need in each.needs)
            ends[each.name] = start + config.setup * MINUTE + _left(each, needed)
            waiting.append(each.name)
    seconds = max((ends[each] for each in waiting), default=0) // 1000
    return Outlook(tuple(waiting), seconds, needed is not None)


def _left(job: Job, needed: Callable[[Node], bool] | None) -> int:
    """Return the milliseconds that a job builds."""
    units = (unit for unit in job.units if needed is None or any(map(needed, unit.nodes)))
    return sum(unit.times[job.executor.name] for unit in units)
