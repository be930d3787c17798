"""``stages.times``: how long nodes took to build, for planning CI jobs. Committed, so that plans repeat.

TOML: ``machine``, the OCI platform of the machine that they were recorded on, and ``[seconds]`` by node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError
from ..system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "stages.times"

_HEAD = "# Seconds that each node took to build. Written by `doit ci --times`; `doit ci` plans with them.\n"

#: A time that differs by less than this from the one in the file is noise: the file stays as it is.
_NOISE = 0.25

#: No node takes longer: a year.
_LONGEST = 366 * 86400

#: How fast QEMU is, where the file does not say it: between 1/8 and 1/12 was measured (docs/performance.md).
EMULATED = 0.1


@dataclass(frozen=True)
class Times:
    """``seconds`` by node (``STAGE:PLATFORM``), recorded on a machine of the OCI platform ``machine``.

    ``emulated`` is how fast it runs programs of other processors, against its own.
    """

    machine: str
    seconds: Mapping[str, float]
    emulated: float = EMULATED


def read(root: Path, machine: str) -> Times:
    """What the file says; without one nothing is known, and ``machine`` is taken for the recording one.

    Raises ``ProjectError``.
    """
    import tomllib

    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Times(machine, {})
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(FILE, f"cannot be read: {error}") from None
    try:
        data: dict[str, Any] = tomllib.loads(text)
        seconds = {str(node): _seconds(value) for node, value in data["seconds"].items()}
        return Times(str(data["machine"]), seconds, _seconds(data.get("emulated", EMULATED)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        hint = "remove it, and make it anew: doit ci --times"
        raise ProjectError(FILE, f"is not what doit ci --times writes: {error}", hint) from None


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ValueError(f"{value} is no time")
    return float(value)


def of_this_kind(known: Times, machine: str) -> None:
    """Raises ``ProjectError`` where new times would stand beside those of another kind of machine."""
    if known.seconds and known.machine != machine:
        what = f"has times of a {known.machine} machine, and this one is {machine}"
        raise ProjectError(
            FILE, what, "note times on a machine of that kind, or remove the file to begin anew"
        )


def merged(known: Times, found: Mapping[str, float], nodes: set[str]) -> Times:
    """Known times with those found now; those of nodes that are no more go.

    What differs little stays as it was: two builds never take the same time.
    """
    kept = {node: value for node, value in known.seconds.items() if node in nodes}
    for node, value in found.items():
        before = kept.get(node)
        if before is None or abs(value - before) > _NOISE * max(before, 4):
            kept[node] = rounded(value)
    return Times(known.machine, kept, known.emulated)


def rounded(seconds: float) -> int:
    """Seconds, upwards to two digits."""
    step = int(10 ** max(0, len(str(math.ceil(seconds))) - 2))
    return math.ceil(seconds / step) * step


def write(root: Path, times: Times) -> bool:
    """Write the file; whether it has changed. Raises ``StoreError``."""
    lines = [f'"{node}" = {rounded(value)}\n' for node, value in sorted(times.seconds.items())]
    text = f'{_HEAD}machine = "{times.machine}"\nemulated = {times.emulated}\n\n[seconds]\n{"".join(lines)}'
    path = root / FILE
    if path.is_file() and path.read_text() == text:
        return False
    write_atomically(path, text.encode())
    return True
