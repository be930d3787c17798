"""The trace of a run, in Chrome's format, and the lanes of its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stagegraph.errors import StoreError
from stagegraph.execution import last_run
from stagegraph.execution.events import Event
from stagegraph.execution.history import LAST_RUN
from stagegraph.execution.last_run import LastRun, lanes_of, parse
from stagegraph.execution.trace import trace, write
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit


def node(name: str, start: float, end: float, decision: str = "build") -> dict[str, Any]:
    return {
        "node": name,
        "decision": decision,
        "key": f"key of {name}",
        "digest": "d",
        "seconds": round(end - start, 1),
        "reason": f"why {name}",
        "start": start,
        "end": end,
        "changes": ["a/Dockerfile:1: changed"],
        "image_bytes": 7,
        "build_seconds": None,
    }


def event(kind: str, of: str, name: str, start: float, end: float, state: str = "done") -> dict[str, Any]:
    return Event(kind, of, name, start, end, state)._asdict()


RESULTS: dict[str, Any] = {
    "schema": 1,
    "started": "2026-11-28T08:00:00.000+00:00",
    "goals": ["b:amd64"],
    "outcome": "done",
    "seconds": 9.0,
    "nodes": [node("a:amd64", 0, 5), node("c:amd64", 1, 4, "pull"), node("b:amd64", 5, 8)],
    "images": {"repo:b": "d"},
    "events": [
        event("look-up", "a:amd64", "host/a", 0, 0.5),
        event("look-up", "b:amd64", "host/b", 0, 0.4),
        event("build", "a:amd64", "", 0, 4),
        event("step", "a:amd64", "RUN x", 1, 3),
        event("step", "a:amd64", "RUN y", 2, 4, "cached"),
        event("pull", "c:amd64", "sha256:1", 1, 4),
        event("test", "b:amd64", "", 5, 8),
        event("load", "b:amd64", "repo:b", 8, 9),
        event("push", "a:amd64", "host/a", 4, 6, "failed"),
    ],
}


def run(**more: object) -> LastRun:
    return parse({**RESULTS, **more})


def test_lanes_have_workers_with_their_steps_and_the_registry() -> None:
    lanes = [
        (f"{lane.group} {lane.number}", [event.name for event in lane.events]) for lane in lanes_of(run())
    ]
    assert lanes == [
        ("worker 1", ["a:amd64", "b:amd64", "repo:b", "", ""]),
        ("worker 1: steps 1", ["RUN x"]),
        ("worker 1: steps 2", ["RUN y"]),
        ("worker 2", ["c:amd64"]),
        ("look-ups 1", ["host/b"]),
        ("look-ups 2", ["host/a"]),
        ("pulls 1", ["sha256:1"]),
        ("pushes 1", ["host/a"]),
    ]


def test_the_trace_has_complete_events_and_names_of_lanes() -> None:
    events = trace(run())
    assert {event["ph"] for event in events} == {"M", "X"}
    assert events[0]["args"] == {"name": "doit b:amd64"}
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert list(names.values())[:2] == ["worker 1", "worker 1: steps"]
    complete = [event for event in events if event["ph"] == "X"]
    assert len(complete) == len(RESULTS["nodes"]) + len(RESULTS["events"])
    assert {event["tid"] for event in complete} == names.keys()
    first, *_ = complete
    assert first == {
        "ph": "X",
        "name": "a:amd64",
        "cat": "node",
        "pid": 1,
        "tid": 1,
        "ts": 0,
        "dur": 5_000_000,
        "args": {"decision": "build", "reason": "why a:amd64", "key": "key of a:amd64", "digest": "d"},
    }
    (pushed,) = (event for event in complete if event["cat"] == "push")
    assert (pushed["name"], pushed["args"]) == ("push host/a", {"node": "a:amd64", "state": "failed"})
    assert {event["name"] for event in complete if event["cat"] == "step"} == {"RUN x", "RUN y"}


def test_events_of_a_lane_are_apart_or_one_inside_the_other() -> None:
    """Viewers draw nothing else."""
    by_lane: dict[int, list[tuple[int, int]]] = {}
    for each in trace(run()):
        if each["ph"] == "X":
            by_lane.setdefault(each["tid"], []).append((each["ts"], each["ts"] + each["dur"]))
    for times in by_lane.values():
        for start, end in times:
            for other, its_end in times:
                apart = end <= other or its_end <= start
                inside = (start <= other and its_end <= end) or (other <= start and end <= its_end)
                assert apart or inside


def test_the_file_is_an_array_of_json(tmp_path: Path) -> None:
    write(tmp_path / "trace.json", RESULTS)
    assert json.loads((tmp_path / "trace.json").read_text()) == trace(run())


def test_a_run_without_nodes_has_a_trace() -> None:
    assert [event["ph"] for event in trace(run(nodes=[], events=[]))] == ["M"]


# -- reading last-run.json -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2}',
        json.dumps({**RESULTS, "seconds": "1"}),
        json.dumps({**RESULTS, "seconds": float("nan")}),
        json.dumps({**RESULTS, "nodes": [{"node": "a:b"}]}),
        json.dumps({**RESULTS, "events": [{**RESULTS["events"][0], "start": None}]}),
        json.dumps({**RESULTS, "goals": [1]}),
        json.dumps({**RESULTS, "nodes": [node("a:b", 0, 1, "eaten")]}),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    layout = LayoutStore(tmp_path)
    assert last_run.read(layout) is None
    (tmp_path / LAST_RUN).write_text(text)
    with pytest.raises(StoreError, match=r"last-run\.json.*cannot be read, or is of another version"):
        last_run.read(layout)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / LAST_RUN).write_text(json.dumps(RESULTS))
    assert last_run.read(LayoutStore(tmp_path)) == run()
