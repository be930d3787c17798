"""Everything that is known about one node: its place in the graph, its recipe, its last build, its image.

It reads the project, asks the stores for the node as a plan does, and asks the engine for tags of images.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import EngineError, StagegraphError
from ..execution.decide import Have, by_recipe
from ..execution.plan import plan
from ..graph.native import runs
from ..oci.platform import NO_PLATFORM, OciPlatform, family, host_platform
from ..project.model import BASE, Node
from ..project.tags import is_known
from .sizes import Size, sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..execution.plan import Step
    from ..execution.workspace import Workspace
    from ..graph.graph import Graph
    from ..keys.spec import NodeSpec
    from ..oci.digest import Digest
    from ..project.model import Image
    from ..store.record import Record

#: What the engine has under a tag: this image, another image, nothing; or it does not answer.
Loaded = Literal["loaded", "other", "absent", "unknown"]


class Link(NamedTuple):
    """An edge to another node. ``is_from``: as in ``Edge``. ``line`` is that of the child's Dockerfile."""

    node: Node
    is_from: bool
    line: int


class External(NamedTuple):
    """An external image that the Dockerfile uses.

    ``platform`` is "" and ``line`` 1 for the front end, which ``kind`` tells apart.
    """

    reference: str
    kind: Literal["from", "copy", "front end"]
    digest: Digest
    platform: OciPlatform
    line: int


class Programs(NamedTuple):
    """Programs of one OCI platform that steps of a node run; and whether this machine would emulate them."""

    platform: OciPlatform
    emulated: bool


class ImageInfo(NamedTuple):
    """An image that the node is: its final tags, and what the engine has under each.

    ``passed`` is None without a test.
    """

    name: str
    description: str
    tags: Mapping[str, Loaded]
    test: Node | None
    passed: bool | None


class NodeInfo(NamedTuple):
    """The facts about a node.

    ``programs`` are those that its steps run, () without a step. ``step`` is that of a plan. ``last`` is the
    last known build. ``size`` is None if the image is not known. ``cached``: ``cache/`` has the image;
    ``in_registry`` is None without a registry.
    """

    spec: NodeSpec
    description: str
    parents: tuple[Link, ...]
    children: tuple[Link, ...]
    external: tuple[External, ...]
    programs: tuple[Programs, ...]
    step: Step
    last: Record | None
    size: Size | None
    cached: bool
    in_registry: bool | None
    registry: str
    images: tuple[ImageInfo, ...]


def node_info(workspace: Workspace, node: Node) -> NodeInfo:
    """Return the facts about a node. Raises ``StagegraphError`` if it has no key."""
    graph, project, lookup = workspace.graph, workspace.project, workspace.lookup
    spec = graph.spec(node)
    steps = plan(graph, [node], lookup)
    step = next(step for step in steps if step.node == node)
    registry = workspace.registry
    found = registry.find(node, spec.platform.docker, step.key) if registry else None
    record = step.record
    return NodeInfo(
        spec,
        _description(workspace, node),
        tuple(Link(parent.node, parent.edge.is_from, parent.edge.line) for parent in spec.parents),
        children(graph, node),
        tuple(_external(spec)),
        tuple(Programs(docker, _is_foreign(docker)) for docker in sorted(runs(graph, node))),
        step,
        _last(workspace, spec, record),
        sizes(graph, steps, lookup).get(node),
        workspace.layout.find(step.key, node.stage) is not None,
        None if registry is None else found is not None,
        registry.repository if registry else "",
        tuple(_image(workspace, image, node, record) for image in project.images_of(node)),
    )


def children(graph: Graph, node: Node) -> tuple[Link, ...]:
    """Return the nodes whose Dockerfiles use a node. A broken Dockerfile is left out."""
    found: list[Link] = []
    for child in graph.nodes:
        with suppress(StagegraphError):
            found += (
                Link(child, edge.is_from, edge.line) for edge, target in graph.links(child) if target == node
            )
    return tuple(found)


def _last(workspace: Workspace, spec: NodeSpec, record: Record | None) -> Record | None:
    """Return the last known build: on this machine, or else of what a store has now, or had before."""
    if last := workspace.layout.latest(spec.history_name) or record:
        return last
    earlier = workspace.lookup.earlier(spec.node)
    return earlier.record if earlier else None


def _description(workspace: Workspace, node: Node) -> str:
    return "" if node.stage == BASE else workspace.project.stages[node.stage].description


def _external(spec: NodeSpec) -> list[External]:
    found = [
        External(
            image.reference,
            "from" if image.edge.is_from else "copy",
            image.digest,
            image.edge.platform or spec.platform.docker,
            image.edge.line,
        )
        for image in spec.images
    ]
    if spec.frontend:
        found.append(External(spec.frontend.reference, "front end", spec.frontend.digest, NO_PLATFORM, 1))
    return found


def _is_foreign(docker: OciPlatform) -> bool:
    return family(docker) != family(host_platform())


# -- images ------------------------------------------------------------------------------------------


def _image(workspace: Workspace, image: Image, node: Node, record: Record | None) -> ImageInfo:
    """Return the facts about an image. ``record`` is that of the node's image of now, if it is known."""
    references = workspace.tags.of_run(image.name, node.platform, record.digest if record else None)
    test = workspace.project.test(image.name, node.platform)
    passed = None
    if test:
        with suppress(StagegraphError):  # a test without a key has not passed
            passed = isinstance(by_recipe(workspace.graph, test, workspace.lookup), Have)
        passed = bool(passed)
    ids = _ids(workspace, record)
    loaded = {reference: _loaded(reference, ids) for reference in references}
    return ImageInfo(image.name, image.description, loaded, test, passed)


def _ids(workspace: Workspace, record: Record | None) -> tuple[Digest, ...]:
    """Return the ids that an engine may give an image: all of them only if ``cache/`` has it."""
    if record is None:
        return ()
    from ..store import export

    with suppress(StagegraphError):
        return export.image_ids(workspace.layout, record)
    return (record.digest,)


def _loaded(reference: str, ids: tuple[Digest, ...]) -> Loaded:
    from ..docker import engine

    if not is_known(reference):  # a command in the image decides
        return "unknown"
    try:
        found = engine.image_id(reference)
    except EngineError:
        return "unknown"
    return "absent" if found is None else "loaded" if found in ids else "other"
