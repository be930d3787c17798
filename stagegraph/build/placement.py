"""Which buildx builder makes a node: what buildx says of those that are named, judged once a run.

A builder is taken whose machine runs natively what the node's RUN instructions run; where none does, the
first that can run it. Nothing here enters a key, and nothing is asked before something is to be built.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..docker import config
from ..errors import BuilderError, EmulationError, StagegraphError
from ..host import emulation
from ..oci.platform import NO_PLATFORM, OciPlatform, family, host_platform
from ..system.processes import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..keys.spec import NodeSpec
    from ..project.model import Node

#: Seconds. buildx itself waits 20 for an address that does not answer; a pod may have to be pulled first.
_ASK, _BOOT, _LIST = 30, 300, 5

#: Drivers whose machines a build starts where none runs.
_STARTED = ("docker-container", "kubernetes")

_FIELD = re.compile(r"([A-Z][A-Za-z ]*):(?:\s+(.*))?$")


class BuilderNode(NamedTuple):
    """One node of a builder. ``declared`` are the platforms that ``buildx create --platform`` gave it,
    ``version`` is its BuildKit's, "" where it does not say one."""

    status: str
    platforms: tuple[OciPlatform, ...] = ()
    declared: tuple[OciPlatform, ...] = ()
    error: str = ""
    version: str = ""

    @property
    def own(self) -> OciPlatform:
        """The platform that it calls its own; "" where it lists none."""
        return next(iter(self.declared or self.platforms), NO_PLATFORM)


@dataclass(frozen=True)
class BuilderInfo:
    """A builder as buildx describes it. ``error``: what keeps it from being used, "" for nothing."""

    name: str
    driver: str = ""
    machines: tuple[BuilderNode, ...] = field(default=(), repr=False)
    error: str = ""

    @property
    def running(self) -> bool:
        return any(machine.status == "running" for machine in self.machines)

    def lists(self, docker: OciPlatform) -> bool:
        """Whether a machine of it runs programs of that platform, itself or by emulation."""
        return any(docker in (*machine.platforms, *machine.declared) for machine in self.machines)

    def native(self, docker: OciPlatform) -> bool:
        """Whether a machine of it is of that platform's kind.

        BuildKit lists its own platform before those that it emulates, and buildx sends a platform to the
        machine that it was declared for; so what was declared is what counts, else what is listed first.
        """
        return self.lists(docker) and any(
            family(docker) in map(family, machine.declared or machine.platforms[:1])
            for machine in self.machines
        )

    @property
    def first(self) -> OciPlatform:
        """The platform that it lists first, its own; "" where it lists none."""
        return next((platform for m in self.machines for platform in m.platforms), NO_PLATFORM)

    def all_listed(self) -> list[OciPlatform]:
        return list(dict.fromkeys(p for m in self.machines for p in (*m.declared, *m.platforms)))


class Placement(NamedTuple):
    """Where a node is built. ``name`` is "" for buildx's current builder, ``own``: it is this engine's.

    ``machine`` is the OCI platform of the machine that does it; "" where that is not known.
    """

    name: str = ""
    driver: str = "docker"
    own: bool = True
    machine: OciPlatform = NO_PLATFORM

    def command(self) -> list[str]:
        """The words that start a build there. A Docker context is a builder that has to be entered."""
        entered = [f"--context={self.name}"] if self.name and self.driver == "docker" else []
        return ["docker", *entered, "buildx", "build", *([f"--builder={self.name}"] if self.name else [])]


class _Work(NamedTuple):
    """A node to be built: whose ``programs`` do its work, and which platforms' it ``runs`` at all."""

    spec: NodeSpec
    programs: frozenset[OciPlatform]
    runs: frozenset[OciPlatform]


