"""A draft -> the text of ``stages.toml`` that loads without an error, and its ``dodo.py``.

What does not load is left out, as a comment that says why. Reads Dockerfiles; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError, StagegraphError
from ..graph.graph import Graph
from ..graph.lock import Lock
from ..project import loader
from . import toml_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ..oci.platform import OciPlatform
    from ..oci.reference import ResolvedReference
    from ..project.model import Project
    from .family import Draft

DODO = '''"""Tasks for every stage and image of stages.toml: `doit list`, `doit plan`, `doit`."""

from stagegraph.tasks import *  # noqa: F403
'''

_BASE_COMMENT = "required; no Dockerfile of this family says FROM base"


def settled(draft: Draft, root: Path) -> tuple[str, Project]:
    """Return the text and the project that it declares.

    Leaves out stages that cannot be loaded, and those that are based on them. Raises ``ProjectError`` if
    nothing is left, or for an error that is no stage's own.
    """
    while True:
        _leave_out_children(draft)
        text = render(draft)
        if not draft.tables["stages"].keys() - draft.left_out.keys():
            causes = "\n  ".join(draft.left_out.values())
            raise ProjectError(str(root), "no stage can be written", causes)
        try:
            project = loader.load(root, {}, {}, text=text)
        except ProjectError as error:
            if not (stage := _stage_at(error.where, text, draft)):
                raise
            broken: dict[str, StagegraphError] = {stage: error}
        else:
            broken = _broken(project)
            if not broken:
                return text, project
        for stage, fault in broken.items():
            draft.leave_out(stage, str(fault))


def render(draft: Draft) -> str:
    """Return the text of ``stages.toml``."""
    tables, section = draft.tables, toml_text.section
    parts = [section(["project"], tables["project"])]
    parts.append("\n".join(section(["platforms", n], table) for n, table in tables["platforms"].items()))
    parts.append(section(["base"], tables["base"], _BASE_COMMENT))
    if tables["contexts"]:
        parts.append(section(["contexts"], tables["contexts"]))
    for stage, table in tables["stages"].items():
        written = section(["stages", stage], table, draft.origins[stage])
        if why := draft.left_out.get(stage):
            written = _as_comment(f"left out: {why}\n{written}")
        parts.append(written)
    if tables["groups"]:
        parts.append(section(["groups"], tables["groups"]))
    for kind in ("images", "secrets"):
        if named := [section([kind, name], table) for name, table in tables.get(kind, {}).items()]:
            parts.append("\n".join(named))
    return "\n\n".join(parts) + "\n"


def _leave_out_children(draft: Draft) -> None:
    """Leave out the stages that have one that is left out as a stand-in."""
    shared = draft.tables["contexts"]
    for name in [name for name, stage in shared.items() if stage in draft.left_out]:
        del shared[name]
    while True:
        out = draft.left_out
        for stage, table in draft.tables["stages"].items():
            lost = [value for value in table.get("contexts", {}).values() if value in out]
            if stage not in out and lost:
                draft.leave_out(stage, f"it is based on {lost[0]}, which is left out")
                break
        else:
            return


def _stage_at(where: str, text: str, draft: Draft) -> str:
    """Return the stage whose table has the line of an error (``stages.toml:12``); "" for none."""
    line = where.rpartition(":")[2]
    heads = {toml_text.section(["stages", stage], {}): stage for stage in draft.tables["stages"]}
    above = text.splitlines()[: int(line)] if line.isdigit() else []
    for written in reversed(above):
        if written.startswith("["):
            head = written.partition("  #")[0]
            return next((s for h, s in heads.items() if head == h or head.startswith(f"{h[:-1]}.")), "")
    return ""


def _as_comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def _broken(project: Project) -> dict[str, StagegraphError]:
    """Return the errors of the stages that cannot be read, by stage: theirs, not those of their parents."""
    graph = Graph(project, Lock(project.root, _resolve_nothing, locked=True))
    broken: dict[str, StagegraphError] = {}
    for node in graph.nodes:
        try:
            graph.parents(node)
        except StagegraphError as error:
            broken.setdefault(node.stage, error)
    if not broken:
        graph.order(graph.nodes)  # a cycle
    return broken


def _resolve_nothing(reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
    raise AssertionError(f"{reference} for {platforms}: the parents of a node need no pin")
