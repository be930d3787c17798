"""The part of ``./run`` that is slower than bash may be; ``./run`` calls it with the name of what to do."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import advice, doctor, engine, packages, setup
from .advice import Advice
from .doctor import Check, Needs
from .engine import Engine
from .messages import SetupError, explain, say
from .system import call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The project's folder, with ``./run`` in it.
ROOT = Path(__file__).parents[2]
#: The states of the virtual environment, as ``./run`` names them, and the doctor's words for them.
_ENVIRONMENTS = {"none": "none yet, the first call creates it", "ready": "up to date", "stale": ""}


def main() -> None:
    """Do what the command line says, and end with an exit status of ``./run``."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command, *words = sys.argv[1:]
    try:
        sys.exit(COMMANDS[command](*words))
    except SetupError as error:
        say(*error.lines)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _ensure() -> int:
    os.umask(0o022)  # other users read what is written here: apt's own, and those of the engine
    target, mend = _target()
    setup.ensure_engine(target, mend)
    return 0


def _ensurepip(python: str) -> int:
    os.umask(0o022)
    packages.install_ensurepip(python)
    return 0


def _explain(log: str, status: str, *command: str) -> int:
    say(*explain(Path(log), int(status), command))
    return 0


def _down() -> int:
    engine.stop(_target()[0])
    return 0


def _doctor(environment: str) -> int:
    target, mend = _target()
    return doctor.report(_checks(environment, target, mend))


def _checks(environment: str, target: Engine, mend: Advice) -> Iterator[Check]:
    yield Check("Python >= 3.11", "ok", f"{sys.version.split()[0]} {sys.executable}")
    call_run = f"STAGEGRAPH_NO_ENGINE=1 {shlex.quote(mend.run)} true"
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
        needs = replace(needs, builders=_builders())
    yield from doctor.examine(needs, mend)


def _builders() -> tuple[str, ...]:
    """The builders that the project names; none if it cannot be read."""
    python = ROOT / ".venv/bin/python"
    done = call(str(python), "-I", "-m", "stagegraph.cli.commands.doctor", str(ROOT))
    try:
        return tuple(json.loads(done.stdout))
    except ValueError:
        return ()


def _target() -> tuple[Engine, Advice]:
    target = Engine.from_environment()
    return target, Advice(str(ROOT / "run"), target)


COMMANDS: dict[str, Callable[..., int]] = {
    "ensure": _ensure,
    "ensurepip": _ensurepip,
    "explain": _explain,
    "down": _down,
    "doctor": _doctor,
}

if __name__ == "__main__":
    main()
