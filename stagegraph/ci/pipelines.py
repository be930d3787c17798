"""The files of a project's CI: planned, written as YAML, compared with what is there."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, nearest
from ..graph import goals
from ..oci.platform import host_platform
from ..project import loader
from . import circleci, durations, github, jobs
from . import config as table
from . import units as work
from .model import Goals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..graph.graph import Graph
    from ..project.model import Node
    from .model import Pipeline, Table, Unit

#: By the names that ``table.SERVICES`` has.
WRITERS = {"circleci": circleci, "github": github}


class Plans:
    """A project's pipelines. Raises ``ProjectError`` for what ``[ci]`` says wrong."""

    def __init__(self, graph: Graph, *, limit: str = "") -> None:
        self.graph, self.project = graph, graph.project
        tables, lines = loader.parse(loader.read(self.project.root))
        self.table: Table = table.read(tables, lines, limit=limit)
        where, known = lines.where("ci", "images"), goals.named(graph, tests=True)
        words = self._words(where, known)
        self.goals = list(dict.fromkeys(node for word in words for node in known[word]))
        self.named = self._images(words, where)

    def _words(self, where: str, known: Mapping[str, object]) -> Sequence[str]:
        """Images that ``[ci]`` names, or all that are made by default."""
        images = self.project.images
        words = self.table.images or [name for name, image in images.items() if image.default]
        if not words:
            raise ProjectError(where, "the project has no image to build", "declare one under [images]")
        for word in words:
            if word.partition(":")[0] not in images or word not in known:
                if word in known:
                    raise ProjectError(
                        where, f"{word!r} is a stage, not an image", "declare it under [images]"
                    )
                hint = nearest(word, [w for w in known if w.partition(":")[0] in images])
                raise ProjectError(where, f"no image {word!r}", hint)
        return words

    def _images(self, words: Iterable[str], where: str) -> Goals:
        """Each image with its platforms.

        What is published is an index over all of an image's Docker platforms. Raises ``ProjectError``.
        """
        rows, docker = self.project.images, {p.name: p.docker for p in self.project.platforms.values()}
        chosen: dict[str, set[str]] = {}
        for word in words:
            name, _, platform = word.partition(":")
            chosen.setdefault(name, set()).update([platform] if platform else rows[name].platforms)
        for name, platforms in chosen.items():
            built = {docker[platform] for platform in platforms}
            if self.table.publish and (lacks := {docker[p] for p in rows[name].platforms} - built):
                what = f"image {name} is built for {', '.join(sorted(built))} only, and is to be published"
                hint = f"an index is over all platforms of an image: add {min(lacks)}, or publish = false"
                raise ProjectError(where, what, hint)
        return Goals(
            tuple(f"{n}:{p}" for n, on in chosen.items() for p in rows[n].platforms if p in on),
            tuple(chosen),
        )

    @cached_property
    def times(self) -> durations.Times:
        return durations.read(self.project.root, host_platform())

    def units(self, service: str) -> list[Unit]:
        executors = self.table.services[service]
        return work.units(self.graph, self.goals, executors, self.times, self.table.unknown)

    def pipeline(self, service: str, needed: Callable[[Node], bool] | None = None) -> Pipeline:
        """Jobs of a service; with ``needed``, for the units alone that have such a node."""
        units = self.units(service)
        if needed:
            units = _only(units, [any(map(needed, unit.nodes)) for unit in units])
        return jobs.plan(service, units, self.table.services[service], self.table)

    def guessed(self) -> list[Node]:
        """Nodes that are planned with ``[ci] unknown``."""
        return work.guessed(self.graph, self.goals, self.times)

    def files(self) -> dict[str, tuple[str, Pipeline]]:
        """Text and plan by file name."""
        made: dict[str, tuple[str, Pipeline]] = {}
        for service in self.table.services:
            pipeline = self.pipeline(service)
            writer = WRITERS[service]
            write = writer.dynamic if self.table.dynamic else writer.static
            made[writer.FILE] = text(write(pipeline, self.table, self.named), self.table.ci), pipeline
        return made

    def continuation(self, needed: Callable[[Node], bool]) -> str:
        """CircleCI's configuration with jobs for what is needed alone."""
        pipeline = self.pipeline("circleci", needed)
        return text(circleci.static(pipeline, self.table, self.named), f"{self.table.ci} --continuation")

    def matrix(self, needed: Callable[[Node], bool]) -> str:
        """GitHub's jobs for what is needed alone, in no more levels than the workflow has."""
        count = len(github.levels(self.pipeline("github")))
        pipeline = self.pipeline("github", needed)
        if len(github.levels(pipeline)) > count:  # a plan for less can be deeper; the whole one is not
            pipeline = self.pipeline("github")
        return github.matrix(pipeline, count)


def _only(units: Sequence[Unit], keep: Sequence[bool]) -> list[Unit]:
    """Units of a choice, their needs numbered anew; those left out are there already."""
    from dataclasses import replace

    place = {old: new for new, old in enumerate(number for number, kept in enumerate(keep) if kept)}
    return [
        replace(unit, needs=tuple(place[need] for need in unit.needs if need in place))
        for number, unit in enumerate(units)
        if number in place
    ]


def text(tree: dict[str, Any], command: str) -> str:
    """YAML with a first line that says where it comes from."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True  # a reader should see each job whole

    def string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, string)
    body = yaml.dump(tree, Dumper=Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    return f"{HEADER}{command}`; what it is made from is stages.toml and {durations.FILE}.\n{body}"


#: How a generated file begins; one that does not is somebody's own and is not overwritten.
HEADER = "# Generated, do not edit: made by `"
