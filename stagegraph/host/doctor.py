"""A list of what is there and what is missing, with the command that fixes it. Changes nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..output import say
from . import advice, docker, emulation, probes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .advice import Advice

_STATES = {"ok": "ok", "missing": "missing", "unneeded": "-"}


@dataclass(frozen=True)
class Needs:
    """The needs of a project on the machine that builds it.

    ``platforms`` are OCI platforms that buildx's current builder must build. ``builders`` are the names of
    other builders, and ``placed`` are OCI platforms with the builders of which one must build them.
    ``emulated`` are OCI platforms whose programs run in builds; those in ``bootstrapped`` run on this machine
    in any case. ``tools`` must be installed, ``optional`` says what others are for. ``registry`` is a URL, ""
    for none. ``folder`` is the one that needs space.
    """

    folder: Path
    platforms: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    placed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    emulated: tuple[str, ...] = ()
    bootstrapped: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    optional: tuple[tuple[str, str], ...] = ()
    registry: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``fact`` is what is there, ``fix`` is the command if it is missing.

    ``state``: ``ok``, ``missing``, or ``unneeded`` for what is missing and not needed here.
    """

    name: str
    state: str
    fact: str = ""
    fix: str = ""

    def __str__(self) -> str:
        text = f"fix: {self.fix}" if self.state == "missing" else self.fact
        return f"{_STATES[self.state]:<8} {self.name:<18} {text}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "fact": self.fact, "fix": self.fix}


def check(name: str, fact: str, fix: str) -> Check:
    """A check that is ``ok`` if there is a fact."""
    return Check(name, "ok", fact) if fact else Check(name, "missing", "", fix)


def examine(needs: Needs, fix: Advice) -> Iterator[Check]:
    """Look at all that a project needs, one thing after the other."""
    answers = docker.answers()
    current = docker.inspect() if answers else {}
    yield check("docker client", probes.client(), fix.client())
    yield check("engine", _engine(fix) if answers else "", fix.engine())
    yield _store(needs, current, fix) if answers else check("containerd store", "", fix.engine())
    version, fault = probes.buildx()
    yield check("buildx", version, f"{fix.buildx()} ({fault})" if fault else fix.buildx())
    if needs.platforms:
        yield _platforms(needs, current, fix) if answers else check("builder platforms", "", fix.engine())
    yield from _builders(needs)
    for platform in needs.emulated:
        yield _emulation(platform, needs, current, fix)
    yield from _tools(needs)
    if needs.registry:
        fact, fault = probes.registry(needs.registry)
        yield check("registry", fact, f"start it, or name another: registry=HOST ({fault})")
    yield check("disk", probes.disk(needs.folder), f"docker system prune ({probes.FREE} GiB are needed)")
    yield check("CA bundle", probes.ca_bundle(), advice.package("ca-certificates"))


def report(checks: Iterable[Check]) -> int:
    """Print checks as they are made. Return the exit status: 1 if something needed is missing."""
    status = 0
    for found in checks:
        say(found, flush=True)
        status = max(status, int(found.state == "missing"))
    return status


def _engine(fix: Advice) -> str:
    fact, ours = probes.engine(), fix.engine_of_run
    return f"{fact}, started by ./run, data in {ours.folder}" if fact and ours and ours.pid() else fact


def _store(needs: Needs, current: dict[str, list[str]], fix: Advice) -> Check:
    """Builders other than the engine's own have their own store, so they need no particular one of it."""
    driver = (current.get("Driver") or ["docker"])[0]
    found = check("containerd store", probes.store(), fix.store())
    if found.state == "missing" and needs.platforms and driver != "docker":
        return Check(found.name, "unneeded", f"off; the current builder ({driver}) does not need it")
    return found


def _platforms(needs: Needs, current: dict[str, list[str]], fix: Advice) -> Check:
    listed = docker.platforms(current)
    lacking = [platform for platform in needs.platforms if platform not in listed]
    command = f"{fix.emulation(lacking[0])} (for {', '.join(lacking)})" if lacking else ""
    return check("builder platforms", "" if lacking else ", ".join(listed), command)


def _builders(needs: Needs) -> Iterator[Check]:
    """The builders that the project names, and the platforms that none of them builds."""
    found = {name: docker.inspect(name) for name in needs.builders}
    for name, builder in found.items():
        start = f"docker buildx inspect --bootstrap {name} (docs/scale.md)"
        yield check(f"builder {name}", probes.running(builder), start)
    for platform, names in needs.placed:
        if not any(platform in docker.platforms(found[name]) for name in names):
            where = " or ".join(names)
            command = f"register QEMU on the machine of builder {where}, or name another: builder=NAME"
            yield check(platform, "", command)


def _emulation(platform: str, needs: Needs, current: dict[str, list[str]], fix: Advice) -> Check:
    name = f"QEMU {platform}"
    if not emulation.missing([platform], emulation.host_platform()):
        return Check(name, "ok", f"runs {emulation.processor(platform)} programs")
    if platform in docker.platforms(current) and platform not in needs.bootstrapped:
        return Check(name, "unneeded", "not registered here, but the builder runs its programs")
    return check(name, "", fix.emulation(platform))


def _tools(needs: Needs) -> Iterator[Check]:
    for tool in needs.tools:
        yield check(tool, shutil.which(tool) or "", advice.package(tool))
    for tool, purpose in needs.optional:
        path = shutil.which(tool)
        state = "ok" if path else "unneeded"
        yield Check(tool, state, path or f"not installed; {purpose}", "" if path else advice.package(tool))
