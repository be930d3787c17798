"""How large images are, as they are stored: their own layers, and all with those that they start from."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..execution.plan import Step
    from ..execution.workspace import Workspace
    from ..project.model import Node
    from ..store.record import Record

Layer = tuple[str, int]  # digest and size in bytes


class Size(NamedTuple):
    """Bytes of an image's layers, compressed. ``own`` are those not in its ``FROM``; None where that is an
    image from outside, of which nothing is known here but its digest."""

    own: int | None
    image: int


def own_size(layers: Sequence[Layer], parents: Iterable[Sequence[Layer]], *, outside: bool) -> int | None:
    """Bytes of the layers above the image that this one starts from.

    ``parents`` are the layers of all that its Dockerfile has in ``FROM``, of which the last part stands on
    one: that which shares most layers with the image. ``outside``: an image from outside is among them.
    """
    shared = max((_shared(layers, parent) for parent in parents), default=0)
    if not shared and outside:
        return None
    return sum(size for _, size in layers[shared:])


def _shared(layers: Sequence[Layer], parent: Sequence[Layer]) -> int:
    pairs = zip(layers, parent, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def sizes(session: Workspace, steps: Iterable[Step]) -> dict[Node, Size]:
    """Sizes of the nodes of a plan whose images are known. Asks the registry for manifests of what it has."""
    records = {step.node: step.record for step in steps if step.record}
    manifests: dict[str, list[Layer] | None] = {}

    def layers(record: Record) -> list[Layer] | None:
        if record.digest not in manifests:
            manifests[record.digest] = _layers(session.lookup.manifest(record))
        return manifests[record.digest]

    found = {}
    for node, record in records.items():
        if (own := layers(record)) is not None:
            parents, complete = _parents(session, node, records)
            known = [known for parent in parents if (known := layers(parent)) is not None]
            outside = not complete or len(known) < len(parents)
            found[node] = Size(own_size(own, known, outside=outside), sum(size for _, size in own))
    return found


def _parents(session: Workspace, node: Node, records: Mapping[Node, Record]) -> tuple[list[Record], bool]:
    """Images of the project that a node's Dockerfile has in ``FROM``; whether these are all that it has."""
    spec = session.graph.spec(node)
    found: list[Record] = []
    wanted = list(dict.fromkeys(parent.node for parent in spec.parents if parent.edge.is_from))
    for parent in wanted:
        if parent in records:
            found.append(records[parent])
        elif known := session.lookup.find(parent, session.graph.key(parent)):
            found.append(known.record)
    return found, len(found) == len(wanted) and not any(image.edge.is_from for image in spec.images)


def _layers(manifest: Mapping[str, Any] | None) -> list[Layer] | None:
    try:
        return None if manifest is None else [(x["digest"], int(x["size"])) for x in manifest["layers"] or ()]
    except (KeyError, TypeError, ValueError):
        return None
