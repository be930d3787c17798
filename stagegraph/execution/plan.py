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
    steps: dict[Node, Step] = {}
    # steps that bring an image into cache/, where nodes with the same key find it
    fetched: dict[Key, Step] = {}

    def visit(node: Node) -> None:
        if node in steps:
            return
        key = graph.key(node)
        if first := fetched.get(key):
            reason = Why.SAME_KEY_AS.value.format(node=first.node)
            steps[node] = Step(node, key, "reuse", reason, record=first.record, why=Why.SAME_KEY_AS)
            return
        decision: Have | Build | NeedsParents = by_recipe(graph, node, lookup)
        if isinstance(decision, NeedsParents):
            parents = graph.parents(node)
            for parent in parents:
                visit(parent)
            decision = by_content(graph, node, lookup, {parent: steps[parent].record for parent in parents})
        step = steps[node] = _step(node, key, decision)
        if step.decision != "reuse":
            fetched[key] = step

    for goal in goals:
        visit(goal)
    return list(steps.values())


def _step(node: Node, key: Key, decision: Have | Build) -> Step:
    if isinstance(decision, Have):
        record = decision.found.record
        return Step(node, key, decision.action, decision.reason, (), record.seconds, record, decision.why)
    last = decision.earlier.record if decision.earlier else None
    seconds = last.seconds if last else None
    return Step(node, key, "build", decision.reason, decision.changes, seconds, why=decision.why)
