"""The graph as doit tasks. ``stagegraph.tasks`` exports them to a project's ``dodo.py``.

Parents are ``setup`` tasks. doit does not look at the setup tasks of a task that is up to date. It runs those
of other tasks first, each once, siblings in parallel. That is what planning needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StagegraphError
from ..graph.goals import task_name
from ..project import tags
from ..project.model import BASE, Bootstrap, Node
from . import app as apps
from .actions import action, up_to_date_check
from .app import App, exit_with
from .reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from ..project.model import Image, Project


class _DefaultGoals(Sequence[str]):
    """The goals of a command without words. They depend on the project, which is read at the first look."""

    def __len__(self) -> int:
        return len(self._goals)

    def __getitem__(self, place: Any) -> Any:
        return self._goals[place]

    @property
    def _goals(self) -> list[str]:
        try:
            return apps.current().default_goals
        except StagegraphError as error:
            exit_with(error)


#: doit's settings; a project's ``dodo.py`` may replace some. ``num_process``: None for STAGEGRAPH_JOBS, or 2.
DOIT_CONFIG = {
    "reporter": Reporter,
    "default_tasks": _DefaultGoals(),
    "num_process": None,
    "par_type": "thread",
    "verbosity": 2,
    "backend": "memory",
}


def task_stages() -> Iterator[dict[str, Any]]:
    """One group for each stage, one task for each platform."""
    app, nodes = _loaded()
    project = app.workspace.project
    by_stage: dict[str, list[Node]] = {}
    for node in nodes:
        by_stage.setdefault(node.stage, []).append(node)
    for stage, on_platforms in by_stage.items():
        group = f"_{stage}" if stage in project.images else stage
        yield {
            "basename": group,
            "name": None,
            "doc": _description(project, on_platforms[0]),
            "meta": {"stage": stage},
        }
        yield from ({**_build_task(app, node), "basename": group} for node in on_platforms)


def task_images() -> Iterator[dict[str, Any]]:
    """One group for each image, one task for each platform: built, tested, loaded into the engine, tagged.

    Tasks for groups of images come with them. doit would list a function of their own if there were none.
    """
    app, nodes = _loaded()
    project, wanted = app.workspace.project, set(nodes)
    for image in project.images.values():
        doc = image.description
        if image.tags or image.repo:
            doc += f" -> {_in_short(project, image, app.workspace.tags.of_index(image.name))}"
        yield {"basename": image.name, "name": None, "doc": doc, "meta": {"image": image.name}}
        for platform in image.platforms:
            if _needed(project, image.name, platform) <= wanted:
                yield _image_task(app, image.name, Node(image.stage, platform))
    yield from _group_tasks(project, wanted)


def _group_tasks(project: Project, wanted: Set[Node]) -> Iterator[dict[str, Any]]:
    """One task for each group of images, and one for each of its platforms. They only name other tasks."""
    for group in project.groups.values():
        meta = {"group": group.name}
        yield {"basename": group.name, "name": None, "doc": f"group: {', '.join(group.words)}", "meta": meta}
        for platform in dict.fromkeys(platform for _, platform in group.goals):
            images = [image for image, on in group.goals if on == platform]
            if all(_needed(project, image, platform) <= wanted for image in images):
                yield {
                    "basename": group.name,
                    "name": platform,
                    "actions": None,
                    "task_dep": project.goals(f"{group.name}:{platform}"),
                    "doc": f"the images of the group for {platform}",
                    "meta": meta,
                }


def _needed(project: Project, image: str, platform: str) -> set[Node]:
    """Return the nodes that the task of an image needs: its own, and its test."""
    test = project.test(image, platform)
    return {Node(project.images[image].stage, platform), *([test] if test else [])}


def _loaded() -> tuple[App, list[Node]]:
    """The app, and the nodes that get tasks. An error ends the process: doit would show a traceback."""
    app = apps.current()
    try:
        return app, app.nodes_with_tasks
    except StagegraphError as error:
        exit_with(error)


def _build_task(app: App, node: Node) -> dict[str, Any]:
    workspace, project = app.workspace, app.workspace.project
    name = task_name(project, node)
    try:
        parents = [task_name(project, parent) for parent in workspace.graph.parents(node)]
    except StagegraphError as error:
        return _broken_task(app, name, node, error)

    def is_ready() -> bool:
        nodes = workspace.nodes
        return nodes.restore(node) if project.tested_by(node.stage) is None else nodes.test_passed(node)

    return {
        "name": node.platform,
        "actions": [action(app, name, lambda: workspace.nodes.build_or_reuse(node), parents)],
        "uptodate": [up_to_date_check(app, is_ready)],
        "setup": parents,
        "doc": f"{_description(project, node)} for {node.platform}",
        "meta": {"node": node},
    }


def _broken_task(app: App, name: str, node: Node, error: StagegraphError) -> dict[str, Any]:
    """A task that fails with ``error``, so that only a run that needs this node ends with it."""

    def fail() -> None:
        raise error

    return {
        "name": node.platform,
        "actions": [action(app, name, fail)],
        "uptodate": [False],
        "doc": f"broken: {error.what}",
        "meta": {"node": node},
    }


def _image_task(app: App, image: str, node: Node) -> dict[str, Any]:
    workspace, project = app.workspace, app.workspace.project
    test = project.test(image, node.platform)
    declared, references = project.images[image], workspace.tags.of_run(image, node.platform)
    name, needs = f"{image}:{node.platform}", [task_name(project, each) for each in (node, test) if each]
    return {
        "basename": image,
        "name": node.platform,
        "actions": [action(app, name, lambda: workspace.delivery.deliver(image, node), needs)],
        "uptodate": [up_to_date_check(app, lambda: workspace.delivery.is_delivered(image, node))],
        "setup": needs,
        "doc": f"{declared.description} -> {_in_short(project, declared, references)}",
        "meta": {"node": node, "image": image},
    }


def _in_short(project: Project, image: Image, references: Sequence[str]) -> str:
    """Return the references of an image for one line, their repository once: ``REPO:a, :b, :c``."""
    repository = tags.repository(project, image)
    return ", ".join([references[0], *(each.removeprefix(repository) for each in references[1:])])


def _description(project: Project, node: Node) -> str:
    if node.stage == BASE:
        base = project.bases[node.platform]
        if isinstance(base, Bootstrap):
            return f"{base.suite} from the distribution's archive"
        return "what all stages are based on"
    stage = project.stages[node.stage]
    return stage.description or f"the stage in {stage.configs[node.platform].context}"
