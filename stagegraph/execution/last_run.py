"""``last-run.json`` as typed values, and the lanes in which its events are drawn. Pure, except ``read``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StoreError
from ..system.checked import moment, number, text
from ..system.files import relative_path
from .events import Event, NodeResult, lanes
from .history import LAST_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.layout import LayoutStore


class LastRun(NamedTuple):
    """The last run. Times of nodes and events are in seconds since ``started``."""

    started: str
    goals: tuple[str, ...]
    outcome: str
    seconds: float
    nodes: tuple[NodeResult, ...]
    images: dict[str, str]
    events: tuple[Event, ...]


class Lane(NamedTuple):
    """Events of which no two overlap, except that one may be inside another. ``group`` has lanes alike."""

    group: str
    number: int
    events: tuple[Event, ...]


def read(layout: LayoutStore) -> LastRun | None:
    """Read ``last-run.json``; None if there was no run. Raises ``StoreError`` for a damaged file."""
    path = layout.folder.path / LAST_RUN
    try:
        return parse(json.loads(layout.folder.read(LAST_RUN)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"cannot be read, or is of another version ({type(error).__name__}: {error})"
        raise StoreError(relative_path(path), what, "start a run, which writes it anew") from None


def parse(data: dict[str, Any]) -> LastRun:
    """Read the content of ``last-run.json``. Raises ``ValueError``, ``TypeError`` or ``KeyError``."""
    if data["schema"] != 1:
        raise ValueError(f"schema {data['schema']}")
    nodes = tuple(map(_node, data["nodes"]))
    events = tuple(map(_event, data["events"]))
    return LastRun(
        moment(data["started"]),
        tuple(map(text, data["goals"])),
        text(data["outcome"]),
        number(data["seconds"]),
        nodes,
        {text(tag): text(digest) for tag, digest in data["images"].items()},
        events,
    )


def _node(facts: dict[str, Any]) -> NodeResult:
    size, usual = facts["image_bytes"], facts["build_seconds"]
    return NodeResult(
        node=text(facts["node"]),
        decision=_decision(facts["decision"]),
        key=text(facts["key"]),
        digest=text(facts["digest"]),
        seconds=number(facts["seconds"]),
        reason=text(facts["reason"]),
        start=number(facts["start"]),
        end=number(facts["end"]),
        changes=tuple(map(text, facts["changes"])),
        image_bytes=None if size is None else int(number(size)),
        build_seconds=None if usual is None else number(usual),
    )


def _event(facts: dict[str, Any]) -> Event:
    kind, node, name = text(facts["kind"]), text(facts["node"]), text(facts["name"])
    return Event(kind, node, name, number(facts["start"]), number(facts["end"]), text(facts["state"]))


def _decision(value: object) -> str:
    if value not in ("reuse", "pull", "build", "failed"):
        raise ValueError(f"decision {value!r}")
    return text(value)


# -- lanes ---------------------------------------------------------------------------------------


def lanes_of(run: LastRun) -> list[Lane]:
    """Return the lanes of a run: each worker, followed by the steps in its nodes, then the registry's."""
    nodes = [Event("node", n.node, n.node, n.start, n.end, n.decision) for n in run.nodes]
    loads = [event for event in run.events if event.kind == "load"]
    calls: dict[str, list[Event]] = {}
    steps: dict[str, list[Event]] = {}
    for event in run.events:
        if event.kind in ("build", "test"):
            calls.setdefault(event.node, []).append(event)
        elif event.kind == "step":
            steps.setdefault(event.node, []).append(event)
    result = []
    for worker in _packed("worker", [*nodes, *loads]):
        inside = [call for event in worker.events for call in _of(event, calls)]
        result.append(worker._replace(events=(*worker.events, *inside)))
        within = [step for event in worker.events for step in _of(event, steps)]
        result += _packed(f"worker {worker.number}: steps", within)
    for kind in ("look-up", "pull", "push"):
        result += _packed(f"{kind}s" if kind != "push" else "pushes", _of_kind(run, kind))
    return result


def _of(event: Event, inner: dict[str, list[Event]]) -> list[Event]:
    """The events in a node; none in a load, which is of a node that is done."""
    return inner.get(event.node, []) if event.kind == "node" else []


def _of_kind(run: LastRun, kind: str) -> list[Event]:
    return [event for event in run.events if event.kind == kind]


def _packed(group: str, events: Iterable[Event]) -> list[Lane]:
    """Put events into as few lanes as possible, numbered from 1."""
    events = sorted(events, key=lambda event: (event.start, -event.end))
    numbers = lanes([(event.start, event.end) for event in events])
    return [
        Lane(group, lane + 1, tuple(e for e, number in zip(events, numbers, strict=True) if number == lane))
        for lane in range(max(numbers, default=-1) + 1)
    ]
