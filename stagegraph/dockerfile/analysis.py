"""A Dockerfile -> its dependencies: instructions that count, parents, external images, arguments, paths.

Pure: text in, values out. Knows nothing of projects, stores or files on disk. Rules follow BuildKit's source
(moby/buildkit, frontend/dockerfile) and the Dockerfile reference
(https://docs.docker.com/reference/dockerfile/). Where a path depends on something that only the build knows,
the answer is the safe one: the whole context. Where a name does, it is an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..oci.platform import NO_PLATFORM
from .arguments import Arguments
from .dependencies import DockerfileAnalysis
from .expansion import Expander
from .instructions import from_names, mounts, parse
from .needs import needs_of_add, needs_of_run, needs_of_trigger
from .pins import check_pinned
from .places import Edges, Places
from .sources import ContextSources
from .stages import BuildStage, BuildStages, split, split_head
from .triggers import trigger_of
from .variables import AUTOMATIC_ARGS, Scope, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..oci.platform import OciPlatform
    from .instructions import Instruction
    from .needs import Need

    _Resolve = Callable[[str, Instruction], str | None]

_PACKAGE_MANAGER = re.compile(r"\b(apt-get|apt|aptitude|apk|dnf|microdnf|yum|zypper|pacman)\b")


class BuildOptions(NamedTuple):
    """The settings of one build; hashable.

    ``docker`` is the OCI platform to build for, ``build_platform`` the builder's own. ``args`` are names and
    values of arguments; those that the Dockerfile declares come back in ``DockerfileAnalysis.args``.
    ``target`` is the build stage to build, "" for the last. ``allow_unpinned``: ADD may fetch a URL without a
    checksum. ``hints`` are pairs of a variable and what to do where FROM uses it without a value.
    """

    docker: OciPlatform
    build_platform: OciPlatform = NO_PLATFORM
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    allow_unpinned: bool = False
    hints: tuple[tuple[str, str], ...] = ()


def analyse(text: str, name: str, options: BuildOptions) -> DockerfileAnalysis:
    """Return the dependencies of a build of ``text`` with these options.

    ``name`` is the Dockerfile's path, for messages. Raises ``DockerfileError``.
    """
    return _analysed(text, name, options)


@cache  # for platforms whose arguments do not differ, and for a project and an earlier commit of it
def _analysed(text: str, name: str, options: BuildOptions) -> DockerfileAnalysis:
    instructions, directives = parse(text, name)
    return _Analysis(options, directives).run(instructions, name)


def variables_at_end(text: str, name: str, options: BuildOptions) -> tuple[Scope, _Resolve]:
    """Return the variables at the end of a text's last build stage, and what resolves a word there.

    The second is called with an instruction at this place, for a message. Raises ``DockerfileError``.
    """
    instructions, directives = parse(text, name)
    analysis = _Analysis(options, directives)
    analysis.run(instructions, name)
    scope = analysis.scopes[max(analysis.scopes)]
    return scope, lambda word, instruction: analysis.expander.expand(word, scope, instruction)


class _Analysis:
    """One pass over the instructions of one Dockerfile."""

    def __init__(self, options: BuildOptions, directives: Mapping[str, str]) -> None:
        self.options = options
        self.directives = {key: value for key, value in directives.items() if value != "\\"}
        self.expander = Expander(directives.get("escape", "\\"))
        self.arguments = Arguments(dict(options.args), options.docker, options.build_platform, self.expander)
        self.edges = Edges(options.docker)
        self.sources = ContextSources(self.expander)
        self.needs: dict[Need, None] = {}
        self.scopes: dict[int, Scope] = {}  # at the end of each build stage, by its index

    def run(self, instructions: Sequence[Instruction], name: str) -> DockerfileAnalysis:
        head, rest = split_head(instructions, name)
        for arg in head:
            self.arguments.declare_global(arg)
        stages = split(rest, self._expand_from)
        target = stages.target(self.options.target)
        reached = stages.reached(target)
        for stage in reached:
            self._stage(stage, stages)
        self._check_aliases(reached)
        self.arguments.check_defaults(step for stage in reached for step in stages.steps(stage))
        return self._result(head, stages, reached, target)

    def _result(
        self,
        head: Sequence[Instruction],
        stages: BuildStages,
        reached: Sequence[BuildStage],
        target: BuildStage,
    ) -> DockerfileAnalysis:
        places = Places(self.edges, stages, reached)
        instructions = (*head, *(placed for stage in reached for placed in places.placed(stage)))
        summaries = tuple(map(stages.summary, reached))
        return DockerfileAnalysis(
            instructions=instructions,
            edges=tuple(self.edges),
            args=dict(sorted(self.arguments.sent.items())),
            sources=self.sources.paths,
            directives=self.directives,
            installs_packages=any(map(_may_install_packages, instructions)),
            needs=tuple(self.needs),
            build_stages=summaries,
            from_only_args=self.arguments.from_only(head),
            chmod_sources=self.sources.chmod_paths,
            has_run=any(summary.has_run for summary in summaries),
            target=self.options.target or target.alias or "default",
            uses_target_name="TARGETSTAGE" in self.arguments.in_stages(head),
        )

    def _expand_from(self, word: str, instruction: Instruction, written: str) -> str:
        """Return a word of FROM, which sees global arguments only, expanded.

        Raises ``DockerfileError`` if it is empty or only the build knows it.
        """
        value = self.expander.expand(word, self.arguments.globals, instruction)
        if not value:
            hint = "give the argument a value in stages.toml, or a default before the first FROM"
            if automatic := AUTOMATIC_ARGS.intersection(variables(word)):
                hint = f"remove ARG {min(automatic)}: BuildKit sets it automatically, and an ARG may clear it"
            hints = dict(self.options.hints)
            hint = next((hints[used] for used in variables(word) if used in hints), hint)
            raise instruction.error(f"{written}: the name is empty, or only known during the build", hint)
        return value

    def _check_aliases(self, reached: Sequence[BuildStage]) -> None:
        """Raise ``DockerfileError`` for a build stage that has the name of an image that is taken from.

        A named context of that name replaces the stage, whose instructions are then lost.
        """
        external = {edge.name.lower(): edge for edge in self.edges}
        for stage in reached:
            if stage.alias in external:
                edge = external[stage.alias]
                raise stage.start.error(
                    f"AS {stage.alias} hides the external image of the same name in line {edge.line}",
                    "rename this build stage",
                )

    # -- one build stage -------------------------------------------------------------------------

    def _stage(self, stage: BuildStage, stages: BuildStages) -> None:
        for word in (*stage.start.value[:1], *stage.start.flags):
            self.arguments.send_builder_args(variables(word))
        parent = stages.parent(stage)
        if parent is not None:
            scope = self.scopes[parent.index].child()
        else:
            self.edges.add(stage.base, stage.platform, stage.start.line, is_from=True)
            scope = Scope.scratch() if stage.base == "scratch" else Scope()
        for instruction in stages.steps(stage):
            self._step(instruction, scope, stage, stages)
        self.scopes[stage.index] = scope

    def _step(self, instruction: Instruction, scope: Scope, stage: BuildStage, stages: BuildStages) -> None:
        self.expander.check(instruction, scope)
        match instruction.cmd:
            case "ARG":
                self.arguments.declare_in_stage(instruction, scope)
            case "ENV":
                self._env(instruction, scope)
            case "COPY" | "ADD" if any(from_names(instruction)):
                self._copy_from(instruction, stage, stages)
            case "COPY" | "ADD":
                if instruction.cmd == "ADD" and not self.options.allow_unpinned:
                    check_pinned(instruction, scope, self.expander)
                if instruction.cmd == "ADD":
                    self._need(needs_of_add(instruction, self._expand_in(scope, instruction)))
                self.sources.add_copy(instruction, scope)
            case "RUN":
                self._run(instruction, scope, stage, stages)
            case "ONBUILD":
                self._onbuild(instruction)
            case _:
                pass

    def _env(self, instruction: Instruction, scope: Scope) -> None:
        before = scope.copy()  # all words of one ENV see the values from before it
        for raw_name, raw in zip(instruction.value[::2], instruction.value[1::2], strict=False):
            name = self.expander.expand(raw_name, before, instruction)
            if name is None:
                self.sources.take_all()
            else:
                value = self.expander.expand(raw, before, instruction)
                scope.set(name, value)
                scope.environment[name] = value

    def _copy_from(self, instruction: Instruction, stage: BuildStage, stages: BuildStages) -> None:
        if sum(flag.startswith("--from=") for flag in instruction.flags) > 1:  # BuildKit refuses it too
            raise instruction.error("--from is written twice", "remove one of the two")
        for name in from_names(instruction):
            if stages.copied_from(name, instruction, stage) is None:
                self.edges.add(name, NO_PLATFORM, instruction.line, is_from=False)

    def _run(self, run: Instruction, scope: Scope, stage: BuildStage, stages: BuildStages) -> None:
        for mount in mounts(run):
            kind = self.expander.expand(mount.get("type", "bind"), scope, run)
            if kind is None:
                what = f"--mount=type={mount['type']}: only the build knows this type, so no key can hold it"
                raise run.error(what, "write the type without variables")
            if not mount.get("from") and kind.lower() == "bind":
                self.sources.add_mount(mount, run, scope)
        self._need(needs_of_run(run, self._expand_in(scope, run)))
        self._copy_from(run, stage, stages)

    def _need(self, needs: Iterable[Need]) -> None:
        self.needs |= dict.fromkeys(needs)

    def _expand_in(self, scope: Scope, instruction: Instruction) -> Callable[[str], str | None]:
        return lambda word: self.expander.expand(word, scope, instruction)

    def _onbuild(self, onbuild: Instruction) -> None:
        """Check a trigger for images that start from this one. Their variables are not known here."""
        trigger = trigger_of(onbuild)
        if any(from_names(trigger)):
            what = "ONBUILD takes from another image, which no key can hold"
            raise onbuild.error(what, "move it into the Dockerfiles of the children")
        # so that a secret without a declaration is an error here; the children run the step
        needs = needs_of_trigger(trigger)
        self._need(need._replace(required=False) for need in needs if need.kind == "secret")
        self.expander.check(trigger, Scope())
        if trigger.cmd == "ADD" and not self.options.allow_unpinned:
            check_pinned(trigger, Scope(), self.expander)


def _may_install_packages(instruction: Instruction) -> bool:
    """Return True for a step that names a package manager and may have the network."""
    if instruction.cmd not in ("RUN", "ONBUILD") or instruction.flag("network") == "none":
        return False
    return _PACKAGE_MANAGER.search(instruction.original) is not None
