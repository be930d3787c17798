"""The root causes of a node's new key: the edits, not the chain of parents that passes them on. Pure.

A parent that changed is no cause by itself: its own inputs are compared, and so on, up to what was edited.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..keys import explain
from ..keys.key import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..graph.graph import Graph
    from ..keys.explain import Change
    from ..keys.inputs import Input
    from ..project.model import Node

#: How many ways are told by which one edit reaches a node. There may be more than can be counted.
MOST_WAYS = 3


class EarlierInputs(Protocol):
    """Returns the inputs that a node had under an earlier key; None where nobody knows them."""

    def __call__(self, node: Node, key: Key) -> Sequence[Input] | None: ...


class Cause(NamedTuple):
    """An edit that changes a node's key.

    ``node`` is where it was made: the node itself or an ancestor. ``ways`` are the parents that pass it on,
    from the node's own parent to ``node``, a shortest way first, at most ``MOST_WAYS``; () for an edit of the
    node itself. ``is_known`` is False for a parent that changed and whose earlier inputs nobody knows.
    """

    node: Node
    change: Change
    ways: tuple[tuple[Node, ...], ...] = ()
    is_known: bool = True


class _Changed(NamedTuple):
    """A node whose key changed: its own changes, and the parents whose changes are looked into."""

    own: list[tuple[Change, bool]]
    parents: list[Node]


def causes(graph: Graph, node: Node, old: Sequence[Input], earlier: EarlierInputs) -> list[Cause]:
    """Return the edits between ``old`` inputs of a node and those of now, the node's own ones first.

    An edit that changes several nodes by itself, such as a new package date, is told of the nearest one.
    """
    changed: dict[Node, _Changed] = {}
    waiting: list[tuple[Node, Sequence[Input]]] = [(node, old)]
    for current, before in waiting:
        if current in changed:
            continue
        own: list[tuple[Change, bool]] = []
        parents: list[Node] = []
        by_input = graph.parents_by_input(current)
        for change in explain.diff(before, graph.inputs(current)):
            parent = by_input.get(change.name) if change.is_same_parent else None
            inputs = earlier(parent, Key(change.old.value)) if parent and change.old else None
            if parent is None or inputs is None:
                own.append((change, parent is None))
            elif parent not in parents:
                parents.append(parent)
                waiting.append((parent, inputs))
        changed[current] = _Changed(own, parents)
    found: dict[object, Cause] = {}
    for where, each in changed.items():
        for change, is_known in each.own:
            if (edit := _identity(change)) not in found:
                ways = tuple(islice(_ways(changed, node, where), MOST_WAYS))
                found[edit] = Cause(where, change, ways, is_known)
    return list(found.values())


def _identity(change: Change) -> object:
    """Return what two nodes have in common if one edit changes both, such as a new pin of an image."""
    if change.role != "image" or change.old is None or change.new is None:
        return change
    return change.subject, change.old.value, change.new.value


def _ways(changed: Mapping[Node, _Changed], start: Node, end: Node) -> Iterator[tuple[Node, ...]]:
    """Yield the ways from ``start``, which is left out, to ``end``, short ones first."""
    if start == end:
        return
    leads = _leading_to(changed, end)
    ways: list[tuple[Node, ...]] = [(parent,) for parent in changed[start].parents if parent in leads]
    for way in ways:
        if way[-1] == end:
            yield way
        else:
            ways += [(*way, parent) for parent in changed[way[-1]].parents if parent in leads]


def _leading_to(changed: Mapping[Node, _Changed], end: Node) -> set[Node]:
    """Return ``end`` and the changed nodes from which a way leads to it."""
    leads = {end}
    found = [end]
    for node in found:
        new = [each for each, facts in changed.items() if node in facts.parents and each not in leads]
        leads.update(new)
        found += new
    return leads
