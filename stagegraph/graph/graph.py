"""Project + lock -> nodes with all that determines them, and their keys.

Reads Dockerfiles and contexts (through ``context``), each once; everything after that is pure.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import replace
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from ..context.selection import Selection, ignore_file
from ..dockerfile.analysis import analyse, triggers
from ..dockerfile.dependencies import DockerfileAnalysis, Edge
from ..dockerfile.instructions import declared_args, parse
from ..errors import UNRESOLVED, ContextError, DockerfileError, ProjectError, StagegraphError, nearest
from ..keys import inputs as key
from ..keys.spec import ExternalImage, Frontend, NodeSpec, Parent
from ..oci.platform import build_args, host_platform
from ..oci.reference import split
from ..project import stacks
from ..project.model import BASE, Bootstrap, Image, Node, Project, StageConfig
from .names import Names, Outside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..dockerfile.instructions import Instruction
    from ..keys.inputs import Input
    from ..keys.key import Key
    from ..oci.digest import Digest
    from ..oci.platform import OciPlatform
    from .lock import Lock


def _edge_name(edge: Edge, name: str) -> str:
    """How an edge is written in a key: ``name``, the platform if it is another, and what of it counts."""
    platform = f" {edge.platform}" if edge.platform else ""
    return f"{name}{platform}{'' if edge.whole else ' files'}"


_STACK_HINT = "a stage that stands on others needs an image in stages.toml that has it in its stack"


@contextlib.contextmanager
def _concerning(node: Node) -> Iterator[None]:
    """Errors of the block name the node, unless they name one that is nearer to the cause."""
    try:
        yield
    except StagegraphError as error:
        error.node = error.node or str(node)
        raise


class Graph:
    """All nodes of a project. Nothing is read before it is asked for, and then once. Safe for threads."""

    def __init__(self, project: Project, lock: Lock) -> None:
        self.project, self.lock = project, lock
        self.names = Names(project)
        self._specs: dict[Node, NodeSpec] = {}
        self._inputs: dict[Node, list[Input]] = {}
        self._keys: dict[Node, Key] = {}
        self._triggers: dict[tuple[str, str], tuple[Instruction, ...]] = {}
        self._read_facts: dict[Node, tuple[str, DockerfileAnalysis]] = {}
        self._texts: dict[str, str] = {}
        # platforms share what no argument tells apart
        self._analyse = cache(_analyse)
        # two threads that read the same files at different times would disagree about a key
        self._lock = threading.RLock()

    @cached_property
    def nodes(self) -> list[Node]:
        return self.project.nodes()

    def spec(self, node: Node) -> NodeSpec:
        """Raises ``DockerfileError``, ``ContextError``, ``LockError``, ``ResolveError``."""
        with self._lock, _concerning(node):
            if node not in self._specs:
                self._specs[node] = self._read(node)
            return self._specs[node]

    def parents(self, node: Node) -> list[Node]:
        """Distinct parents in the order of the Dockerfile. Reads that alone: no context, no lock."""
        with _concerning(node):
            return list(dict.fromkeys(parent.node for parent in self._edges(node)))

    def key(self, node: Node) -> Key:
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

    def content_inputs(self, node: Node, produced: Callable[[Parent], Digest]) -> list[Input]:
        """The inputs of the content key; ``produced`` gives the digest of what a parent's edge can see."""
        return self._recipe(node, produced, content=True)

    def _recipe(self, node: Node, digest: Callable[[Parent], Key | Digest], *, content: bool) -> list[Input]:
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
        """``blas -> toolchain -> blas``, with the line that each step comes from.

        It begins with the same node whoever asked, so that a cycle is told once.
        """
        first = path.index(min(path))
        path = [*path[first:-1], *path[:first], path[first]]
        one = len({node.platform for node in path}) == 1
        written = " -> ".join(node.stage if one else str(node) for node in path)
        steps = [
            (child, parent.edge)
            for child, used in pairwise(path)
            for parent in self._edges(child)
            if parent.node == used
        ]
        said = [f"{self._name(child)}:{edge.line} uses {edge.name}" for child, edge in steps]
        if len(path) == 2 and any(edge.name == child.stage for child, edge in steps):
            said.append(f"for an image from outside, write a tag other than latest: {path[0].stage}:TAG")
        return ProjectError("stages.toml", f"a cycle: {written}", "\n  ".join(dict.fromkeys(said)))

    # -- reading ---------------------------------------------------------------------------------

    def _read(self, node: Node) -> NodeSpec:
        project = self.project
        platform = project.platforms[node.platform]
        recipe = project.recipe(node)
        if recipe is None:
            base = project.bases[node.platform]
            assert isinstance(base, Bootstrap)
            empty = StageConfig(context="", source=base.source)
            return NodeSpec(node, platform, empty, project.epoch, bootstrap=base, archive=self.lock.archive())
        folder, name = project.root / recipe.context, self._name(node)
        text, facts = self._facts(node)
        parents, images = self._edges(node), self._externals(node)
        declares = self._onbuild(name, parents, images)
        _check_args(node, recipe, facts, declares, name)
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
        return NodeSpec(
            node,
            platform,
            recipe,
            project.epoch,
            facts=facts,
            entries=entries,
            parents=parents,
            images=images,
            frontend=self._frontend(recipe, facts, name),
            # a trigger may install packages; what it does stands in the parent
            archive=self.lock.archive() if facts.installs_packages or recipe.archive or triggered else "",
            text=text,
            exposed=not file and selection.reaches(recipe.dockerfile),
        )

    def _recipe_of(self, node: Node) -> StageConfig:
        recipe = self.project.recipe(node)
        assert recipe is not None
        return recipe

    def _name(self, node: Node) -> str:
        """The node's Dockerfile, relative to the project."""
        recipe = self._recipe_of(node)
        return f"{recipe.context}/{recipe.dockerfile}"

    def _facts(self, node: Node) -> tuple[str, DockerfileAnalysis]:
        """Text of a node's Dockerfile and what it says."""
        with self._lock:
            if node not in self._read_facts:
                recipe, name = self._recipe_of(node), self._name(node)
                text = self._text(name)
                facts = self._analyse(
                    text,
                    name,
                    tuple(_nameable(recipe.args, text, name).items()),
                    self.project.platforms[node.platform].docker,
                    recipe.target,
                    recipe.unpinned,
                )
                self._check(node, facts, name)
                self._read_facts[node] = text, facts
            return self._read_facts[node]

    def _text(self, name: str) -> str:
        """The text of a Dockerfile, read once: a key and its children's triggers are of the same."""
        if name not in self._texts:
            self._texts[name] = _read_text(self.project.root / name, name)
        return self._texts[name]

    def _check(self, node: Node, facts: DockerfileAnalysis, name: str) -> None:
        below = "" if node.stage == BASE else self.project.stages[node.stage].below
        if below and not any(edge.whole and edge.name == below for edge in facts.edges):
            what = f"it stands on {below} in a stack, but does not start from it"
            raise DockerfileError(
                name, what, f"FROM ${{{stacks.ARGUMENT}}}, with ARG {stacks.ARGUMENT} before it"
            )
        if image := self.project.tested_by(node.stage):
            self._check_test(image, node, facts, name)

    def _check_test(self, image: Image, node: Node, facts: DockerfileAnalysis, name: str) -> None:
        """A test must run something, and use the image of its own platform."""
        tested, what = Node(image.stage, node.platform), f"the test of image {image.name} "
        recipe, own = self._recipe_of(node), self.project.platforms[node.platform]
        used = [self.names.meaning(edge, node.stage, recipe, own) for edge in facts.edges]
        others = [found for found in used if isinstance(found, Node) and found.stage == tested.stage]
        if tested not in used:
            what += f"uses {others[0]}, and not {tested}" if others else "does not use it"
            raise DockerfileError(name, what, "ARG IMAGE, then FROM ${IMAGE}")
        if not any(instruction.cmd == "RUN" for instruction in facts.instructions):
            raise DockerfileError(name, f"{what}has no RUN, so it tests nothing")

    def _edges(self, node: Node) -> tuple[Parent, ...]:
        """Edges to other nodes of the project."""
        return tuple(Parent(edge, found) for edge, found in self._meanings(node) if isinstance(found, Node))

    def _meanings(self, node: Node) -> list[tuple[Edge, Node | Outside]]:
        """Every edge of a node's Dockerfile and what it leads to."""
        recipe = self.project.recipe(node)
        if recipe is None:
            return []
        own, (_, facts) = self.project.platforms[node.platform], self._facts(node)
        return [(edge, self.names.meaning(edge, node.stage, recipe, own)) for edge in facts.edges]

    def _externals(self, node: Node) -> tuple[ExternalImage, ...]:
        """Edges to images from outside, pinned."""
        own, name = self.project.platforms[node.platform], self._name(node)
        images: list[ExternalImage] = []
        for edge, found in self._meanings(node):
            if not isinstance(found, Outside):
                continue
            pin = self.lock.image(found.reference, edge.platform or own.docker, found.where)
            images.append(ExternalImage(edge, found.reference, pin.digest, pin.index))
            others = {i.reference for i in images if i.edge.name == edge.name}
            others |= {"a stage" for parent in self._edges(node) if parent.edge.name == edge.name}
            if others := others - {found.reference}:
                what = f"{edge.name} is {found.reference} for one platform and {min(others)} for another"
                hint = "one Dockerfile can use a base for two platforms only if it is one image of both"
                raise DockerfileError(f"{name}:{edge.line}", what, hint)
        return tuple(images)

    def _frontend(self, recipe: StageConfig, facts: DockerfileAnalysis, name: str) -> Frontend | None:
        """What reads the Dockerfile if not the builder's own front end, pinned.

        BUILDKIT_SYNTAX as an argument comes before the Dockerfile's own line (BuildKit,
        frontend/dockerfile/builder/build.go). An image by digest is fixed already.
        """
        line = "" if recipe.own_frontend else facts.directives.get("syntax", "")
        written = (facts.args.get("BUILDKIT_SYNTAX") or line).split(maxsplit=1)
        if not written:
            return None
        reference = self.names.frontend(written[0], recipe, f"{name}:1")
        options = " ".join(written[1:])
        if digest := split(reference).digest:
            return Frontend(reference, digest, options)
        try:
            # the builder's machine takes what it can run; neither it nor this one is part of a key
            index = self.lock.index(reference, host_platform(), f"{name}:1")
        except UNRESOLVED as error:
            hint = f'{error.hint}\n  or let the builder\'s own front end read it: frontend = "builder"'
            raise type(error)(error.where, error.what, hint) from None
        return Frontend(reference, index, options)

    def _onbuild(
        self, child: str, parents: tuple[Parent, ...], images: tuple[ExternalImage, ...]
    ) -> Callable[[str], bool] | None:
        """What tells of an argument whether a trigger of a start image may declare it.

        None where no start image leaves triggers, which read the context of this build. ``child`` is its
        Dockerfile. Raises ``DockerfileError`` for triggers that cannot be keyed.
        """
        for image in images:
            if image.edge.whole and self.lock.has_onbuild_from(image.reference):
                what = f"triggers (ONBUILD) of {image.reference} take from another image or from the network"
                hint = "that cannot be keyed: start from another image, with a COPY of your own"
                raise DockerfileError(f"{child}:{image.edge.line}", what, hint)
        if any(self.lock.has_onbuild(image.reference) for image in images if image.edge.whole):
            return lambda _: True
        found: list[Instruction] = []
        for parent in parents:
            if parent.edge.whole and (recipe := self.project.recipe(parent.node)) is not None:
                name = self._name(parent.node)
                if (name, recipe.target) not in self._triggers:
                    # the text alone, since the parent's own facts may lead back here when there is a cycle
                    text = self._text(name)
                    self._triggers[name, recipe.target] = triggers(text, name, recipe.target)
                found += self._triggers[name, recipe.target]
        declared = declared_args(found, "")
        if not found:
            return None
        return (lambda _: True) if declared is None else declared.__contains__


