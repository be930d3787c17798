"""Names that ``stages.toml`` gives to its stages, and stand-ins for images: each must mean one thing only.

Called once, when all stages and images are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..oci.reference import familiar, is_bare, split
from .model import BASE, final_tags

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from .model import Project
    from .positions import SourceMap
    from .tables import KeyPath

_STACKED = "name what it comes to in a Dockerfile: FROM STAGE--OTHER"


def check(project: Project, tables: Mapping[str, Any], lines: SourceMap) -> None:
    """Raises ``ProjectError`` with the line of a name that two stages claim, or that is taken already."""
    claimed: dict[str, str] = {}
    declared = tables.get("stages", {})
    for stage, table in declared.items():
        for written in table.get("names", ()):
            name, where = familiar(written), lines.where("stages", stage, "names")
            if stage not in project.stages:
                what = f"stage {stage} is part of a stack, and cannot have names of its own"
                raise ProjectError(where, what, _STACKED)
            if what := _taken(project, declared, name) or claimed.get(name, ""):
                what = f"stage {stage}: {written} is {what} already"
                raise ProjectError(where, what, "remove one of the two")
            claimed[name] = f"a name of stage {stage}"
    for path, contexts in _contexts(tables):
        for written, value in contexts.items():
            where = lines.where(*path, written)
            if what := _taken(project, declared, familiar(written)) or claimed.get(familiar(written), ""):
                hint = "a stand-in takes the place of an image from outside"
                raise ProjectError(where, f"{written} is {what}", hint)
            if is_bare(value) and value not in project.stages:
                hint = f"{nearest(value, project.stages)}\n  an image from outside has a tag: {value}:TAG"
                raise ProjectError(where, f"no stage is called {value!r}", hint)


def _taken(project: Project, declared: Container[str], name: str) -> str:
    """What a name means without being one of ``names`` or a stand-in; "" for nothing.

    ``declared`` are the stages of the file; those that are stacked are not among the project's.
    """
    if name in (BASE, "scratch"):
        return "a word of its own"
    if name in project.stages or name in declared:
        return f"the name of stage {name}"
    reference = split(name)
    tags = final_tags(project.images)
    tag = reference.tag or "latest"
    if reference.repository in project.repositories and not reference.digest and tag in tags:
        return f"the tag of image {tags[tag][0].name}"
    return ""


def _contexts(tables: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, str]]]:
    """All tables of stand-ins, with their places."""
    yield ("contexts",), tables.get("contexts", {})
    recipes: list[tuple[KeyPath, Mapping[str, Any]]] = [
        (("base", "platforms", key), table) for key, table in tables["base"].get("platforms", {}).items()
    ]
    for stage, table in tables.get("stages", {}).items():
        recipes.append((("stages", stage), table))
        for kind in ("platforms", "alternatives"):
            recipes += [(("stages", stage, kind, key), t) for key, t in table.get(kind, {}).items()]
    for path, table in recipes:
        yield (*path, "contexts"), table.get("contexts", {})
