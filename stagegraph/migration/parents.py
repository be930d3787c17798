"""Names in Dockerfiles -> the sources that they mean, and the names of the stages of these sources. Pure.

A name means another source if the other tool says so, by its name alone (``init``), or by the reference that
it is published by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..oci.reference import familiar, is_bare, split
from . import names
from .source import Note

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..dockerfile.dependencies import Edge
    from .source import Reading, Source


class Parents:
    """The sources that Dockerfiles of a family mean.

    ``stages`` are the names of stages by source; ``edges`` are those of each Dockerfile, without declared
    external images; ``aliases`` are the sources that a published reference means. ``by_name``: a name means
    the source of that name.
    """

    def __init__(
        self, sources: Sequence[Source], readings: Mapping[str, Reading], by_name: bool, notes: list[Note]
    ) -> None:
        self._sources, self._by_name, self._notes = sources, by_name, notes
        self.edges = {source.name: _edges(source, readings[source.name]) for source in sources}
        wanted = [names.allowed(names.slug(s.name), self._taken_by_others(s)) for s in sources]
        self.stages = dict(zip((s.name for s in sources), names.unique(wanted), strict=True))
        self.aliases = self._published()

    def source(self, name: str) -> Source:
        """Return the source of a name."""
        return next(source for source in self._sources if source.name == name)

    def _taken_by_others(self, source: Source) -> set[str]:
        """Return the bare names that mean an external image, so that this stage cannot have them."""
        own = {edge.name for edge in self.edges[source.name] if edge.bare}
        if self._by_name:
            return own
        return {edge.name for s in self._sources for edge in self.edges[s.name] if edge.bare} - {
            familiar(name) for s in self._sources for name in s.parents
        }

    def _published(self) -> dict[str, str]:
        """Return the sources that Dockerfiles name by a published reference, by that reference."""
        known = {familiar(tag): source.name for source in self._sources for tag in source.tags}
        found: dict[str, str] = {}
        for source in self._sources:
            for edge in self.edges[source.name]:
                if edge.name in source.parents or edge.name in found or is_bare(edge.name):
                    continue
                name = known.get(edge.name) or (self._named_by(edge.name) if self._by_name else "")
                users = {
                    s.name for s in self._sources if any(e.name == edge.name for e in self.edges[s.name])
                }
                if name and not self._reaches(name, users, found):
                    found[edge.name] = name
        return found

    def _named_by(self, reference: str) -> str:
        """Return the source that a reference ends with (``org/app:1``, ``org/family:app``); "" for none.

        It must be the only meaning: one tag of the repository in all Dockerfiles, and the source itself is
        not based on that repository.
        """
        repository, tag, digest = split(reference)
        if digest or "/" not in repository:
            return ""
        by_stage = {stage: name for name, stage in self.stages.items()}
        last = repository.rpartition("/")[2]
        for word in (f"{last}-{tag}", last, tag):  # python/3.13/Dockerfile is published as org/python:3.13
            name = by_stage.get(word) or by_stage.get(f"{word}{names.SUFFIX}") or ""
            if not name:
                continue
            used = {edge.name for edges in self.edges.values() for edge in edges}
            tags = {other for other in used if split(other).repository == repository}
            own = {edge.name for edge in self.edges[name]} & tags
            # of one repository for a family, several tags are usual, also in the stage itself
            if reference in own or (word == last and (own or len(tags) > 1)):
                what = f"{reference} may be {name}; it stays external. To follow the stage, add it to `names`"
                self._notes.append(Note(self.source(name).origin, what))
                return ""
            return name
        return ""

    def _reaches(self, start: str, goals: Collection[str], aliases: Mapping[str, str]) -> bool:
        """Return True if ``start`` or an ancestor of it is in ``goals``: an alias would then make a cycle."""
        waiting, seen = [start], set[str]()
        while waiting:
            name = waiting.pop()
            if name in goals:
                return True
            if name not in seen:
                seen.add(name)
                waiting += [p for e in self.edges[name] if (p := self.parent(name, e) or aliases.get(e.name))]
        return False

    def in_order(self) -> list[Source]:
        """Return the sources, parents first, as the project is read."""
        done: dict[str, Source] = {}
        waiting = [(source.name, False) for source in reversed(self._sources)]
        opened = set[str]()
        while waiting:
            name, parents_done = waiting.pop()
            if parents_done:
                done.setdefault(name, self.source(name))
            elif name not in opened:
                opened.add(name)
                parents = (self.parent(name, e) or self.aliases.get(e.name) for e in self.edges[name])
                waiting += [(name, True), *((parent, False) for parent in parents if parent)]
        return [*done.values()]

    def parent(self, name: str, edge: Edge) -> str:
        """Return the source that an edge means by its name alone; "" for none."""
        source = self.source(name)
        parents = {familiar(written): parent for written, parent in source.parents.items()}
        if edge.name in parents:
            return parents[edge.name]
        return edge.name if self._by_name and edge.name in self.stages and edge.name != name else ""


def _edges(source: Source, reading: Reading) -> list[Edge]:
    """Return the edges, without those to external images that the source declares."""
    declared = {familiar(name) for name in source.options.get("contexts", {})}
    edges = reading.analysis.edges if reading.analysis else ()
    return [edge for edge in edges if edge.name not in declared]
