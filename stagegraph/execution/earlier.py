"""What a node was last made of: an earlier build, or the files of a commit. For explanations only.

The record in ``cache/`` comes first. A fresh clone has none: then the newest commit counts whose build of the
node the registry has, and last the newest commit, whether or not anybody built it.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import StagegraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..graph.graph import Graph
    from ..graph.revision import Revisions
    from ..keys.inputs import Input
    from ..keys.key import Key
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from ..store.registry import RegistryStore


#: How long commits of a branch are searched, all nodes together (seconds).
MOST_SECONDS = 20.0

_MOMENT = 1.0


class Earlier(NamedTuple):
    """The inputs of a node at an earlier time.

    ``source`` is who knows them. ``commit`` is the commit with these inputs, "" for a build that is known
    from ``cache/``. ``record`` is the build, None if only git knows the inputs.
    """

    key: Key
    inputs: Sequence[Input]
    source: Literal["cache", "registry", "git"]
    commit: str = ""
    record: Record | None = None

    @property
    def named(self) -> str:
        """What it is, for people."""
        if self.source == "cache":
            assert self.record is not None
            moment = self.record.recorded_or_created
            return f"its last build, {moment:%Y-%m-%d %H:%M}" if moment else "its last build"
        commit = f"commit {self.commit[:12]}"
        return f"{commit}, whose build is in the registry" if self.source == "registry" else commit

    @property
    def told(self) -> str:
        """What a change is against, for the end of a sentence; "" for the last build on this machine."""
        return f" [since commit {self.commit[:12]}]" if self.commit else ""


class EarlierBuilds:
    """Finds what nodes were last made of. Each node is looked for once. Safe for threads."""

    def __init__(
        self,
        graph: Graph,
        layout: LayoutStore,
        registry: RegistryStore | None,
        revisions: Revisions,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        """``say`` is called with a message if the search takes more than a moment."""
        self._graph, self._layout, self._registry, self._revisions = graph, layout, registry, revisions
        self._say = say
        self._found: dict[Node, Earlier | None] = {}
        self._past: dict[tuple[Node, str], Earlier | None] = {}  # by node and commit
        self._kept: dict[str, dict[Node, Earlier]] = {}  # by commit: nodes whose ancestors are known, too
        self._spent = 0.0  # seconds, on commits of the history
        self._guard = threading.RLock()

    def find(self, node: Node) -> Earlier | None:
        """Return what a node was last made of; None if nobody knows."""
        with self._guard:
            if node not in self._found:
                self._found[node] = self._in_cache(node) or self._in_registry(node) or self._in_git(node)
            return self._found[node]

    def at(self, node: Node, commit: str) -> Earlier | None:
        """Return the node at a commit; None if the commit does not have it, or its key is not known.

        It is not asked whether anybody built it: see ``recorded``.
        """
        with self._guard:
            if (node, commit) not in self._past:
                self._past[node, commit] = None
                graph = self._revisions.graph(commit)
                if graph is not None and graph.project.has(node):
                    with suppress(StagegraphError):
                        self._keep(graph, node, commit)
            return self._past[node, commit]

    def _keep(self, graph: Graph, node: Node, commit: str) -> None:
        """Keep what is known of a node and its ancestors: the files of the commit may not stay."""
        kept = self._kept.setdefault(commit, {})
        for each in graph.order([node], known=kept):
            if each not in kept:
                past = Earlier(graph.key(each), graph.inputs(each), "git", commit)
                kept[each] = self._past[each, commit] = past

    def recorded(self, past: Earlier) -> Earlier:
        """Return the node at a commit with its build, if ``cache/`` has a record of it."""
        return past._replace(record=self._layout.read(past.key))

    def inputs(self, node: Node, key: Key) -> Sequence[Input] | None:
        """Return the inputs that a node had under a key: by ``cache/``, the registry, or git."""
        with self._guard:
            if record := self._layout.read(key):
                return record.inputs
            known = [past for (each, _), past in self._past.items() if each == node]
            past: Earlier | Record | None = next((each for each in known if each and each.key == key), None)
            past = past or self._by_registry(node, key)
            if past is None:  # commits come last: each takes more time than a request
                found = (self.at(node, commit) for commit in self._searched(self._revisions.history))
                past = next((each for each in found if each and each.key == key), None)
            return past.inputs if past else None

    def _in_cache(self, node: Node) -> Earlier | None:
        # each alternative has its own: the last build of another one explains nothing
        record = self._layout.latest(self._graph.spec(node).history_name)
        return Earlier(record.key, record.inputs, "cache", "", record) if record else None

    def _in_registry(self, node: Node) -> Earlier | None:
        """Return the newest commit's build that the registry has.

        Ancestors are looked up at the same time: a plan or run that asks for this node needs them soon.
        """
        if self._registry is None:
            return None
        for found in self._changed(node, self._revisions.history):
            for other in self._graph.order([node]):
                if (past := self.at(other, found.commit)) and past.key != self._graph.key(other):
                    self._registry.lookups.prefetch(other, self._docker(other), past.key)
            if record := self._by_registry(node, found.key):
                return found._replace(source="registry", record=record)
        return None

    def _in_git(self, node: Node) -> Earlier | None:
        """Return the node at the newest commit, if it has changed since."""
        past = next(self._changed(node, self._revisions.history[:1]), None)
        return self.recorded(past) if past else None

    def _changed(self, node: Node, commits: Iterable[str]) -> Iterator[Earlier]:
        """Yield the node at the newest commit of each key that is not the key of now."""
        seen = {self._graph.key(node)}
        for commit in self._searched(commits):
            found = self.at(node, commit)
            if found and found.key not in seen:
                seen.add(found.key)
                yield found

    def _searched(self, commits: Iterable[str]) -> Iterator[str]:
        """Yield commits until the search has taken ``MOST_SECONDS``. Say so if it takes a moment."""
        for commit in commits:
            start = time.monotonic()
            yield commit
            before, self._spent = self._spent, self._spent + time.monotonic() - start
            if before < _MOMENT <= self._spent:
                self._say("looking for earlier builds in the commits of this branch")
            if self._spent > MOST_SECONDS:
                return

    def _by_registry(self, node: Node, key: Key) -> Record | None:
        return self._registry.find(node, self._docker(node), key) if self._registry else None

    def _docker(self, node: Node) -> OciPlatform:
        return self._graph.project.platforms[node.platform].docker
