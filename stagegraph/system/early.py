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

#: The programs that this package is: doit's own, and ours.
_PROGRAMS = ("doit", "stagegraph")


def end_quietly(*_: object) -> NoReturn:
    """End this process with status 130 and one line. Nothing was begun that would have to be ended."""
    os.write(2, b"interrupted\n")
    os._exit(128 + signal.SIGINT)


def quiet_interrupt() -> None:
    """Let Ctrl-C end the process quietly until a command installs its own handlers; collect garbage rarely.

    Does nothing in another program that imports this package, and where somebody else handles SIGINT.
    """
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    if name == "__main__.py":  # python -m doit
        name = os.path.basename(folder)  # noqa: PTH119 - pathlib would cost as much as the rest
    if name not in _PROGRAMS:
        return
    collect_rarely()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, end_quietly)


def collect_rarely() -> None:
    """Let Python look for garbage after 20,000 new objects, not 700.

    Nearly all objects of imports and of a plan live to the end; a plan of 250 nodes spends a tenth of its
    time on the search otherwise.
    """
    gc.set_threshold(20_000)
