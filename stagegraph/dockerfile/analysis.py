"""A Dockerfile -> what it needs: instructions that count, parents, external images, arguments, paths.

Pure: text in, facts out. Knows nothing of projects, stores or files on disk. Rules follow BuildKit's source
(moby/buildkit, frontend/dockerfile) and the Dockerfile reference
(https://docs.docker.com/reference/dockerfile/). Where a path depends on something that only the build knows,
the answer is the safe one: the whole context. Where a name does, it is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import DockerfileError, nearest
from ..oci.platform import NO_PLATFORM, build_args, normalized
from ..oci.reference import familiar, is_bare
from .dependencies import DockerfileAnalysis, Edge, Part
from .instructions import Instruction, is_remote, mount_fields, mounts, parse, pinned, triggered
from .variables import APART, AUTOMATIC_ARGS, LATER_ARGS, Scope, check, expand, variables
from .words import EndsBuilderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..oci.platform import OciPlatform

_PACKAGE_MANAGER = re.compile(r"\b(apt-get|apt|aptitude|apk|dnf|microdnf|yum|zypper|pacman)\b")

#: A mode that takes the place of a file's own; others (``u+x``) may add to it.
_MODE = re.compile(r"[0-7]{1,4}")


@dataclass
class _Stage:
    """A part of the Dockerfile from one FROM to the next."""

    index: int
    base: str
    alias: str
    platform: OciPlatform
    start: Instruction
    body: list[Instruction] = field(default_factory=list)


def analyse(  # noqa: PLR0913 - each is a setting of one build
    text: str,
    name: str,
    *,
    args: Mapping[str, str],
    docker: OciPlatform,
    build_platform: OciPlatform = NO_PLATFORM,
    target: str = "",
    unpinned: bool = False,
    hints: Mapping[str, str] | None = None,
) -> DockerfileAnalysis:
    """What a build of ``text`` with these arguments for the OCI platform ``docker`` depends on.

    ``args`` are candidates; those that a reachable part declares come back in ``DockerfileAnalysis.args``,
    and of BUILDPLATFORM and its like, those that are used. ``name`` is the Dockerfile's path, for messages.
    ``hints`` tells, by variable, what to do where FROM uses one that has no value.
    Raises ``DockerfileError``.
    """
    instructions, directives = parse(text, name)
    return _Walk(name, args, docker, build_platform, directives, unpinned, hints or {}).run(
        instructions, target
    )


def triggers(text: str, name: str, target: str = "") -> tuple[Instruction, ...]:
    """What the part ``target`` (the last by default) makes those do that start from it.

    Reads the text alone: no argument need be known. Raises ``DockerfileError``.
    """
    parts: list[tuple[str, list[Instruction]]] = []
    for instruction in parse(text, name)[0]:
        if instruction.cmd == "FROM":
            parts.append((instruction.value[2].lower() if len(instruction.value) == 3 else "", []))
        elif parts:
            parts[-1][1].append(instruction)
    bodies = [body for alias, body in parts if not target or alias == target.lower()]
    return tuple(triggered(i, name) for body in bodies[-1:] for i in body if i.cmd == "ONBUILD")


class _Walk:
    """One pass over the instructions of one Dockerfile."""

    def __init__(
        self,
        name: str,
        args: Mapping[str, str],
        docker: OciPlatform,
        build_platform: OciPlatform,
        directives: Mapping[str, str],
        unpinned: bool,
        hints: Mapping[str, str],
    ) -> None:
        self.name, self.candidates, self.docker, self.unpinned = name, args, docker, unpinned
        self.hints = hints
        self.escape = directives.get("escape", "\\")
        self.directives = {key: value for key, value in directives.items() if value != "\\"}
        self.build_args = build_args("BUILD", build_platform)
        automatic = {**build_args("TARGET", docker), **self.build_args}
        self.globals = Scope(automatic, set(LATER_ARGS), closed=True)
        self.global_args: set[str] = set()
        self.declared: dict[str, str] = {}
        self.edges: dict[tuple[str, str, bool], Edge] = {}
        self.part_args: set[str] = set()
        self.sources: list[tuple[str, int]] = []
        self.moded: list[tuple[str, int]] = []
        self.everything = False
        self.secrets: set[str] = set()
        self.scopes: dict[int, Scope] = {}

    # -- structure -------------------------------------------------------------------------------

    def run(self, instructions: Sequence[Instruction], target: str) -> DockerfileAnalysis:
        first = self._first_from(instructions)
        head = instructions[:first]
        for instruction in head:
            self._arg(instruction, self.globals, top=True)
        stages = self._split(instructions[first:])
        order: dict[int, _Stage] = {}
        self._reach(stages, self._goal(stages, target), order)
        reached = [order[index] for index in sorted(order)]
        for stage in reached:
            self._visit(stage, stages)
        self._check_aliases(reached)
        self._check_defaults(reached, stages)
        places = _Places(self.edges, reached, stages, self.docker)
        seen = self._seen(head)
        kept = [*head, *(placed for stage in reached for placed in places.of(stage))]
        return DockerfileAnalysis(
            instructions=tuple(kept),
            edges=tuple(self.edges.values()),
            args={key: self.declared[key] for key in sorted(self.declared)},
            sources=None if self.everything else tuple(dict.fromkeys(self.sources)),
            directives=self.directives,
            installs_packages=any(map(_uses_archive, kept)),
            secrets=frozenset(self.secrets),
            parts=tuple(self._part(stage, stages) for stage in reached),
            apart=self._apart(head, seen),
            moded=() if self.everything else tuple(dict.fromkeys(self.moded)),
            runs=any(step.cmd == "RUN" for stage in reached for step in self._steps(stage, stages)),
            target=target or stages[-1].alias or "default",
            sees_target="TARGETSTAGE" in seen,
        )

    def _seen(self, head: Sequence[Instruction]) -> set[str]:
        """Arguments that parts declare, and those of the head that defaults of these are made of."""
        seen = set(self.part_args)
        for name, _, default in reversed(_words(head)):
            if name in seen:
                seen.update(variables(default))
        return seen

    def _apart(self, head: Sequence[Instruction], seen: set[str]) -> frozenset[str]:
        """Arguments that FROM alone sees.

        BuildKit uses what stands before the first FROM for its names and platforms, and for an ARG of the
        same name in a part (``metaArgs``, later ``globalArgs``, of frontend/dockerfile/dockerfile2llb); the
        BUILDKIT_ arguments are for BuildKit itself.
        """
        names = {name for name, _, _ in _words(head)} | self.declared.keys()
        return frozenset(name for name in names - seen if not name.startswith("BUILDKIT_"))

    def _part(self, stage: _Stage, stages: list[_Stage]) -> Part:
        runs = any(instruction.cmd == "RUN" for instruction in self._steps(stage, stages))
        platform, below = stage.platform, _named(stages[: stage.index], stage.base)
        while below is not None:
            # BuildKit takes that of the part which it starts from (d.platform = d.base.platform)
            stage, platform = below, below.platform
            below = _named(stages[: stage.index], stage.base)
        return Part(familiar(stage.base), platform, runs)

    def _first_from(self, instructions: Sequence[Instruction]) -> int:
        for index, instruction in enumerate(instructions):
            if instruction.cmd == "FROM":
                return index
            if instruction.cmd != "ARG":
                raise self._error(
                    instruction, f"{instruction.cmd} before the first FROM", "only ARG may stand there"
                )
        raise DockerfileError(self.name, "has no FROM", "a stage starts with FROM NAME, or FROM scratch")

    def _split(self, instructions: Sequence[Instruction]) -> list[_Stage]:
        stages: list[_Stage] = []
        for instruction in instructions:
            if instruction.cmd != "FROM":
                stages[-1].body.append(instruction)
                continue
            value = instruction.value
            if len(value) not in (1, 3) or (len(value) == 3 and value[1].upper() != "AS"):
                raise self._error(instruction, "FROM takes NAME or NAME AS ALIAS")
            base = self._known(value[0], instruction, f"FROM {value[0]}")
            platform = NO_PLATFORM
            if (flag := instruction.flag("platform")) is not None:
                platform = normalized(self._known(flag, instruction, f"FROM --platform={flag}"))
            alias = value[2].lower() if len(value) == 3 else ""
            stages.append(_Stage(len(stages), base, alias, platform, instruction))
        return stages

    def _known(self, word: str, instruction: Instruction, said: str) -> str:
        """A word of FROM, which sees global arguments only, expanded. It must be known and not empty."""
        value = self._expand(word, self.globals, instruction)
        if not value:
            hint = "give the argument a value in stages.toml, or a default before the first FROM"
            if automatic := AUTOMATIC_ARGS.intersection(variables(word)):
                hint = f"take out ARG {min(automatic)}: it is set without, and an ARG may empty it"
            hint = next((self.hints[used] for used in variables(word) if used in self.hints), hint)
            raise self._error(instruction, f"{said}: the name is empty or not known before the build", hint)
        return value

    def _goal(self, stages: list[_Stage], target: str) -> _Stage:
        found = _named(stages, target) if target else stages[-1]
        if found is None:
            aliases = [stage.alias for stage in stages if stage.alias]
            raise DockerfileError(self.name, f"has no stage {target!r}", nearest(target, aliases))
        return found

    def _reach(self, stages: list[_Stage], stage: _Stage, order: dict[int, _Stage]) -> None:
        if stage.index in order:
            return
        order[stage.index] = stage
        before = _named(stages[: stage.index], stage.base)
        used = [self._internal(name, i, stage, stages) for i in stage.body for name in _from_names(i)]
        for inner in (before, *used):
            if inner is not None:
                self._reach(stages, inner, order)

    def _internal(
        self, name: str, instruction: Instruction, stage: _Stage, stages: list[_Stage]
    ) -> _Stage | None:
        """The part of this Dockerfile that ``--from`` means; None for a name from outside."""
        if "$" in name:
            hint = "give it a name of its own first: FROM $NAME AS part, then from=part"
            raise self._error(instruction, f"from={name}: BuildKit does not expand variables here", hint)
        if re.fullmatch(r"[+-]\d+", name, re.ASCII):
            raise self._error(instruction, f"from={name}: a number with a sign", "write the number alone")
        if name.isascii() and name.isdecimal():
            if instruction.cmd == "RUN":
                hint = "name the part with FROM ... AS NAME"
                raise self._error(instruction, f"from={name}: a mount takes no number", hint)
            if int(name) >= stage.index:
                raise self._error(instruction, f"from={name}: no earlier part has this number")
            return stages[int(name)]
        found = _named(stages[: stage.index], name)
        if found is None and _named(stages, name) is not None:
            raise self._error(instruction, f"from={name}: the part is defined later or here", "move it up")
        return found

    def _check_aliases(self, reached: list[_Stage]) -> None:
        """A named context takes the place of a part that has its name, whose instructions are then lost."""
        outside = {edge.name.lower(): edge for edge in self.edges.values()}
        for stage in reached:
            if stage.alias in outside:
                edge = outside[stage.alias]
                raise self._error(
                    stage.start,
                    f"AS {stage.alias} hides what line {edge.line} takes from outside by the same name",
                    "call this part something else",
                )

    def _check_defaults(self, reached: list[_Stage], stages: list[_Stage]) -> None:
        """A default for an argument that is sent would be overridden by what is sent."""
        sent = (self.build_args.keys() & self.declared.keys()) - self.candidates.keys()
        steps = (step for stage in reached for step in self._steps(stage, stages))
        for instruction in (step for step in steps if step.cmd == "ARG"):
            names = {word.partition("=")[0] for word in instruction.value if "=" in word}
            if both := names & sent:
                what = f"ARG {min(both)} has a default here, and what BuildKit sets is taken elsewhere"
                raise self._error(instruction, what, "call this argument something else")

    # -- one part --------------------------------------------------------------------------------

    def _steps(self, stage: _Stage, stages: list[_Stage]) -> list[Instruction]:
        """What a part does, first the triggers of the part that it starts from; these go no further."""
        inner = _named(stages[: stage.index], stage.base)
        triggers = [triggered(i, self.name) for i in inner.body if i.cmd == "ONBUILD"] if inner else []
        return [*triggers, *stage.body]

    def _visit(self, stage: _Stage, stages: list[_Stage]) -> None:
        for word in (*stage.start.value[:1], *stage.start.flags):
            self._note_build_args(variables(word))
        inner = _named(stages[: stage.index], stage.base)
        if inner is None:
            self._edge(stage.base, stage.platform, stage.start.line, whole=True)
            scope = Scope.scratch() if stage.base == "scratch" else Scope()
        else:
            scope = self.scopes[inner.index].child()
        for instruction in self._steps(stage, stages):
            self._check(instruction, scope)
            match instruction.cmd:
                case "ARG":
                    self._arg(instruction, scope, top=False)
                case "ENV":
                    self._env(instruction, scope)
                case "COPY" | "ADD":
                    self._copy(instruction, scope, stage, stages)
                case "RUN":
                    self._run(instruction, scope, stage, stages)
                case "ONBUILD":
                    self._onbuild(instruction)
                case _:
                    pass
        self.scopes[stage.index] = scope

    def _edge(self, name: str, platform: OciPlatform, line: int, *, whole: bool) -> None:
        if name == "scratch":
            return
        bare, name = is_bare(name), familiar(name)
        asked = NO_PLATFORM if platform == self.docker else platform
        known = self.edges.get((name, asked, whole))
        if known is None or (bare and not known.bare):
            self.edges[name, asked, whole] = Edge(name, asked, line, whole, bare)

    def _note_build_args(self, names: Iterable[str]) -> None:
        """Send what the key holds for BUILDPLATFORM and its like, so that another builder changes nothing."""
        for name in names:
            if name in self.build_args and name not in self.global_args:
                self.declared[name] = self.build_args[name]

    def _arg(self, instruction: Instruction, scope: Scope, *, top: bool) -> None:
        own = {word.partition("=")[0] for word in instruction.value}
        for word in instruction.value:
            raw_name, has_default, default = word.partition("=")
            name = self._expand(raw_name, scope, instruction)
            if name is None:
                what = f"ARG {raw_name}: a name that only the build knows cannot be keyed"
                raise self._error(instruction, what, "write the name as it is")
            used = set(variables(default))
            if not top:
                self.part_args |= {name, raw_name}
            if top:
                self._note_build_args(used)
            if name in APART:
                scope.set(name, None)
            elif name in self.candidates:
                self.declared[name] = self.candidates[name]
                scope.set(name, self.candidates[name])
            elif has_default:
                # whether one word of an ARG sees another's value depends on the version of BuildKit
                scope.set(name, None if not top and used & own else self._expand(default, scope, instruction))
            else:
                self._bare(name, scope, top=top)
            if name != raw_name:  # BuildKit from 0.14 on does not expand names
                scope.set(name, None)
            if top and has_default:
                self.global_args.add(name)

    def _bare(self, name: str, scope: Scope, *, top: bool) -> None:
        """An ARG without a value: what the head of the Dockerfile says, or what was there before."""
        if top:
            # what BuildKit then takes of a value that was there before depends on its version
            sent = name in self.build_args and name not in self.global_args
            if name in scope.values and not sent:
                scope.set(name, None)
            return
        self._note_build_args([name])
        if name in self.globals.unknown or name in self.globals.values:
            scope.set(name, self.globals.values.get(name))

    def _env(self, instruction: Instruction, scope: Scope) -> None:
        before = scope.copy()  # all words of one ENV see the values from before it
        for raw_name, raw in zip(instruction.value[::2], instruction.value[1::2], strict=False):
            name = self._expand(raw_name, before, instruction)
            if name is None:
                self.everything = True
            else:
                value = self._expand(raw, before, instruction)
                scope.set(name, value)
                scope.environment[name] = value

    def _copy(self, instruction: Instruction, scope: Scope, stage: _Stage, stages: list[_Stage]) -> None:
        for name in _from_names(instruction):
            if self._internal(name, instruction, stage, stages) is None:
                self._edge(name, NO_PLATFORM, instruction.line, whole=False)
            return
        if any(flag.partition("=")[0] == "--parents" for flag in instruction.flags):
            self.everything = True  # its patterns are others: "**" is of any depth
        for raw in instruction.sources:
            source = self._expand(raw, scope, instruction)
            if instruction.cmd == "ADD" and (source is None or is_remote(source)):
                checksum = self._expand(instruction.flag("checksum") or "", scope, instruction)
                self._remote(instruction, source or raw, checksum or "")
            if source is None:
                self.everything = True
            elif instruction.cmd == "COPY" or not is_remote(source):
                moded = _MODE.fullmatch(instruction.flag("chmod") or "")
                (self.moded if moded else self.sources).append((source, instruction.line))

    def _remote(self, instruction: Instruction, source: str, checksum: str) -> None:
        """``ADD`` of a URL must say what it expects, or a changed file would pass for the old one.

        ``checksum`` is "" where there is none, which BuildKit takes for none, too, or where only the build
        knows it.
        """
        if not self.unpinned and not pinned(source, checksum):
            said = instruction.flag("checksum")
            because = f": --checksum={said} has no value that is known" if said else ""
            raise self._error(
                instruction,
                f"ADD {source} {'could be a URL that is' if '$' in source else 'is'} not pinned{because}",
                "add --checksum=sha256:... (for git: a full commit after #), use COPY for a file here, "
                'or set unpinned = "allow" for the stage',
            )

    def _onbuild(self, instruction: Instruction) -> None:
        """A trigger for those that start from this image, whose variables are not known here."""
        trigger = triggered(instruction, self.name)
        if any(_from_names(trigger)):
            what = "ONBUILD that takes from another image cannot be keyed"
            raise self._error(instruction, what, "move it into the child")
        for mount in mounts(trigger):
            if mount.get("type", "").lower() == "secret":
                self._secret(mount)  # or nobody would miss a declaration
        self._check(trigger, Scope())
        if trigger.cmd == "ADD":
            checksum = self._expand(trigger.flag("checksum") or "", Scope(), trigger)
            for raw in trigger.sources:
                source = self._expand(raw, Scope(), trigger)
                if source is None or is_remote(source):
                    self._remote(trigger, source or raw, checksum or "")

    def _run(self, instruction: Instruction, scope: Scope, stage: _Stage, stages: list[_Stage]) -> None:
        for mount in mounts(instruction):
            kind = self._expand(mount.get("type", "bind"), scope, instruction)
            if kind is None:
                what = f"--mount=type={mount['type']}: a kind that only the build knows cannot be keyed"
                raise self._error(instruction, what, "write the kind as it is")
            kind = kind.lower()
            if kind == "secret":
                self._secret(mount)
            if name := mount.get("from"):
                if self._internal(name, instruction, stage, stages) is None:
                    self._edge(name, NO_PLATFORM, instruction.line, whole=False)
            elif kind == "bind":
                source = self._expand(mount.get("source") or ".", scope, instruction)
                if source is None:
                    self.everything = True
                else:
                    self.sources.append((source, instruction.line))

    def _secret(self, mount: Mapping[str, str]) -> None:
        self.secrets.add(mount.get("id") or mount.get("target", "").rsplit("/", 1)[-1])

    # -- words -----------------------------------------------------------------------------------

    def _check(self, instruction: Instruction, scope: Scope) -> None:
        try:
            check(instruction, scope, self.escape)
        except EndsBuilderError as error:
            raise self._ends_builder(instruction, error) from None

    def _ends_builder(self, instruction: Instruction, error: EndsBuilderError) -> DockerfileError:
        what = f"{error}: at a pattern that is empty, as this may be, the builder of Docker 26 ends"
        return self._error(instruction, what, "double the # or %: the same, unless the pattern has a *")

    def _expand(self, word: str, scope: Scope, instruction: Instruction) -> str | None:
        """``word`` with variables and quotes resolved, or None where only the build can tell."""
        try:
            return expand(word, scope, self.escape)
        except EndsBuilderError as error:
            raise self._ends_builder(instruction, error) from None
        except ValueError as error:
            raise self._error(instruction, f"{word}: {error}") from None

    def _error(self, instruction: Instruction, what: str, hint: str = "") -> DockerfileError:
        return DockerfileError(f"{self.name}:{instruction.line}", what, hint)


def _named(stages: list[_Stage], name: str) -> _Stage | None:
    """The last part of this name, case ignored, as BuildKit does."""
    return next((stage for stage in reversed(stages) if stage.alias and stage.alias == name.lower()), None)


class _Places:
    """Names in a Dockerfile -> places, by which a key knows them, so that another name makes no other key.

    What leads outside is known by its place among the edges, a part by its place among the parts that count.
    All that a name of FROM, ``--from`` and ``from=`` does is to choose these; neither it nor an alias is in
    the image or its history.
    """

    def __init__(
        self,
        edges: Mapping[tuple[str, str, bool], Edge],
        reached: Sequence[_Stage],
        stages: list[_Stage],
        docker: OciPlatform,
    ) -> None:
        self.edges = {key: number for number, key in enumerate(edges)}
        self.parts = {stage.index: number for number, stage in enumerate(reached)}
        self.stages, self.docker = stages, docker

    def of(self, stage: _Stage) -> Iterator[Instruction]:
        """A part's instructions, with their places."""
        start = self._place(stage.base, stage, whole=True)
        yield stage.start._replace(placed=("FROM", "", False, (), (start,), (), ""))
        for step in stage.body:
            flags = tuple(self._flag(step, flag, stage) for flag in step.flags)
            if flags == step.flags:
                yield step
                continue
            cmd, sub, as_json, _, *rest = step.canonical
            yield step._replace(placed=(cmd, sub, as_json, flags, *rest))

    def _flag(self, step: Instruction, flag: str, stage: _Stage) -> object:
        name, _, value = flag.partition("=")
        if step.cmd in ("COPY", "ADD") and name == "--from" and value:
            return f"{name}={self._place(value, stage)}"
        fields = mount_fields(value) if step.cmd == "RUN" and name == "--mount" else {}
        if not fields.get("from"):
            return flag
        return sorted({**fields, "from": self._place(fields["from"], stage)}.items())

    def _place(self, name: str, stage: _Stage, *, whole: bool = False) -> str:
        before = self.stages[: stage.index]
        inner = _named(before, name)
        if not whole and name.isascii() and name.isdecimal():
            inner = self.stages[int(name)]
        if inner is not None:
            return f"part {self.parts[inner.index]}"
        if name == "scratch":
            return name
        platform = stage.platform if whole and stage.platform != self.docker else ""
        return f"edge {self.edges[familiar(name), platform, whole]}"


def _words(head: Sequence[Instruction]) -> list[tuple[str, str, str]]:
    """Names and defaults of the ARGs before the first FROM."""
    return [word.partition("=") for instruction in head for word in instruction.value]


def _from_names(instruction: Instruction) -> Iterator[str]:
    if instruction.cmd in ("COPY", "ADD") and (name := instruction.flag("from")):
        yield name
    for mount in mounts(instruction):
        if name := mount.get("from"):
            yield name


def _uses_archive(instruction: Instruction) -> bool:
    """Whether a step could install packages: it names a package manager and may have the network."""
    if instruction.cmd not in ("RUN", "ONBUILD") or instruction.flag("network") == "none":
        return False
    return _PACKAGE_MANAGER.search(instruction.original) is not None
