"""The choice of a builder for each node.

A builder that runs a node's RUN instructions natively is preferred; without one, the first that can run them
is taken. The choice enters no key, and no builder is asked before a node must be built. ``docker.buildx``
describes the builders.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..docker import buildx, client_faults, config
from ..errors import AccessError, BuilderError, DiskFullError, EmulationError, StagegraphError, ToolError
from ..host import emulation
from ..oci.platform import NO_PLATFORM, family, host_platform
from .place import Placement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..docker.buildx import BuilderInfo
    from ..keys.spec import NodeSpec
    from ..oci.platform import OciPlatform
    from ..project.model import Node


class _Requirements(NamedTuple):
    """The OCI platforms that a node needs: of the programs that do its work, and of all that it runs."""

    spec: NodeSpec
    working: frozenset[OciPlatform]
    running: frozenset[OciPlatform]


class BuilderSelector:
    """Selects builders for one run and asks each builder once. Safe for threads."""

    def __init__(
        self,
        working_platforms: Callable[[Node], frozenset[OciPlatform]],
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """``working_platforms`` gives the OCI platforms of the programs that a node's RUN instructions run.

        A builder that runs these natively is preferred.
        """
        self.working_platforms, self.say, self.warn = working_platforms, say, warn
        self._builders: dict[str, BuilderInfo] = {}
        self._engine_versions: dict[str, str] = {}
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def place(self, spec: NodeSpec) -> Placement:
        """Select the builder for a node.

        Raises ``BuilderError`` if none of the named builders can be used. Raises ``EmulationError`` if none
        runs the node's programs, or if this machine would have to and cannot.
        """
        if spec.bootstrap is not None and (docker := spec.platform.docker) in unregistered([docker]):
            raise _no_qemu(spec, docker)  # mmdebstrap runs on this machine, wherever the image is built
        own = spec.platform.docker
        stages = frozenset(stage.platform or own for stage in spec.analysis.build_stages if stage.has_run)
        working = self.working_platforms(spec.node)
        needs = _Requirements(spec, working or frozenset({own}), stages | working if stages else stages)
        with self._lock:
            return self._place_on_named(needs) if spec.platform.builders else self._place_on_current(needs)

    def is_remote(self, placement: Placement) -> bool:
        """Return whether a builder is not this machine's engine. Asks buildx if no builder was named."""
        if placement.name:
            return not placement.is_own
        with self._lock:
            return self._builder("").driver not in ("docker", "")

    def version(self, placement: Placement) -> str:
        """The builder's program and version: ``docker 28.5.2``, ``buildkit v0.29.0``; "" if it is unknown.

        An engine has BuildKit built in and often does not know BuildKit's version, so its own counts.
        """
        with self._lock:
            builder = self._builder(placement.name) if placement.name or buildx.others_exist() else None
            if builder is None or builder.driver == "docker":
                return self._engine_version(builder.name if builder else "")
            nodes = [node for node in builder.nodes if node.version]
            nodes.sort(key=lambda node: node.native_platform != placement.machine)
            return f"buildkit {nodes[0].version}" if nodes else ""

    def _engine_version(self, context: str) -> str:
        if context not in self._engine_versions:
            version = buildx.engine_version(context)
            self._engine_versions[context] = f"docker {version}" if version else ""
        return self._engine_versions[context]

    def forget(self) -> None:
        """Ask all builders again when they are next needed: one went away or came back."""
        with self._lock:
            self._builders.clear()
            self._engine_versions.clear()

    # -- one or several builders are named -------------------------------------------------------

    def _place_on_named(self, needs: _Requirements) -> Placement:
        usable, unusable = [], []
        for name in needs.spec.platform.builders:
            builder = self._builder(name)
            if builder.error:
                unusable.append(builder)
                continue
            if all(map(builder.runs_natively, needs.working)) and all(map(builder.runs, needs.running)):
                return self._placement(needs, builder, unusable)
            usable.append(builder)
        for builder in usable:
            if all(map(builder.runs, needs.running)):
                return self._placement(needs, builder, unusable)
        raise _cannot_run(needs, usable) if usable else _unusable(needs.spec, unusable)

    def _placement(
        self, needs: _Requirements, builder: BuilderInfo, unusable: list[BuilderInfo]
    ) -> Placement:
        for other in unusable:
            self._once(
                self.warn,
                f"builder {other.name} ({needs.spec.platform.docker}) cannot be used: {other.error}; "
                f"building on {builder.name}",
            )
        is_own = builder.driver == "docker" and builder.name == config.context()
        machine = host_platform() if is_own else _working_machine(needs, builder)
        return Placement(builder.name, builder.driver, is_own, machine)

    def _builder(self, name: str) -> BuilderInfo:
        """Describe a builder; start it first if it does not run and a build would start it."""
        if name not in self._builders:
            builder = buildx.inspect(name)
            if name and buildx.is_bootable(builder):
                self.say(f"starting builder {name}")
                builder = buildx.boot(name)
            if not builder.error and not builder.is_running:
                builder = replace(builder, name=name, error=buildx.reason_stopped(builder))
            self._builders[name] = builder
        return self._builders[name]

    def _once(self, say: Callable[[str], None], message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            say(message)

    # -- no builder is named ---------------------------------------------------------------------

    def _place_on_current(self, needs: _Requirements) -> Placement:
        """Place on buildx's current builder: this machine's engine, or what ``docker buildx use`` chose."""
        foreign = [p for p in sorted(needs.running) if family(p) != family(host_platform())]
        if foreign and config.host() == config.DEFAULT:
            missing = unregistered(foreign)
            current = self._builder("") if missing else None
            if current and not current.error and not all(map(current.runs, missing)):
                raise _no_qemu(needs.spec, missing[0])
        if foreign and buildx.others_exist():
            self._suggest_native(needs.spec, foreign)
        if config.host().startswith("unix:") and not buildx.others_exist():
            return Placement(machine=host_platform())
        current = self._builder("")
        return Placement(machine=NO_PLATFORM if current.error else _working_machine(needs, current))

    def _suggest_native(self, spec: NodeSpec, foreign: list[OciPlatform]) -> None:
        """Mention, once, a builder that would run natively what is emulated here. It is not used."""
        question = f"native for {' '.join(foreign)}"
        if question in self._said:
            return
        self._said.add(question)
        current = self._builder("")
        if current.error or all(map(current.runs_natively, foreign)):
            return
        for other in buildx.list_builders():
            if other.name != current.name and other.is_running and all(map(other.runs_natively, foreign)):
                setting = f"builder={spec.platform.name}:{other.name}"
                platforms = " and ".join(foreign)
                self.say(f"{platforms} is emulated here; builder {other.name} is native for it: {setting}")
                return


def _working_machine(needs: _Requirements, builder: BuilderInfo) -> OciPlatform:
    """The native platform of the builder's node that does the work."""
    families = {family(platform) for platform in needs.working}
    native = [node.native_platform for node in builder.nodes if node.native_platform]
    return next((p for p in native if family(p) in families), builder.first_platform)


def unregistered(platforms: Iterable[OciPlatform]) -> list[OciPlatform]:
    """Those OCI platforms whose programs this machine does not run, as far as it can be known."""
    return emulation.missing(platforms, host_platform())


def _unusable(spec: NodeSpec, builders: list[BuilderInfo]) -> StagegraphError:
    docker = spec.platform.docker
    what = "\n  ".join(f"builder {one.name}, named for {docker}: {one.error}" for one in builders)
    name = builders[0].name
    fault = client_faults.error(str(spec.node), builders[0].error)
    if isinstance(fault, ToolError | AccessError | DiskFullError):  # not of this builder, but of all
        return fault
    if re.search(r"no builder .* found", builders[0].error):
        create = f"docker buildx create --name={name} --platform={docker} ..."
        hint = f"list the builders: docker buildx ls; create it: {create}"
    else:
        hint = f"start it, or see why it does not start: docker buildx inspect --bootstrap {name}"
    return BuilderError(str(spec.node), what, f"{hint} (docs/scale.md); or name another: builder=NAME")


def _cannot_run(needs: _Requirements, builders: list[BuilderInfo]) -> EmulationError:
    spec, wanted = needs.spec, " and ".join(sorted(needs.running))
    what = "\n  ".join(
        f"builder {one.name} does not run programs for {wanted}, only for {', '.join(one.all_platforms)}"
        for one in builders
    )
    hint = (
        "register QEMU on its machine and restart its BuildKit (to see what it runs: "
        f"docker buildx inspect {builders[0].name}); or name another: builder={spec.platform.name}:NAME"
    )
    return EmulationError(str(spec.node), what, hint)


def _no_qemu(spec: NodeSpec, docker: OciPlatform) -> EmulationError:
    what = f"this machine does not run programs for {docker}: QEMU is not registered"
    hint = "doit doctor has the command that registers it"
    if spec.bootstrap is None:
        hint += f"; or name a builder that runs them: builder={spec.platform.name}:NAME"
    return EmulationError(str(spec.node), what, hint)