def _check_args(
    node: Node,
    recipe: StageConfig,
    facts: DockerfileAnalysis,
    declares: Callable[[str], bool] | None,
    name: str,
) -> None:
    """Arguments given for a stage must be declared, by its Dockerfile or by a trigger of its parent."""
    declared = declared_args(facts.instructions, name)
    for arg in sorted(recipe.own_args - declared) if declared is not None else ():
        if declares is None or not declares(arg):
            what = f"stage {node.stage}: {name} declares no argument {arg}"
            raise ProjectError(recipe.source, what, nearest(arg, declared or ()))


def _with_triggers(
    facts: DockerfileAnalysis,
    candidates: Mapping[str, str],
    secrets: Iterable[str],
    declares: Callable[[str], bool],
    name: str,
) -> DockerfileAnalysis:
    """What triggers of a parent may use besides: secrets, arguments, and those that BuildKit sets.

    What tells which machine builds is sent as the key holds it, so that another builder changes nothing.
    """
    machine = {key: value for key, value in build_args("BUILD", host_platform()).items() if declares(key)}
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
        parts=(*facts.parts[:-1], facts.parts[-1]._replace(runs=True)),
    )


def _nameable(args: Mapping[str, str], text: str, name: str) -> Mapping[str, str]:
    """Those arguments that a Dockerfile can mean; platforms that differ in others share its analysis."""
    declared = declared_args(parse(text, name)[0], name)
    if declared is None:
        return args
    return {arg: value for arg, value in args.items() if arg in declared}


def _analyse(
    text: str, name: str, args: tuple[tuple[str, str], ...], docker: OciPlatform, target: str, unpinned: bool
) -> DockerfileAnalysis:
    return analyse(
        text,
        name,
        args=dict(args),
        docker=docker,
        build_platform=host_platform(),
        target=target,
        unpinned=unpinned,
        hints={stacks.ARGUMENT: _STACK_HINT},
    )


def _read_text(path: Path, name: str) -> str:
    """The file's text as it is: with the ends of lines that it has."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DockerfileError(name, f"is not UTF-8: {error}") from None
    except OSError as error:
        raise DockerfileError(name, f"cannot be read: {error.strerror}") from None
