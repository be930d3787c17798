"""Project + lock -> nodes with all that determines them, and their keys.

Reads Dockerfiles and contexts (through ``context``), each once; everything after that is pure.
"""

from __future__ import annotations

import hashlib
import platform as host
import threading
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from . import key, stacks
from .context import Entry, Selection, ignore_file
from .dockerfile import analyse, triggers
from .errors import ContextError, DockerfileError, ProjectError, nearest
from .facts import Edge, Facts
from .instructions import declared_args, parse
from .model import BASE, Base, Bootstrap, ExternalBase, Node, Platform, Project, Recipe
from .variables import platform_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from .instructions import Instruction
    from .key import Input
    from .lock import Lock

_MACHINES = {
    "x86_64": "linux/amd64",
    "AMD64": "linux/amd64",
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
}


def host_platform() -> str:
    """The OCI platform of this machine's processor, for ``BUILDPLATFORM`` and for defaults."""
    return _MACHINES.get(host.machine(), f"linux/{host.machine()}")


@dataclass(frozen=True)
class Parent:
    """An edge to another node of the project."""

    edge: Edge
    node: Node


@dataclass(frozen=True)
class External:
    """An edge to an image from outside. ``digest`` is of the manifest for the edge's platform; ``index`` of
    what the reference names (an index, or the same manifest)."""

    edge: Edge
    reference: str
    digest: str
    index: str


@dataclass(frozen=True)
class Spec:
    """A node with everything that determines it, parents apart. ``dockerfile`` is relative to the project.

    ``exposed``: a source reaches the Dockerfile, but it is not among the entries as the file to build from
    (it is hidden, or a link). It must then lie outside of the context that is sent, or COPY would see it.
    """

    node: Node
    platform: Platform
    recipe: Recipe
    epoch: int
    facts: Facts = field(default_factory=lambda: Facts((), (), {}, ()))
    entries: tuple[Entry, ...] = ()
    parents: tuple[Parent, ...] = ()
    images: tuple[External, ...] = ()
    bootstrap: Bootstrap | None = None
    archive: str = ""
    text: str = ""
    exposed: bool = False

    @property
    def dockerfile(self) -> str:
        return f"{self.recipe.context}/{self.recipe.dockerfile}"

    @property
    def kept_as(self) -> str:
        """The name of what is kept of the node's last build; each alternative has its own."""
        alternative = f"--{self.recipe.alternative}" if self.recipe.alternative else ""
        return f"{self.node}{alternative}"


def _edge_name(edge: Edge, name: str) -> str:
    """How an edge is written in a key: ``name``, the platform if it is another, and what of it counts."""
    platform = f" {edge.platform}" if edge.platform else ""
    return f"{name}{platform}{'' if edge.whole else ' files'}"


