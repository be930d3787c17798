"""The sizes of images as they are stored: of their own layers, and with the layers that they start from."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..execution.decide import Found
    from ..execution.plan import Step
    from ..graph.graph import Graph
    from ..keys.key import Key
    from ..project.model import Node
    from ..store.record import Record

#: The digest and the size (bytes) of a layer.
Layer = tuple[str, int]

#: How many manifests are requested at once.
_AT_ONCE = 8


class Lookup(Protocol):
    """Finds records and manifests in all stores of a run."""

    def find(self, node: Node, key: Key) -> Found | None:
        """The record of a node by its key; None if no store has it."""

    def manifest(self, record: Record) -> Mapping[str, Any] | None:
        """The manifest of an image; None if no store has it."""


class Size(NamedTuple):
    """The size of an image's layers, compressed (bytes). ``own`` leaves out the layers of its ``FROM``.

    ``own`` is None for an image that starts from an external one, of which only the digest is known.
    """

    own: int | None
    image: int


def own_size(layers: Sequence[Layer], parents: Iterable[Sequence[Layer]], *, external: bool) -> int | None:
    """The size (bytes) of the layers above the image that this one starts from.

    ``parents`` are the layers of each image in a ``FROM`` of the Dockerfile. The last build stage starts from
    one of them: the one that shares most layers with the image. ``external``: a ``FROM`` names an external
    image, too.
    """
    shared = max((_shared(layers, parent) for parent in parents), default=0)
    if not shared and external:
        return None
    return sum(size for _, size in layers[shared:])


def _shared(layers: Sequence[Layer], parent: Sequence[Layer]) -> int:
    pairs = zip(layers, parent, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def sizes(graph: Graph, steps: Iterable[Step], lookup: Lookup) -> dict[Node, Size]:
    """The sizes of the nodes of a plan whose images are known."""
    records = {step.node: step.record for step in steps if step.record}
    by_digest: dict[str, list[Layer] | None] = {}

    def layers_of(record: Record) -> list[Layer] | None:
        if record.digest not in by_digest:
            by_digest[record.digest] = _layers(lookup.manifest(record))
        return by_digest[record.digest]

    result = {}
    for node, record in records.items():
        if (layers := layers_of(record)) is not None:
            parents, complete = _parents(graph, node, records, lookup)
            parent_layers = [known for parent in parents if (known := layers_of(parent)) is not None]
            external = not complete or len(parent_layers) < len(parents)
            result[node] = Size(
                own_size(layers, parent_layers, external=external), sum(size for _, size in layers)
            )
    return result


def bytes_to_fetch(steps: Iterable[Step], lookup: Lookup, has: Callable[[Digest], bool]) -> int | None:
    """Return how many bytes the pulls of a plan bring; None if a manifest is not to be had.

    ``has`` says whether ``cache/`` has a blob. Manifests are requested several at once.
    """
    records = {step.record.digest: step.record for step in steps if step.decision == "pull" and step.record}
    if not records:
        return 0
    from ..system.workers import DaemonPool

    pool = DaemonPool(_AT_ONCE)
    waiting = [pool.submit(partial(lookup.manifest, record)) for record in records.values()]
    blobs: dict[str, int] = {}
    for future in waiting:
        layers = _layers(future.result())
        if layers is None:
            return None
        blobs |= layers
    return sum(size for digest, size in blobs.items() if not has(Digest(digest)))


def _parents(
    graph: Graph, node: Node, records: Mapping[Node, Record], lookup: Lookup
) -> tuple[list[Record], bool]:
    """The project's images in the ``FROM`` lines of a node; and whether the lines name no other images."""
    spec = graph.spec(node)
    result: list[Record] = []
    parents = list(dict.fromkeys(parent.node for parent in spec.parents if parent.edge.is_from))
    for parent in parents:
        if parent in records:
            result.append(records[parent])
        elif found := lookup.find(parent, graph.key(parent)):
            result.append(found.record)
    return result, len(result) == len(parents) and not any(image.edge.is_from for image in spec.images)


def _layers(manifest: Mapping[str, Any] | None) -> list[Layer] | None:
    try:
        return None if manifest is None else [(x["digest"], int(x["size"])) for x in manifest["layers"] or ()]
    except (KeyError, TypeError, ValueError):
        return None
