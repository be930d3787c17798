"""buildx's progress as JSON, and the data for the log, errors and records that come from it."""

from __future__ import annotations

import json

import pytest
from helpers import at, printed, ran, sha, status, vertex

from stagegraph.docker.progress import Tracker

pytestmark = pytest.mark.unit

MAKE = "[part 2/3] RUN make"
CODE = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
FAILED = [
    status(vertexes=[vertex("[internal] load build definition from Dockerfile", completed=at(0.04))]),
    status(
        vertexes=[
            {"digest": sha("later"), "name": "[part 3/3] RUN later", "inputs": [sha(MAKE)]},
            vertex("[base 1/1] FROM docker.io/library/base", completed=at(0), cached=True),
        ]
    ),
    status(vertexes=[vertex(MAKE)]),
    status(vertexes=[vertex("[other 2/2] RUN sleep 100")]),
    status(logs=[printed(MAKE, "compi", 0.123)]),
    status(logs=[printed(MAKE, "ling\nx.c:1: error\n\n", 0.456)]),
    status(vertexes=[vertex(MAKE, completed=at(1), error=CODE)]),
    status(vertexes=[vertex("[other 2/2] RUN sleep 100", completed=at(1), error="x: context canceled")]),
    b"Dockerfile:7\n",
    b"--------------------\n",
    b"   6 |     COPY a b\n",
    b"   7 | >>> RUN make\n",
    b"--------------------\n",
    f"ERROR: failed to solve: {CODE}\n".encode(),
]
LOG = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#2 [base 1/1] FROM docker.io/library/base
#2 CACHED

#3 [part 2/3] RUN make

#4 [other 2/2] RUN sleep 100
#3 0.456 compiling
#3 0.456 x.c:1: error
#3 0.456 
#3 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2
#4 CANCELED
Dockerfile:7
--------------------
   6 |     COPY a b
   7 | >>> RUN make
--------------------
ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""  # noqa: W291


def indented(line: bytes) -> list[bytes]:
    """Return a document in the form that buildx 0.13 prints."""
    if not line.startswith(b"{"):
        return [line]
    return [f"{part}\n".encode() for part in json.dumps(json.loads(line), indent=2).splitlines()]


def tracked(lines: list[bytes]) -> tuple[Tracker, list[str], str]:
    steps: list[str] = []
    tracker = Tracker(steps.append)
    log = b"".join([*map(tracker.feed, lines), tracker.end()])
    return tracker, steps, log.decode(errors="surrogateescape")


@pytest.mark.parametrize("old", [False, True])
def test_failure(old: bool) -> None:
    lines = [part for line in FAILED for part in (indented(line) if old else [line])]
    tracker, steps, log = tracked(lines)
    assert tracker.failed
    assert tracker.step == MAKE
    assert tracker.output == ["compiling", "x.c:1: error"]
    assert tracker.line == 7
    assert tracker.message == CODE
    assert steps == ["[base 1/1] FROM docker.io/library/base", MAKE, "[other 2/2] RUN sleep 100"]
    assert log == LOG
    assert list(tracker.all_lines) == log.splitlines()


def test_success_has_no_step_and_no_output() -> None:
    tracker, _, log = tracked(ran("[2/2] RUN make", "fine"))
    assert (tracker.failed, tracker.step, tracker.output, tracker.message, tracker.line) == (
        *(False, "", [], "", 0),
    )
    assert log == "#1 [2/2] RUN make\n#1 0.100 fine\n#1 DONE 2.0s\n"


@pytest.mark.parametrize("said", ["failed to solve: ", "failed to build: failed to solve: "])
def test_message_without_a_step(said: str) -> None:
    tracker, *_ = tracked([f"ERROR: {said}rpc error: code = Unavailable\n".encode()])
    assert tracker.message == "rpc error: code = Unavailable"


def test_if_two_steps_fail_the_step_that_buildx_names_is_reported() -> None:
    both = [
        *ran("[1/2] RUN a", error="a: exit code: 1"),
        *ran("[2/2] RUN b", "said", error="b: exit code: 2"),
    ]
    assert tracked(both)[0].step == "[1/2] RUN a"
    tracker, *_ = tracked([*both, b"ERROR: failed to solve: b: exit code: 2\n"])
    assert (tracker.step, tracker.output) == ("[2/2] RUN b", ["said"])


