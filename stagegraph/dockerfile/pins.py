"""Pinned sources of ``ADD``: does it fetch a fixed version of a URL or git repository?

Pure. Rules are BuildKit's: ``ADD`` fetches URLs and git repositories, and looks up everything else in the
build context (https://docs.docker.com/reference/dockerfile/#add).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .expansion import Expander
    from .instructions import Instruction
    from .variables import Scope

_HTTP = re.compile(r"https?://")

# BuildKit's gitutil.ParseGitRef; a plain github.com/... is a path of the context to ADD
_GIT = re.compile(r"git://|ssh://|[\w.-]+@[\w.-]+:|https?://[^#?]*\.git([#?]|$)")

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_remote(source: str) -> bool:
    """Return True if ``ADD`` fetches ``source``, False if it looks it up in the context."""
    return bool(_HTTP.match(source) or _GIT.match(source))


def is_pinned(source: str, checksum: str) -> bool:
    """Return True if a checksum or, for git, a full commit fixes what ``ADD`` fetches."""
    if checksum:
        return True
    return bool(_GIT.match(source) and _COMMIT.fullmatch(source.partition("#")[2].partition(":")[0]))


def unpinned_sources(add: Instruction, scope: Scope, expander: Expander) -> list[str]:
    """Return the sources of an ``ADD`` that are, or could be, remote and not pinned.

    A source that only the build knows is returned as it is written. An empty checksum is no checksum, as for
    BuildKit. Raises ``DockerfileError`` for a word that BuildKit refuses.
    """
    unpinned = []
    for raw in add.sources:
        source = expander.expand(raw, scope, add)
        if source is None or is_remote(source):
            checksum = expander.expand(add.flag("checksum") or "", scope, add)
            if not is_pinned(source or raw, checksum or ""):
                unpinned.append(source or raw)
    return unpinned


def check_pinned(add: Instruction, scope: Scope, expander: Expander) -> None:
    """Raise ``DockerfileError`` for an ``ADD`` whose remote source is not pinned.

    The file behind the URL may change, and the key would not.
    """
    for source in unpinned_sources(add, scope, expander):
        checksum = add.flag("checksum")
        because = f": --checksum={checksum} has no known value" if checksum else ""
        raise add.error(
            f"ADD {source} {'could be a URL that is' if '$' in source else 'is'} not pinned{because}",
            "add --checksum=sha256:... (for git: a full commit after #), use COPY for a local file, "
            'or set unpinned = "allow" for the stage',
        )
