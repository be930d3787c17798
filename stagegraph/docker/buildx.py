"""The builders of buildx: what ``docker buildx inspect`` and ``ls`` print about them.

This module knows neither projects nor stages; ``build.placement`` chooses among the builders. The text of
``inspect`` has no specification (buildx, ``commands/inspect.go``), so unknown lines are ignored.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..oci.platform import NO_PLATFORM, OciPlatform, family
from ..system.processes import run
from . import config

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Time limits in seconds. buildx itself waits 20 s for an address that does not answer.
_INSPECT_TIMEOUT, _LIST_TIMEOUT = 30, 5

#: A builder that starts may have to pull an image first.
_BOOT_TIMEOUT = 300

#: Drivers of builders that a build starts when they do not run.
_BOOTABLE_DRIVERS = ("docker-container", "kubernetes")

_FIELD = re.compile(r"([A-Z][A-Za-z ]*):(?:\s+(.*))?$")


def version() -> tuple[int, int]:
    """Return the version of buildx, (0, 0) if it is unknown. Raises ``ToolError`` without docker."""
    done = run(["docker", "buildx", "version"], timeout=_INSPECT_TIMEOUT)
    found = re.search(r"buildx v?(\d+)\.(\d+)", done.stdout.decode(errors="replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


class BuilderNode(NamedTuple):
    """A node of a builder: a machine with BuildKit.

    ``declared`` are the platforms that ``buildx create --platform`` gave to it. ``platforms`` are those that
    BuildKit reports. ``version`` is that of BuildKit, "" if it is unknown.
    """

    status: str
    platforms: tuple[OciPlatform, ...] = ()
    declared: tuple[OciPlatform, ...] = ()
    error: str = ""
    version: str = ""

    @property
    def native_platform(self) -> OciPlatform:
        """The platform of the machine's own processor; "" if the node lists no platform."""
        return next(iter(self.declared or self.platforms), NO_PLATFORM)


@dataclass(frozen=True)
class BuilderInfo:
    """A builder as buildx describes it. ``error`` says why it cannot be used; "" if it can."""

    name: str
    driver: str = ""
    nodes: tuple[BuilderNode, ...] = field(default=(), repr=False)
    error: str = ""

    @property
    def is_running(self) -> bool:
        return any(node.status == "running" for node in self.nodes)

    def runs(self, platform: OciPlatform) -> bool:
        """Return whether one of its nodes runs programs of an OCI platform, natively or emulated."""
        return any(platform in (*node.platforms, *node.declared) for node in self.nodes)

    def runs_natively(self, platform: OciPlatform) -> bool:
        """Return whether the processor of one of its nodes runs the programs of an OCI platform itself.

        BuildKit lists its own platform before those that it emulates. buildx sends the build of a platform to
        the node that it was declared for. So the declared platforms count; without any, the first listed one.
        """
        return self.runs(platform) and any(
            family(platform) in map(family, node.declared or node.platforms[:1]) for node in self.nodes
        )

    @property
    def first_platform(self) -> OciPlatform:
        """The platform that BuildKit lists first, its own; "" if it lists none."""
        return next((platform for node in self.nodes for platform in node.platforms), NO_PLATFORM)

    @property
    def all_platforms(self) -> list[OciPlatform]:
        return list(dict.fromkeys(p for node in self.nodes for p in (*node.declared, *node.platforms)))


def inspect(name: str) -> BuilderInfo:
    """Describe a builder; "" stands for buildx's current one."""
    return _inspect(["docker", "buildx", "inspect", *([name] if name else [])], name, _INSPECT_TIMEOUT)


def is_bootable(builder: BuilderInfo) -> bool:
    """Return whether a builder that does not run is one that ``boot`` can start."""
    return not builder.error and not builder.is_running and builder.driver in _BOOTABLE_DRIVERS


def boot(name: str) -> BuilderInfo:
    """Start a builder, and describe it."""
    return _inspect(["docker", "buildx", "inspect", "--bootstrap", name], name, _BOOT_TIMEOUT)


def _inspect(command: list[str], name: str, timeout: int) -> BuilderInfo:
    done = run(command, timeout=timeout)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["buildx gave no reason"]
        return BuilderInfo(name, error=lines[-1].removeprefix("ERROR: "))
    return parse(name, done.stdout.decode(errors="replace"))


def parse(name: str, text: str) -> BuilderInfo:
    """Read the output of ``docker buildx inspect``."""
    head, _, rest = text.partition("\nNodes:")
    about = dict(_fields(head))
    nodes = tuple(map(_node, re.split(r"^(?=Name:)", rest, flags=re.MULTILINE)[1:]))
    return BuilderInfo(name or about.get("Name", ""), about.get("Driver", ""), nodes, about.get("Error", ""))


def _node(text: str) -> BuilderNode:
    about = dict(_fields(text))
    listed = [word.strip() for word in about.get("Platforms", "").split(",") if word.strip()]
    declared = tuple(OciPlatform(platform.removesuffix("*")) for platform in listed if platform.endswith("*"))
    platforms = tuple(OciPlatform(platform) for platform in listed if not platform.endswith("*"))
    version = about.get("BuildKit version", about.get("Buildkit", ""))  # the second before buildx 0.13
    known = version if not version.endswith("+unknown") else ""
    return BuilderNode(about.get("Status", ""), platforms, declared, about.get("Error", ""), known)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if match := _FIELD.match(line):
            yield match[1], (match[2] or "").strip()


def reason_stopped(builder: BuilderInfo) -> str:
    """The reason why no node of a builder runs, as far as buildx tells it."""
    errors = [node.error for node in builder.nodes if node.error]
    states = ", ".join(dict.fromkeys(n.status for n in builder.nodes if n.status)) or "without a state"
    return errors[0] if errors else f"it does not answer; buildx calls it {states}"


def others_exist() -> bool:
    """Return whether this machine has a builder or a context that somebody created.

    Only looks at folders, so it costs no call of docker.
    """
    folder = config.config_folder()
    return any(any(folder.glob(pattern)) for pattern in ("buildx/instances/*", "contexts/meta/*"))


def list_builders() -> Iterator[BuilderInfo]:
    """All builders that buildx knows. The list does not mark declared platforms; they come first in it."""
    done = run(["docker", "buildx", "ls", "--format=json"], timeout=_LIST_TIMEOUT)
    lines = done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []
    for line in dict.fromkeys(lines):
        try:
            builder = json.loads(line)
            nodes = [
                BuilderNode(n.get("Status", ""), tuple(map(OciPlatform, n.get("Platforms") or ())))
                for n in builder["Nodes"]
            ]
            yield BuilderInfo(builder["Name"], builder["Driver"], tuple(nodes))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def engine_version(context: str = "") -> str:
    """The version of the engine of a Docker context, "" if the engine does not tell it. Takes 25 ms."""
    flags = [f"--context={context}"] if context else []
    done = run(["docker", *flags, "version", "--format={{.Server.Version}}"], timeout=_INSPECT_TIMEOUT)
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