def test_a_line_number_in_the_output_of_a_step_is_ignored() -> None:
    tracker, *_ = tracked([*ran("[2/2] RUN x", "Dockerfile:9"), b"Dockerfile:8\n"])
    assert tracker.line == 0


def test_only_the_last_lines_are_kept() -> None:
    tracker, *_ = tracked(ran("[2/2] RUN x", *(f"line {n}" for n in range(1000)), error="x"))
    assert tracker.output == [f"line {n}" for n in range(800, 1000)]


def test_messages_leave_out_the_output_of_steps() -> None:
    begun, output, end = ran("[2/2] RUN x", "printed")
    tracker, *_ = tracked([begun, output, b"said\n", end])
    assert list(tracker.messages) == ["#1 [2/2] RUN x", "said", "#1 DONE 2.0s"]


@pytest.mark.parametrize(
    ("name", "cached"),
    [
        ("[part 2/3] RUN make", True),
        ("[linux/arm64 2/3] RUN <<EOF (make...)", True),
        ("[1/2] ONBUILD RUN make", True),
        ("[part 2/3] COPY a b", False),
        ("[part 2/3] COPY RUN b", False),
        ("[base 1/1] FROM base", False),
    ],
)
def test_a_run_from_the_builders_cache_is_cached(name: str, cached: bool) -> None:
    tracker, *_ = tracked(
        [status(vertexes=[vertex(name, completed=at(0), cached=True)]), *ran("[part 3/3] RUN other")]
    )
    assert tracker.cached == cached


def test_the_word_cached_in_the_output_of_a_step_is_ignored() -> None:
    assert not tracked(ran("[2/2] RUN x", "CACHED", "#1 CACHED"))[0].cached


def test_a_step_that_runs_after_all_is_not_cached() -> None:
    cached = status(vertexes=[vertex("[2/2] RUN x", completed=at(0), cached=True)])
    assert not tracked([cached, *ran("[2/2] RUN x")])[0].cached


def test_the_current_step_is_the_step_that_runs() -> None:
    tracker = Tracker(lambda _: None)
    for line in [status(vertexes=[vertex("[1/2] RUN long")]), *ran("[2/2] RUN short")]:
        tracker.feed(line)
    assert tracker.current == "[1/2] RUN long"
    tracker.feed(status(vertexes=[vertex("[1/2] RUN long", completed=at(9))]))
    assert tracker.current == "[2/2] RUN short"


def test_a_step_that_still_runs_is_told_again_when_a_later_one_ends() -> None:
    steps: list[str] = []
    tracker = Tracker(steps.append)
    for line in [status(vertexes=[vertex("[1/2] RUN long")]), *ran("[2/2] RUN short")]:
        tracker.feed(line)
    assert steps == ["[1/2] RUN long", "[2/2] RUN short", "[1/2] RUN long"]


def test_an_export_is_told_when_no_instruction_runs() -> None:
    export = "exporting to oci image format"
    lines = [*ran("[2/2] RUN make"), status(vertexes=[vertex(export)])]
    tracker, steps, _ = tracked(lines)
    assert steps == ["[2/2] RUN make", export]
    assert tracker.current == export
    tracker, steps, _ = tracked([*lines, status(vertexes=[vertex(export, completed=at(9))])])
    assert tracker.current == "[2/2] RUN make"
    assert len(steps) == 2


def test_the_latest_line_is_that_of_the_current_step() -> None:
    tracker = Tracker(lambda _: None)
    assert tracker.latest == ""
    tracker.feed(status(vertexes=[vertex(MAKE), vertex("[other 2/2] RUN x")]))
    tracker.feed(status(logs=[printed(MAKE, "not this\n", 0.1), printed("[other 2/2] RUN x", "this\n", 0.1)]))
    assert tracker.latest == "this"
    tracker.feed(status(logs=[printed("[other 2/2] RUN x", "10 %\r20 %", 0.2)]))
    assert tracker.latest == "10 %\r20 %"
    tracker.feed(status(vertexes=[vertex("[other 2/2] RUN x", completed=at(1))]))
    assert tracker.latest == "not this"


