"""The thread that calls a function again and again."""

from __future__ import annotations

import threading

import pytest

from stagegraph.system.pulse import Pulse

pytestmark = pytest.mark.unit


def test_calls_begin_and_end() -> None:
    twice, called = threading.Event(), list[threading.Thread]()

    def call() -> None:
        called.append(threading.current_thread())
        if len(called) > 1:
            twice.set()

    pulse = Pulse(0.01, call)
    pulse.start()
    pulse.start()
    assert twice.wait(10)
    pulse.stop()
    pulse.stop()
    called[0].join(10)
    assert not called[0].is_alive() and len({*called}) == 1
    pulse.start()  # once more
    count = len(called)
    while len(called) == count:
        pass
    pulse.stop()