class Graph:
    """All nodes of a project. Nothing is read before it is asked for, and then once. Safe for threads."""

    def __init__(self, project: Project, lock: Lock) -> None:
        self.project, self.lock = project, lock
        self._specs: dict[Node, Spec] = {}
        self._inputs: dict[Node, list[Input]] = {}
        self._keys: dict[Node, str] = {}
        self._triggers: dict[tuple[str, str], tuple[Instruction, ...]] = {}
        self._read_facts: dict[Node, tuple[str, Facts]] = {}
        self._texts: dict[str, str] = {}
        # platforms share what no argument tells apart
        self._analyse = cache(_analyse)
        # two threads that read the same files at different times would disagree about a key
        self._lock = threading.RLock()

    @cached_property
    def nodes(self) -> list[Node]:
        return self.project.nodes()

    def spec(self, node: Node) -> Spec:
        """Raises ``DockerfileError``, ``ContextError``, ``LockError``, ``ResolveError``."""
        with self._lock:
            if node not in self._specs:
                self._specs[node] = self._read(node)
            return self._specs[node]

    def parents(self, node: Node) -> list[Node]:
        """Distinct parents in the order of the Dockerfile. Reads that alone: no context, no lock."""
        return list(dict.fromkeys(parent.node for parent in self._edges(node)))

    def key(self, node: Node) -> str:
        """The recipe key, ``sha256:...``."""
        with self._lock:
            if node not in self._keys:
                for ancestor in self.order([node]):
                    if ancestor not in self._keys:
                        self._keys[ancestor] = key.digest(self.inputs(ancestor))
            return self._keys[node]

    def inputs(self, node: Node) -> list[Input]:
        """The inputs of the recipe key."""
        with self._lock:
            if node not in self._inputs:
                self._inputs[node] = self._recipe(node, lambda parent: self.key(parent.node), content=False)
            return self._inputs[node]

    def content_inputs(self, node: Node, produced: Callable[[Parent], str]) -> list[Input]:
        """The inputs of the content key; ``produced`` gives the digest of what a parent's edge can see."""
        return self._recipe(node, produced, content=True)

    def _recipe(self, node: Node, digest: Callable[[Parent], str], *, content: bool) -> list[Input]:
        spec = self.spec(node)
        places = {edge: str(place) for place, edge in enumerate(spec.facts.edges)}
        found = [
            *(("parent", parent.edge, digest(parent)) for parent in spec.parents),
            *(("image", image.edge, image.digest) for image in spec.images),
        ]
        ancestors = [
            key.Ancestor(
                role,
                _edge_name(edge, places[edge]),
                value,
                f"{spec.dockerfile}:{edge.line}",
                _edge_name(edge, edge.name),
            )
            for role, edge, value in found
        ]
        return key.inputs(spec, ancestors, content=content)

    # -- order -----------------------------------------------------------------------------------

    def order(self, goals: list[Node]) -> list[Node]:
        """Goals and their ancestors, parents first. Raises ``ProjectError`` with the path of a cycle."""
        done: dict[Node, None] = {}
        for goal in goals:
            path: dict[Node, list[Node]] = {}  # nodes being visited, with the parents still to visit
            node: Node | None = goal
            while node is not None:
                if node not in done and node not in path:
                    path[node] = self.parents(node)[::-1]
                waiting = path.get(node, [])
                if waiting:
                    node = waiting.pop()
                    if node in path:
                        raise self._cycle([*list(path)[list(path).index(node) :], node])
                    continue
                path.pop(node, None)
                done[node] = None
                node = next(reversed(path), None)
        return list(done)

    def _cycle(self, path: list[Node]) -> ProjectError:
        """``blas -> toolchain -> blas``, with the line that each step comes from."""
        one = len({node.platform for node in path}) == 1
        written = " -> ".join(node.stage if one else str(node) for node in path)
        edges = [
            f"{self._name(child)}:{parent.edge.line} uses {parent.edge.name}"
            for child, used in pairwise(path)
            for parent in self._edges(child)
            if parent.node == used
        ]
        return ProjectError("stages.toml", f"a cycle: {written}", "\n  ".join(dict.fromkeys(edges)))

    # -- reading ---------------------------------------------------------------------------------

    def _read(self, node: Node) -> Spec:
        project = self.project
        platform = project.platforms[node.platform]
        recipe = project.recipe(node)
        if recipe is None:
            base = project.bases[node.platform]
            assert isinstance(base, Bootstrap)
            empty = Recipe(context="", source=base.source)
            return Spec(node, platform, empty, project.epoch, bootstrap=base, archive=self.lock.archive())
        folder, name = project.root / recipe.context, self._name(node)
        text, facts = self._facts(node)
        parents, images = self._edges(node), self._externals(node)
        declares = self._onbuild(parents, images)
        triggered = declares is not None
        if declares is not None:
            facts = _with_triggers(facts, recipe.args, self.project.secrets, declares, name)
        selection = Selection(folder, name, ignore_file(folder, recipe.dockerfile))
        entries = selection.select(None if triggered else facts.sources, facts.moded)
        if folder == project.root and any(entry.path.startswith("cache/") for entry in entries):
            what = "the build would read cache/, which every build changes"
            raise ContextError(name, what, "name it in .dockerignore, or copy less than all")
        own = next((entry for entry in entries if entry.path == recipe.dockerfile), None)
        file = own is not None and own.kind in ("file", "exec")
        if own is not None and file and own.digest != hashlib.sha256(text.encode()).hexdigest():
            raise ContextError(name, "changed while it was read", "run again when nothing changes the folder")
        return Spec(
            node,
            platform,
            recipe,
            project.epoch,
            facts=facts,
            entries=entries,
            parents=parents,
            images=images,
            # a trigger may install packages; what it does stands in the parent
            archive=self.lock.archive() if facts.uses_archive or recipe.archive or triggered else "",
            text=text,
            exposed=not file and selection.reaches(recipe.dockerfile),
        )

    def _recipe_of(self, node: Node) -> Recipe:
        recipe = self.project.recipe(node)
        assert recipe is not None
        return recipe

    def _name(self, node: Node) -> str:
        """The node's Dockerfile, relative to the project."""
        recipe = self._recipe_of(node)
        return f"{recipe.context}/{recipe.dockerfile}"

    def _facts(self, node: Node) -> tuple[str, Facts]:
        """Text of a node's Dockerfile and what it says."""
        with self._lock:
            if node not in self._read_facts:
                recipe, name = self._recipe_of(node), self._name(node)
                if name not in self._texts:
                    self._texts[name] = _read_text(self.project.root / name, name)
                text = self._texts[name]
                facts = self._analyse(
                    text,
                    name,
                    tuple(_nameable(recipe.args, text, name).items()),
                    self.project.platforms[node.platform].docker,
                    recipe.target,
                    recipe.unpinned,
                )
                self._check(node, recipe, facts, name)
                self._read_facts[node] = text, facts
            return self._read_facts[node]

    def _check(self, node: Node, recipe: Recipe, facts: Facts, name: str) -> None:
        below = "" if node.stage == BASE else self.project.stages[node.stage].below
        if below and not any(edge.whole and edge.name == below for edge in facts.edges):
            what = f"it stands on {below} in a stack, but does not start from it"
            raise DockerfileError(
                name, what, f"FROM ${{{stacks.ARGUMENT}}}, with ARG {stacks.ARGUMENT} before it"
            )
        if image := self.project.tested_by(node.stage):
            if not any(edge.name == image.stage for edge in facts.edges):
                what = f"the test of image {image.name} does not use it"
                raise DockerfileError(name, what, "ARG IMAGE, then FROM ${IMAGE}")
            if not any(instruction.cmd == "RUN" for instruction in facts.instructions):
                raise DockerfileError(name, f"the test of image {image.name} has no RUN, so it tests nothing")
        declared = declared_args(facts.instructions, name)
        if declared is None:
            return
        for arg in sorted(recipe.own_args - declared):
            raise ProjectError(
                recipe.source,
                f"stage {node.stage}: {name} declares no argument {arg}",
                nearest(arg, declared),
            )

    def _parent(self, edge: Edge, own: Platform, name: str) -> Node | None:
        """The node that an edge leads to, None where that is an image from outside."""
        outside = edge.name not in self.project.stages and edge.name != BASE
        if outside or (edge.name == BASE and isinstance(self._base(edge, own), ExternalBase)):
            return None
        node = Node(edge.name, self._platform(edge, own, name))
        if edge.name != BASE and node.platform not in self.project.stages[edge.name].recipes:
            images = [i.name for i in self.project.images.values() if i.stage == edge.name] or [edge.name]
            what = f"{edge.name} is not made for {node.platform}"
            raise DockerfileError(
                f"{name}:{edge.line}", what, f"platforms of {', '.join(images)} in stages.toml"
            )
        return node

    def _base(self, edge: Edge, own: Platform) -> Base:
        """The base that an edge means; an image from outside may have platforms that the project has not."""
        rows = self.project.platforms.values()
        other = next((p for p in rows if p.docker == edge.platform), own) if edge.platform else own
        return self.project.bases[other.name]

    def _edges(self, node: Node) -> tuple[Parent, ...]:
        """Edges to other nodes of the project."""
        if self.project.recipe(node) is None:
            return ()
        own, name = self.project.platforms[node.platform], self._name(node)
        _, facts = self._facts(node)
        for edge in facts.edges:
            if image := self.project.tested_by(edge.name):
                what = f"{edge.name} is the test of image {image.name}; nothing can stand on it"
                raise DockerfileError(f"{name}:{edge.line}", what, f"use {image.name} itself")
        nodes = ((edge, self._parent(edge, own, name)) for edge in facts.edges)
        return tuple(Parent(edge, parent) for edge, parent in nodes if parent is not None)

    def _externals(self, node: Node) -> tuple[External, ...]:
        """Edges to images from outside, pinned."""
        own, name = self.project.platforms[node.platform], self._name(node)
        images: list[External] = []
        for edge in self._facts(node)[1].edges:
            if self._parent(edge, own, name) is not None:
                continue
            docker = edge.platform or own.docker
            reference, where = edge.name, f"{name}:{edge.line}"
            if on_others := stacks.standing(self.project.stages.values(), edge.name):
                what = f"{edge.name} stands on another stage wherever it is used"
                raise DockerfileError(where, what, f"name what it comes to: {' or '.join(on_others)}")
            if edge.name == BASE:
                base = self._base(edge, own)
                assert isinstance(base, ExternalBase)
                reference, where = base.image, base.source
            known = () if edge.name == BASE else self.project.stages
            pin = self.lock.image(reference, docker, where, known)
            images.append(External(edge, reference, pin.digest, pin.index))
            others = {i.reference for i in images if i.edge.name == edge.name}
            others |= {"a stage" for parent in self._edges(node) if parent.edge.name == edge.name}
            if others := others - {reference}:
                what = f"{edge.name} is {reference} for one platform and {min(others)} for another"
                hint = "one Dockerfile can use a base for two platforms only if it is one image of both"
                raise DockerfileError(f"{name}:{edge.line}", what, hint)
        return tuple(images)

    def _platform(self, edge: Edge, own: Platform, name: str) -> str:
        if not edge.platform:
            return own.name
        for platform in self.project.platforms.values():
            if platform.docker == edge.platform:
                return platform.name
        raise DockerfileError(
            f"{name}:{edge.line}",
            f"{edge.name} is wanted for {edge.platform}, which is no platform of this project",
            "declare a platform with that docker value in stages.toml",
        )

    def _onbuild(
        self, parents: tuple[Parent, ...], images: tuple[External, ...]
    ) -> Callable[[str], bool] | None:
        """What tells of an argument whether a trigger of a start image may declare it.

        None where no start image leaves triggers, which read the context of this build.
        """
        if any(self.lock.has_onbuild(image.reference) for image in images if image.edge.whole):
            return lambda _: True
        found: list[Instruction] = []
        for parent in parents:
            if parent.edge.whole and (recipe := self.project.recipe(parent.node)) is not None:
                name = self._name(parent.node)
                if (name, recipe.target) not in self._triggers:
                    # the text alone, since the parent's own facts may lead back here when there is a cycle
                    text = _read_text(self.project.root / name, name)
                    self._triggers[name, recipe.target] = triggers(text, name, recipe.target)
                found += self._triggers[name, recipe.target]
        declared = declared_args(found, "")
        if not found:
            return None
        return (lambda _: True) if declared is None else declared.__contains__


