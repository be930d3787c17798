"""An edit as lines for people, and as JSON: what changed, where, and by which parents it comes."""

from __future__ import annotations

import difflib
import hashlib
from typing import TYPE_CHECKING

from ..graph import lockfile
from ..output import printable
from ..project.model import BASE
from ..system.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..execution.causes import Cause
    from ..graph.graph import Graph
    from ..graph.revision import Revisions
    from ..keys.explain import Change
    from ..keys.inputs import Input

#: Lines of the difference of a file that are shown, and the largest file that is compared (bytes).
MOST_LINES, MOST_BYTES = 12, 1 << 20


class Evidence:
    """Finds what the inputs of a key only have digests of: texts of files, and when an image was pinned."""

    def __init__(self, graph: Graph, revisions: Revisions) -> None:
        self._graph, self._root, self._revisions = graph, graph.project.root, revisions

    def difference(self, change: Change) -> list[str]:
        """Return lines of a unified difference of a text file; [] if one of the two is not to be had."""
        old, new = self._content(change.old), self._content(change.new)
        if old is None or new is None or b"\0" in old + new:
            return []
        before, after = (text.decode("utf-8", "backslashreplace").splitlines() for text in (old, new))
        return list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]

    def untracked(self, cause: Cause) -> list[str]:
        """Return lines about a file that counts and that git does not have; [] for any other input."""
        new = cause.change.new
        if new is None or not self._revisions.is_untracked(new.where):
            return []
        context = self._graph.spec(cause.node).config.context
        return [
            "git does not have this file, so other machines build this node differently:",
            f"commit the file, or name it in {context}/.dockerignore if no step needs it",
        ]

    def pinned(self, cause: Cause) -> str:
        """Return the reference of a new image, the day when ``stages.lock`` got it, and what declares it."""
        digest = cause.change.new.value if cause.change.new else ""
        images = self._graph.spec(cause.node).images
        image = next((image for image in images if image.digest == digest), None)
        if image is None:
            return ""
        day = self._revisions.date_of(digest, lockfile.FILE)
        told = f"{image.reference}, in {lockfile.FILE} {f'since {day}' if day else '(not committed yet)'}"
        if image.edge.name == BASE:
            base = self._graph.project.bases[cause.node.platform]
            told += f"; the base is declared by {base.declared_at}"
        return told

    def _content(self, item: Input | None) -> bytes | None:
        if item is None:
            return b""
        kind, _, digest = item.value.partition(" ")
        if kind not in ("file", "exec"):
            return None
        path = self._root / item.where
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        return self._revisions.content(item.where, digest)


def lines(cause: Cause, evidence: Evidence) -> Iterator[str]:
    """Yield the lines about one edit."""
    change = cause.change
    place = printable(change.where) or _gone_from(change) or str(cause.node)
    yield f"{place}: {change.headline}"
    for sign, value in zip("-+", map(printable, change.values), strict=True):
        if value and not change.is_renamed:
            yield f"    {sign} {value}"
    if change.role == "image" and (pinned := evidence.pinned(cause)):
        yield f"    {pinned}"
    if change.role == "file":
        difference = evidence.difference(change)
        yield from (f"    {printable(line)}" for line in difference[:MOST_LINES])
        if len(difference) > MOST_LINES:
            yield f"    and {len(difference) - MOST_LINES} more lines"
        yield from (f"    {line}" for line in evidence.untracked(cause))
    if not cause.is_known:
        yield "    its earlier inputs are nowhere known"
    if cause.ways:
        ways = [" > ".join(map(str, way)) for way in cause.ways]
        yield f"    comes by {listed(ways, 1, '; ')}"


def to_json(cause: Cause, evidence: Evidence) -> dict[str, object]:
    """Return one edit as JSON has it."""
    change = cause.change
    return {
        "node": str(cause.node),
        "role": change.role,
        "name": change.subject,
        "where": change.where,
        "text": str(change),
        "old": change.old.value if change.old else None,
        "new": change.new.value if change.new else None,
        "difference": evidence.difference(change) if change.role == "file" else [],
        "known": cause.is_known,
        "through": [[str(node) for node in way] for way in cause.ways],
    }


def _gone_from(change: Change) -> str:
    """Return the file that an input is gone from, without its line, which it has no more."""
    old = change.old
    if old is None or change.new is not None:
        return ""
    return printable(old.where if old.role == "file" else old.where.partition(":")[0])
