"""``doit export bake``: the graph as a file for another tool; builds nothing, needs no engine."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError, TrustError
from ...output import tell, write_exact
from ..goals import resolve_goals
from ..help import Example
from .base import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...execution.workspace import Workspace
    from ...project.model import Node
    from ..app import App

#: The formats that a graph can be written in.
FORMATS = ("bake",)


@dataclass(frozen=True)
class Options:
    """There are none: the output is always JSON."""


class Export(Command[Options]):
    options_type = Options
    section = "move"
    completes = ("bake", "@goals")
    doc_purpose = "print the graph as a bake file"
    doc_usage = "bake [GOAL ...]"
    doc_description = (
        "Prints a file for bake: doit export bake >docker-bake.json; docker buildx bake -f docker-bake.json. "
        "A build with it has the same contents as one of doit. Parents are contexts (target:NAME). External "
        "images are pinned by digest. Without names: every node.\n\n"
        "A stage that is the same on all platforms becomes one target. Otherwise it becomes one target for "
        "each platform (STAGE-PLATFORM) and a group. The group `default` has what you name, or the images "
        "that are built by default; `test` has the tests of images.\n\n"
        "A base that mmdebstrap makes has no Dockerfile. The file names its finished image: in the registry "
        "with registry=HOST, or else in cache/, after it was built. What bake cannot express is printed on "
        "standard error."
    )
    examples = (
        Example("export bake", "the whole graph for docker buildx bake"),
        Example("export bake {goal}", "one image and what it needs"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:  # noqa: ARG002
        from ...migration.export import bake_file

        if not words or words[0] not in FORMATS:
            what = f"no format {words[0]!r}" if words else "doit export needs a format"
            raise ProjectError("command line", what, f"doit export {FORMATS[0]} >docker-bake.json")
        workspace = app.workspace
        goals = resolve_goals(workspace.graph, words[1:], tests=True)
        file = bake_file(
            workspace.graph, goals.nodes, workspace.tags, _finished(workspace), named=len(words) > 1
        )
        for note in file.notes:
            tell(f"note: {note}")
        write_exact(sys.stdout, f"{json.dumps(file.to_json(), indent=2)}\n")  # bake needs the values
        return goals.status


def _finished(workspace: Workspace) -> Callable[[Node], str]:
    """Return the context of a node that no Dockerfile builds: its image in the registry or in ``cache/``."""
    from ...store.record import tag
    from ...system.files import relative_path

    project, graph = workspace.project, workspace.graph

    def finished(node: Node) -> str:
        key, settings = graph.key(node), project.settings
        if settings.registry:
            if project.trust.level == "required":
                return _trusted(workspace, node)
            docker = project.platforms[node.platform].docker
            return f"docker-image://{settings.registry}/{settings.repo}:{tag(node.stage, docker, key)}"
        record = workspace.layout.trusted(key, node.stage)
        if record is None:
            hint = f"build it first: doit {node}; or name the registry that has it: registry=HOST"
            raise ProjectError(str(node), "no Dockerfile builds it, and cache/ does not have its image", hint)
        return f"oci-layout://{relative_path(workspace.layout.root)}@{record.digest}"

    return finished


def _trusted(workspace: Workspace, node: Node) -> str:
    """Return the context of a node by the digest that somebody has signed: others may move its tag."""
    docker = workspace.project.platforms[node.platform].docker
    registry = workspace.registry
    record = registry.find(node, docker, workspace.graph.key(node)) if registry else None
    if registry is None or record is None:
        what = "no Dockerfile builds it, and the registry has no image of it that [trust] trusts"
        raise TrustError(str(node), what, f"build and push it: doit {node}")
    return f"docker-image://{registry.repository}@{record.digest}"
