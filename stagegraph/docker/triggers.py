"""The triggers (ONBUILD) that an external image leaves for the images that start from it.

Pure. The rule for an ONBUILD in this project's Dockerfiles applies: the child's variables are unknown.
"""

from __future__ import annotations

import csv

from ..dockerfile.instructions import is_remote, mounts, parse, pinned
from ..dockerfile.variables import Scope, expand
from ..errors import DockerfileError


def takes_from_elsewhere(text: str) -> bool:
    """Return whether a trigger takes files that no key can know.

    These are files of another image (newer front ends resolve its name, unpinned), and files that ADD gets
    from the network without a checksum or commit. A trigger that does not parse counts as one of these.
    """
    try:
        (trigger,) = parse(text, "ONBUILD")[0]
        if trigger.cmd in ("COPY", "ADD") and trigger.flag("from"):
            return True
        if any(mount.get("from") for mount in mounts(trigger)):
            return True
        if trigger.cmd != "ADD":
            return False
        checksum = expand(trigger.flag("checksum") or "", Scope(), "\\") or ""
        sources = [(written, expand(written, Scope(), "\\")) for written in trigger.sources]
    except (DockerfileError, ValueError, csv.Error):
        return True
    return any(
        (source is None or is_remote(source)) and not pinned(source or written, checksum)
        for written, source in sources
    )