def test_the_log_has_downloads_and_warnings() -> None:
    name = "[1/2] FROM base"
    half, done = (
        {"id": "sha256:1", "vertex": sha(name), "current": n, "total": 9000, "timestamp": at(1), **more}
        for n, more in ((4000, {}), (9000, {"completed": at(1)}))
    )
    warning = {"vertex": sha(name), "short": "b2xkIHN5bnRheA==", "level": 1}
    *_, log = tracked([status(vertexes=[vertex(name)], statuses=[half, done], warnings=[warning])])
    assert log.splitlines() == ["#1 [1/2] FROM base", "#1 sha256:1 9.0 kB done", "#1 WARN: old syntax"]


def test_output_that_is_not_text_and_a_line_that_is_overwritten() -> None:
    begun, end = ran("[2/2] RUN x", error="x")
    output = status(logs=[printed("[2/2] RUN x", b" 10 %\r 20 %\r\n\xff\xfeend", 0.5)])
    tracker, _, log = tracked([begun, output, end])
    assert tracker.output == [" 20 %", "\ufffd\ufffdend"]
    assert log == "#1 [2/2] RUN x\n#1 0.500  20 %\n#1 0.500 \udcff\udcfeend\n#1 ERROR: x\n"


def test_a_group_of_steps_is_shown_as_one_step() -> None:
    group = {"id": "g", "name": "[2/2] COPY --link a b"}
    parts = [status(vertexes=[vertex(n, progressGroup=group, completed=at(1))]) for n in ("merge", "copy")]
    _, steps, log = tracked(parts)
    assert steps == ["[2/2] COPY --link a b"]
    assert log.splitlines() == ["#1 [2/2] COPY --link a b", "#1 DONE 1.0s", "#1 DONE 1.0s"]


@pytest.mark.parametrize(
    "strange",
    [
        b"warning: something\n",
        b"{not json}\n",
        b'{"level": "warning", "msg": "of a script"}\n',
        b"[1, 2]\n",
        b'{"vertexes": 1}\n',
        b'{"vertexes": [1]}\n',
        b'{"vertexes": [{"digest": "x", "started": "yesterday"}]}\n',
        b'{"statuses": [{"vertex": "x", "completed": "x"}]}\n',
        b'{"logs": [{"vertex": "x", "data": "!", "timestamp": 1}]}\n',
    ],
)
def test_a_line_that_is_not_understood_is_in_the_log(strange: bytes) -> None:
    begun, output, end = ran(MAKE, "printed", error=CODE)
    tracker, _, log = tracked([begun, strange, output, end])
    assert strange.decode().strip() in log.splitlines()
    assert (tracker.step, tracker.output, tracker.message) == (MAKE, ["printed"], CODE)


def test_text_in_the_middle_of_a_document() -> None:
    begun, output, end = ran(MAKE, "printed", error=CODE)
    first, *others = indented(output)
    tracker, _, log = tracked([begun, first, b"warning: x\n", *others, end])
    assert "warning: x" in log.splitlines()
    assert tracker.output == ["printed"]


def test_unknown_fields_are_ignored() -> None:
    more = {"vertexes": [{**vertex(MAKE), "tomorrow": {"a": [1]}}], "sources": [{"name": "x"}]}
    assert tracked([status(**more), b"{}\n"])[1] == [MAKE]


@pytest.mark.parametrize("lines", [[b"{\n", b'  "vertexes": [\n'], [b"{\n", b"  said,\n", b"}\n"], [b"{\n"]])
def test_a_document_that_is_cut_off_is_text(lines: list[bytes]) -> None:
    tracker, _, log = tracked([*lines, b"ERROR: failed to solve: EOF\n"])
    assert sorted(log.splitlines()) == sorted(
        [*(line.decode()[:-1] for line in lines), "ERROR: failed to solve: EOF"]
    )
    assert tracker.message == "EOF"
    _, steps, _ = tracked([*lines, *ran(MAKE)])
    assert steps == [MAKE]
