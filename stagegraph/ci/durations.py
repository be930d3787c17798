"""``stages.times``: the recorded build times of nodes, for planning jobs. Committed, so that plans repeat.

The file is TOML: ``machine`` is the OCI platform of the machine that recorded the times; ``[seconds]`` are by
node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError
from ..system import bounded
from ..system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "stages.times"

_HEAD = "# Seconds that each node took to build. Written by `doit ci --times`; `doit ci` plans with them.\n"

#: A time that differs by less than this part from the one in the file is noise: the file keeps the old one.
_NOISE = 0.25

#: No node takes longer than a year.
_LONGEST = 366 * 86400

#: The speed of QEMU if the file has none: measurements gave 1/8 to 1/12 (docs/performance.md).
EMULATED = 0.1


@dataclass(frozen=True)
class Times:
    """``seconds`` by node (``STAGE:PLATFORM``), recorded on a machine of the OCI platform ``machine``.

    ``emulated`` is its speed for programs of other processors, relative to its own programs.
    """

    machine: str
    seconds: Mapping[str, float]
    emulated: float = EMULATED


def read(root: Path, machine: str) -> Times:
    """Read the file. Without a file no time is known, and ``machine`` counts as the recording machine.

    Raises ``ProjectError``.
    """
    import tomllib

    try:
        text = bounded.read_text(root / FILE)
    except FileNotFoundError:
        return Times(machine, {})
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(FILE, f"cannot be read: {error}") from None
    try:
        data: dict[str, Any] = tomllib.loads(text)
        seconds = {str(node): _seconds(value) for node, value in data["seconds"].items()}
        return Times(str(data["machine"]), seconds, _seconds(data.get("emulated", EMULATED)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        hint = "remove it, and write a new one: doit ci --times"
        raise ProjectError(
            FILE, f"does not have the form that doit ci --times writes: {error}", hint
        ) from None


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ValueError(f"{value} is not a time in seconds")
    return float(value)


def require_same_machine(times: Times, machine: str) -> None:
    """Raise ``ProjectError`` if the file has times of another kind of machine."""
    if times.seconds and times.machine != machine:
        what = f"has times of a {times.machine} machine, and this one is {machine}"
        hint = "record times on a machine of that kind, or remove the file to start again"
        raise ProjectError(FILE, what, hint)


def merged(times: Times, recorded: Mapping[str, float], nodes: set[str]) -> Times:
    """The times with newly recorded ones; without those of nodes that are not in ``nodes``.

    A time that differs little stays the same: no two builds take equally long.
    """
    seconds = {node: value for node, value in times.seconds.items() if node in nodes}
    for node, value in recorded.items():
        before = seconds.get(node)
        if before is None or abs(value - before) > _NOISE * max(before, 4):
            seconds[node] = rounded(value)
    return Times(times.machine, seconds, times.emulated)


def rounded(seconds: float) -> int:
    """Seconds, rounded up to two digits."""
    step = int(10 ** max(0, len(str(math.ceil(seconds))) - 2))
    return math.ceil(seconds / step) * step


def write(root: Path, times: Times) -> bool:
    """Write the file; return whether it has changed. Raises ``StoreError``."""
    lines = [f'"{node}" = {rounded(value)}\n' for node, value in sorted(times.seconds.items())]
    text = f'{_HEAD}machine = "{times.machine}"\nemulated = {times.emulated}\n\n[seconds]\n{"".join(lines)}'
    path = root / FILE
    if path.is_file() and path.read_text() == text:
        return False
    write_atomically(path, text.encode())
    return True
