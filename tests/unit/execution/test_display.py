"""What a run prints while it works: live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from stagegraph.execution.display import Detail, Display
from stagegraph.execution.outlook import Fact, Left, Outlook
from stagegraph.execution.report import Report
from stagegraph.output import hide
from stagegraph.project.model import Node
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit

APP, LIB = Node("app", "amd64"), Node("lib", "amd64")
LEFT = Left(7, 0, 23, False, (), 170, False)


class Stream(io.StringIO):
    """Standard error; ``tty`` for a terminal."""

    tty = False

    def isatty(self) -> bool:
        return self.tty


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Standard error on a pipe, without variables that change what is printed."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    return Stream()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def text(stream: Stream) -> str:
    """Return what was printed, without control sequences."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", stream.getvalue())


def pulses() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pulse"]


def left_over() -> list[threading.Thread]:
    """Return threads of displays that do not end."""
    until = time.monotonic() + 5
    while pulses() and time.monotonic() < until:
        time.sleep(0.01)
    return pulses()


def draw(stream: Stream, step: str = "[1/2] RUN make") -> str:
    """Draw a node once, on a terminal. Return all bytes."""
    stream.tty = True
    display = Display(left=lambda _: LEFT, stream=stream)
    display.start(APP, 61)
    display.step(APP, step)
    display.output(APP, "#1 0.1 half\n", "half \x1b[31mred\x1b[0m\a")
    display.progress("   x:amd64: ", ("built", "yellow"), " in 1.0 s")
    display.close()
    return stream.getvalue()


# -- a terminal ------------------------------------------------------------------------------------


def test_lines_are_drawn_while_a_node_is_built(stderr: Stream) -> None:
    draw(stderr)
    assert re.search(r"app:amd64  0\.\d s / 1 min 01 s  \[1/2\] RUN make", text(stderr))
    assert r"  half red\x07" in text(stderr)
    assert "7/23 nodes, about 3 min left" in text(stderr)
    assert "   x:amd64: built in 1.0 s\n" in text(stderr)


def test_a_terminal_has_colours(stderr: Stream) -> None:
    assert "\x1b[33mbuilt\x1b[0m" in draw(stderr)


def test_after_an_error_the_nodes_in_work_are_drawn_again(stderr: Stream) -> None:
    stderr.tty = True
    report = Report(stream=stderr)
    report.step(APP, "[1/2] RUN make")
    report.step(LIB, "[1/2] RUN make lib")
    report.failed(str(LIB), "exit code 1")
    report.close()
    before = len(text(stderr))
    report.resume()
    report.close()
    assert "app:amd64" in text(stderr)[before:] and "lib:amd64" not in text(stderr)[before:]
    report.rest(APP)
    report.resume()
    assert not left_over()


