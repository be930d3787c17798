"""The slow parts of ``./run``.

Set up an engine, doctor, down. ``./run`` calls this module with one of these words.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import engine, packages, setup
from .advice import Advice
from .engine import Engine
from .messages import SetupError, Status, explain, say

if TYPE_CHECKING:
    from collections.abc import Callable

#: The project's folder, with ``./run`` in it.
ROOT = Path(__file__).parents[2]


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
    except OSError as error:  # BrokenPipeError is one, too
        say(f"failed: {error}")
        sys.exit(Status.STEP_FAILED)


def _ensure() -> int:
    os.umask(0o022)  # other users read what is written here: apt's own, and those of the engine
    target, fix = _target()
    setup.ensure_engine(target, fix)
    return 0


def _ensurepip(python: str) -> int:
    os.umask(0o022)
    packages.install_ensurepip(python)
    return 0


def _test_packages() -> int:
    os.umask(0o022)
    packages.install_test_packages(_target()[0])
    return 0


def _explain(log: str, status: str, *command: str) -> int:
    say(*explain(Path(log), int(status), command))
    return 0


def _down() -> int:
    engine.stop(_target()[0])
    return 0


def _doctor(environment: str) -> int:
    from .checkup import examine  # it imports what the other commands do not pay for
    from .doctor import report

    return report(examine(environment, ROOT, *_target()))


def _target() -> tuple[Engine, Advice]:
    target = Engine.from_environment()
    return target, Advice(str(ROOT / "run"), target)


COMMANDS: dict[str, Callable[..., int]] = {
    "ensure": _ensure,
    "ensurepip": _ensurepip,
    "test-packages": _test_packages,
    "explain": _explain,
    "down": _down,
    "doctor": _doctor,
}

if __name__ == "__main__":
    main()
