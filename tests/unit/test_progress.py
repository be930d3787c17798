"""buildx's plain progress, as buildx 0.13 prints it."""

from __future__ import annotations

import pytest

from stagegraph.progress import Tracker

pytestmark = pytest.mark.unit

FAILED = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 100B done
#1 DONE 0.0s

#2 [base 1/1] FROM docker.io/library/base
#2 CACHED

#3 [part 2/3] RUN make
#3 0.123 compiling
#3 0.456 x.c:1: error
#3 0.789
#3 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2

#4 [other 2/2] RUN sleep 100
#4 CANCELED
------
 > [part 2/3] RUN make:
0.123 compiling
------
Dockerfile:7
--------------------
   6 |     COPY a b
   7 | >>> RUN make
--------------------
ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""


def fed(text: str) -> tuple[Tracker, list[str]]:
    steps: list[str] = []
    tracker = Tracker(steps.append)
    for line in text.splitlines(keepends=True):
        tracker.feed(line)
    return tracker, steps


def test_failure() -> None:
    tracker, steps = fed(FAILED)
    assert tracker.step == "[part 2/3] RUN make"
    assert tracker.output == ["compiling", "x.c:1: error"]
    assert tracker.line == 7
    assert tracker.message == 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    assert steps == [
        "[base 1/1] FROM docker.io/library/base",
        "[part 2/3] RUN make",
        "[other 2/2] RUN sleep 100",
    ]


def test_success_has_no_step_and_no_output() -> None:
    tracker, _ = fed("#3 [2/2] RUN make\n#3 0.1 fine\n#3 DONE 1.0s\n")
    assert (tracker.step, tracker.output, tracker.message, tracker.line) == ("", [], "", 0)


def test_message_without_a_step() -> None:
    tracker, _ = fed("ERROR: failed to solve: rpc error: code = Unavailable\n")
    assert tracker.message == "rpc error: code = Unavailable"


def test_line_that_a_step_prints_is_no_place_in_the_dockerfile() -> None:
    tracker, _ = fed("#3 [2/2] RUN x\n#3 0.1 Dockerfile:9\nDockerfile:8\n")
    assert tracker.line == 0


def test_only_the_last_lines_are_kept() -> None:
    lines = "".join(f"#3 {n}.0 line {n}\n" for n in range(1000))
    tracker, _ = fed(f"#3 [2/2] RUN x\n{lines}#3 ERROR: x\n")
    assert tracker.output == [f"line {n}" for n in range(800, 1000)]


def test_said_leaves_out_what_steps_print() -> None:
    tracker, _ = fed("#3 [2/2] RUN x\n#3 0.1 printed\nsaid\n#3 DONE 1.0s\n")
    assert tracker.said == ["#3 [2/2] RUN x", "said", "#3 DONE 1.0s"]


@pytest.mark.parametrize(
    ("step", "cached"),
    [("[part 2/3] RUN make", True), ("[part 2/3] COPY a b", False), ("[base 1/1] FROM base", False)],
)
def test_a_run_out_of_the_builders_cache(step: str, cached: bool) -> None:
    tracker = Tracker(lambda _: None)
    for line in (f"#2 {step}", "#2 CACHED", "#3 [part 3/3] RUN other", "#3 DONE 1.0s"):
        tracker.feed(line)
    assert tracker.cached == cached
