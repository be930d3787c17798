"""Sources -> the tables of ``stages.toml``: names of stages, their parents, images and platforms.

A Dockerfile stays as it is. So each name that it has for a parent must mean that stage: the name of the
stage, one of its ``names``, or a stand-in (``contexts``). Reads Dockerfiles; writes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..oci.platform import host_platform, tag_part
from ..oci.reference import familiar, is_bare, split
from ..project.model import DEFAULT_EPOCH
from ..project.tags import default_tag
from . import names
from .source import Note, Reading, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ..dockerfile.dependencies import Edge
    from .source import Source

#: ``[base]`` is required. Nothing is downloaded as long as no Dockerfile says FROM base.
_UNUSED_BASE = "debian:trixie-slim"

#: An argument that BuildKit reads itself; ``[project]`` has it for all stages.
_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass
class Draft:
    """The tables of a ``stages.toml`` to be, in its own form.

    ``origins`` are the sources by the name of the stage; ``left_out`` are errors of stages that cannot be
    read, by name. ``notes`` are for the user.
    """

    tables: dict[str, Any]
    origins: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def leave_out(self, stage: str, why: str) -> None:
        self.left_out[stage] = why
        self.tables["images"].pop(stage, None)


def assemble(root: Path, sources: Sequence[Source], *, by_name: bool, notes: Iterable[Note] = ()) -> Draft:
    """Return the draft for the project in ``root``.

    ``by_name``: a name in a Dockerfile means the source of that name. Otherwise it does only if the source
    says so (``parents``).
    """
    return _Family(root, sources, by_name, [*notes]).draft()


class _Family:
    """One family of sources."""

    def __init__(self, root: Path, sources: Sequence[Source], by_name: bool, notes: list[Note]) -> None:
        self._root, self._sources, self._by_name, self._notes = root, sources, by_name, notes
        self._readings = {source.name: read(root, source) for source in sources}
        self._edges = {source.name: _edges(source, self._readings[source.name]) for source in sources}
        wanted = [names.allowed(names.slug(s.name), self._taken_by_others(s)) for s in sources]
        self._stages = dict(zip((s.name for s in sources), names.unique(wanted), strict=True))
        self._aliases = self._published()
        self._contexts: dict[str, str] = {}

    def draft(self) -> Draft:
        stages = {self._stages[source.name]: self._stage(source) for source in self._sources}
        for reference, name in self._aliases.items():
            if not self._is_final(reference, self._stages[name]):
                stages[self._stages[name]].setdefault("names", []).append(reference)
            what = f"{reference} in Dockerfiles means this stage, and follows it from now on"
            self._notes.append(Note(self._origin(name), what))
        tables: dict[str, Any] = {
            "project": {"repo": self._repo()} | self._epoch(),
            "platforms": {tag_part(docker): {"docker": docker} for docker in self._platforms()},
            "base": {"image": _UNUSED_BASE},
            "contexts": self._contexts,
            "stages": stages,
            "images": {self._stages[s.name]: self._image(s) for s in self._sources if self._is_image(s)},
        }
        draft = Draft(tables, {self._stages[s.name]: s.origin for s in self._sources}, notes=self._notes)
        for source in self._sources:
            if error := self._readings[source.name].error:
                draft.leave_out(self._stages[source.name], str(error))
        return draft

    # -- names -----------------------------------------------------------------------------------

    def _taken_by_others(self, source: Source) -> set[str]:
        """Return the bare names that mean an external image, so that this stage cannot have them."""
        own = {edge.name for edge in self._edges[source.name] if edge.bare}
        if self._by_name:
            return own
        return {edge.name for s in self._sources for edge in self._edges[s.name] if edge.bare} - {
            familiar(name) for s in self._sources for name in s.parents
        }

    def _published(self) -> dict[str, str]:
        """Return the sources that Dockerfiles name by a published reference, by that reference."""
        known = {familiar(tag): source.name for source in self._sources for tag in source.tags}
        found: dict[str, str] = {}
        for source in self._sources:
            for edge in self._edges[source.name]:
                if edge.name in source.parents or edge.name in found or is_bare(edge.name):
                    continue
                name = known.get(edge.name) or (self._named_by(edge.name) if self._by_name else "")
                if name and name != source.name and not self._reaches(name, source.name, found):
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
        by_stage = {stage: name for name, stage in self._stages.items()}
        for word in (repository.rpartition("/")[2], tag):
            name = by_stage.get(word) or by_stage.get(f"{word}{names.SUFFIX}") or ""
            if not name:
                continue
            used = {edge.name for edges in self._edges.values() for edge in edges}
            tags = {other for other in used if split(other).repository == repository}
            own = {split(edge.name).repository for edge in self._edges[name]}
            if repository in own or (word != tag and len(tags) > 1):
                what = f"{reference} may be {name}; it stays external. To follow the stage, add it to `names`"
                self._notes.append(Note(self._origin(name), what))
                return ""
            return name
        return ""

    def _reaches(self, start: str, goal: str, aliases: Mapping[str, str]) -> bool:
        """Return True if ``goal`` is an ancestor of ``start``: an alias would then make a cycle."""
        waiting, seen = [start], set[str]()
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                waiting += [
                    p for e in self._edges[name] if (p := self._parent(name, e) or aliases.get(e.name))
                ]
        return False

    def _parent(self, name: str, edge: Edge) -> str:
        """Return the source that an edge means by its name alone; "" for none."""
        source = self._source(name)
        parents = {familiar(written): parent for written, parent in source.parents.items()}
        if edge.name in parents:
            return parents[edge.name]
        return edge.name if self._by_name and edge.name in self._stages and edge.name != name else ""

    # -- tables ----------------------------------------------------------------------------------

    def _stage(self, source: Source) -> dict[str, Any]:
        reading, table = self._readings[source.name], dict[str, Any](path=source.path)
        if source.dockerfile != "Dockerfile":
            table["dockerfile"] = source.dockerfile
        table |= source.options
        if args := self._args(source, reading):
            table["args"] = args
        else:
            table.pop("args", None)
        if reading.unpinned:
            table["unpinned"] = "allow"
            what = 'ADD of a URL has no --checksum (unpinned = "allow"): new content there causes no build'
            self._notes.append(Note(source.origin, what))
        contexts = dict(table.pop("contexts", {}))
        for edge in self._edges[source.name]:
            self._connect(source, edge, contexts)
        return table | ({"contexts": contexts} if contexts else {})

    def _connect(self, source: Source, edge: Edge, contexts: dict[str, str]) -> None:
        """Let the name of an edge mean its stage, or the external image that it meant before."""
        parent = self._parent(source.name, edge)
        if parent and self._stages[parent] != edge.name:
            (self._contexts if self._by_name else contexts)[edge.name] = self._stages[parent]
        elif not parent and edge.bare and edge.name not in (*contexts, *self._contexts, "scratch"):
            self._contexts[edge.name] = f"{edge.name}:latest"
            what = f"{edge.name} has no tag; [contexts] says that it means {edge.name}:latest"
            self._notes.append(Note(source.origin, what))

    def _args(self, source: Source, reading: Reading) -> dict[str, str]:
        """Return the arguments that the Dockerfile declares. The others have no effect on it."""
        given: Mapping[str, str] = {n: v for n, v in source.options.get("args", {}).items() if n != _EPOCH}
        if reading.declared is None or reading.analysis is None:
            return dict(given)
        for name in sorted(given.keys() - reading.declared):
            what = f"argument {name} is left out: the Dockerfile does not declare it"
            self._notes.append(Note(source.origin, what))
        return {name: value for name, value in given.items() if name in reading.declared}

    def _image(self, source: Source) -> dict[str, Any]:
        every = self._platforms()
        own = [tag_part(docker) for docker in every if docker in (source.platforms or every)]
        table: dict[str, Any] = {} if len(own) == len(every) else {"platforms": own}
        return table if source.default else {**table, "default": False}

    def _is_image(self, source: Source) -> bool:
        return source.is_image or source.name in self._aliases.values()

    def _platforms(self) -> list[Any]:
        return list(dict.fromkeys(p for s in self._sources for p in s.platforms)) or [host_platform()]

    def _is_final(self, reference: str, stage: str) -> bool:
        """Return True if a reference is a final tag of the image of this stage, so that it needs no alias."""
        repository, tag, _ = split(reference)
        final = {stage, *(default_tag(stage, tag_part(platform)) for platform in self._platforms())}
        return repository == familiar(self._repo()) and tag in final

    def _repo(self) -> str:
        """Return the repository that most images are published in, or the name of the project's folder."""
        tags = [familiar(tag) for source in self._sources for tag in source.tags] or [*self._aliases]
        counts = Counter(split(tag).repository for tag in tags)
        folder = names.slug(self._root.resolve().name)
        only = next(iter(counts)) if len(counts) == 1 else ""
        known = self._stages.values()
        if only and (only.rpartition("/")[2] not in known or any(split(tag).tag in known for tag in tags)):
            return only
        homes = Counter(repository.rpartition("/")[0] for repository in counts.elements())
        home = homes.most_common(1)[0][0] if homes else ""
        return f"{home}/{folder}" if home else folder

    def _epoch(self) -> dict[str, int]:
        """Return the time of a reproducible build, if all sources have the same that is not the default."""
        found = {source.options.get("args", {}).get(_EPOCH) for source in self._sources}
        value = next(iter(found))
        own = int(value) if len(found) == 1 and value and value.isdigit() else DEFAULT_EPOCH
        return {} if own == DEFAULT_EPOCH else {"source_date_epoch": own}

    def _source(self, name: str) -> Source:
        return next(source for source in self._sources if source.name == name)

    def _origin(self, name: str) -> str:
        return self._source(name).origin


def _edges(source: Source, reading: Reading) -> list[Edge]:
    """Return the edges to what is not declared as an external image already."""
    declared = {familiar(name) for name in source.options.get("contexts", {})}
    edges = reading.analysis.edges if reading.analysis else ()
    return [edge for edge in edges if edge.name not in declared]
