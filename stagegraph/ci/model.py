"""The input of a pipeline plan, and the plan. Frozen and pure.

Times and costs are whole numbers of small units, so sums and comparisons are exact: no plan depends on the
order of a sum, or on the way in which a version of Python adds floats (``sum`` compensates from 3.12 on).
Times are in milliseconds. Prices are in billionths of the table's currency for a minute. A cost is a product
of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.platform import OciPlatform
    from ..project.model import Node

#: Milliseconds in a minute; billionths in the currency; and the cost that is one unit of the currency.
MINUTE, PRICE = 60_000, 10**9

COST = MINUTE * PRICE

#: The part of a job's limit that plans use, and the part after which a build is ended so that finished nodes
#: can still be saved; in percent.
PLANNED, STOPPED = 85, 95


@dataclass(frozen=True)
class Executor:
    """A kind of machine of a CI service. ``docker`` is the OCI platform of its processor.

    ``price`` is for a minute, in billionths of the currency. ``speed`` is relative to the machine on which
    the times were recorded. ``emulated`` is the speed of programs for other processors, relative to its own
    programs; 0 if it cannot run them. ``options`` are the service's own settings for it.
    """

    name: str
    docker: OciPlatform
    price: int
    speed: float
    emulated: float
    options: Mapping[str, Any]


@dataclass(frozen=True)
class CIConfig:
    """``[ci]`` of ``stages.toml``. Times are in minutes.

    ``limit`` is the time after which the service stops a job. ``setup`` is the time before a job builds.
    ``unknown`` is the assumed time of a node without a recorded one. ``waiting`` is the price of a minute
    until all jobs are done, in billionths. ``registry`` passes nodes between jobs and between runs; if it is
    "", the service's caches and workspaces do. ``contexts`` are CircleCI's: build jobs get their variables.
    ``secrets`` are the variables of build secrets. ``limit_overridden``: the limit is that of the command
    line. ``services`` are the executors by service. ``whole_history``: tags of images need git's tags.
    ``platform`` is that of all goals, or "" if they have several: names of jobs leave it out.
    """

    command: str
    prepare: str
    check: str
    images: tuple[str, ...]
    branch: str
    limit: int
    setup: int
    unknown: int
    waiting: int
    dynamic: bool
    publish: bool
    registry: str
    services: Mapping[str, tuple[Executor, ...]]
    contexts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    limit_overridden: bool = False
    whole_history: bool = False
    platform: str = ""

    @property
    def ci(self) -> str:
        """The command that writes these pipelines."""
        return f"{self.command} ci" + (f" --limit {self.limit}" if self.limit_overridden else "")

    @property
    def planned(self) -> int:
        """The expected time that a job may have (milliseconds), setup included."""
        return self.limit * MINUTE * PLANNED // 100

    @property
    def room(self) -> int:
        """The part of ``planned`` in which a job can build (milliseconds); negative if setup takes longer."""
        return self.planned - self.setup * MINUTE

    @property
    def stopped(self) -> int:
        """The minutes after which a build is ended, so that its cache can still be saved."""
        return max(1, self.limit * STOPPED // 100 - self.setup)


class ImageTargets(NamedTuple):
    """The targets of images on platforms, as doit takes them (``stock:amd64``), and the images' names."""

    targets: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class WorkUnit:
    """Nodes that one job must build together: one node, or an image, its test, and the nodes between them.

    ``targets`` are the arguments for doit: more than one if images share a key. ``times`` are milliseconds by
    the name of each executor that can build it. ``needs`` are indexes of other units. ``goal``: the user
    requested it.
    """

    targets: tuple[str, ...]
    nodes: tuple[Node, ...]
    times: Mapping[str, int]
    needs: tuple[int, ...]
    goal: bool = False


@dataclass(frozen=True)
class Job:
    """Units that one machine builds, in this order.

    ``time`` is the expected time, setup included. ``start`` is the time when all jobs that it needs are done.
    Both are in milliseconds. ``targets`` are the arguments for doit; ``exported`` are those that other jobs
    need. ``stem`` is the part of the name that stays if the job gets another target.
    """

    name: str
    stem: str
    executor: Executor
    units: tuple[WorkUnit, ...]
    needs: tuple[str, ...]
    time: int
    start: int
    targets: tuple[str, ...]
    exported: tuple[str, ...]

    @property
    def minutes(self) -> float:
        return self.time / MINUTE

    @property
    def cost(self) -> float:
        """In the currency of the table."""
        return self.time * self.executor.price / COST


@dataclass(frozen=True)
class Pipeline:
    """Jobs in an order in which they could run one by one."""

    service: str
    jobs: tuple[Job, ...]

    @property
    def cost(self) -> float:
        """In the currency of the table."""
        return sum(job.time * job.executor.price for job in self.jobs) / COST

    @property
    def minutes(self) -> float:
        """Minutes until all jobs are done, with parallel jobs."""
        return max((job.start + job.time for job in self.jobs), default=0) / MINUTE

    @property
    def spent(self) -> float:
        """Minutes of all machines together."""
        return sum(job.time for job in self.jobs) / MINUTE
