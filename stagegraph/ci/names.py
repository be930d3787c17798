"""Names of jobs: after what they build. Pure.

A name is that of the job's main target and how many more it has: ``redis-amd64-and-4-more``. CircleCI allows
lower-case letters, digits, ``-`` and ``_``, and a letter first
(https://circleci.com/docs/reference/reusing-config/). GitHub allows the same, and less than 100 characters
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_id).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Jobs that pipelines have for other purposes.
_TAKEN = ("all", "check", "plan", "publish")

_LONGEST = 80


class Name(NamedTuple):
    """The name of a job. ``stem`` is the part that stays if the job gets one target more."""

    stem: str
    more: int

    def __str__(self) -> str:
        return f"{self.stem}-and-{self.more}-more" if self.more else self.stem


def names(targets: Iterable[tuple[str, int]], platform: str = "") -> list[Name]:
    """Return the name of each job, given its main target (``stock:amd64``) and how many more it has.

    The platform is left out if all goals of the pipeline are for this one. Of jobs that would have the same
    name, all but the first get a number.
    """
    taken, found = {*_TAKEN}, list[Name]()
    for target, more in targets:
        name = Name(_stem(target, platform), more)
        number = 2
        while {name.stem, str(name)} & taken:
            name = Name(f"{_stem(target, platform)}-{number}", more)
            number += 1
        taken |= {name.stem, str(name)}
        found.append(name)
    return found


def _stem(target: str, platform: str) -> str:
    """Return a target as a name. Names of stages may have dots and begin with digits."""
    words = target.lstrip("_").removesuffix(f":{platform}")
    stem = re.sub(r"[^a-z0-9_-]", "-", words)[:_LONGEST].rstrip("-_")
    return stem if stem[0].isalpha() else f"node-{stem}"
