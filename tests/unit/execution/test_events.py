"""The events of a run: what is measured, and how it fits into the time of the run."""

from __future__ import annotations

import datetime

import pytest
from helpers import at, ran, sha, status, vertex

from stagegraph.docker.progress import StepTime, Tracker
from stagegraph.execution.events import Event, Timeline, lanes, within
from stagegraph.execution.report import Report
from stagegraph.oci.platform import OciPlatform
from stagegraph.project.model import Node
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit

APP = Node("app", "amd64")


def record(seconds: float = 9.0) -> Record:
    return Record(
        key=sha("key"),  # type: ignore[arg-type]
        node=str(APP),
        docker=OciPlatform("linux/amd64"),
        digest=sha("image"),
        size=1,
        files=sha("f"),
        image=sha("i"),
        seconds=seconds,
        created="",
        inputs=(),
    )


def step(name: str, start: float, end: float) -> Event:
    return Event("step", "app:amd64", name, start, end)


def test_a_block_is_measured_and_an_error_makes_it_failed() -> None:
    timeline = Timeline()
    with timeline.span("load", APP, "repo:tag"):
        pass
    with pytest.raises(ValueError, match="x"), timeline.span("push", APP):
        raise ValueError("x")
    loaded, pushed = timeline.events
    assert (loaded.kind, loaded.node, loaded.name, loaded.state) == ("load", "app:amd64", "repo:tag", "done")
    assert (pushed.kind, pushed.name, pushed.state) == ("push", "", "failed")
    assert 0 <= loaded.start <= loaded.end <= pushed.end <= timeline.now()


def test_times_count_from_the_start_of_the_run() -> None:
    timeline = Timeline()
    start = datetime.datetime.fromisoformat(timeline.started).timestamp()
    timeline.begin(str(APP))
    timeline.add_steps(APP, [StepTime("[1/1] RUN a", start, None, "done")])
    (event,) = timeline.events
    assert event.start == pytest.approx(0, abs=0.002)
    assert event.end <= timeline.now()


def test_steps_of_a_clock_that_differs_are_moved_as_a_whole() -> None:
    early = [step("a", -100, -98), step("b", -98, -97)]
    assert within(early, 5, 10) == [step("a", 7, 9), step("b", 9, 10)]
    assert within([step("a", 20, 22)], 5, 10) == [step("a", 8, 10)]


def test_a_step_that_another_build_began_is_cut() -> None:
    assert within([step("a", 1, 6), step("b", 6, 12)], 5, 10) == [step("a", 5, 6), step("b", 6, 10)]
    assert within([], 5, 10) == []


def test_no_two_events_of_a_lane_overlap() -> None:
    assert lanes([(0, 4), (1, 2), (2, 3), (4, 5), (1, 9)]) == [0, 1, 1, 0, 2]
    assert lanes([(3, 3), (3, 3)]) == [0, 0]
    assert lanes([(3, 9), (3, 3)]) == [0, 0]
    assert lanes([]) == []


def test_the_results_of_a_run() -> None:
    report = Report()
    report.start(APP, None)
    with report.span("build", APP, ""):
        pass
    report.done(APP, "build", record(), "why", changes=("a", "b"), image_bytes=12)
    report.done(Node("old", "amd64"), "reuse", record(30), "same key")
    report.failed("bad:amd64", "it broke\nand more")
    results = report.results(["app:amd64"], "failed")
    assert (results["schema"], results["goals"], results["outcome"]) == (1, ["app:amd64"], "failed")
    built, reused, failed = results["nodes"]
    assert 0 <= built["start"] <= built["end"]
    assert (built["changes"], built["image_bytes"], built["build_seconds"]) == (("a", "b"), 12, 9.0)
    assert (reused["start"], reused["build_seconds"]) == (reused["end"], 30)
    assert (failed["reason"], failed["image_bytes"], failed["build_seconds"]) == ("it broke", None, None)
    assert [event["kind"] for event in results["events"]] == ["build"]


def test_the_steps_of_a_build() -> None:
    tracker = Tracker(lambda _: None)
    lines = [
        status(vertexes=[vertex("[1/3] FROM base", started=at(1), completed=at(1), cached=True)]),
        *ran("[2/3] RUN make"),
        *ran("[3/3] RUN bad", error="exit code: 1"),
        status(vertexes=[vertex("[other] RUN x", completed=at(1), error="x: context canceled")]),
        status(vertexes=[vertex("[other] RUN long", started=at(3))]),
        status(vertexes=[{"digest": sha("never"), "name": "[other] RUN never"}]),
    ]
    for line in lines:
        tracker.feed(line)
    start = datetime.datetime.fromisoformat(at(0)).timestamp()
    assert [(s.name, s.start - start, s.end and s.end - start, s.state) for s in tracker.times] == [
        ("[1/3] FROM base", 1, 1, "cached"),
        ("[2/3] RUN make", 0, 2, "done"),
        ("[3/3] RUN bad", 0, 2, "failed"),
        ("[other] RUN x", 0, 1, "canceled"),
        ("[other] RUN long", 3, None, "done"),
    ]
