"""The platforms whose programs a node runs, so that a builder can run them natively.

Pure. This chooses the builder and is not part of any key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..oci.platform import NO_PLATFORM

if TYPE_CHECKING:
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from .graph import Graph


def runs(graph: Graph, node: Node) -> frozenset[OciPlatform]:
    """Return the OCI platforms whose programs the RUN instructions of a node run; empty without a RUN."""
    spec = graph.spec(node)
    if spec.bootstrap is not None:
        return frozenset({spec.platform.docker})
    stages = enumerate(spec.analysis.build_stages)
    return frozenset(_programs(graph, node, number) for number, stage in stages if stage.has_run)


def _programs(graph: Graph, node: Node, number: int = -1) -> OciPlatform:
    """Return the platform whose programs a build stage of a node runs, by default its last one.

    A build stage runs the programs of what it starts from, unless ``native`` of the stage in ``stages.toml``
    names another platform.
    """
    spec = graph.spec(node)
    if spec.config.native and number == -1:
        return spec.config.native
    if not spec.analysis.build_stages:
        return spec.platform.docker
    stage = spec.analysis.build_stages[number]
    platform = NO_PLATFORM if stage.platform == spec.platform.docker else stage.platform
    for parent in spec.parents:
        if parent.edge.is_from and (parent.edge.name, parent.edge.platform) == (stage.name, platform):
            return _programs(graph, parent.node)
    return stage.platform or spec.platform.docker
