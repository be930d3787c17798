"""One project and everything that a run needs, wired together. It decides nothing.

Each part is made on first use: a command that only computes keys opens no store.
"""

from __future__ import annotations

import threading
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import LinkError, StoreError
from ..graph.epoch import with_epoch
from ..graph.graph import Graph
from ..graph.lock import Lock
from ..project import loader
from ..store.layout import LayoutStore
from .hidden import hide_known
from .lookup import Results, StoreLookup
from .nodes import NodeRunner
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from ..build.builder import NodeBuilder
    from ..build.placement import BuilderSelector
    from ..graph.revision import Revisions
    from ..oci.platform import OciPlatform
    from ..oci.reference import ResolvedReference
    from ..project.model import Node, Project
    from ..store.folder import Folder
    from ..store.registry import RegistryStore
    from .delivery import Delivery
    from .earlier import EarlierBuilds
    from .final_tags import FinalTags
    from .sharing import Sharing
    from .signing import Signing


class Workspace:
    """The parts of one run over one project.

    ``layout`` takes the place of the project's ``cache/``, and ``graph`` that of the project's own graph.
    ``words`` are the settings of the command line.
    """

    def __init__(
        self,
        project: Project,
        report: Report | None = None,
        *,
        layout: LayoutStore | None = None,
        graph: Graph | None = None,
        words: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.words = words
        self.project, self.report = project, report or Report()
        self.layout = layout or LayoutStore(project.cache)
        self.results = Results()
        #: Nodes to build again, whatever the stores have. Set it before the first use of ``nodes``.
        self.rebuilt: frozenset[Node] = frozenset()
        if project.trust.level != "none":
            self.layout.judge, self.report.untrusted = self.signing.judge, self.signing.summary
        self._graph = graph
        self._builder_lock = threading.Lock()  # cached_property has no lock since Python 3.12

    @classmethod
    def open(cls, root: Path, settings: Mapping[str, str], report: Report | None = None) -> Workspace:
        """Load the project in ``root`` with settings of the command line. Raises ``ProjectError``."""
        project = loader.load(root, settings)
        hide_known(project)
        return cls(with_epoch(project, root), report, words=settings)

    @cached_property
    def graph(self) -> Graph:
        """Raises ``LockError`` for a ``stages.lock`` that cannot be read."""
        if self._graph is not None:
            return self._graph
        locked, say = self.project.settings.locked, self.report.note
        return Graph(self.project, Lock(self.project.root, _resolve, locked=locked, say=say))

    def _pinned_graph(self) -> Graph:
        """A graph that pins no image that ``stages.lock`` lacks: the nodes that need one have no key."""
        return Graph(self.project, Lock(self.project.root, _resolve, locked=True))

    @cached_property
    def signing(self) -> Signing:
        """The signatures of a project with ``[trust]``. Without the table nothing calls it."""
        from .signing import Signing

        return Signing(self.project, self.report.warn)

    # -- stores ----------------------------------------------------------------------------------

    @cached_property
    def registry(self) -> RegistryStore | None:
        settings = self.project.settings
        if not settings.registry:
            return None
        from ..store.registry import RegistryStore

        repository = f"{settings.registry}/{settings.repo}"
        return RegistryStore(repository, self.layout, self.report.warn, settings.push, self.report.span)

    @cached_property
    def sharing(self) -> Sharing | None:
        """With push=all, offers images of earlier runs to the registry."""
        if self.registry is None or self.project.settings.push != "all":
            return None
        from .sharing import Sharing

        return Sharing(self.graph, self.layout, self.registry)

    # -- building --------------------------------------------------------------------------------

    @cached_property
    def builder_selector(self) -> BuilderSelector:
        from ..build.placement import BuilderSelector
        from ..graph.native import runs

        return BuilderSelector(lambda node: runs(self.graph, node), self.report.note, self.report.warn)

    @cached_property
    def _builder(self) -> NodeBuilder:
        return self.builder_into(self.layout)

    def builder(self) -> NodeBuilder:
        """The builder of this run; any thread may be the first to call."""
        with self._builder_lock:
            return self._builder

    def builder_into(self, layout: LayoutStore, logs: Folder | None = None) -> NodeBuilder:
        """Make a builder whose images go to another store than this run's."""
        from ..build.builder import NodeBuilder

        project = self.project
        return NodeBuilder(project.root, layout, self.builder_selector, project.secrets, self.report, logs)

    # -- running ---------------------------------------------------------------------------------

    @cached_property
    def lookup(self) -> StoreLookup:
        return StoreLookup(self.graph, self.layout, self.registry, self.results, lambda: self.earlier_builds)

    @cached_property
    def earlier_builds(self) -> EarlierBuilds:
        """A run that builds nothing does not need it."""
        from .earlier import EarlierBuilds

        return EarlierBuilds(self.graph, self.layout, self.registry, self.revisions, self.report.note)

    @cached_property
    def revisions(self) -> Revisions:
        from ..graph.revision import Revisions

        return Revisions(self.project.root, self.words)

    @cached_property
    def nodes(self) -> NodeRunner:
        if self.rebuilt:
            from .rebuild import Rebuilding

            parts = self.lookup, self.sharing, self.builder, self.report
            runner: NodeRunner = Rebuilding(*parts, self.rebuilt, self._pinned_graph)
        else:
            runner = NodeRunner(self.lookup, self.sharing, self.builder, self.report)
        if self.project.trust.level != "none":
            runner.signing = self.signing
        return runner

    @cached_property
    def delivery(self) -> Delivery:
        from .delivery import Delivery

        return Delivery(self.nodes, self.tags)

    @cached_property
    def tags(self) -> FinalTags:
        from .final_tags import FinalTags

        return FinalTags(self.project, self.layout)

    def expect(self, goals: Sequence[Node], jobs: int) -> None:
        """Let the report tell what is left of a run with these goals that builds ``jobs`` nodes at once."""
        from .outlook import Outlook, facts

        self.report.expect(Outlook(facts(self.lookup), goals, jobs))

    def acquire_store(self) -> None:
        """Keep ``doit prune`` away from ``cache/`` until this process ends. Raises ``LinkError``.

        Mends what a killed process has left: the layout's index, and files that it was writing.
        Makes all parts that threads share, before there are any threads.
        """
        try:
            self.layout.prepare()
            self.layout.locks.shared()
            self.layout.mend()
        except LinkError:
            raise
        except StoreError:
            pass  # a cache/ that cannot be written is reported where that matters
        _ = self.delivery


def _resolve(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    """Resolve an external image. The import waits for it: a locked project resolves nothing."""
    from ..docker.imagetools import resolve

    return resolve(reference, platforms)
