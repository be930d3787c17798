"""Checks that each further name of a stage, and each stand-in for an image, has one meaning.

Runs once all stages and images are known. Knows nothing of Dockerfiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..oci.reference import familiar, is_bare, split
from . import tags
from .model import BASE

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from .model import Project
    from .positions import SourceMap
    from .tables import KeyPath

_STACKED = "write the name of the stacked stage in Dockerfiles: FROM STAGE--OTHER"


def check(project: Project, tables: Mapping[str, Any], lines: SourceMap) -> None:
    """Raise ``ProjectError`` with the line of a name that has two meanings, or of an unknown stage."""
    claimed: dict[str, str] = {}
    declared = tables.get("stages", {})
    for stage, table in declared.items():
        for written in table.get("names", ()):
            name, where = familiar(written), lines.where("stages", stage, "names")
            if stage not in project.stages:
                what = f"stage {stage} is only part of stacks, and cannot have names of its own"
                raise ProjectError(where, what, _STACKED)
            if what := _taken(project, declared, name) or claimed.get(name, ""):
                what = f"stage {stage}: {written} is {what} already"
                raise ProjectError(where, what, "remove one of the two")
            claimed[name] = f"a name of stage {stage}"
    for path, contexts in _contexts(tables):
        for written, value in contexts.items():
            where = lines.where(*path, written)
            name = familiar(written)
            # the base is not a name that something else could have
            if name != BASE and (what := _taken(project, declared, name) or claimed.get(name, "")):
                hint = "a stand-in can replace only an external image, or the base"
                raise ProjectError(where, f"{written} is {what}", hint)
            if is_bare(value) and value not in project.stages:
                hint = f"{nearest(value, project.stages)}\n  an external image has a tag: {value}:TAG"
                raise ProjectError(where, f"no stage is called {value!r}", hint)


def _taken(project: Project, declared: Container[str], name: str) -> str:
    """Return the meaning of a name that is neither one of ``names`` nor a stand-in; "" if it has none.

    ``declared`` are the stages of the file. The project does not have those that are only part of stacks.
    """
    if name in (BASE, "scratch"):
        return "a reserved word"
    if name in project.stages or name in declared:
        return f"the name of stage {name}"
    reference = split(name)
    if reference.repository in project.repositories and not reference.digest:
        found = tags.named(project, reference.repository).get(reference.tag or "latest")
        return f"the tag of image {found.image.name}" if found else ""
    return ""


def _contexts(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, str]]]:
    """The tables of stand-ins, with their paths."""
    yield ("contexts",), tables.get("contexts", {})
    layers: list[tuple[KeyPath, Mapping[str, Any]]] = [
        (("base", "platforms", key), table) for key, table in tables["base"].get("platforms", {}).items()
    ]
    for stage, table in tables.get("stages", {}).items():
        layers.append((("stages", stage), table))
        for kind in ("platforms", "alternatives"):
            layers += [(("stages", stage, kind, key), t) for key, t in table.get(kind, {}).items()]
    for path, table in layers:
        yield (*path, "contexts"), table.get("contexts", {})