def _with_triggers(
    facts: Facts,
    candidates: Mapping[str, str],
    secrets: Iterable[str],
    declares: Callable[[str], bool],
    name: str,
) -> Facts:
    """What triggers of a parent may use besides: secrets, arguments, and those that BuildKit sets.

    What tells which machine builds is sent as the key holds it, so that another builder changes nothing.
    """
    machine = {key: value for key, value in platform_args("BUILD", host_platform()).items() if declares(key)}
    for instruction in (i for i in facts.instructions if i.cmd == "ARG"):
        defaults = {word.partition("=")[0] for word in instruction.value if "=" in word}
        if both := machine.keys() & defaults:
            what = f"ARG {min(both)} has a default here, and a trigger of the parent may take BuildKit's"
            raise DockerfileError(f"{name}:{instruction.line}", what, "call this argument something else")
    given = {key: value for key, value in candidates.items() if declares(key)}
    return replace(
        facts,
        args={**machine, **given, **facts.args},
        secrets=facts.secrets.union(secrets, ["ca"]),
        apart=frozenset(),
        runs=True,
        sees_target=True,
    )


def _nameable(args: Mapping[str, str], text: str, name: str) -> Mapping[str, str]:
    """Those arguments that a Dockerfile can mean; platforms that differ in others share its analysis."""
    declared = declared_args(parse(text, name)[0], name)
    if declared is None:
        return args
    return {arg: value for arg, value in args.items() if arg in declared or arg == "BUILDKIT_SYNTAX"}


def _analyse(
    text: str, name: str, args: tuple[tuple[str, str], ...], docker: str, target: str, unpinned: bool
) -> Facts:
    return analyse(
        text,
        name,
        args=dict(args),
        docker=docker,
        build_platform=host_platform(),
        target=target,
        unpinned=unpinned,
    )


def _read_text(path: Path, name: str) -> str:
    """The file's text as it is: with the ends of lines that it has."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DockerfileError(name, f"is not UTF-8: {error}") from None
    except OSError as error:
        raise DockerfileError(name, f"cannot be read: {error.strerror}") from None
