"""A run in Chrome's trace event format, which https://ui.perfetto.dev opens.

The format is the JSON array of
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..system.files import write_atomically
from .last_run import lanes_of, parse

if TYPE_CHECKING:
    from pathlib import Path

    from .events import Event
    from .last_run import LastRun


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the trace of a run. ``results`` is the content of ``last-run.json``. Raises ``StoreError``."""
    lines = ",\n".join(json.dumps(event) for event in trace(parse(results)))
    write_atomically(path, f"[\n{lines}\n]\n".encode())


def trace(run: LastRun) -> list[dict[str, Any]]:
    """Return the events of the trace, lane by lane; times are in microseconds."""
    facts = {
        node.node: {"decision": node.decision, "reason": node.reason, "key": node.key, "digest": node.digest}
        for node in run.nodes
    }
    result = [_name("process_name", 0, name=" ".join(["doit", *run.goals]))]
    for number, lane in enumerate(lanes_of(run), 1):
        label = lane.group if lane.number == 1 and ":" in lane.group else f"{lane.group} {lane.number}"
        result += [_name("thread_name", number, name=label)]
        result += [_name("thread_sort_index", number, sort_index=number)]
        result += [_complete(event, number, facts.get(event.node, {})) for event in lane.events]
    return result


def _name(what: str, lane: int, **value: object) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": 1, "tid": lane, "args": value}


def _complete(event: Event, lane: int, facts: dict[str, str]) -> dict[str, Any]:
    """A complete event. Its category is its kind, so that a viewer can filter."""
    start, end = round(event.start * 1_000_000), round(event.end * 1_000_000)
    more = facts if event.kind == "node" else {"node": event.node, "state": event.state}
    name = event.name if event.kind in ("node", "step") else f"{event.kind} {event.name or event.node}"
    return {
        "ph": "X",
        "name": name,
        "cat": event.kind,
        "pid": 1,
        "tid": lane,
        "ts": start,
        "dur": end - start,
        "args": more,
    }
