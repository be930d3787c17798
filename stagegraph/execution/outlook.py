"""What is left of a run: how many nodes, which of them wait, and about how long they take.

It only watches. It computes no key, pins nothing and waits for no registry, so it knows a node as soon as the
run itself has looked at one that needs it. The time is estimated as that of a plan (``estimate``), from the
last builds of the nodes that are left.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import StagegraphError
from ..system.text import rough_time
from .estimate import estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..project.model import Node
    from .decide import Store
    from .lookup import StoreLookup


class Fact(NamedTuple):
    """A node whose key this run knows.

    ``stored`` is the store that has its image, "" if none is known to. ``seconds`` are those of its last
    build, None if no build is known.
    """

    parents: tuple[Node, ...]
    stored: Store | Literal[""]
    seconds: float | None


class Left(NamedTuple):
    """What is left of a run.

    ``total`` counts the nodes of the run; ``more`` says that it may grow, since the run has not looked at all
    goals yet. ``done`` does not count ``failed``. ``waiting`` are nodes to pull or build whose work has not
    begun, parents first. ``seconds`` is the estimate; ``at_least``: the time of some node is not known.
    """

    done: int
    failed: int
    total: int
    more: bool
    waiting: tuple[str, ...]
    seconds: float
    at_least: bool

    def __str__(self) -> str:
        """Return ``7/23 nodes, 1 failed, about 3 min left``; without a time if none is known."""
        text = f"{self.done}/{self.total}{'+' if self.more else ''} nodes"
        if self.failed:
            text += f", {self.failed} failed"
        if self.seconds:
            text += f", {'at least' if self.at_least else 'about'} {rough_time(self.seconds)} left"
        return text


class Outlook:
    """The nodes of one run, as far as they are known. ``look`` and ``left`` may be called by two threads."""

    def __init__(self, fact: Callable[[Node], Fact | None], goals: Sequence[Node], jobs: int) -> None:
        """``fact`` tells what is known of a node now, None if it has no key yet.

        ``jobs`` is how many nodes are built at once.
        """
        self._ask, self._goals, self._jobs = fact, tuple(dict.fromkeys(goals)), max(jobs, 1)
        self._facts: dict[Node, Fact | None] = {}

    def look(self, begun: Collection[str]) -> None:
        """Learn what is known by now. ``begun`` are the names of nodes that are in work, done or failed."""
        self._reach(begun, self._learn)

    def left(self, outcomes: Mapping[str, str], working: Mapping[Node, float | None]) -> Left:
        """Return what is left.

        ``outcomes`` are the decisions of nodes that are done, or "failed", by name. ``working`` are the nodes
        in work, with the seconds that each still takes, None if nobody knows.
        """
        begun = {*outcomes, *map(str, working)}
        reached = self._reach(begun, self._facts.get)
        facts = {node: fact for node, fact in reached.items() if str(node) not in begun}
        here = {node for node, fact in facts.items() if fact is not None and fact.stored == "cache"}
        failed = sum(outcome == "failed" for outcome in outcomes.values())
        undone = {node: rest for node, rest in working.items() if str(node) not in outcomes}
        seconds, at_least = self._estimate(facts, undone)
        return Left(
            done=len(outcomes) - failed + len(here),
            failed=failed,
            total=len(begun) + len(facts),
            more=None in facts.values(),
            waiting=tuple(str(node) for node in facts if node not in here),
            seconds=seconds,
            at_least=at_least,
        )

    def _estimate(
        self, facts: Mapping[Node, Fact | None], working: Mapping[Node, float | None]
    ) -> tuple[float, bool]:
        """Return the seconds until these nodes are done, 0 if unknown, and whether it may be too little."""
        seconds = dict(working)  # they began first
        for node, fact in facts.items():
            if fact is None or not fact.stored:
                seconds[node] = fact.seconds if fact else None
        parents = {node: fact.parents if (fact := facts.get(node)) else () for node in seconds}
        found = estimate(seconds, parents, self._jobs)
        return (found.at_once, found.unknown > 0) if found else (0.0, True)

    def _reach(self, begun: Collection[str], fact: Callable[[Node], Fact | None]) -> dict[Node, Fact | None]:
        """Return the nodes that the run looks at, parents first.

        It does not look at the parents of a node that a store has. Those of a node that has ``begun`` are
        done, or not needed.
        """
        reached: dict[Node, Fact | None] = {}
        stack = [*reversed(self._goals)]
        while stack:
            node = stack.pop()
            known = None if node in reached or str(node) in begun else fact(node)
            if known and not known.stored:
                parents = [parent for parent in known.parents if parent not in reached]
                if parents:
                    stack += [node, *reversed(parents)]
                    continue
            reached.setdefault(node, known)
        return reached

    def _learn(self, node: Node) -> Fact | None:
        """Ask about a node, unless its fact cannot change any more."""
        known = self._facts.get(node)
        if known is None or not known.stored:
            known = self._facts[node] = self._ask(node)
        return known


def facts(lookup: StoreLookup) -> Callable[[Node], Fact | None]:
    """Return a function that tells what a run knows about a node by now, without a question to a registry."""
    graph, layout = lookup.graph, lookup.layout

    @cache
    def history(node: Node) -> tuple[tuple[Node, ...], float | None]:
        latest = layout.latest(graph.spec(node).history_name)
        return tuple(graph.parents(node)), latest.seconds if latest else None

    def fact(node: Node) -> Fact | None:
        key = graph.computed_key(node)
        if key is None:
            return None
        try:
            parents, seconds = history(node)
            if layout.find(key, node.stage):
                return Fact(parents, "cache", seconds)
        except StagegraphError:
            return None  # the run itself will report it
        return Fact(parents, "registry" if lookup.in_registry(node, key) else "", seconds)

    return fact
