"""What a pipeline is planned from, and what it comes to. Frozen and pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Node

#: How much of a job's time limit is planned with, and after how much of it a build is ended, so that what is
#: finished can still be saved.
PLANNED, STOPPED = 0.85, 0.95


@dataclass(frozen=True)
class Executor:
    """A kind of machine of a CI service. ``docker`` is the OCI platform of its processor.

    ``price`` is for a minute, in whatever currency. ``speed`` is how fast it is, against the machine on which
    the times were recorded; ``emulated`` how fast programs of other processors run on it, against its own; 0
    where they do not. ``options`` are the service's own words for it.
    """

    name: str
    docker: str
    price: float
    speed: float
    emulated: float
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """``[ci]`` of ``stages.toml``. Times are in minutes.

    ``limit`` is when the service stops a job; ``setup`` what a job needs before it builds; ``unknown`` what a
    node is taken to need of which no time is recorded; ``waiting`` the price of a minute until all is done.
    ``registry`` hands nodes on from job to job, and from run to run; "" for none: then the service's own
    caches and workspaces do. ``contexts`` are CircleCI's, whose variables jobs that build get. ``secrets``
    are variables with build secrets. ``given``: the limit was, in the call. ``services`` are the executors by
    service.
    """

    command: str
    prepare: str
    check: str
    images: tuple[str, ...]
    branch: str
    limit: int
    setup: int
    unknown: int
    waiting: float
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
    def planned(self) -> float:
        """Minutes that a job may be expected to take."""
        return self.limit * PLANNED

    @property
    def stopped(self) -> int:
        """Minutes after which a build is ended, so that its cache can still be saved."""
        return max(1, math.floor(self.limit * STOPPED - self.setup))


class Goals(NamedTuple):
    """Images on platforms as doit is asked for them (``stock:amd64``), and the images' names."""

    words: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """Nodes that one job must make together: one, or an image and its test with what stands between.

    ``words`` are what doit is asked for: more than one where images share a key. ``minutes`` are by the
    executor's name, infinite where it cannot. ``needs`` are indexes of other units. ``goal``: asked for.
    """

    words: tuple[str, ...]
    nodes: tuple[Node, ...]
    minutes: Mapping[str, float]
    needs: tuple[int, ...]
    goal: bool = False


@dataclass(frozen=True)
class Job:
    """Units made on one machine, in their order.

    ``minutes`` are expected, setup included; ``start`` is when all jobs that it needs are done. ``words`` are
    what doit is asked for; ``handed`` are those that other jobs stand on.
    """

    name: str
    executor: Executor
    units: tuple[Unit, ...]
    needs: tuple[str, ...]
    minutes: float
    start: float
    words: tuple[str, ...]
    handed: tuple[str, ...]

    @property
    def cost(self) -> float:
        return self.minutes * self.executor.price


@dataclass(frozen=True)
class Pipeline:
    """Jobs in an order in which they could run one by one."""

    service: str
    jobs: tuple[Job, ...]

    @property
    def cost(self) -> float:
        return math.fsum(job.cost for job in self.jobs)

    @property
    def minutes(self) -> float:
        """Until all is done, jobs running beside one another."""
        return max((job.start + job.minutes for job in self.jobs), default=0)
