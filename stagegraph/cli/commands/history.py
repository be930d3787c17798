"""``doit history``: earlier runs, and what they did with each node."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError
from ...execution import history
from ...graph import goals
from ...output import printable, say, tell
from ...system.files import relative_path
from ...system.text import human_time, listed
from ..goals import unknown_goal
from ..help import Example
from .base import Command, JsonOption, number, print_json

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...execution.history import NodeHistory, PastRun
    from ..app import App

#: How many runs the list has by default.
SHOWN = 20


@dataclass(frozen=True)
class Options(JsonOption):
    last: int = number(f"only the last N runs; default: {SHOWN}, and all for nodes and with --json", 0, "n")


class History(Command[Options]):
    options_type = Options
    doc_purpose = "show earlier runs, or what they did with each node"
    doc_description = (
        "Without arguments: one line for each run, the newest last. It has the start, the time, how many "
        "nodes were built, pulled and reused, and the time that was saved.\n\n"
        "The time saved is how long the builds of the reused and pulled images took, less the pulls. "
        "Ancestors that a run did not need to look at do not count, so it is rather too little.\n\n"
        "With nodes, stages, images or groups: how often runs found each node (hits) and built it, and how "
        "long a build takes on average.\n\n"
        "cache/history has the runs of this folder, up to 2 MB."
    )

    examples = (
        Example("history", "the last runs of this folder"),
        Example("history {goal}", "how often runs found it, and how long its build takes"),
        Example("history -n 5 --json", "the last five runs, as JSON"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        if options.last < 0:
            raise ProjectError("command line", f"--last {options.last} is not a number of runs", "--last 5")
        layout = app.workspace.layout
        runs, damaged = history.load(layout)
        if damaged:
            lines = "line is" if damaged == 1 else "lines are"
            path = relative_path(layout.history.path)
            tell(f"warning: {path}: {damaged} {lines} damaged, and left out")
        runs = runs[-options.last :] if options.last else runs
        nodes = history.of_nodes(runs)
        if words:
            wanted = _wanted(app, words, {node.node for node in nodes})
            nodes = [node for node in nodes if node.node in wanted]
            runs = [run for run in runs if not wanted.isdisjoint(run.nodes)]
        if options.json:
            print_json(to_json(runs, nodes))
        else:
            say(nodes_text(nodes) if words else runs_text(runs[-(options.last or SHOWN) :], len(runs)))
        return 0


def _wanted(app: App, words: list[str], kept: Collection[str]) -> set[str]:
    """Return the names of nodes for words, also of stages that are gone. Raises ``ProjectError``."""
    known = goals.named(app.workspace.graph, tests=True)
    wanted = set[str]()
    for word in words:
        found = {str(node) for node in known.get(word, ())}
        found |= {name for name in kept if word in (name, name.partition(":")[0])}
        if not found:
            raise unknown_goal(app.workspace.project, word, [*known, *kept])
        wanted |= found
    return wanted


def runs_text(runs: Sequence[PastRun], of: int) -> str:
    """A table of runs. ``of`` is how many there are."""
    if not runs:
        return "no run of this folder is known"
    rows = [("started", "took", "built", "pulled", "reused", "saved", "goals"), *map(_row, runs)]
    saved = human_time(max(sum(run.saved for run in runs), 0))
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    more = f" of {of}; -n {of} shows all" if of > len(runs) else ""
    return f"{_table(rows, 'lrrrrrl')}\n{count}{more}; saved: {saved}"


def _row(run: PastRun) -> tuple[str, ...]:
    outcome = "" if run.outcome == "done" else f" ({run.outcome})"
    saved = human_time(run.saved) if run.saved > 0 else ""
    counts = (f"{len(nodes) or ''}" for nodes in (run.built, run.pulled, run.reused))
    return (
        local_time(run.time),
        human_time(run.seconds),
        *counts,
        saved,
        printable(listed(run.goals, 3) + outcome),
    )


def nodes_text(nodes: Sequence[NodeHistory]) -> str:
    """A table of nodes."""
    if not nodes:
        return "no run has looked at these nodes"
    rows = [("node", "hits", "builds", "failures", "average build")]
    for node in nodes:
        average = "" if node.average_seconds is None else human_time(node.average_seconds)
        rows.append((printable(node.node), f"{node.hits}", f"{node.builds}", f"{node.failures}", average))
    return _table(rows, "lrrrr")


def _table(rows: Sequence[Sequence[str]], sides: str) -> str:
    """Align each column: ``l`` to the left, ``r`` to the right."""
    columns = [[*column] for column in zip(*rows, strict=True)]
    for column, side in zip(columns, sides, strict=True):
        width = max(map(len, column))
        column[:] = [cell.rjust(width) if side == "r" else cell.ljust(width) for cell in column]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def local_time(text: str) -> str:
    """A time of the history as people here write it: ``2026-11-28 09:15``."""
    return f"{datetime.datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def to_json(runs: Sequence[PastRun], nodes: Sequence[NodeHistory]) -> dict[str, object]:
    return {
        "schema": 1,
        "runs": [
            {
                "time": run.time,
                "goals": list(run.goals),
                "outcome": run.outcome,
                "seconds": run.seconds,
                "saved_seconds": round(run.saved, 1),
                "built": sorted(run.built),
                "pulled": sorted(run.pulled),
                "reused": sorted(run.reused),
                "failed": sorted(run.failed),
            }
            for run in runs
        ],
        "nodes": [node._asdict() for node in nodes],
    }