def test_no_color_takes_the_colours_away_and_leaves_the_lines(
    stderr: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    drawn = draw(stderr)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", drawn)
    assert "   x:amd64: built in 1.0 s\n" in drawn
    assert "\x1b[1A" in drawn  # it is still drawn in place


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("CI", "true")])
def test_a_dumb_terminal_and_ci_have_plain_lines(
    stderr: Stream, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b" not in draw(stderr)
    assert "   x:amd64: built in 1.0 s (7/23 nodes, about 3 min left)\n" in stderr.getvalue()


# -- plain lines -----------------------------------------------------------------------------------


def test_plain_lines_tell_a_step_now_and_then(stderr: Stream) -> None:
    clock = Clock()
    display = Display(stream=stderr, clock=clock)
    display.start(APP, 300)
    for second in range(0, 70, 10):
        clock.now = 1000 + second
        display.step(APP, f"[{second // 10}/9] RUN make {second}")
    assert stderr.getvalue().splitlines() == [
        "   app:amd64: [0/9] RUN make 0 (0.0 s, usually 5 min 00 s)",
        "   app:amd64: [4/9] RUN make 40 (40 s, usually 5 min 00 s)",
    ]


def after(display: Display, clock: Clock, *seconds: float) -> None:
    for second in seconds:
        clock.now = 1000 + second
        display.tick()


def test_a_step_that_is_silent_is_reported_once_a_minute(stderr: Stream) -> None:
    clock = Clock()
    display = Display(stream=stderr, clock=clock)
    display.start(APP, 300)
    display.step(APP, "[build 3/7] RUN make -j4 && " + "make install && " * 20)
    after(display, clock, *range(0, 121))
    display.output(APP, "#5 120.0 news\n", "news")
    after(display, clock, *range(121, 190))
    step = "RUN make -j4 && make install && make ..."
    assert stderr.getvalue().splitlines()[1:] == [
        f"   app:amd64: {step} still running, silent for 1 min (1 min 00 s, usually 5 min 00 s)",
        f"   app:amd64: {step} still running, silent for 2 min (2 min 00 s, usually 5 min 00 s)",
        f"   app:amd64: {step} still running, silent for 1 min (3 min 00 s, usually 5 min 00 s)",
    ]


def test_a_step_that_prints_is_reported_every_five_minutes(stderr: Stream) -> None:
    """Some CI services end a job that prints nothing for ten minutes."""
    clock = Clock()
    display = Display(stream=stderr, clock=clock)
    display.start(APP, None)
    display.step(APP, "[2/2] RUN make")
    for second in range(1, 700):
        clock.now = 1000 + second
        display.output(APP, f"#5 {second}\n", f"file {second}.c")
        display.tick()
    assert stderr.getvalue().splitlines()[1:] == [
        "   app:amd64: RUN make still running (5 min 00 s): file 300.c",
        "   app:amd64: RUN make still running (10 min 00 s): file 600.c",
    ]


# -- -v and -q -------------------------------------------------------------------------------------


def test_verbose_prints_each_line_with_its_node(stderr: Stream) -> None:
    display = Display(Detail.OUTPUT, stream=stderr)
    display.start(APP, None)
    display.output(APP, "#1 [1/2] RUN make\n\n#1 0.100 one\n#1 0.200 \x1b[1mtwo\x1b[0m\tx\x07\n", "two")
    display.output(APP, "", "thr")
    assert stderr.getvalue().splitlines() == [
        "app:amd64 | #1 [1/2] RUN make",
        "app:amd64 | #1 0.100 one",
        r"app:amd64 | #1 0.200 two    x\x07",
    ]


def test_verbose_does_not_tell_the_steps_twice(stderr: Stream) -> None:
    clock = Clock()
    display = Display(Detail.OUTPUT, stream=stderr, clock=clock)
    display.start(APP, None)
    display.step(APP, "mmdebstrap trixie")
    display.output(APP, "#1 [1/2] RUN make\n", "")
    clock.now += 100
    display.step(APP, "[1/2] RUN make")
    assert stderr.getvalue().splitlines() == [
        "   app:amd64: mmdebstrap trixie (0.0 s)",
        "app:amd64 | #1 [1/2] RUN make",
    ]


def test_verbose_on_a_terminal_prints_above_the_live_lines(stderr: Stream) -> None:
    stderr.tty = True
    display = Display(Detail.OUTPUT, stream=stderr)
    display.step(APP, "[1/2] RUN make")
    display.output(APP, "#1 0.100 " + "long " * 30 + "\n", "long")
    display.close()
    assert "app:amd64 | #1 0.100 " + "long " * 29 in text(stderr)  # not folded


RECORD = Record(
    key="k",  # type: ignore[arg-type]
    node="app:amd64",
    docker="linux/amd64",  # type: ignore[arg-type]
    digest="sha256:1",  # type: ignore[arg-type]
    size=1,
    files="sha256:2",  # type: ignore[arg-type]
    image="sha256:3",  # type: ignore[arg-type]
    seconds=1,
    created="",
    inputs=(),
)


def test_quiet_prints_warnings_and_the_result(stderr: Stream) -> None:
    report = Report(Detail.RESULT, stderr)
    report.start(APP, None)
    report.step(APP, "[1/2] RUN make")
    report.output(APP, b"#1 0.1 x\n", "x")
    report.done(APP, "build", RECORD, "changed")
    report.note("pinned")
    report.warn("old")
    report.image("app:1", RECORD, 2000)
    assert report.summary() == "image: app:1 sha256:1 (2.0 kB compressed)"
    assert stderr.getvalue() == "warning: old\n"
    assert not left_over()


# -- waits -----------------------------------------------------------------------------------------


def test_a_wait_is_a_plain_line_without_a_terminal(stderr: Stream) -> None:
    Report(stream=stderr).wait("waiting 10 s for a\x1b[31m")
    assert stderr.getvalue() == "   waiting 10 s for a\\x1b[31m\n"


def test_quiet_tells_no_wait(stderr: Stream) -> None:
    Report(Detail.RESULT, stderr).wait("waiting 10 s for a")
    assert stderr.getvalue() == ""


def test_live_lines_have_the_waits_and_no_line_stays(stderr: Stream) -> None:
    stderr.tty = True
    display = Display(stream=stderr, waits=lambda: ["waiting 10 s for a\x07"])
    display.wait("waiting 10 s for a")  # before the lines
    before = len(stderr.getvalue())
    display.start(APP, None)
    display.step(APP, "RUN make")
    display.wait("waiting 20 s for a")
    display.close()
    assert "   waiting 10 s for a\n" in stderr.getvalue()[:before]
    assert r"waiting 10 s for a\x07" in text(stderr) and "waiting 20 s" not in text(stderr)


def test_a_terminal_without_a_thread_for_its_lines_gets_plain_ones(
    stderr: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    stderr.tty = True
    report = Report(stream=stderr)
    report.step(APP, "[1/2] RUN make")
    report.done(APP, "build", RECORD, "changed")
    report.close()
    assert "   app:amd64: built in" in text(stderr)


# -- the end ---------------------------------------------------------------------------------------


def test_the_thread_ends_with_the_run(stderr: Stream) -> None:
    assert not left_over()
    report = Report(stream=stderr)
    report.step(APP, "RUN make")
    report.step(LIB, "RUN make")
    assert len(pulses()) == 1
    report.close()
    report.close()
    assert not left_over()


def test_an_interrupt_tells_what_was_in_work_and_what_is_kept(stderr: Stream) -> None:
    report = Report(stream=stderr)
    report.done(Node("a", "amd64"), "build", RECORD, "")
    report.done(Node("b", "amd64"), "pull", RECORD, "")
    report.done(Node("c", "amd64"), "reuse", RECORD, "")
    report.start(APP, None)
    report.step(APP, "[build 2/3] RUN make")
    report.start(LIB, None)
    assert report.interrupt() == [
        "interrupted: app:amd64 (RUN make, 0.0 s)",
        "interrupted: lib:amd64 (0.0 s)",
        "kept: 2 nodes built or pulled in this run are in cache/; the next run goes on from there",
    ]


def test_nothing_is_printed_after_an_interrupt(stderr: Stream) -> None:
    """Builds end a little later, and their threads still report that."""
    report = Report(stream=stderr)
    assert report.interrupt() == ["interrupted"]
    report.step(APP, "RUN make")
    report.warn("the builder went away; trying once more")
    report.done(LIB, "build", RECORD, "")
    assert (stderr.getvalue(), left_over()) == ("", [])


def test_one_kept_node(stderr: Stream) -> None:
    report = Report(stream=stderr)
    report.done(APP, "build", RECORD, "")
    assert report.interrupt()[1:] == [
        "kept: 1 node built in this run is in cache/; the next run goes on from there"
    ]


def test_the_report_counts_what_is_left(stderr: Stream) -> None:
    report = Report(stream=stderr)
    facts = {APP: Fact((LIB,), "", 60), LIB: Fact((), "", 30)}
    outlook = Outlook(facts.get, [APP], 1)
    outlook.look(())
    report.expect(outlook)
    report.done(LIB, "build", RECORD, "")
    assert stderr.getvalue() == "   lib:amd64: built in 0.0 s (1/2 nodes, about 1 min left)\n"


def test_the_summary_has_colours_on_request(stderr: Stream) -> None:
    report = Report(stream=stderr)
    report.done(APP, "build", RECORD, "changed")
    assert report.summary(colours=True).startswith("\x1b[33mbuilt\x1b[0m: app:amd64 in 0.0 s: changed\n")
    assert report.summary().startswith("built: app:amd64")


# -- texts of anybody -------------------------------------------------------------------------------

HOSTILE = "\x1b]0;title\x07\x1b[2J\u202e swordfish"


@pytest.mark.parametrize("tty", [True, False])
def test_no_text_moves_the_cursor_and_no_secret_is_shown(stderr: Stream, tty: bool) -> None:
    hide(["swordfish"])
    stderr.tty = tty
    report = Report(Detail.OUTPUT, stderr)
    report.start(APP, 61)
    report.step(APP, f"[1/2] RUN {HOSTILE}")
    report.output(APP, f"#1 {HOSTILE}\n".encode(), HOSTILE)
    report.warn(HOSTILE)
    report.note(HOSTILE)
    report.close()
    shown = text(stderr)
    assert shown.count("***") >= 3 and "swordfish" not in shown
    assert not {char for char in shown if not char.isprintable() and char not in "\r\n"}
    assert "2J" not in re.findall(r"\x1b\[([?0-9;]*[A-Za-z])", stderr.getvalue())


def test_the_summary_has_no_colours_but_its_own(stderr: Stream) -> None:
    hide(["swordfish"])
    report = Report(stream=stderr)
    report.failed(str(APP), HOSTILE)
    own = "\x1b[31mfailed\x1b[0m: app:amd64 in 0.0 s: "
    text = r"\x1b]0;title\x07\x1b[2J\u202e ***"
    assert report.summary(colours=True).splitlines()[0] == own + text


def test_a_step_is_not_cut_inside_a_secret(stderr: Stream) -> None:
    hide(["one two three four"])
    display = Display(stream=stderr)
    display.start(APP, None)
    display.step(APP, f"[1/2] RUN {'y' * 75} one two three four five six seven eight")
    assert "y *** ..." in stderr.getvalue() or "y *** five" in stderr.getvalue()
