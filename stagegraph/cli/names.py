"""The words that name something in a project: images, groups and stages, their platforms and alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..project.model import Project


def described(project: Project) -> dict[str, str]:
    """Return the names of images, groups and stages, with what is said of each."""
    stages = {name: stage.description for name, stage in project.stages.items()}
    groups = {name: f"group: {', '.join(group.words)}" for name, group in project.groups.items()}
    images = {name: image.description for name, image in project.images.items()}
    return {**images, **groups, **{name: text for name, text in stages.items() if name not in images}}


def platforms(project: Project, name: str) -> list[str]:
    """Return the platforms of an image, group or stage; none for another word."""
    if name in project.images:
        return list(project.images[name].platforms)
    if name in project.groups:
        return list(dict.fromkeys(platform for _, platform in project.groups[name].goals))
    return list(project.stages[name].configs) if name in project.stages else []


def alternatives(project: Project) -> dict[str, list[str]]:
    """Return the alternatives of each stage that has some."""
    return {name: [*stage.alternatives] for name, stage in project.stages.items() if stage.alternatives}
