"""Recipe keys that a run settles: it records a decided node, unless the record would be outdated by now.

While a run builds the child of an image, a rebuild in another process may replace this image. The child's
record would then hide that the child is made of the old one. So its key is withdrawn (``store.withdrawn``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .decide import content_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..graph.graph import Graph
    from ..project.model import Node
    from ..store.layout import LayoutStore
    from ..store.record import Record


def settle(
    graph: Graph, layout: LayoutStore, node: Node, parents: Mapping[Node, Record], write: Callable[[], None]
) -> None:
    """Write the record of a node's recipe key with ``write``; then its key is not withdrawn any more.

    If ``cache/`` has other parents by now, the key is withdrawn instead: before the record is there, as this
    process may be killed, and after it, as a rebuild may have come between.
    """
    key = graph.key(node)
    with layout.withdrawn_lock():
        if _is_outdated(graph, layout, node, parents):
            layout.withdrawn.add(key)
    write()
    with layout.withdrawn_lock():
        outdated = _is_outdated(graph, layout, node, parents)
        (layout.withdrawn.add if outdated else layout.withdrawn.discard)(key)


def _is_outdated(graph: Graph, layout: LayoutStore, node: Node, parents: Mapping[Node, Record]) -> bool:
    """Return whether a node that is made of these parents would see others by now."""
    if any(used.key in layout.withdrawn for used in parents.values()):
        return True
    now = {parent: layout.trusted(used.key, parent.stage) or used for parent, used in parents.items()}
    if all(now[parent].digest == used.digest for parent, used in parents.items()):
        return False
    mine, others = (content_key(graph, node, of.__getitem__)[0] for of in (parents, now))
    return mine != others
