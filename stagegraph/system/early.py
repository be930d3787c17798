"""Ctrl-C while Python still imports this program. Imports next to nothing, as it comes first.

``system.processes`` has the handlers that a command installs.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import NoReturn

#: How many new objects let Python look for garbage, not 700: those of imports and of plans stay to the end.
_OBJECTS = 20_000

#: The programs that this package is: doit's own, and ours.
_PROGRAMS = ("doit", "stagegraph")


def end_quietly(*_: object) -> NoReturn:
    """End this process with status 130 and one line. Nothing was begun that would have to be ended."""
    os.write(2, b"interrupted\n")
    os._exit(128 + signal.SIGINT)


def quiet_interrupt() -> None:
    """Let Ctrl-C end the process quietly until a command installs its own handlers.

    Does nothing in another program that imports this package, and where somebody else handles SIGINT.
    """
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    if name == "__main__.py":  # python -m doit
        name = os.path.basename(folder)  # noqa: PTH119 - pathlib would cost as much as the rest
    if name in _PROGRAMS:
        gc.set_threshold(_OBJECTS)
    if name in _PROGRAMS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, end_quietly)
