"""A diagram as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..project.model import Node
    from .diagram import Diagram


def facts(drawn: Diagram, keys: Mapping[Node, str], reasons: Mapping[Node, str]) -> dict[str, object]:
    """Return nodes and edges. ``keys`` and ``reasons`` are those of a plan, as far as there is one."""
    nodes = [
        {
            "id": box.id,
            "name": box.name,
            "kind": box.kind,
            "images": [*box.images],
            "tests": [*box.tests],
            "decision": box.decision,
            "more": box.more,
            "focus": box.focus,
            "nodes": [
                {
                    "node": str(node),
                    "key": keys.get(node),
                    "decision": dict(box.decisions).get(node),
                    "reason": reasons.get(node),
                }
                for node in box.nodes
            ],
        }
        for box in drawn.boxes
    ]
    edges = [
        {"parent": arrow.parent, "child": arrow.child, "kind": "from" if arrow.is_from else "copy"}
        for arrow in drawn.arrows
    ]
    return {"schema": 1, "nodes": nodes, "edges": edges}
