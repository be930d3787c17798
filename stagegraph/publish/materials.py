"""The materials of an image: everything that it was built from, for its bill of materials and provenance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from ..inspection import inventory
from .provenance import dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..execution.decide import Found
    from ..graph.graph import Graph
    from ..inspection.inventory import PinnedArchive
    from ..keys.key import Key
    from ..project.model import Node
    from .publication import PlatformImage


class Lookup(Protocol):
    """Finds records in all stores of a run."""

    def find(self, node: Node, key: Key) -> Found | None:
        """The record of a node by its key; None if no store has it."""


def pinned_archives(graph: Graph, node: Node) -> list[PinnedArchive]:
    """The archives that a node and its ancestors take by name and checksum."""
    nodes = graph.order([node])
    return inventory.pinned_archives(
        instruction for one in nodes for instruction in graph.spec(one).analysis.instructions
    )


def parameters(graph: Graph, image: PlatformImage) -> dict[str, str]:
    """The external parameters of a build (SLSA): the stage, its platform and its build arguments."""
    node, spec = image.node, graph.spec(image.node)
    return {"stage": node.stage, "platform": node.platform, "docker": image.record.docker} | {
        f"arg:{name}": value for name, value in spec.analysis.args.items()
    }


def dependencies(
    graph: Graph, lookup: Lookup, image: PlatformImage, archives: Iterable[PinnedArchive]
) -> list[dict[str, Any]]:
    """The resolved dependencies (SLSA): external images, front ends, images of all ancestors, and archives.

    A record names the images that its image was built from. An old record does not; then the graph does.
    """
    ancestors = dict(word.split("=", 1) for word in image.record.materials)
    result = []
    for node in graph.order([image.node]):
        if node != image.node and str(node) not in ancestors:
            found = lookup.find(node, graph.key(node))
            if found:
                ancestors[str(node)] = found.record.digest
        spec = graph.spec(node)
        external = [(one.reference, one.digest) for one in spec.images]
        external += [(spec.frontend.reference, spec.frontend.digest)] if spec.frontend else []
        result += [dependency(name, digest, f"docker://{name}") for name, digest in external]
    result += [dependency(name, digest) for name, digest in sorted(ancestors.items())]
    result += [dependency(archive.file, archive.sha256) for archive in archives]
    return list({json.dumps(item): item for item in result}.values())
