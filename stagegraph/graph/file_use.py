"""Whether a file counts for a node, and through which instruction."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ..context.selection import ContextSelection, ignore_file
from ..errors import ContextError
from ..project import loader
from . import lockfile

if TYPE_CHECKING:
    from pathlib import Path

    from ..keys.spec import NodeSpec
    from ..project.model import Node, Project, StageConfig
    from .graph import Graph

    #: A path or pattern of an instruction, and the instruction's line.
    Source = tuple[str, int]


class FileUse(NamedTuple):
    """What a file means to one node.

    ``where`` is the line through which it counts, or which leaves it out; "" for none. ``how`` says the rest.
    ``is_outside``: the file is not in the node's folder.
    """

    node: Node
    counts: bool
    how: str
    where: str = ""
    is_outside: bool = False


def file_uses(graph: Graph, node: Node, path: str) -> list[FileUse]:
    """Return what a file means to a node and its ancestors, the node first.

    Nodes in whose folder the file is not are left out; the node itself is not if there is no other. ``path``
    is relative to the project. Raises ``StagegraphError`` for files that cannot be read.
    """
    uses = [_use(graph, each, path) for each in reversed(graph.order([node]))]
    return [use for use in uses if not use.is_outside] or uses[:1]


def _use(graph: Graph, node: Node, path: str) -> FileUse:
    spec, project = graph.spec(node), graph.project
    config = spec.config
    if path == loader.FILE:
        return FileUse(node, True, "its values for this node count, not its text", config.declared_at)
    if path == lockfile.FILE:
        how = "the digests of the external images that this node names count, and the package date if it "
        how += "installs packages"
        return FileUse(node, bool(spec.images or spec.frontend or spec.package_date), how)
    if spec.bootstrap is not None:
        return FileUse(node, False, "it is made of packages, not of files", is_outside=True)
    if path == config.dockerfile_path and not any(entry.path == config.dockerfile for entry in spec.entries):
        return FileUse(node, True, "it is the Dockerfile: its instructions count, not its comments", path)
    try:
        inner = str(PurePosixPath(path).relative_to(config.context))
    except ValueError:
        how = f"it is outside of the stage's folder, {config.context}/"
        return FileUse(node, False, how, is_outside=True)
    return _in_context(project, spec, inner)


def _in_context(project: Project, spec: NodeSpec, path: str) -> FileUse:
    """Return what a file in the stage's folder means; ``path`` is relative to that folder."""
    analysis, config = spec.analysis, spec.config
    ignore = ignore_file(project.root / config.context, config.dockerfile)
    if any(entry.path == path for entry in spec.entries):
        if analysis.sources is None:
            how = "only the build knows what is read, so the whole folder counts"
            return FileUse(spec.node, True, how, spec.dockerfile)
        for source in (*analysis.sources, *analysis.chmod_sources):
            if _selects(project, config, ignore, source, path):
                _, line = source
                return FileUse(spec.node, True, _line(spec, line), f"{spec.dockerfile}:{line}")
    name = f"{config.context}/{path}"
    if ignore is not None and str(ignore.relative_to(project.root)) == name:
        return FileUse(spec.node, True, "it says which files are hidden; they count, not its text", name)
    if ignore is not None and _would_be_selected(project, spec, path):
        return FileUse(spec.node, False, "it is hidden", str(ignore.relative_to(project.root)))
    if not (project.root / name).exists():
        return FileUse(spec.node, False, "there is no such file")
    return FileUse(spec.node, False, "no instruction reads it", spec.dockerfile)


def _selects(project: Project, config: StageConfig, ignore: Path | None, source: Source, path: str) -> bool:
    """Return whether one source of an instruction brings a file; ``ignore`` is the ignore file in force."""
    selection = ContextSelection(project.root / config.context, config.dockerfile_path, ignore)
    with suppress(ContextError):
        return any(entry.path == path for entry in selection.select((source,), ()))
    return False


def _would_be_selected(project: Project, spec: NodeSpec, path: str) -> bool:
    """Return whether a file would count if the ignore file were not there."""
    analysis = spec.analysis
    if analysis.sources is None:
        return (project.root / spec.config.context / path).exists()
    sources = (*analysis.sources, *analysis.chmod_sources)
    return any(_selects(project, spec.config, None, source, path) for source in sources)


def _line(spec: NodeSpec, line: int) -> str:
    """Return the line of the Dockerfile with this number, as it is written."""
    lines = spec.text.split("\n")
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""
