"""``doit list``: images and groups; with ``--all`` stages and platforms too; with ``--json`` all facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doit.cmd_list import List as DoitList
from doit.cmd_list import opt_list_quiet, opt_listall

from ...errors import StagegraphError
from ...project.model import BASE
from .. import app as apps
from ..goals import named_nodes, unknown_goal
from ..help import Example
from .base import JsonOption, doit_options, print_json
from .errors import ErrorMessages

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...execution.workspace import Workspace
    from ...graph.graph import Graph
    from ...project.model import Image, Node

_ALL = {**opt_listall, "help": "stages and platforms too"}
_QUIET = {**opt_list_quiet, "help": "names only"}


class List(ErrorMessages, DoitList):  # type: ignore[misc]
    section = "everyday"
    doc_purpose = "list images and groups (--all: stages and platforms too)"
    doc_usage = "[GOAL ...]"
    cmd_options = (
        _ALL,
        _QUIET,
        *(option for option in DoitList.cmd_options if option not in (opt_listall, opt_list_quiet)),
        *doit_options(JsonOption),
    )
    examples = (
        Example("list", "the images and groups"),
        Example("list --all", "the stages too, and all platforms"),
        Example("list {image} -q", "the name alone"),
        Example("list --json", "all facts, for a program"),
    )

    @staticmethod
    def _list_filtered(tasks: dict[str, Any], filter_tasks: list[str], include_subtasks: bool) -> Any:
        for name in filter_tasks:
            if name not in tasks:
                known = (task for task in tasks if not task.startswith("_"))
                raise unknown_goal(apps.current().workspace.project, name, known)
        return DoitList._list_filtered(tasks, filter_tasks, include_subtasks)

    def execute(self, params: Any, args: list[str]) -> Any:
        """Check the tags before the list shows them. JSON needs no tasks, so none are made."""
        if params["json"]:
            self.loader.setup(params)
            workspace = apps.current().workspace
            workspace.tags.check()
            print_json(to_json(workspace, named_nodes(workspace.graph, args)))
            return 0
        apps.current().workspace.tags.check()
        return super().execute(params, args)

    def _list_all(self, include_subtasks: bool) -> list[Any]:
        """The short list has images and groups, and tasks that a dodo.py adds itself."""
        tasks: list[Any] = super()._list_all(include_subtasks)
        return tasks if include_subtasks else [t for t in tasks if "stage" not in (t.meta or {})]


def to_json(workspace: Workspace, nodes: Collection[Node]) -> dict[str, Any]:
    """Return the stages of these nodes, the images that they are, and groups of these images."""
    project, graph = workspace.project, workspace.graph
    parents = {node: _parents(graph, node) for node in graph.nodes}
    children: dict[Node, list[str]] = {node: [] for node in graph.nodes}
    for node, (used, _) in parents.items():
        for parent in used:
            children[parent].append(str(node))
    stages: dict[str, dict[str, Any]] = {}
    for node in nodes:
        stage = stages.setdefault(node.stage, _stage(workspace, node.stage))
        used, error = parents[node]
        stage["nodes"].append(
            {
                "node": str(node),
                "platform": node.platform,
                "docker": project.platforms[node.platform].docker,
                "images": [image.name for image in project.images_of(node)],
                "parents": [*map(str, used)],
                "children": children[node],
                "error": error,
            }
        )
    images = dict.fromkeys(image.name for node in nodes for image in project.images_of(node))
    return {
        "schema": 1,
        "stages": [*stages.values()],
        "images": [
            _image(workspace, project.images[name], nodes) for name in project.images if name in images
        ],
        "groups": [
            {"group": group.name, "words": [*group.words], "images": group.images}
            for group in project.groups.values()
            if images.keys() & {*group.images}
        ],
    }


def _parents(graph: Graph, node: Node) -> tuple[list[Node], str | None]:
    """Return the parents of a node, or none and the error of its Dockerfile."""
    try:
        return graph.parents(node), None
    except StagegraphError as error:
        return [], str(error)


def _stage(workspace: Workspace, name: str) -> dict[str, Any]:
    stage = None if name == BASE else workspace.project.stages[name]
    tested = workspace.project.tested_by(name)
    return {
        "stage": name,
        "description": stage.description if stage else "",
        "declared_at": stage.declared_at if stage else None,
        "stacked_on": stage.stacked_on or None if stage else None,
        "test_of": tested.name if tested else None,
        "nodes": [],
    }


def _image(workspace: Workspace, image: Image, nodes: Collection[Node]) -> dict[str, Any]:
    platforms = [node.platform for node in nodes if image in workspace.project.images_of(node)]
    return {
        "image": image.name,
        "stage": image.stage,
        "description": image.description,
        "declared_at": image.declared_at,
        "default": image.default,
        "test": image.test or None,
        "platforms": [
            {
                "platform": platform,
                "node": f"{image.stage}:{platform}",
                "tags": workspace.tags.of_run(image.name, platform),
            }
            for platform in platforms
        ],
    }
