"""The one decision about a node: reuse its image, pull it, or build it. It has one list of reasons.

Pure: the caller gives the look-ups. ``doit plan`` decides and shows; a run decides and then acts. Both decide
a node in two steps. The first step knows the recipe key alone. If no store has it, the parents come first.
The second step knows the parents' images, and with them the content key.

The order of the two keys is that of *Build Systems a la Carte* (Mokhov et al. 2018): deep constructive traces
first, since they need no parents, then constructive traces, which give early cutoff.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ..keys import inputs as keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..graph.graph import Graph
    from ..keys.explain import Change
    from ..keys.key import Key
    from ..keys.spec import Parent
    from ..oci.digest import Digest
    from ..project.model import Node
    from ..store.record import Record
    from .earlier import Earlier

Action = Literal["reuse", "pull", "build"]

Store = Literal["cache", "registry"]


class Why(Enum):
    """All reasons for which a node is reused, pulled or built. The value is the text that users read."""

    SAME_KEY = "its key is in {store}"
    #: Only in a plan: at its turn, a run finds the key in ``cache/``.
    SAME_KEY_AS = "it shares its key with {node}"
    SAME_CONTENT = "its parents' content is that of an image in {store}"
    BUILT_MEANWHILE = "another build made it meanwhile"
    NO_EARLIER_BUILD = "no earlier build of it is known here"
    CHANGED = "{change}{told}"
    UNTRUSTED = "{untrusted}"
    NOT_STORED = "its image is in no store any more, or was built on other content of its parents"
    PARENTS_FIRST = "{parents} built first; this node too, if that changes what it uses"


class Found(NamedTuple):
    """A record, the store that has it, and the node under whose name the store has it."""

    record: Record
    store: Store
    owner: Node


class Lookup(Protocol):
    """Answers what the stores hold. An implementation may remember its answers."""

    def find(self, node: Node, key: Key) -> Found | None:
        """Return the image that a store has for a key of the node."""

    def image(self, node: Node) -> Record | None:
        """Return the record of the node's recipe key, even if ``cache/`` no longer has the image."""

    def untrusted(self, key: Key) -> str:
        """Return why records of a key that were found are not used; "" if there are none."""

    def earlier(self, node: Node) -> Earlier | None:
        """Return what the node was last made of, for explanations."""


class Have(NamedTuple):
    """A store has the image. A test that passed elsewhere is not fetched: nobody uses its image."""

    found: Found
    why: Why
    fetch: bool = True

    @property
    def action(self) -> Action:
        return "pull" if self.fetch and self.found.store == "registry" else "reuse"

    @property
    def reason(self) -> str:
        return self.why.value.format(store="cache/" if self.found.store == "cache" else "the registry")


class NeedsParents(NamedTuple):
    """No store has the recipe key: decide again when the parents are there."""


class Build(NamedTuple):
    """No store has the image. ``changes`` are against ``earlier``, first cause first."""

    why: Why
    reason: str
    changes: tuple[Change, ...] = ()
    earlier: Earlier | None = None


def by_recipe(graph: Graph, node: Node, lookup: Lookup) -> Have | NeedsParents:
    """Decide a node by its recipe key alone, before anything is known of its parents."""
    is_test = graph.project.tested_by(node.stage) is not None
    found = lookup.find(node, graph.key(node))
    if found is None or (is_test and not _passed_on_these(graph, node, lookup)):
        return NeedsParents()
    return Have(found, Why.SAME_KEY, fetch=not is_test)


def by_content(
    graph: Graph,
    node: Node,
    lookup: Lookup,
    parents: Mapping[Node, Record | None],
    *,
    waited: bool = False,
    without: Collection[Key] = (),
) -> Have | Build:
    """Decide a node whose parents are decided. A parent without a record is built first.

    ``waited``: another process may have built the node since ``by_recipe``, so look for its recipe key again.
    ``without``: keys whose image the registry has and could not deliver.
    """
    is_test = graph.project.tested_by(node.stage) is not None
    # a pass of a test counts only for the parents' content, whatever its recipe key says
    if (
        waited
        and not is_test
        and (key := graph.key(node)) not in without
        and (found := lookup.find(node, key))
    ):
        return Have(found, Why.BUILT_MEANWHILE)
    wanted = [graph.key(node)]
    records = {parent: record for parent, record in parents.items() if record}
    if len(records) == len(parents):
        content, _ = content_key(graph, node, records.__getitem__)
        if content not in without and (found := lookup.find(node, content)):
            return Have(found, Why.SAME_CONTENT)
        wanted.append(content)
    if untrusted := next(filter(None, map(lookup.untrusted, wanted)), ""):
        return Build(Why.UNTRUSTED, Why.UNTRUSTED.value.format(untrusted=untrusted), (), lookup.earlier(node))
    return _build(graph, node, lookup.earlier(node), [p for p, record in parents.items() if not record])


def _build(graph: Graph, node: Node, earlier: Earlier | None, waits: Sequence[Node]) -> Build:
    from ..keys import explain  # a run that builds nothing needs no explanation

    changes = _own_first(explain.diff(earlier.inputs, graph.inputs(node))) if earlier else ()
    if earlier and waits and not (changes and changes[0].role != "parent"):
        names = f"{', '.join(map(str, waits))} {'is' if len(waits) == 1 else 'are'}"
        return Build(Why.PARENTS_FIRST, Why.PARENTS_FIRST.value.format(parents=names), changes, earlier)
    why = Why.NO_EARLIER_BUILD if earlier is None else Why.CHANGED if changes else Why.NOT_STORED
    told = earlier.told if earlier else ""
    return Build(why, why.value.format(change=_summary(changes), told=told), changes, earlier)


def _own_first(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Put a node's own changes first. They explain more than a parent's."""
    return tuple(sorted(changes, key=lambda change: change.role == "parent"))


def _summary(changes: Sequence[Change]) -> str:
    """Name one change and say how many more there are. Name both of two."""
    if len(changes) > 2:
        return f"{changes[0]} (and {len(changes) - 1} more)"
    return "; ".join(map(str, changes))


def _passed_on_these(graph: Graph, test: Node, lookup: Lookup) -> bool:
    """Return whether a pass of a test is of the images that the test uses now.

    An image that is not reproducible may be another one under the same recipe key. Then the content key
    differs. Where the record of a parent is nowhere, the recipe key must do. Where the record of the tested
    image is nowhere, the image is built first.
    """
    records = {}
    image = graph.project.tested_by(test.stage)
    for parent in graph.parents(test):
        record = lookup.image(parent)
        if record is None:
            return image is None or parent.stage != image.stage
        records[parent] = record
    return lookup.find(test, content_key(graph, test, records.__getitem__)[0]) is not None


def content_seen_by(parent: Parent, record: Record) -> Digest:
    """The digest of what an edge can see of a parent.

    All of it for ``FROM``, its files for ``COPY --from``.
    """
    return record.image if parent.edge.is_from else record.files


def content_key(graph: Graph, node: Node, records: Callable[[Node], Record]) -> tuple[Key, list[keys.Input]]:
    """The content key of a node whose parents are there, and its inputs."""
    inputs = graph.content_inputs(node, lambda parent: content_seen_by(parent, records(parent.node)))
    return keys.digest(inputs), inputs
