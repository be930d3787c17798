"""The pipeline files of a project: planned, and written as YAML."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..graph import goals
from ..oci.platform import host_platform
from ..project import loader, tags
from . import circleci, durations, github, jobs
from . import config as ci_config
from . import units as work
from .model import ImageTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..graph.graph import Graph
    from ..project.model import Node
    from .model import CIConfig, Pipeline, WorkUnit

#: The writers by service (``config.SERVICES``).
WRITERS = {"circleci": circleci, "github": github}


class Plans:
    """The pipelines of a project. Raises ``ProjectError`` for mistakes in ``[ci]``."""

    def __init__(self, graph: Graph, *, limit: str = "") -> None:
        self.graph, self.project = graph, graph.project
        tables, lines = loader.parse(loader.read(self.project.root))
        self.config: CIConfig = ci_config.read(tables, lines, limit=limit)
        where, names = lines.where("ci", "images"), goals.named(graph, tests=True)
        words = self._image_names(where, names)
        self.goals = list(dict.fromkeys(node for word in words for node in names[word]))
        self.images = self._image_targets(words, where)
        platforms = {node.platform for node in self.goals}
        self.config = replace(
            self.config,
            whole_history=tags.needs_tags_of_git(self.project),
            platform=platforms.pop() if len(platforms) == 1 else "",
        )

    def _image_names(self, where: str, names: Mapping[str, object]) -> Sequence[str]:
        """The images that ``[ci]`` names (``IMAGE``, ``IMAGE:PLATFORM``, a group), or all default images."""
        images = self.project.images
        named = [goal for word in self.config.images for goal in self.project.goals(word) or [word]]
        words = named or [name for name, image in images.items() if image.default]
        if not words:
            raise ProjectError(where, "the project has no image to build", "declare one under [images]")
        for word in words:
            if word.partition(":")[0] not in images or word not in names:
                if word in names:
                    raise ProjectError(
                        where, f"{word!r} is a stage, not an image", "declare it under [images]"
                    )
                known = [w for w in names if w.partition(":")[0] in {**images, **self.project.groups}]
                raise ProjectError(where, f"no image {word!r}", nearest(word, known))
        return words

    def _image_targets(self, words: Iterable[str], where: str) -> ImageTargets:
        """Each image with its platforms.

        Raises ``ProjectError`` for an image to be published without one of its OCI platforms: the index of
        an image is over all of them.
        """
        rows, docker = self.project.images, {p.name: p.docker for p in self.project.platforms.values()}
        chosen: dict[str, set[str]] = {}
        for word in words:
            name, _, platform = word.partition(":")
            chosen.setdefault(name, set()).update([platform] if platform else rows[name].platforms)
        for name, platforms in chosen.items():
            built = {docker[platform] for platform in platforms}
            if self.config.publish and (lacks := {docker[p] for p in rows[name].platforms} - built):
                what = f"image {name} is to be published, but is built only for {', '.join(sorted(built))}"
                hint = f"an index needs all platforms of an image: add {min(lacks)}, or publish = false"
                raise ProjectError(where, what, hint)
        return ImageTargets(
            tuple(f"{n}:{p}" for n, on in chosen.items() for p in rows[n].platforms if p in on),
            tuple(chosen),
        )

    @cached_property
    def times(self) -> durations.Times:
        return durations.read(self.project.root, host_platform())

    def units(self, service: str) -> list[WorkUnit]:
        executors = self.config.services[service]
        return work.units(self.graph, self.goals, executors, self.times, self.config.unknown)

    def pipeline(self, service: str, needed: Callable[[Node], bool] | None = None) -> Pipeline:
        """The jobs of a service; with ``needed``, only for units that have such a node."""
        units = self.units(service)
        if needed:
            units = _only(units, [any(map(needed, unit.nodes)) for unit in units])
        return jobs.plan(service, units, self.config.services[service], self.config)

    def nodes_without_time(self) -> list[Node]:
        """The nodes that are planned with ``[ci] unknown``."""
        return work.nodes_without_time(self.graph, self.goals, self.times)

    def files(self) -> dict[str, tuple[str, Pipeline]]:
        """The text and the plan of each file."""
        files: dict[str, tuple[str, Pipeline]] = {}
        for service in self.config.services:
            pipeline = self.pipeline(service)
            writer = WRITERS[service]
            write = writer.dynamic if self.config.dynamic else writer.static
            files[writer.FILE] = text(write(pipeline, self.config, self.images), self.config.ci), pipeline
        return files

    def continuation(self, needed: Callable[[Node], bool]) -> str:
        """CircleCI's configuration with jobs only for the needed nodes."""
        pipeline = self.pipeline("circleci", needed)
        return text(circleci.static(pipeline, self.config, self.images), f"{self.config.ci} --continuation")

    def matrix(self, needed: Callable[[Node], bool]) -> str:
        """GitHub's jobs only for the needed nodes, in no more levels than the workflow has."""
        count = len(github.levels(self.pipeline("github")))
        pipeline = self.pipeline("github", needed)
        # a plan for fewer nodes can have more levels than the complete one
        if len(github.levels(pipeline)) > count:
            pipeline = self.pipeline("github")
        return github.matrix(pipeline, count)


def _only(units: Sequence[WorkUnit], keep: Sequence[bool]) -> list[WorkUnit]:
    """The chosen units, with their needs renumbered; the registry has the others."""
    place = {old: new for new, old in enumerate(number for number, kept in enumerate(keep) if kept)}
    return [
        replace(unit, needs=tuple(place[need] for need in unit.needs if need in place))
        for number, unit in enumerate(units)
        if number in place
    ]


def text(tree: dict[str, Any], command: str) -> str:
    """YAML with a first line that names its source."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True  # each job should be complete where it is read

    def string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, string)
    body = yaml.dump(tree, Dumper=Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    return f"{HEADER}{command}`; what it is made from is stages.toml and {durations.FILE}.\n{body}"


#: The start of a generated file. A file without it is the user's own and is never overwritten.
HEADER = "# Generated, do not edit: made by `"
