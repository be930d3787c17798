"""The results of a run as Markdown, for the summary of a CI job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..system.checked import number, text
from ..system.text import human_size, human_time, listed
from .markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..ci.outlook import Outlook

#: Decisions in the order in which they are shown, with their words for what was done.
_DONE = {"failed": "failed", "build": "built", "pull": "pulled", "reuse": "reused"}

#: How many jobs are named.
_MOST_JOBS = 8


class NodeDone(NamedTuple):
    """What a run did with a node. ``decision`` is one of ``_DONE``; the digest of a failed node is ""."""

    node: str
    decision: str
    seconds: float
    reason: str
    digest: str


class Results(NamedTuple):
    """What a run did. ``images`` are digests by final tag."""

    nodes: Sequence[NodeDone]
    images: Mapping[str, str]
    seconds: float


def parse(data: Any) -> Results:
    """Read the content of ``last-run.json``. Raises ``ValueError``, ``TypeError`` or ``KeyError``."""
    if data["schema"] != 1:
        raise ValueError(f"schema {data['schema']}")
    nodes = [
        NodeDone(
            text(each["node"]),
            text(each["decision"]),
            number(each["seconds"]),
            text(each["reason"]),
            text(each["digest"]),
        )
        for each in data["nodes"]
    ]
    if unknown := {each.decision for each in nodes} - _DONE.keys():
        raise ValueError(f"decision {min(unknown)!r}")
    images = {text(tag): text(digest) for tag, digest in data["images"].items()}
    return Results(nodes, images, number(data["seconds"]))


def markdown(results: Results | None, sizes: Mapping[str, int]) -> str:
    """Return what a run did; None if nobody knows. ``sizes`` are bytes by digest."""
    if results is None:
        return "**The run left no results: it did not begin, or was killed.**"
    lines = [f"**{_total(results)}**", "", *_nodes(results, sizes), *_images(results, sizes)]
    return "\n".join(lines).rstrip()


def outlook(found: Outlook, *, failed: bool = False) -> str:
    """Return the sentence about the jobs that need this one. ``failed``: this one failed."""
    if not found.jobs:
        return "No job is behind this one."
    count = len(found.jobs)
    names = listed([code(name) for name in found.jobs], _MOST_JOBS)
    jobs = f"{count} job{'' if count == 1 else 's'} behind this one: {names}"
    if failed:
        return f"{jobs}. They do not run, because this one failed."
    time = human_time(found.seconds)
    return f"{jobs}. {'About' if found.known else 'At most about'} {time} until they are done."


def unplanned(job: str) -> str:
    """Return the sentence for a job of a pipeline that is not as ``doit ci`` would write it now."""
    return f"`doit ci` now plans no job {code(job)}, so nothing tells how long the rest takes."


def missing(count: int, seconds: float) -> str:
    """Return the sentence about the nodes that a registry lacks, for a pipeline that was planned for them."""
    if not count:
        return "The registry has everything that this pipeline builds."
    nodes = f"{count} node{'' if count == 1 else 's'}"
    return f"The registry still lacks {nodes} of this pipeline. At most about {human_time(seconds)} of jobs."


def _total(results: Results) -> str:
    counts = {
        word: sum(each.decision == decision for each in results.nodes) for decision, word in _DONE.items()
    }
    failed = counts.pop("failed")
    said = [f"{failed} failed"] * bool(failed) + [f"{count} {word}" for word, count in counts.items()]
    return f"{', '.join(said)} in {human_time(results.seconds)}"


def _nodes(results: Results, sizes: Mapping[str, int]) -> list[str]:
    """Return tables of nodes; that of reused ones is folded."""
    order = list(_DONE)
    work = [each for each in results.nodes if each.decision != "reuse"]
    rows = [
        (
            _DONE[each.decision],
            f"`{each.node}`",
            code(each.reason, in_table=True),
            human_time(each.seconds),
            _size(each.digest, sizes),
        )
        for each in sorted(work, key=lambda each: order.index(each.decision))
    ]
    lines = table(("", "node", "why", "time", "size"), rows)
    reused = [each for each in results.nodes if each.decision == "reuse"]
    if reused:
        rows_of_reused = [(f"`{each.node}`", code(each.reason, in_table=True)) for each in reused]
        lines += [f"<details><summary>{len(reused)} reused</summary>", ""]
        lines += [*table(("node", "why"), rows_of_reused), "</details>", ""]
    return lines


def _images(results: Results, sizes: Mapping[str, int]) -> list[str]:
    rows = [
        (code(tag, in_table=True), _size(digest, sizes), f"`{digest}`")
        for tag, digest in results.images.items()
    ]
    return table(("image", "size", "digest"), rows)


def _size(digest: str, sizes: Mapping[str, int]) -> str:
    return human_size(sizes[digest]) if digest in sizes else ""
