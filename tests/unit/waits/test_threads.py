"""A thread that cannot be started is an error, and no call waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from stagegraph.errors import ThreadError
from stagegraph.system.pulse import Pulse
from stagegraph.system.workers import DaemonPool
from stagegraph.waits import threads
from stagegraph.waits.waiting import Wait

pytestmark = pytest.mark.unit


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.usefixtures("no_threads")
def test_a_thread_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(ThreadError, match=r"no more threads.*\n.*ulimit -u"):
        threads.start(print)


@pytest.mark.usefixtures("no_threads")
def test_a_pool_without_threads_refuses_the_job_and_never_waits_for_it() -> None:
    pool = DaemonPool(2)
    for _ in range(2):
        with pytest.raises(ThreadError):
            pool.submit(lambda: 1)
    assert pool.pending == 0 and pool.wait(0)


def test_a_pool_that_gets_no_further_thread_does_all_jobs_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, go = DaemonPool(3), threading.Event()
    first = pool.submit(lambda: go.wait(10))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    others = [pool.submit(lambda: 1) for _ in range(4)]
    go.set()
    assert first.result(10) and [each.result(10) for each in others] == [1, 1, 1, 1]
    assert pool.wait(10) and pool.pending == 0


@pytest.mark.usefixtures("no_threads")
def test_a_display_without_threads_goes_on() -> None:
    pulse = Pulse(1, print)
    pulse.start()
    pulse.stop()


def test_a_bounded_call_gives_its_result_or_its_error() -> None:
    assert threads.bounded(lambda _: 3, 10, "it") == 3
    with pytest.raises(KeyError):
        threads.bounded(lambda _: dict[str, int]()["x"], 10, "it")


def test_a_bounded_call_ends_though_it_never_does() -> None:
    never, start = threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError, match="no answer within"):
        threads.bounded(lambda _: never.wait(60), 0.05, "it")
    assert time.monotonic() - start < 10
    never.set()


def test_progress_gives_a_bounded_call_more_time() -> None:
    def call(wait: Wait) -> str:
        for _ in range(10):
            time.sleep(0.02)
            wait.heard()
        return "done"

    assert threads.bounded(call, 0.15, "it") == "done"
