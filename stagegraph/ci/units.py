"""Graph and times -> work units: nodes that are built together, their needs, and their times by executor."""

from __future__ import annotations

from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ..graph import goals as goal_names
from ..graph.native import runs
from ..project import tags
from ..project.model import Node
from .model import MINUTE, WorkUnit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..graph.graph import Graph
    from ..oci.platform import OciPlatform
    from .durations import Times
    from .model import Executor

#: Milliseconds for a node without RUN instructions, which only copies files.
COPYING = MINUTE // 2


def units(
    graph: Graph, goals: Iterable[Node], executors: Sequence[Executor], times: Times, unknown: int
) -> list[WorkUnit]:
    """The units for ``goals`` and their ancestors, parents first. ``unknown`` is in minutes.

    Nodes with the same key, on several platforms, are built once. Raises ``StagegraphError``.
    """
    goals = list(goals)
    by_key = nodes_by_key(graph, goals)
    nodes = list(by_key.values())
    parents = {node: [by_key[graph.key(parent)] for parent in graph.parents(node)] for node in nodes}
    images: dict[str, list[str]] = {}
    for target, node in _image_targets(graph, goals):
        images.setdefault(graph.key(node), []).append(target)
    groups = _groups(graph, nodes, parents)
    group_of = {node: number for number, group in enumerate(groups) for node in group}
    goal_nodes = {by_key[graph.key(goal)] for goal in goals}
    asked = {by_key[graph.key(node)] for node in goals if tags.prints_in_run(graph.project, node)}
    platforms = {node: graph.project.platforms[node.platform].docker for node in asked}
    estimate = Estimate(times, unknown, {node: runs(graph, node) for node in nodes}, platforms)
    result = []
    for number, group in enumerate(groups):
        needs = {group_of[parent] for node in group for parent in parents[node]} - {number}
        targets = [target for node in group for target in images.get(graph.key(node), ())]
        targets = targets or [goal_names.task_name(graph.project, group[-1])]
        goal = bool(goal_nodes & set(group))
        by_executor = estimate.by_executor(group, executors)
        result.append(WorkUnit(tuple(targets), tuple(group), by_executor, tuple(sorted(needs)), goal))
    return result


def nodes_by_key(graph: Graph, goals: Iterable[Node]) -> dict[str, Node]:
    """The nodes to build by recipe key, parents first: the first one of those with the same key."""
    first: dict[str, Node] = {}
    for node in graph.order(list(goals)):
        first.setdefault(graph.key(node), node)
    return first


def nodes_without_time(graph: Graph, goals: Iterable[Node], times: Times) -> list[Node]:
    """The nodes that run something and have no recorded time; of those with the same key, the first one."""
    nodes = nodes_by_key(graph, goals).values()
    return [node for node in nodes if str(node) not in times.seconds and runs(graph, node)]


def _image_targets(graph: Graph, goals: Iterable[Node]) -> Iterable[tuple[str, Node]]:
    """The targets of images (``stock:amd64``) whose nodes are goals, with these nodes."""
    wanted = set(goals)
    for image in graph.project.images.values():
        for platform in image.platforms:
            if (node := Node(image.stage, platform)) in wanted:
                yield f"{image.name}:{platform}", node


def _groups(
    graph: Graph, nodes: Sequence[Node], parents: Mapping[Node, Sequence[Node]]
) -> list[tuple[Node, ...]]:
    """The nodes that one job builds together: an image, its test, and the nodes between them.

    A group comes after the groups that it needs. Groups that need one another become one.
    """
    group_of: dict[Node, list[Node]] = {node: [node] for node in nodes}
    for test in nodes:
        if (tested := _tested_image(graph, test, parents)) is not None:
            _join(group_of, [tested, *_between(tested, test, nodes, parents), test])
    while True:
        groups, needs = _numbered(group_of, nodes, parents)
        try:
            return [tuple(groups[number]) for number in TopologicalSorter(needs).static_order()]
        except CycleError as error:
            cycle: list[int] = error.args[1]
            _join(group_of, [node for number in cycle for node in groups[number]])


def _tested_image(graph: Graph, test: Node, parents: Mapping[Node, Sequence[Node]]) -> Node | None:
    """The image that a node tests; None if it is no test, or tests an image with another key."""
    image = graph.project.tested_by(test.stage)
    return next((node for node in parents[test] if image and node.stage == image.stage), None)


def _join(group_of: dict[Node, list[Node]], nodes: Iterable[Node]) -> None:
    """Join the groups of some nodes into one."""
    joined: list[Node] = []
    for node in nodes:
        joined += [each for each in group_of[node] if each not in joined]
    for node in joined:
        group_of[node] = joined


def _numbered(
    group_of: Mapping[Node, list[Node]], nodes: Sequence[Node], parents: Mapping[Node, Sequence[Node]]
) -> tuple[dict[int, list[Node]], dict[int, list[int]]]:
    """The groups, and the groups that each needs. The number of a group is the place of its first node.

    All is sorted by place: the order of a set would change from run to run.
    """
    place = {node: number for number, node in enumerate(nodes)}
    number_of = {node: min(map(place.__getitem__, group)) for node, group in group_of.items()}
    groups = {number_of[node]: sorted(group_of[node], key=place.__getitem__) for node in nodes}
    needs = {
        number: sorted({number_of[parent] for node in group for parent in parents[node]} - {number})
        for number, group in groups.items()
    }
    return groups, needs


def _between(
    low: Node, high: Node, nodes: Sequence[Node], parents: Mapping[Node, Sequence[Node]]
) -> list[Node]:
    """The nodes that are based on ``low`` and on which ``high`` is based."""
    above = {low}
    for node in nodes:  # parents come first
        if above & set(parents[node]):
            above.add(node)
    todo = [high]
    reached: set[Node] = set()
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo += parents[node]
    return [node for node in nodes if node in above & reached and node not in (low, high)]


class Estimate(NamedTuple):
    """Estimates times. ``running`` are the OCI platforms of the programs that each node runs.

    ``printing`` are those of finished images in which commands run, since their output is part of tags.
    """

    times: Times
    unknown: int
    running: Mapping[Node, frozenset[OciPlatform]]
    printing: Mapping[Node, OciPlatform] = MappingProxyType({})

    def by_executor(self, nodes: Iterable[Node], executors: Iterable[Executor]) -> dict[str, int]:
        """The milliseconds of some nodes on each executor that can build all of them."""
        nodes = list(nodes)
        return {
            executor.name: sum(self._time(node, executor) for node in nodes)
            for executor in executors
            if all(self._can_build(executor, node) for node in nodes)
        }

    def _can_build(self, executor: Executor, node: Node) -> bool:
        running = self.running[node] | ({self.printing[node]} if node in self.printing else frozenset())
        return running <= {executor.docker} or bool(executor.emulated)

    def _time(self, node: Node, executor: Executor) -> int:
        """The expected milliseconds of a node on an executor that can build it.

        The time was recorded on one kind of machine, which emulated programs of other processors. If a node
        runs several kinds of programs, nothing tells their shares of its time, so all count as the slower.
        """
        times, running = self.times, self.running[node]
        recorded = times.seconds.get(str(node))
        if recorded is None and not running:
            return COPYING
        seconds = Fraction(self.unknown * 60 if recorded is None else recorded) / Fraction(executor.speed)
        if recorded is None or not running or executor.docker == times.machine:
            return round(seconds * 1000)
        if times.machine in running:
            seconds /= Fraction(executor.emulated or 1)  # native there, emulated here
        elif running == {executor.docker}:
            seconds *= Fraction(times.emulated)
        return round(seconds * 1000)
