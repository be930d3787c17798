"""The build or commit that a user wants to compare a node with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ProjectError
from .earlier import Earlier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..project.model import Node
    from ..store.record import Record
    from .workspace import Workspace

#: The word for the last build.
LAST = "last"

#: The start of a key or digest, with or without ``sha256:``. Fewer than eight digits may be a name.
START_OF_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")


def earlier_of(workspace: Workspace, node: Node, against: str) -> Earlier | None:
    """Return a node as it was at ``against``: "last" or "" for its last build, a key, or a revision of git.

    Returns None where nobody knows. Raises ``ProjectError`` for a word that is none of these, and for a
    commit that does not have the node.
    """
    builds = workspace.earlier_builds
    if against in ("", LAST):
        return builds.find(node)
    if record := by_key(workspace, against):
        return Earlier(record.key, record.inputs, "cache", "", record)
    commit = workspace.revisions.commit(against)
    if found := builds.at(node, commit):
        return builds.recorded(found)
    what = f"{node} has no key at {against} ({commit[:12]})"
    hint = "it was not there, or its Dockerfile was broken, or an image was not pinned"
    raise ProjectError("command line", what, workspace.revisions.fault(commit) or hint)


def by_key(workspace: Workspace, word: str) -> Record | None:
    """Return the record in ``cache/`` whose key begins with these digits; None if there is none.

    Raises ``ProjectError`` if there are several.
    """
    found = beginning(workspace, word, lambda record: (record.key,))
    if len(found) > 1:
        names = ", ".join(sorted(record.node for record in found))
        raise ProjectError("command line", f"{word} begins several keys: {names}", "write more digits")
    return found[0] if found else None


def beginning(workspace: Workspace, word: str, names: Callable[[Record], Iterable[str]]) -> list[Record]:
    """Return the records in ``cache/`` with a key or digest that begins with these digits.

    ``names`` are the keys and digests of a record that count. Returns [] for a word that is not of digits.
    """
    match = START_OF_DIGEST.fullmatch(word)
    if match is None:
        return []
    start = f"sha256:{match[1]}"
    return [each for each in workspace.layout.list() if any(name.startswith(start) for name in names(each))]
