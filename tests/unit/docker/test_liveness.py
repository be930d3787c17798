"""A build that prints nothing goes on as long as its builder answers, and no longer."""

from __future__ import annotations

import pytest

from stagegraph.docker.liveness import Liveness
from stagegraph.errors import OutOfMemoryError
from stagegraph.waits.waiting import Wait

pytestmark = pytest.mark.unit


class Silence:
    """A build that prints nothing. The builder answers until ``stopped``; then a question takes a while."""

    def __init__(self, stopped: float, slow: float = 5.0) -> None:
        self.now, self.asked, self._stopped, self._slow = 0.0, list[float](), stopped, slow
        self.lively = Liveness(self._ask, lambda: self.now)
        self.wait = Wait("", lambda: self.now)

    def _ask(self) -> bool:
        self.asked.append(self.now)
        if self.now < self._stopped:
            return True
        self.now += self._slow
        return False

    def until(self, end: float) -> bool:
        """Go on in half seconds; return whether the builder was given up before."""
        while self.now < end:
            self.now += 0.5
            if self.lively.is_lost(self.wait):
                return True
        return False


def test_a_silent_step_of_an_hour_ends_nothing() -> None:
    build = Silence(stopped=1e9)
    assert not build.until(3600) and 300 <= len(build.asked) <= 361
    assert build.lively.what("builder b") == "" and build.wait.seconds <= 10


def test_a_builder_that_prints_is_not_asked() -> None:
    build = Silence(stopped=0)
    for second in range(100):
        build.now = float(second)
        build.lively.heard()
        assert not build.lively.is_lost(build.wait)
    assert build.asked == []


def test_a_stopped_builder_is_known_after_ten_seconds_and_given_up_after_two_minutes() -> None:
    build = Silence(stopped=0)
    assert not build.until(10.5)
    assert "builder b, which does not answer; after 120 s" in build.lively.what("builder b")
    assert build.until(1000) and 120 <= build.now < 140


def test_a_builder_that_answers_again_is_not_given_up() -> None:
    build = Silence(stopped=0)
    assert not build.until(100)
    build._stopped = 1e9
    assert not build.until(3600) and build.lively.what("builder b") == ""


def test_a_builder_that_prints_again_is_not_given_up() -> None:
    build = Silence(stopped=0)
    assert not build.until(100)
    build.lively.heard()
    assert build.lively.what("builder b") == "" and not build.until(200)


def test_patience_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEGRAPH_PATIENCE", "3")
    build = Silence(stopped=0)
    assert not build.until(350) and build.until(1000)


def test_an_hour_in_which_this_process_was_stopped_does_not_count() -> None:
    build = Silence(stopped=0)
    assert not build.until(1)
    build.now += 3600
    assert not build.until(3700) and "does not answer" in build.lively.what("builder b")
    assert build.until(5000) and build.now < 3760


def test_a_question_that_cannot_be_asked_says_nothing_about_the_builder() -> None:
    def ask() -> bool:
        raise OutOfMemoryError("docker", "cannot be started")

    clock = [0.0]
    lively, wait = Liveness(ask, lambda: clock[0]), Wait("", lambda: clock[0])
    for second in range(0, 1000, 5):
        clock[0] = second
        assert not lively.is_lost(wait)
