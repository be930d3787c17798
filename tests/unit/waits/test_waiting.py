"""Waits are told after ten seconds, and then every ten seconds, by one line."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from stagegraph.waits import waiting
from stagegraph.waits.waiting import Waits, interval, patience

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """Waits without a thread: ``after`` looks at each second of some."""

    def __init__(self) -> None:
        self.clock, self.lines = Clock(), list[str]()
        self.waits = Waits(self.clock, watched=False)
        self.waits.tell = self.lines.append

    def after(self, seconds: int) -> list[str]:
        self.lines.clear()
        for _ in range(seconds):
            self.clock.now += 1
            self.waits.look()
        return self.lines


def test_a_wait_is_told_every_ten_seconds_until_it_ends() -> None:
    told = Told()
    with told.waits.on("the engine"):
        assert told.after(9) == [] == told.waits.lines()
        assert told.after(1) == ["waiting 10 s for the engine"]
        assert told.after(20) == ["waiting 20 s for the engine", "waiting 30 s for the engine"]
        told.after(103)
        assert told.waits.lines() == ["waiting 2 min 13 s for the engine"]
    assert told.after(30) == [] == told.waits.lines()


def test_a_short_wait_is_not_told() -> None:
    told = Told()
    for _ in range(10):
        with told.waits.on("git status"):
            assert told.after(9) == []


def test_progress_begins_a_wait_anew() -> None:
    told = Told()
    with told.waits.on("a registry") as wait:
        for _ in range(10):
            assert told.after(9) == []
            wait.heard()
        assert told.after(10) == ["waiting 10 s for a registry"]
        wait.heard()
        assert told.waits.lines() == []


def test_what_is_waited_for_may_change_and_be_nothing() -> None:
    told, now = Told(), [""]
    with told.waits.on(lambda: now[0]):
        assert told.after(30) == []
        now[0] = "a builder"
        assert told.after(1) == ["waiting 31 s for a builder"]
        now[0] = ""
        assert told.after(20) == []


def test_many_waits_are_one_line_the_longest_first_and_the_same_once() -> None:
    told = Told()
    with told.waits.on("one"):
        told.after(3)
        with told.waits.on("two"), told.waits.on("two"):
            assert told.after(7) == ["waiting 10 s for one"]
            assert told.after(10) == ["waiting 20 s for one (and 1 other wait)"]
            assert told.waits.lines() == ["waiting 20 s for one", "waiting 17 s for two"]
            with told.waits.on("three"):
                told.after(10)
                assert told.after(10) == ["waiting 40 s for one (and 2 other waits)"]


@pytest.mark.parametrize(
    ("value", "factor", "seconds"),
    [("", 1, 10), ("3", 3, 10), ("0.1", 0.1, 1), ("x", 1, 10), ("nan", 1, 10), ("-1", 1, 10), ("inf", 1, 10)],
)
def test_patience_makes_limits_longer_and_lines_never_rarer(
    value: str, factor: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEGRAPH_PATIENCE", value)
    assert (patience(), interval()) == (factor, seconds)


def test_a_thread_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.02)
    waits, told = Waits(), threading.Event()
    waits.tell = lambda _: told.set()
    with waits.on("something"):
        assert told.wait(10)


def test_without_a_thread_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    waits = Waits()
    with waits.on("something"):
        pass


def test_a_closed_standard_error_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.02)
    waits, calls, again = Waits(), list[str](), threading.Event()

    def tell(line: str) -> None:
        calls.append(line)
        if len(calls) > 1:
            again.set()
        raise BrokenPipeError

    waits.tell = tell
    with waits.on("something"):
        assert again.wait(10)


def test_the_default_prints_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    tell: Callable[[str], object] = Waits(watched=False).tell
    tell("waiting 10 s for it")
    assert capsys.readouterr() == ("", "   waiting 10 s for it\n")
