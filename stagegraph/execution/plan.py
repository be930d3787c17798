"""Which nodes to reuse, pull or build, and why. Pure: look-ups are given.

The target is asked for first. If its recipe key is found, its parents are not looked at. If not, its parents
are, the same way; once they are all there, its content key is looked for; only then is it built.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import StagegraphError
from ..keys import explain
from ..keys import inputs as keys
from ..project.model import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..graph.graph import Graph
    from ..keys.explain import Change
    from ..keys.key import Key
    from ..keys.spec import Parent
    from ..oci.digest import Digest
    from ..project.model import StageConfig
    from ..store.record import Record

Decision = Literal["reuse", "pull", "build"]

Source = Literal["cache", "registry"]


class Found(NamedTuple):
    """A record, the store it was found in, and by which node's name."""

    record: Record
    source: Source
    name: Node


@dataclass(frozen=True)
class Step:
    """One node of a plan. ``changes`` are against the node's last known build, first cause first.

    ``seconds`` is how long the last build took; None where none is known.
    """

    node: Node
    key: Key
    decision: Decision
    reason: str
    changes: tuple[Change, ...] = ()
    seconds: float | None = None
    record: Record | None = field(default=None, repr=False)


def produced(parent: Parent, record: Record) -> Digest:
    """What an edge can see of a parent: all of it for ``FROM``, its files for ``COPY --from``."""
    return record.image if parent.edge.whole else record.files


def content_key(graph: Graph, node: Node, records: Callable[[Node], Record]) -> tuple[Key, list[keys.Input]]:
    """The content key of a node whose parents are there, and its inputs."""
    inputs = graph.content_inputs(node, lambda parent: produced(parent, records(parent.node)))
    return keys.digest(inputs), inputs


def plan(
    graph: Graph,
    goals: Iterable[Node],
    find: Callable[[Node, Key], Found | None],
    latest: Callable[[Node], Record | None],
) -> list[Step]:
    """Steps in the order of work for ``goals``; ancestors of a found node do not appear."""
    goals = list(goals)
    graph.order(goals)  # cycles are told before anything is looked up
    steps: dict[Node, Step] = {}

    def visit(node: Node) -> None:
        if node in steps:
            return
        key = graph.key(node)
        if found := find(node, key):
            steps[node] = _reuse(node, key, found, f"its key is in {_place(found)}")
            return
        for parent in graph.parents(node):
            visit(parent)
        parents = {parent: steps[parent] for parent in graph.parents(node)}
        records = {parent: step.record for parent, step in parents.items() if step.record}
        if len(records) == len(parents):
            content, _ = content_key(graph, node, records.__getitem__)
            if found := find(node, content):
                place = _place(found)
                steps[node] = _reuse(node, key, found, f"its parents' content is that of an image in {place}")
                return
        steps[node] = _build(graph, node, parents.values(), latest(node))

    for goal in goals:
        visit(goal)
    return list(steps.values())


def ahead(graph: Graph, node: Node, here: Callable[[Key], bool], seen: set[Node]) -> Iterator[Node]:
    """Ancestors of a node that is nowhere, nearest first: they may be looked for at once, before their turn.

    ``here`` tells of a key whether it need not be looked for; neither need the ancestors of that node. What
    is in ``seen`` was named before, and what is named comes into it. An ancestor that cannot be keyed is told
    of in its turn, not here.
    """
    nodes = [node]
    for below in nodes:
        for parent in graph.parents(below):
            with suppress(StagegraphError):
                if parent not in seen and not here(graph.key(parent)):
                    seen.add(parent)
                    nodes.append(parent)
                    yield parent


def alike(graph: Graph, node: Node) -> Iterator[Node]:
    """The node, then others on its platform that have its key: a registry may have it under their names.

    Only of those whose recipe is the same is the key looked at: nothing is read or pinned for it that the
    node's own has not.
    """
    yield node
    if mine := graph.project.recipe(node):
        for stage in graph.project.stages.values():
            recipe = stage.recipes.get(node.platform)
            if recipe and stage.name != node.stage and _made_of(recipe) == _made_of(mine):
                with suppress(StagegraphError):
                    if graph.key(other := Node(stage.name, node.platform)) == graph.key(node):
                        yield other


def _made_of(recipe: StageConfig) -> tuple[object, ...]:
    """What of a recipe its key is made of."""
    files = recipe.context, recipe.dockerfile, recipe.target, recipe.own_frontend
    return *files, recipe.network, recipe.args, recipe.contexts, recipe.archive


def _build(graph: Graph, node: Node, parents: Iterable[Step], known: Record | None) -> Step:
    changes = tuple(explain.diff(known.inputs, graph.inputs(node))) if known else ()
    waits = [parent.node for parent in parents if parent.decision == "build"]
    seconds = known.seconds if known else None
    return Step(node, graph.key(node), "build", _reason(known, changes, waits), changes, seconds)


def _reuse(node: Node, key: Key, found: Found, reason: str) -> Step:
    decision: Decision = "reuse" if found.source == "cache" else "pull"
    return Step(node, key, decision, reason, (), found.record.seconds, found.record)


def _place(found: Found) -> str:
    return "cache/" if found.source == "cache" else "the registry"


def _reason(known: Record | None, changes: tuple[Change, ...], waits: list[Node]) -> str:
    if known is None or not waits or _own(changes):
        return cause(known, changes)
    first = f"{', '.join(map(str, waits))} {'is' if len(waits) == 1 else 'are'} built first"
    return f"{first}; built too unless the content comes out the same"


def cause(known: Record | None, changes: Sequence[Change]) -> str:
    """Why a node is built that was built as ``known`` before; what stands in its own folder comes first."""
    if known is None:
        return "no earlier build of it is known here"
    if not changes:
        return "its image is in no store any more, or was made on other content of its parents"
    more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
    return f"{[*_own(changes), *changes][0]}{more}"


def _own(changes: Iterable[Change]) -> list[Change]:
    return [change for change in changes if (change.new or change.old).role != "parent"]  # type: ignore[union-attr]
