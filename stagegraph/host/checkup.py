"""The doctor's list for ``./run``: Python, the virtual environment, and all that it would set up."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from . import advice, doctor
from .doctor import Check, Needs
from .system import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .advice import Advice
    from .engine import Engine

#: The states of the virtual environment, as ``./run`` names them, and the doctor's words for them.
_ENVIRONMENTS = {"none": "none yet, the first call creates it", "ready": "up to date", "stale": ""}


def examine(environment: str, root: Path, target: Engine, fix: Advice) -> Iterator[Check]:
    """Look at all that ``./run`` sets up. ``environment`` is the state of the one in ``root``."""
    yield Check("Python >= 3.11", "ok", f"{sys.version.split()[0]} {sys.executable}")
    call_run = f"STAGEGRAPH_NO_ENGINE=1 {shlex.quote(fix.run)} true"
    yield doctor.check(".venv", _ENVIRONMENTS[environment], call_run)
    foreign = advice.foreign_platform()
    needs = Needs(
        target.folder,
        platforms=("linux/amd64", "linux/arm64"),
        emulated=(foreign,),
        bootstrapped=(foreign,),
        tools=("skopeo", "mmdebstrap", "arch-test", "docker-registry", "curl"),
    )
    if environment == "ready":
        needs = replace(needs, builders=_builders(root))
    yield from doctor.examine(needs, fix)


def _builders(root: Path) -> tuple[str, ...]:
    """The builders that the project names; none if it cannot be read."""
    python = root / ".venv/bin/python"
    done = call(str(python), "-I", "-m", "stagegraph.cli.commands.doctor", str(root))
    try:
        return tuple(json.loads(done.stdout))
    except ValueError:
        return ()
