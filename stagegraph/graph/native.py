"""Whose programs a node runs: what a machine must be to build it fast. Pure; no key has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..oci.platform import NO_PLATFORM

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from .graph import Graph


def runs(graph: Graph, node: Node) -> frozenset[OciPlatform]:
    """OCI platforms at whose speed a node's RUN instructions run; empty where it has none."""
    spec = graph.spec(node)
    if spec.bootstrap is not None:
        return frozenset({spec.platform.docker})
    return frozenset(_speed(graph, node, number) for number, part in enumerate(spec.facts.parts) if part.runs)


def _speed(graph: Graph, node: Node, number: int = -1) -> OciPlatform:
    """The platform at whose speed a part of a node runs, by default that of its result.

    A part has the speed of what it starts from; ``native`` of a stage in ``stages.toml`` says another.
    """
    spec = graph.spec(node)
    if spec.recipe.native and number == -1:
        return spec.recipe.native
    if not spec.facts.parts:
        return spec.platform.docker
    part = spec.facts.parts[number]
    asked = NO_PLATFORM if part.platform == spec.platform.docker else part.platform
    for parent in spec.parents:
        if parent.edge.whole and (parent.edge.name, parent.edge.platform) == (part.name, asked):
            return _speed(graph, parent.node)
    return part.platform or spec.platform.docker
