"""Sources -> the tables of ``stages.toml``: names of stages, their parents, images and platforms.

A Dockerfile stays as it is. So each name that it has for a parent must mean that stage: the name of the
stage, one of its ``names``, or a stand-in (``contexts``). Reads Dockerfiles; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..oci.platform import tag_part
from ..project.model import DEFAULT_EPOCH
from . import names
from .parents import Parents
from .published import Published
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
        groups = self.tables.get("groups", {})
        for name, members in [*groups.items()]:
            groups[name] = [image for image in members if image != stage]
            if not groups[name]:
                del groups[name]


def assemble(
    root: Path,
    sources: Sequence[Source],
    *,
    by_name: bool,
    notes: Iterable[Note] = (),
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Draft:
    """Return the draft for the project in ``root``.

    ``by_name``: a name in a Dockerfile means the source of that name. Otherwise it does only if the source
    says so (``parents``). ``groups`` are names of sources.
    """
    return _Family(root, sources, by_name, [*notes]).draft(groups)


class _Family:
    """One family of sources."""

    def __init__(self, root: Path, sources: Sequence[Source], by_name: bool, notes: list[Note]) -> None:
        self._root, self._by_name, self._notes = root, by_name, notes
        self._readings = {source.name: read(root, source) for source in sources}
        self._parents = Parents(sources, self._readings, by_name, notes)
        self._stages, self._aliases = self._parents.stages, self._parents.aliases
        self._sources = self._parents.in_order()
        self._published = Published(
            self._sources, self._stages, self._aliases, self._root.resolve().name, self._notes
        )
        self._contexts: dict[str, str] = {}

    def draft(self, groups: Mapping[str, Sequence[str]]) -> Draft:
        stages = {self._stages[source.name]: self._stage(source) for source in self._sources}
        for reference, name in self._aliases.items():
            if not self._published.is_final(reference, self._stages[name]):
                stages[self._stages[name]].setdefault("names", []).append(reference)
            what = f"{reference} in Dockerfiles means this stage, and follows it from now on"
            self._notes.append(Note(self._parents.source(name).origin, what))
        tables: dict[str, Any] = {
            "project": {"repo": self._published.repo} | self._epoch(),
            "platforms": {tag_part(docker): {"docker": docker} for docker in self._published.platforms},
            "base": {"image": _UNUSED_BASE},
            "contexts": self._contexts,
            "stages": stages,
            "images": self._published.images,
        }
        taken = {*stages, *tables["platforms"]}
        wanted = names.unique([names.allowed(names.slug(name)) for name in groups], taken)
        members = [[self._stages[source] for source in group] for group in groups.values()]
        tables["groups"] = dict(zip(wanted, members, strict=True))
        draft = Draft(tables, {self._stages[s.name]: s.origin for s in self._sources}, notes=self._notes)
        for source in self._sources:
            if error := self._readings[source.name].error:
                draft.leave_out(self._stages[source.name], str(error))
        return draft

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
        for edge in self._parents.edges[source.name]:
            self._connect(source, edge, contexts)
        return table | ({"contexts": contexts} if contexts else {})

    def _connect(self, source: Source, edge: Edge, contexts: dict[str, str]) -> None:
        """Let the name of an edge mean its stage, or the external image that it meant before."""
        parent = self._parents.parent(source.name, edge)
        if parent and self._stages[parent] != edge.name:
            (self._contexts if self._by_name else contexts)[edge.name] = self._stages[parent]
        elif not parent and edge.bare and edge.name not in (*contexts, *self._contexts, "scratch"):
            self._contexts[edge.name] = f"{edge.name}:latest"
            what = f"{edge.name} has no tag; [contexts] says that it means {edge.name}:latest"
            self._notes.append(Note(source.origin, what))
        elif not parent and edge.name not in self._aliases and self._published.is_own(edge.name):
            self._contexts[edge.name] = edge.name
            what = f"{edge.name} is no tag of an image here; [contexts] says that it is an external image"
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

    def _epoch(self) -> dict[str, int]:
        """Return the time of a reproducible build, if all sources have the same that is not the default."""
        found = {source.options.get("args", {}).get(_EPOCH) for source in self._sources}
        value = next(iter(found))
        own = int(value) if len(found) == 1 and value and value.isdigit() else DEFAULT_EPOCH
        return {} if own == DEFAULT_EPOCH else {"source_date_epoch": own}
