"""What a pipeline is planned from, and what it comes to. Frozen and pure.

Times and costs are whole numbers of small units, so that sums and comparisons are exact: no plan depends on
the order of a sum, or on how a version of Python adds floats (from 3.12 on ``sum`` makes up for rounding).
Times are in milliseconds; prices are in billionths of the table's unit, for a minute. A cost is a product of
the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.platform import OciPlatform
    from ..project.model import Node

#: Milliseconds in a minute; parts of the table's unit of price; and a cost that is one such unit.
MINUTE, PRICE = 60_000, 10**9

COST = MINUTE * PRICE

#: How much of a job's time limit is planned with, and after how much of it a build is ended, so that what is
#: finished can still be saved; in percent.
PLANNED, STOPPED = 85, 95


@dataclass(frozen=True)
class Executor:
    """A kind of machine of a CI service. ``docker`` is the OCI platform of its processor.

    ``price`` is for a minute, in billionths of whatever currency. ``speed`` is how fast it is, against the
    machine on which the times were recorded; ``emulated`` how fast programs of other processors run on it,
    against its own; 0 where they do not. ``options`` are the service's own words for it.
    """

    name: str
    docker: OciPlatform
    price: int
    speed: float
    emulated: float
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """``[ci]`` of ``stages.toml``. Times that it says are in minutes.

    ``limit`` is when the service stops a job; ``setup`` what a job needs before it builds; ``unknown`` what a
    node is taken to need of which no time is recorded; ``waiting`` the price of a minute until all is done,
    in billionths. ``registry`` hands nodes on from job to job, and from run to run; "" for none: then the
    service's own caches and workspaces do. ``contexts`` are CircleCI's, whose variables jobs that build get.
    ``secrets`` are variables with build secrets. ``given``: the limit was, in the call. ``services`` are the
    executors by service.
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
    given: bool = False

    @property
    def ci(self) -> str:
        """The call that writes these pipelines."""
        return f"{self.command} ci" + (f" --limit {self.limit}" if self.given else "")

    @property
    def planned(self) -> int:
        """Milliseconds that a job may be expected to take."""
        return self.limit * MINUTE * PLANNED // 100

    @property
    def room(self) -> int:
        """Milliseconds of them in which a job can build; below 0 where setup takes longer."""
        return self.planned - self.setup * MINUTE

    @property
    def stopped(self) -> int:
        """Minutes after which a build is ended, so that its cache can still be saved."""
        return max(1, self.limit * STOPPED // 100 - self.setup)


class Goals(NamedTuple):
    """Images on platforms as doit is asked for them (``stock:amd64``), and the images' names."""

    words: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """Nodes that one job must make together: one, or an image and its test with what stands between.

    ``words`` are what doit is asked for: more than one where images share a key. ``times`` are milliseconds
    by the name of each executor that can make it. ``needs`` are indexes of other units. ``goal``: asked for.
    """

    words: tuple[str, ...]
    nodes: tuple[Node, ...]
    times: Mapping[str, int]
    needs: tuple[int, ...]
    goal: bool = False


@dataclass(frozen=True)
class Job:
    """Units made on one machine, in their order.

    ``time`` is expected, setup included; ``start`` is when all jobs that it needs are done; both are in
    milliseconds. ``words`` are what doit is asked for; ``handed`` are those that other jobs stand on.
    """

    name: str
    executor: Executor
    units: tuple[Unit, ...]
    needs: tuple[str, ...]
    time: int
    start: int
    words: tuple[str, ...]
    handed: tuple[str, ...]

    @property
    def minutes(self) -> float:
        return self.time / MINUTE

    @property
    def cost(self) -> float:
        """In the table's unit."""
        return self.time * self.executor.price / COST


@dataclass(frozen=True)
class Pipeline:
    """Jobs in an order in which they could run one by one."""

    service: str
    jobs: tuple[Job, ...]

    @property
    def cost(self) -> float:
        """In the table's unit."""
        return sum(job.time * job.executor.price for job in self.jobs) / COST

    @property
    def minutes(self) -> float:
        """Until all is done, jobs running beside one another."""
        return max((job.start + job.time for job in self.jobs), default=0) / MINUTE

    @property
    def spent(self) -> float:
        """Minutes of machines, one after the other."""
        return sum(job.time for job in self.jobs) / MINUTE
