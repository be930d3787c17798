"""Files and pins -> ``NodeSpec``: reads the Dockerfile and context of a node, and pins its external images.

Each is read once. Knows nothing of keys or of the order of nodes.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, TypeVar

from ..context.selection import ContextSelection, ignore_file
from ..dockerfile.arguments import declared_args
from ..errors import UNRESOLVED, ContextError, DockerfileError, ProjectError, StagegraphError, nearest
from ..keys.spec import ExternalImage, Frontend, NodeSpec, Parent
from ..oci.platform import host_platform
from ..oci.reference import split
from ..project import stacks
from ..project.model import BASE, Bootstrap, Node, StageConfig
from .dockerfile_names import ExternalReference, NameResolver
from .dockerfiles import Dockerfiles
from .onbuild import Triggers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..context.entry import Entry
    from ..dockerfile.dependencies import DockerfileAnalysis, Edge
    from ..project.model import Image, Project
    from .lock import Lock


_T = TypeVar("_T")


class NodeReader:
    """Reads the nodes of a project. Safe for threads."""

    def __init__(self, project: Project, lock: Lock) -> None:
        self._project, self._lock = project, lock
        self._build_platform = host_platform()
        self._names, self._dockerfiles = NameResolver(project), Dockerfiles(project, self._build_platform)
        self._specs: dict[Node, NodeSpec] = {}
        self._edges: dict[Node, tuple[tuple[Edge, Node | ExternalReference], ...]] = {}
        self._contexts: dict[tuple[object, ...], tuple[ContextSelection, tuple[Entry, ...]]] = {}
        # two threads that read the same files at different times would disagree about a key
        self._guard = threading.RLock()

    def spec(self, node: Node) -> NodeSpec:
        """Return everything that determines a node, except its parents' keys.

        Raises ``DockerfileError``, ``ContextError``, ``LockError``, ``ResolveError``.
        """
        with self._guard:
            if node not in self._specs:
                self._specs[node] = self._concerning(node, self._read)
            return self._specs[node]

    def parents(self, node: Node) -> tuple[Parent, ...]:
        """Return the edges to other nodes, in the order of the Dockerfile.

        Reads only the Dockerfile: no context, no lock. Raises ``DockerfileError``.
        """
        return tuple(Parent(edge, target) for edge, target in self.links(node) if isinstance(target, Node))

    def links(self, node: Node) -> tuple[tuple[Edge, Node | ExternalReference], ...]:
        """Return all edges of a node with their targets, in the order of the Dockerfile.

        Reads only the Dockerfile. Raises ``DockerfileError``.
        """
        with self._guard:
            if node not in self._edges:
                self._edges[node] = self._concerning(node, self._resolved_edges)
            return self._edges[node]

    # -- one node --------------------------------------------------------------------------------

    def _concerning(self, node: Node, read: Callable[[Node], _T]) -> _T:
        """Call ``read``. Name the node in its errors, unless they name one that is nearer to the cause."""
        try:
            return read(node)
        except StagegraphError as error:
            error.node = error.node or str(node)
            raise

    def _read(self, node: Node) -> NodeSpec:
        config = self._project.config(node)
        return self._bootstrapped(node) if config is None else self._built(node, config)

    def _bootstrapped(self, node: Node) -> NodeSpec:
        base = self._project.bases[node.platform]
        assert isinstance(base, Bootstrap)
        return NodeSpec(
            node,
            self._project.platforms[node.platform],
            StageConfig(context="", declared_at=base.declared_at),
            self._project.epoch,
            bootstrap=base,
            package_date=self._lock.package_date(),
        )

    def _built(self, node: Node, config: StageConfig) -> NodeSpec:
        text, analysis = self._dockerfiles.text(config), self._dockerfiles.analysis(node, config)
        parents, images = self.parents(node), self._images(node, config)
        triggers = self._triggers(config, parents, images)
        _check_args(node, config, analysis, triggers)
        if triggers is not None:
            analysis = triggers.applied(analysis, config.args, self._build_platform)
        selection, entries = self._context(config, analysis)
        has_dockerfile = _check_unchanged(entries, config, text)
        dated = analysis.installs_packages or config.installs_packages
        return NodeSpec(
            node,
            self._project.platforms[node.platform],
            config,
            self._project.epoch,
            analysis=analysis,
            entries=entries,
            parents=parents,
            images=images,
            frontend=self._frontend(config, analysis),
            package_date=self._lock.package_date() if dated else "",
            text=text,
            exposed=not has_dockerfile and selection.reaches(config.dockerfile),
        )

    def _context(
        self, config: StageConfig, analysis: DockerfileAnalysis
    ) -> tuple[ContextSelection, tuple[Entry, ...]]:
        """Return the files that a build reads. Platforms that read the same share them.

        Raises ``ContextError``.
        """
        what = (config.context, config.dockerfile, analysis.sources, analysis.chmod_sources)
        if what not in self._contexts:
            self._contexts[what] = self._selected(config, analysis)
        return self._contexts[what]

    def _selected(
        self, config: StageConfig, analysis: DockerfileAnalysis
    ) -> tuple[ContextSelection, tuple[Entry, ...]]:
        folder, name = self._project.root / config.context, config.dockerfile_path
        selection = ContextSelection(folder, name, ignore_file(folder, config.dockerfile))
        entries = selection.select(analysis.sources, analysis.chmod_sources)
        if folder == self._project.root and any(entry.path.startswith("cache/") for entry in entries):
            what = "the build reads cache/, which every build changes"
            raise ContextError(name, what, "add cache to .dockerignore, or copy less than everything")
        return selection, entries

    # -- edges -----------------------------------------------------------------------------------

    def _resolved_edges(self, node: Node) -> tuple[tuple[Edge, Node | ExternalReference], ...]:
        config = self._project.config(node)
        if config is None:
            return ()
        own, analysis = self._project.platforms[node.platform], self._dockerfiles.analysis(node, config)
        self._check_stacked(node, config, analysis)
        edges = [(edge, self._names.resolve(edge, node.stage, config, own)) for edge in analysis.edges]
        if image := self._project.tested_by(node.stage):
            _check_test(image, node, config, analysis, [target for _, target in edges])
        return tuple(edges)

    def _check_stacked(self, node: Node, config: StageConfig, analysis: DockerfileAnalysis) -> None:
        """Raise ``DockerfileError`` for a stage of a stack that does not start from the one below."""
        below = "" if node.stage == BASE else self._project.stages[node.stage].stacked_on
        if below and not any(edge.is_from and edge.name == below for edge in analysis.edges):
            what = f"it is stacked on {below}, but does not start from it"
            hint = f"write ARG {stacks.ARGUMENT}, then FROM ${{{stacks.ARGUMENT}}}"
            raise DockerfileError(config.dockerfile_path, what, hint)

    def _images(self, node: Node, config: StageConfig) -> tuple[ExternalImage, ...]:
        """Return the edges to external images, pinned. Raises ``LockError``, ``ResolveError``."""
        own = self._project.platforms[node.platform]
        images: list[ExternalImage] = []
        for edge, target in self.links(node):
            if not isinstance(target, ExternalReference):
                continue
            pin = self._lock.image(target.reference, edge.platform or own.docker, target.where)
            images.append(ExternalImage(edge, target.reference, pin.digest, pin.index))
            others = {image.reference for image in images if image.edge.name == edge.name}
            others |= {"a stage" for parent in self.parents(node) if parent.edge.name == edge.name}
            if others := others - {target.reference}:
                what = f"{edge.name} is {target.reference} for one platform and {min(others)} for another"
                hint = "one Dockerfile can use a base on two platforms only if one image has both"
                raise DockerfileError(f"{config.dockerfile_path}:{edge.line}", what, hint)
        return tuple(images)

    def _frontend(self, config: StageConfig, analysis: DockerfileAnalysis) -> Frontend | None:
        """Return the image that reads the Dockerfile, pinned; None for the builder's own front end.

        The argument BUILDKIT_SYNTAX takes precedence over the Dockerfile's own line (BuildKit,
        frontend/dockerfile/builder/build.go). An image by digest is pinned already.
        """
        line = "" if config.own_frontend else analysis.directives.get("syntax", "")
        written = (analysis.args.get("BUILDKIT_SYNTAX") or line).split(maxsplit=1)
        if not written:
            return None
        where = f"{config.dockerfile_path}:1"
        reference = self._names.frontend(written[0], config, where)
        options = " ".join(written[1:])
        if digest := split(reference).digest:
            return Frontend(reference, digest, options)
        try:
            # the builder chooses its platform from the index; no builder's platform is part of a key
            index = self._lock.index(reference, self._build_platform, where)
        except UNRESOLVED as error:
            hint = f'{error.hint}\n  or use the builder\'s own front end: frontend = "builder"'
            raise type(error)(error.where, error.what, hint) from None
        return Frontend(reference, index, options)

    def _triggers(
        self, config: StageConfig, parents: Sequence[Parent], images: Sequence[ExternalImage]
    ) -> Triggers | None:
        """Return the triggers that start images leave; None if there are none.

        Raises ``DockerfileError`` for triggers that no key can hold.
        """
        starts = [image for image in images if image.edge.is_from]
        for image in starts:
            if self._lock.has_onbuild_from(image.reference):
                what = f"triggers (ONBUILD) of {image.reference} take from another image or the network"
                hint = "no key can hold that; start from another image and write your own COPY"
                raise DockerfileError(f"{config.dockerfile_path}:{image.edge.line}", what, hint)
        if any(self._lock.has_onbuild(image.reference) for image in starts):
            return Triggers(args=None)
        configs = [self._project.config(parent.node) for parent in parents if parent.edge.is_from]
        instructions = [i for c in configs if c is not None for i in self._dockerfiles.triggers(c)]
        return Triggers.of(instructions) if instructions else None


def _check_test(
    image: Image,
    node: Node,
    config: StageConfig,
    analysis: DockerfileAnalysis,
    targets: Sequence[Node | ExternalReference],
) -> None:
    """Raise ``DockerfileError`` for a test that runs nothing or does not use its image on its platform."""
    tested, what = Node(image.stage, node.platform), f"the test of image {image.name} "
    if tested not in targets:
        others = [target for target in targets if isinstance(target, Node) and target.stage == tested.stage]
        what += f"uses {others[0]} instead of {tested}" if others else "does not use it"
        raise DockerfileError(config.dockerfile_path, what, "write ARG IMAGE, then FROM ${IMAGE}")
    if not any(instruction.cmd == "RUN" for instruction in analysis.instructions):
        raise DockerfileError(config.dockerfile_path, f"{what}has no RUN, so it tests nothing")


def _check_args(
    node: Node, config: StageConfig, analysis: DockerfileAnalysis, triggers: Triggers | None
) -> None:
    """Raise ``ProjectError`` for an argument of the stage that no Dockerfile or trigger declares."""
    if not config.own_args:
        return
    declared = declared_args(analysis.instructions)
    for arg in sorted(config.own_args - declared) if declared is not None else ():
        if triggers is None or not triggers.may_declare(arg):
            what = f"stage {node.stage}: {config.dockerfile_path} declares no argument {arg}"
            raise ProjectError(config.declared_at, what, nearest(arg, declared or ()))


def _check_unchanged(entries: Sequence[Entry], config: StageConfig, text: str) -> bool:
    """Return True if the Dockerfile is among the context's files, as a file.

    Raises ``ContextError`` if it changed since its ``text`` was read.
    """
    own = next((entry for entry in entries if entry.path == config.dockerfile), None)
    if own is None or own.kind not in ("file", "exec"):
        return False
    if own.digest != hashlib.sha256(text.encode()).hexdigest():
        what, hint = "changed while it was read", "run again while nothing changes the folder"
        raise ContextError(config.dockerfile_path, what, hint)
    return True
