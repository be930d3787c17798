"""The results of a run as Markdown, for the summary of a CI job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drawing.colours import DONE
from ..system.text import counted, human_size, human_time, listed
from .markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ci.outlook import Outlook
    from ..execution.last_run import LastRun

#: How many jobs are named.
_MOST_JOBS = 8


def markdown(run: LastRun | None) -> str:
    """Return the results of a run; None stands for a run that left none."""
    if run is None:
        return "**The run left no results: it did not begin, or was killed.**"
    sizes = {node.digest: node.image_bytes for node in run.nodes if node.image_bytes is not None}
    lines = [f"**{_total(run)}**", "", *_nodes(run, sizes), *_images(run, sizes)]
    return "\n".join(lines).rstrip()


def outlook(found: Outlook, *, failed: bool = False) -> str:
    """Return the sentence about the jobs that need this one. ``failed``: this one failed."""
    if not found.jobs:
        return "No job is behind this one."
    names = listed([code(name) for name in found.jobs], _MOST_JOBS)
    jobs = f"{counted(len(found.jobs), 'job')} behind this one: {names}"
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
    nodes = counted(count, "node")
    return f"The registry still lacks {nodes} of this pipeline. At most about {human_time(seconds)} of jobs."


def _total(run: LastRun) -> str:
    counts = {word: sum(each.decision == decision for each in run.nodes) for decision, word in DONE.items()}
    failed = counts.pop("failed")
    said = [f"{failed} failed"] * bool(failed) + [f"{count} {word}" for word, count in counts.items()]
    return f"{', '.join(said)} in {human_time(run.seconds)}"


def _nodes(run: LastRun, sizes: Mapping[str, int]) -> list[str]:
    """Return tables of nodes; that of reused ones is folded."""
    order = list(DONE)
    work = [each for each in run.nodes if each.decision != "reuse"]
    rows = [
        (
            DONE[each.decision],
            f"`{each.node}`",
            code(each.reason, in_table=True),
            human_time(each.seconds),
            _size(each.digest, sizes),
        )
        for each in sorted(work, key=lambda each: order.index(each.decision))
    ]
    lines = table(("", "node", "why", "time", "size"), rows)
    reused = [each for each in run.nodes if each.decision == "reuse"]
    if reused:
        rows_of_reused = [(f"`{each.node}`", code(each.reason, in_table=True)) for each in reused]
        lines += [f"<details><summary>{len(reused)} reused</summary>", ""]
        lines += [*table(("node", "why"), rows_of_reused), "</details>", ""]
    return lines


def _images(run: LastRun, sizes: Mapping[str, int]) -> list[str]:
    rows = [
        (code(tag, in_table=True), _size(digest, sizes), f"`{digest}`") for tag, digest in run.images.items()
    ]
    return table(("image", "size", "digest"), rows)


def _size(digest: str, sizes: Mapping[str, int]) -> str:
    return human_size(sizes[digest]) if digest in sizes else ""
