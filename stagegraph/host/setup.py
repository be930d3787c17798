"""An engine for ``./run``: the one that answers, else one that is set up here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import advice, docker, emulation, engine, packages, qemu, system
from .messages import SetupError, Status, say

if TYPE_CHECKING:
    from .advice import Advice
    from .engine import Engine

_WITHOUT = "(for commands that need no engine: STAGEGRAPH_NO_ENGINE=1 ./run ...)"


def ensure_engine(target: Engine, fix: Advice) -> None:
    """Set up an engine if none answers. One of somebody else is not touched. Raises ``SetupError``."""
    foreign = advice.foreign_platform()
    if docker.answers():
        _use(target, fix, foreign)
        return
    if not can_set_up(target):
        what = "no Docker engine answers"
        raise SetupError(Status.NO_ENGINE, what, f"fix: {fix.engine()}", _WITHOUT)
    with system.locked(engine.LOCK_FOLDER, "engine"):
        if not docker.answers():
            if packages.are_incomplete(target):
                packages.install(target, foreign)
            engine.start(target)
        if not runs(foreign):
            qemu.register(foreign)


def _use(target: Engine, fix: Advice, foreign: str) -> None:
    """Use the engine that answers. Its emulator is registered only if ``./run`` started that engine."""
    if not docker.has_buildx():
        what = "a Docker engine answers, but docker buildx is missing"
        raise SetupError(Status.NO_ENGINE, what, f"fix: {fix.buildx()}", _WITHOUT)
    if runs(foreign):
        return
    if target.pid() and system.is_root():
        qemu.register(foreign)
    else:
        name = emulation.processor(foreign)
        what = f"note: {name} images cannot be built here, QEMU is not registered"
        say(f"{what}; fix: {fix.emulation(foreign)}")


def runs(platform: str) -> bool:
    return not emulation.missing([platform], emulation.host_platform())


def can_set_up(target: Engine) -> bool:
    """True if ``./run`` may set up an engine here and knows how."""
    if not sys.platform.startswith("linux") or not system.is_root() or target.somebody_chose_another:
        return False
    if system.offered_packages() is not system.Packages.NONE:
        return True
    return system.has("dockerd") and docker.has_buildx()
