"""The results of runs, kept in ``cache/``: all of the last run, and one line of each run before.

A line has what ``doit history`` shows, and nothing of the events of the run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..system.checked import moment, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.layout import LayoutStore

LAST_RUN = "last-run.json"

_SCHEMA = 1


class PastRun(NamedTuple):
    """One run.

    ``built`` and ``failed`` have the seconds of each node. ``reused`` has the seconds of the build that the
    run saved. ``pulled`` has both: how long the pull took, and the build that it saved.
    """

    time: str
    goals: tuple[str, ...]
    outcome: str
    seconds: float
    built: dict[str, float]
    pulled: dict[str, tuple[float, float]]
    reused: dict[str, float]
    failed: dict[str, float]

    @property
    def nodes(self) -> list[str]:
        """All nodes that the run looked at."""
        return [*self.built, *self.pulled, *self.reused, *self.failed]

    @property
    def saved(self) -> float:
        """The seconds of builds that the run did not need, without the time of its pulls.

        Ancestors that the run did not look at do not count.
        """
        return sum(self.reused.values()) + sum(usual - took for took, usual in self.pulled.values())


class NodeHistory(NamedTuple):
    """What runs did with a node. ``average_seconds`` is that of its builds, None without one."""

    node: str
    hits: int
    builds: int
    failures: int
    average_seconds: float | None


def keep(layout: LayoutStore, results: dict[str, Any]) -> None:
    """Write ``last-run.json``, and add the run to the history. Raises ``StoreError``."""
    layout.folder.write(LAST_RUN, json.dumps(results).encode() + b"\n")
    layout.history.append(to_line(results))


def load(layout: LayoutStore) -> tuple[list[PastRun], int]:
    """Read all runs, oldest first, and how many lines are damaged. Raises ``StoreError``."""
    runs = [parse(line) for line in layout.history.lines()]
    return [run for run in runs if run], runs.count(None)


def to_line(results: dict[str, Any]) -> bytes:
    """The line of the history for the content of ``last-run.json``."""
    nodes: dict[str, dict[str, Any]] = {"build": {}, "pull": {}, "reuse": {}, "failed": {}}
    for node in results["nodes"]:
        took, usual = node["seconds"], node["build_seconds"]
        value = {"pull": [took, usual], "reuse": usual}.get(node["decision"], took)
        nodes[node["decision"]][node["node"]] = value
    facts = {
        "schema": _SCHEMA,
        "time": results["started"],
        "goals": results["goals"],
        "outcome": results["outcome"],
        "seconds": results["seconds"],
        "built": nodes["build"],
        "pulled": nodes["pull"],
        "reused": nodes["reuse"],
        "failed": nodes["failed"],
    }
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes) -> PastRun | None:
    """Read a line of the history; None for a damaged one, or one of another version."""
    try:
        facts = json.loads(line)
        if facts["schema"] != _SCHEMA:
            return None
        return PastRun(
            moment(facts["time"]),
            tuple(map(text, facts["goals"])),
            text(facts["outcome"]),
            number(facts["seconds"]),
            {text(node): number(took) for node, took in facts["built"].items()},
            {text(node): (number(took), number(usual)) for node, (took, usual) in facts["pulled"].items()},
            {text(node): number(usual) for node, usual in facts["reused"].items()},
            {text(node): number(took) for node, took in facts["failed"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def of_nodes(runs: Iterable[PastRun]) -> list[NodeHistory]:
    """What runs did with each node, by its name."""
    hits, failures, builds = dict[str, int](), dict[str, int](), dict[str, list[float]]()
    for run in runs:
        for node in (*run.reused, *run.pulled):
            hits[node] = hits.get(node, 0) + 1
        for node in run.failed:
            failures[node] = failures.get(node, 0) + 1
        for node, took in run.built.items():
            builds.setdefault(node, []).append(took)
    return [
        NodeHistory(
            node,
            hits.get(node, 0),
            len(times := builds.get(node, [])),
            failures.get(node, 0),
            round(sum(times) / len(times), 1) if times else None,
        )
        for node in sorted({*hits, *failures, *builds})
    ]
