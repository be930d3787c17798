"""A plan: every decision of a run that has not begun, in the order of work. Pure: look-ups are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .decide import Action, Build, Have, Lookup, NeedsParents, Why, by_content, by_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..graph.graph import Graph
    from ..keys.explain import Change
    from ..keys.key import Key
    from ..project.model import Node
    from ..store.record import Record


@dataclass(frozen=True)
class Step:
    """One node of a plan. ``changes`` are against the node's last known build, first cause first.

    ``seconds`` is how long the last build took; None where no build is known. ``record`` is None for a node
    that is to be built, and for others with its key.
    """

    node: Node
    key: Key
    decision: Action
    reason: str
    changes: tuple[Change, ...] = ()
    seconds: float | None = None
    record: Record | None = field(default=None, repr=False)
    why: Why | None = None


def plan(graph: Graph, goals: Iterable[Node], lookup: Lookup) -> list[Step]:
    """Return the steps for ``goals`` in the order of work.

    Ancestors of a node that a store has do not appear.

    Raises ``ProjectError`` for a cycle, and the errors of ``Graph.key``.
    """
    goals = list(goals)
    graph.order(goals)  # report a cycle before the first look-up
    plan = _Plan(graph, lookup)
    for goal in goals:
        plan.visit(goal)
    return list(plan.steps.values())


class _Plan:
    """The steps so far. ``fetched`` has those that bring an image into ``cache/``, for nodes with its key."""

    def __init__(self, graph: Graph, lookup: Lookup) -> None:
        self.graph, self.lookup = graph, lookup
        self.steps: dict[Node, Step] = {}
        self.fetched: dict[Key, Step] = {}

    def visit(self, goal: Node) -> None:
        """Add the steps of a goal, of parents first. No recursion: a chain of stages has any length."""
        stack = [goal]
        waiting: set[Node] = set()  # for the steps of their parents
        while stack:
            node = stack[-1]
            if node not in self.steps:
                step = self._by_content(node) if node in waiting else self._by_recipe(node)
                if step is None:
                    waiting.add(node)
                    stack += reversed(self.graph.parents(node))
                    continue
                self._add(step)
            stack.pop()

    def _by_recipe(self, node: Node) -> Step | None:
        """Return the step of a node; None if its parents decide it."""
        key = self.graph.key(node)
        if first := self.fetched.get(key):
            reason = Why.SAME_KEY_AS.value.format(node=first.node)
            return Step(node, key, "reuse", reason, record=first.record, why=Why.SAME_KEY_AS)
        decision = by_recipe(self.graph, node, self.lookup)
        return None if isinstance(decision, NeedsParents) else _step(node, key, decision)

    def _by_content(self, node: Node) -> Step:
        parents = {parent: self.steps[parent].record for parent in self.graph.parents(node)}
        return _step(node, self.graph.key(node), by_content(self.graph, node, self.lookup, parents))

    def _add(self, step: Step) -> None:
        self.steps[step.node] = step
        if step.decision != "reuse":
            self.fetched[step.key] = step


def _step(node: Node, key: Key, decision: Have | Build) -> Step:
    if isinstance(decision, Have):
        record = decision.found.record
        return Step(node, key, decision.action, decision.reason, (), record.seconds, record, decision.why)
    last = decision.earlier.record if decision.earlier else None
    seconds = last.seconds if last else None
    return Step(node, key, "build", decision.reason, decision.changes, seconds, why=decision.why)
