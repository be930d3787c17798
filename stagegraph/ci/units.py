"""Graph and times -> units of work: which nodes go together, what they need, how long they take where."""

from __future__ import annotations

from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from ..graph import goals as asked
from ..graph.native import runs
from ..project.model import Node
from .model import MINUTE, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..graph.graph import Graph
    from .durations import Times
    from .model import Executor

#: Milliseconds for a node that runs nothing: files are copied.
COPYING = MINUTE // 2


def units(
    graph: Graph, goals: Iterable[Node], executors: Sequence[Executor], times: Times, unknown: int
) -> list[Unit]:
    """Units for ``goals`` and all that they are made of, parents first. ``unknown`` is in minutes.

    Platforms share nodes of one key: the first of them makes it. Raises ``StagegraphError``.
    """
    goals = list(goals)
    first = distinct(graph, goals)
    nodes = list(first.values())
    parents = {node: [first[graph.key(parent)] for parent in graph.parents(node)] for node in nodes}
    images: dict[str, list[str]] = {}
    for word, node in _images(graph, goals):
        images.setdefault(graph.key(node), []).append(word)
    groups = _groups(graph, nodes, parents)
    index = {node: number for number, group in enumerate(groups) for node in group}
    running = {node: runs(graph, node) for node in nodes}
    wanted = {first[graph.key(goal)] for goal in goals}
    made = []
    for number, group in enumerate(groups):
        needs = {index[parent] for node in group for parent in parents[node]} - {number}
        able = [e for e in executors if all(_can(e, running[node]) for node in group)]
        known = {e.name: sum(_time(node, running[node], e, times, unknown) for node in group) for e in able}
        words = [word for node in group for word in images.get(graph.key(node), ())]
        words = words or [asked.task_name(graph.project, group[-1])]
        goal = bool(wanted & set(group))
        made.append(Unit(tuple(words), tuple(group), known, tuple(sorted(needs)), goal))
    return made


def distinct(graph: Graph, goals: Iterable[Node]) -> dict[str, Node]:
    """By recipe key, parents first: of the nodes that share one, the first. It makes it for all of them."""
    first: dict[str, Node] = {}
    for node in graph.order(list(goals)):
        first.setdefault(graph.key(node), node)
    return first


def guessed(graph: Graph, goals: Iterable[Node], times: Times) -> list[Node]:
    """Nodes that run something and of which no time is known; of those that share a key, the first."""
    nodes = distinct(graph, goals).values()
    return [node for node in nodes if str(node) not in times.seconds and runs(graph, node)]


def _images(graph: Graph, goals: Iterable[Node]) -> Iterable[tuple[str, Node]]:
    """Words of images (``stock:amd64``) whose nodes are among the goals, with these nodes."""
    wanted = set(goals)
    for image in graph.project.images.values():
        for platform in image.platforms:
            if (node := Node(image.stage, platform)) in wanted:
                yield f"{image.name}:{platform}", node


def _groups(
    graph: Graph, nodes: Sequence[Node], parents: Mapping[Node, Sequence[Node]]
) -> list[tuple[Node, ...]]:
    """Nodes that one job makes together: an image with its test, and what stands between the two.

    Groups that another needs come before it; those that need one another become one.
    """
    together: dict[Node, list[Node]] = {node: [node] for node in nodes}
    for test in nodes:
        image = graph.project.tested_by(test.stage)
        if image is None:
            continue
        tested = next((node for node in parents[test] if node.stage == image.stage), None)
        if tested is not None:
            _join(together, [tested, *_between(tested, test, nodes, parents), test])
    place = {node: number for number, node in enumerate(nodes)}
    while True:
        # by the place of their first nodes, and in that order: the result must not depend on addresses
        first = {node: min(map(place.__getitem__, group)) for node, group in together.items()}
        groups = {first[node]: sorted(together[node], key=place.__getitem__) for node in nodes}
        needs = {
            this: sorted({first[parent] for node in group for parent in parents[node]} - {this})
            for this, group in groups.items()
        }
        try:
            return [tuple(groups[this]) for this in TopologicalSorter(needs).static_order()]
        except CycleError as error:
            _join(together, [node for this in error.args[1] for node in groups[this]])


def _join(together: dict[Node, list[Node]], nodes: Iterable[Node]) -> None:
    whole: list[Node] = []
    for node in nodes:
        whole += [each for each in together[node] if each not in whole]
    for node in whole:
        together[node] = whole


def _between(
    low: Node, high: Node, nodes: Sequence[Node], parents: Mapping[Node, Sequence[Node]]
) -> list[Node]:
    """Nodes that stand on ``low`` and that ``high`` stands on."""
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


def _can(executor: Executor, running: frozenset[str]) -> bool:
    """Whether an executor runs programs of these OCI platforms."""
    return running <= {executor.docker} or bool(executor.emulated)


def _time(node: Node, running: frozenset[str], executor: Executor, times: Times, unknown: int) -> int:
    """Expected milliseconds of a node on an executor that can make it.

    The time was recorded on one kind of machine, where programs of another processor were emulated. Where
    several kinds of programs run in one node, nothing tells how its time is shared, and the slower is taken.
    """
    seconds = times.seconds.get(str(node))
    if seconds is None and not running:
        return COPYING
    found = Fraction(unknown * 60 if seconds is None else seconds) / Fraction(executor.speed)
    if seconds is None or not running or executor.docker == times.machine:
        return round(found * 1000)
    if times.machine in running:
        found /= Fraction(executor.emulated or 1)  # what was native there is emulated here
    elif running == {executor.docker}:
        found *= Fraction(times.emulated)
    return round(found * 1000)
