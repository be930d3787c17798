"""The edits since a commit, and the nodes that each of them makes anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..keys import explain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..graph.graph import Graph
    from ..keys.explain import Change
    from ..project.model import Node
    from .earlier import EarlierBuilds


class Edit(NamedTuple):
    """One edit, and the nodes whose keys it changes."""

    change: Change
    nodes: tuple[Node, ...]


class Since(NamedTuple):
    """What differs from a commit. ``name`` is what the user called it.

    ``changed`` are the nodes with another key, ``new`` those that the commit does not have, or has without a
    key. ``same`` is how many nodes have the key of then.
    """

    name: str
    commit: str
    edits: tuple[Edit, ...]
    changed: tuple[Node, ...]
    new: tuple[Node, ...]
    same: int


def since(graph: Graph, nodes: Iterable[Node], builds: EarlierBuilds, name: str, commit: str) -> Since:
    """Compare nodes and their ancestors with a commit. Raises the errors of ``Graph.key``."""
    changed: dict[Node, list[Change]] = {}
    new: list[Node] = []
    same = 0
    for node in graph.order(list(nodes)):
        past = builds.at(node, commit)
        if past is None:
            new.append(node)
        elif past.key == graph.key(node):
            same += 1
        else:
            own = explain.diff(past.inputs, graph.inputs(node))
            changed[node] = [change for change in own if not change.is_same_parent]
    return Since(name, commit, tuple(_edits(graph, changed)), tuple(changed), tuple(new), same)


def _edits(graph: Graph, changed: dict[Node, list[Change]]) -> list[Edit]:
    """Return each edit once, that which changes most nodes first."""
    places = dict.fromkeys(change for changes in changed.values() for change in changes)
    found: dict[Node, set[Change]] = {}  # by node: the edits of it and of its ancestors
    for node in graph.order(list(changed)):
        found[node] = set(changed.get(node, ())).union(*(found[parent] for parent in graph.parents(node)))
    edits = [Edit(change, tuple(node for node in changed if change in found[node])) for change in places]
    return sorted(edits, key=lambda edit: -len(edit.nodes))