class BuilderSelector:
    """Chooses builders for one run; each is asked about once. Safe for threads."""

    def __init__(
        self,
        programs: Callable[[Node], frozenset[OciPlatform]],
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """``programs`` tells the OCI platforms at whose speed a node's RUNs run."""
        self.programs, self.say, self.warn = programs, say, warn
        self._known: dict[str, BuilderInfo] = {}
        self._engines: dict[str, str] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def choose(self, spec: NodeSpec) -> Placement:
        """The builder for a node.

        Raises ``BuilderError`` where none that is named can be used, ``EmulationError`` where none runs what
        the node runs, or where this machine would have to and cannot.
        """
        if spec.bootstrap is not None and (docker := spec.platform.docker) in unregistered([docker]):
            raise _no_qemu(spec, docker)  # mmdebstrap runs here, wherever the image is made
        own = spec.platform.docker
        parts = frozenset(part.platform or own for part in spec.analysis.build_stages if part.has_run)
        programs = self.programs(spec.node)
        work = _Work(spec, programs or frozenset({own}), parts | programs if parts else parts)
        with self._lock:
            return self._named(work) if spec.platform.builders else self._current(work)

    def elsewhere(self, place: Placement) -> bool:
        """Whether a builder is another than this machine's engine; asks buildx where none was named."""
        if place.name:
            return not place.own
        with self._lock:
            return self._look("").driver not in ("docker", "")

    def version(self, place: Placement) -> str:
        """Who builds there: ``docker 28.5.2``, ``buildkit v0.29.0``; "" where it does not say its version.

        An engine has a BuildKit built in, whose own version it often does not know. To ask it costs 25 ms.
        """
        with self._lock:
            described = self._look(place.name) if place.name or _others_are_known() else None
            if described is None or described.driver == "docker":
                return self._engine(described.name if described else "")
            machines = [machine for machine in described.machines if machine.version]
            machines.sort(key=lambda machine: machine.own != place.machine)
            return f"buildkit {machines[0].version}" if machines else ""

    def _engine(self, context: str) -> str:
        if context not in self._engines:
            entered = [f"--context={context}"] if context else []
            done = run(["docker", *entered, "version", "--format={{.Server.Version}}"], timeout=_ASK)
            version = done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
            self._engines[context] = f"docker {version}" if version else ""
        return self._engines[context]

    def forget(self) -> None:
        """Ask anew: a builder went away, or came back."""
        with self._lock:
            self._known.clear()
            self._engines.clear()

    # -- one or several are named ----------------------------------------------------------------

    def _named(self, work: _Work) -> Placement:
        usable, faults = [], []
        for name in work.spec.platform.builders:
            described = self._look(name)
            if described.error:
                faults.append(described)
                continue
            native = all(map(described.native, work.programs))
            if native and all(map(described.lists, work.runs)):
                return self._place(work, described, faults)
            usable.append(described)
        for described in usable:
            if all(map(described.lists, work.runs)):
                return self._place(work, described, faults)
        raise _cannot_run(work, usable) if usable else _unusable(work.spec, faults)

    def _place(self, work: _Work, described: BuilderInfo, faults: list[BuilderInfo]) -> Placement:
        for fault in faults:
            self._tell(
                self.warn,
                f"builder {fault.name} ({work.spec.platform.docker}) cannot be used: {fault.error}; "
                f"building on {described.name}",
            )
        own = described.driver == "docker" and described.name == config.context()
        machine = host_platform() if own else _machine(work, described)
        return Placement(described.name, described.driver, own, machine)

    def _look(self, name: str) -> BuilderInfo:
        if name not in self._known:
            found = _inspect(name)
            if not found.error and not found.running and found.driver in _STARTED and name:
                self.say(f"starting builder {name}")
                found = _inspect(name, boot=True)
            if not found.error and not found.running:
                found = BuilderInfo(name, found.driver, found.machines, _why(found))
            self._known[name] = found
        return self._known[name]

    def _tell(self, say: Callable[[str], None], message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            say(message)

    # -- none is named ---------------------------------------------------------------------------

    def _current(self, work: _Work) -> Placement:
        """buildx's current builder, which is this machine's engine unless ``docker buildx use`` said else."""
        foreign = [docker for docker in sorted(work.runs) if family(docker) != family(host_platform())]
        if foreign and config.host() == config.DEFAULT:
            lacking = unregistered(foreign)
            current = self._look("") if lacking else None
            if current and not current.error and not all(map(current.lists, lacking)):
                raise _no_qemu(work.spec, lacking[0])
        if foreign and _others_are_known():
            self._hint(work.spec, foreign)
        if config.host().startswith("unix:") and not _others_are_known():
            return Placement(machine=host_platform())
        current = self._look("")
        return Placement(machine=NO_PLATFORM if current.error else _machine(work, current))

    def _hint(self, spec: NodeSpec, foreign: list[OciPlatform]) -> None:
        """Say once that a builder which nobody named is native for what is emulated; it is not taken."""
        wanted = f"list {' '.join(foreign)}"
        if wanted in self._told:
            return
        self._told.add(wanted)
        current = self._look("")
        if current.error or all(map(current.native, foreign)):
            return
        for other in _listed():
            if other.name != current.name and other.running and all(map(other.native, foreign)):
                word = f"builder={spec.platform.name}:{other.name}"
                self.say(
                    f"{' and '.join(foreign)} is emulated here; builder {other.name} is native for it: {word}"
                )
                return


def _machine(work: _Work, described: BuilderInfo) -> OciPlatform:
    """The OCI platform of a builder's machine that does the work, as that machine calls itself."""
    kinds = {family(docker) for docker in work.programs}
    own = [machine.own for machine in described.machines if machine.own]
    return next((docker for docker in own if family(docker) in kinds), described.first)


def unregistered(platforms: Iterable[OciPlatform]) -> list[OciPlatform]:
    """Those of ``platforms`` whose programs this machine does not run, as far as it can be known."""
    return emulation.missing(platforms, host_platform())


def parse(name: str, text: str) -> BuilderInfo:
    """What ``docker buildx inspect`` prints; unknown lines are passed over."""
    head, _, nodes = text.partition("\nNodes:")
    about = dict(_fields(head))
    machines = []
    for part in re.split(r"^(?=Name:)", nodes, flags=re.MULTILINE)[1:]:
        said = dict(_fields(part))
        words = [word.strip() for word in said.get("Platforms", "").split(",") if word.strip()]
        declared = tuple(OciPlatform(word.removesuffix("*")) for word in words if word.endswith("*"))
        platforms = tuple(OciPlatform(word) for word in words if not word.endswith("*"))
        version = said.get("BuildKit version", said.get("Buildkit", ""))  # the second before buildx 0.13
        known = version if not version.endswith("+unknown") else ""
        machines.append(
            BuilderNode(said.get("Status", ""), platforms, declared, said.get("Error", ""), known)
        )
    return BuilderInfo(
        name or about.get("Name", ""), about.get("Driver", ""), tuple(machines), about.get("Error", "")
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if match := _FIELD.match(line):
            yield match[1], (match[2] or "").strip()


def _inspect(name: str, *, boot: bool = False) -> BuilderInfo:
    command = ["docker", "buildx", "inspect", *(["--bootstrap"] if boot else []), *([name] if name else [])]
    done = run(command, timeout=_BOOT if boot else _ASK)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["buildx does not say why"]
        return BuilderInfo(name, error=said[-1].removeprefix("ERROR: "))
    return parse(name, done.stdout.decode(errors="replace"))


def _why(described: BuilderInfo) -> str:
    """Why no machine of a builder runs."""
    errors = [machine.error for machine in described.machines if machine.error]
    states = ", ".join(dict.fromkeys(m.status for m in described.machines if m.status)) or "without a state"
    return errors[0] if errors else f"it does not answer; buildx calls it {states}"


def _others_are_known() -> bool:
    """Whether anybody has made a builder or a context on this machine; costs no call of docker."""
    folder = config.config_folder()
    return any(any(folder.glob(pattern)) for pattern in ("buildx/instances/*", "contexts/meta/*"))


def _listed() -> Iterator[BuilderInfo]:
    """All builders that buildx knows. Nothing is marked as declared there: what is, comes first."""
    done = run(["docker", "buildx", "ls", "--format=json"], timeout=_LIST)
    for line in dict.fromkeys(
        done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else ()
    ):
        try:
            found = json.loads(line)
            machines = [
                BuilderNode(n.get("Status", ""), tuple(map(OciPlatform, n.get("Platforms") or ())))
                for n in found["Nodes"]
            ]
            yield BuilderInfo(found["Name"], found["Driver"], tuple(machines))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _unusable(spec: NodeSpec, faults: list[BuilderInfo]) -> StagegraphError:
    docker = spec.platform.docker
    said = "\n  ".join(f"builder {one.name}, named for {docker}: {one.error}" for one in faults)
    name = faults[0].name
    missing = re.search(r"no builder .* found", faults[0].error)
    mend = (
        f"docker buildx ls lists what there is; docker buildx create --name={name} --platform={docker} ... "
        "makes it"
        if missing
        else f"docker buildx inspect --bootstrap {name} starts it, or says why not"
    )
    return BuilderError(str(spec.node), said, f"{mend} (docs/scale.md); or name another: builder=NAME")


def _cannot_run(work: _Work, usable: list[BuilderInfo]) -> EmulationError:
    spec, wanted = work.spec, " and ".join(sorted(work.runs))
    said = "\n  ".join(
        f"builder {one.name} does not run programs for {wanted}; it has {', '.join(one.all_listed())}"
        for one in usable
    )
    hint = (
        f"register QEMU on its machine and start its BuildKit again (docker buildx inspect {usable[0].name} "
        f"lists what it runs), or name another: builder={spec.platform.name}:NAME"
    )
    return EmulationError(str(spec.node), said, hint)


def _no_qemu(spec: NodeSpec, docker: OciPlatform) -> EmulationError:
    what = f"this machine does not run programs for {docker}: QEMU is not registered"
    hint = "doit doctor has the command that registers it"
    if spec.bootstrap is None:
        hint += f"; or name a builder that runs them: builder={spec.platform.name}:NAME"
    return EmulationError(str(spec.node), what, hint)
