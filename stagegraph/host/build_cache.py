"""The build cache of an engine that ``./run`` started, if it has too many records for dockerd.

Before version 27.5, dockerd gives BuildKit 10 seconds to open its cache. BuildKit asks containerd about each
record in turn, so an engine with some tens of thousands of records no longer starts:
https://github.com/moby/moby/issues/48569
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from . import system
from .messages import say

if TYPE_CHECKING:
    from pathlib import Path

#: How many leases one call of ctr deletes: about five seconds of work.
_BATCH = 500

# A record has a lease of its name, and one more for its compressed variants. An entry of the history of
# builds has one, too. A container's lease has the 64 digits of the container as its name.
_LEASE = re.compile(r"(ref_)?[a-z0-9]{25}(-variants)?")


def has_too_many_records(log: str) -> bool:
    """True if the log of a dockerd that ended says that BuildKit did not open its cache in time."""
    lines = log.splitlines()[-20:]
    initialized = any("Daemon has completed initialization" in line for line in lines)
    return initialized and lines[-1].strip() == "context deadline exceeded"


def remove(data: Path) -> None:
    """Remove BuildKit's list of records in the data folder of an engine that does not run."""
    shutil.rmtree(data / "buildkit", ignore_errors=True)


def release(socket: Path, namespace: str) -> None:
    """Let containerd delete what the removed records held. Images and containers keep theirs."""
    for name in (namespace, f"{namespace}_history"):
        ctr = ("ctr", "--address", str(socket), "--namespace", name, "leases")
        listed = system.call(*ctr, "ls", "--quiet")
        if listed.returncode != 0:
            why = next(iter(listed.stderr.splitlines()), "")
            say(f"note: the old build cache still takes disk space; its leases cannot be listed: {why}")
            return
        leases = [lease for lease in listed.stdout.split() if _LEASE.fullmatch(lease)]
        for done in range(0, len(leases), _BATCH):
            say(f"freeing the disk space of the old build cache: {done} of {len(leases)} in {name}")
            system.call(*ctr, "rm", *leases[done : done + _BATCH])
