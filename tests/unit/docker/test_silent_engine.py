"""An engine that accepts a call and is silent, or sends a byte now and then, is an error in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_engine import DRIP, answering, stalling

from stagegraph.docker import engine, liveness
from stagegraph.errors import EngineError, SilentError
from stagegraph.host import docker

pytestmark = pytest.mark.unit


@pytest.fixture(params=[b"", DRIP], ids=["silent", "dripping"])
def stalled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setattr(engine, "_ASK", 0.15)
    monkeypatch.setattr(engine, "_CALL", 0.15)
    monkeypatch.setattr(engine, "WORK", 0.15)
    monkeypatch.setattr(docker, "PING", 0.15)
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with stalling(path, request.param):
        yield path


@pytest.mark.parametrize(
    "call",
    [
        lambda: engine.image_id("a:b"),
        lambda: engine.call(lambda client, _: client.version(), "its version", 0.15),
        lambda: engine.load(iter([b"x"]), {"sha256:1"}, "a:b"),
        lambda: engine.tag("a:b", "a:c", {"sha256:1"}),
        lambda: engine.untag("a:b"),
    ],
    ids=["question", "SDK", "load", "tag", "untag"],
)
def test_a_call_of_a_stalled_engine_ends(stalled: Path, call: Callable[[], object]) -> None:
    start = time.monotonic()
    with pytest.raises(
        SilentError, match=r"is there, but silent: no answer within[^\n]*\n.*doit doctor"
    ) as found:
        call()
    assert found.value.exit_status == 20 and str(stalled) in found.value.where
    assert time.monotonic() - start < 10


def test_an_engine_that_falls_silent_during_a_load_is_given_up_before_the_time_of_a_load(
    stalled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WORK", 1800.0)
    for name in ("FIRST", "EVERY", "LIMIT"):
        monkeypatch.setattr(liveness, name, 0.2)
    start = time.monotonic()
    with pytest.raises(SilentError, match="is there, but silent"):
        engine.load(iter([b"x"]), {"sha256:1"}, "a:b")
    assert stalled.is_socket() and time.monotonic() - start < 20


def test_a_stalled_engine_does_not_answer(stalled: Path) -> None:
    assert stalled.is_socket() and not docker.answers()


def test_an_answer_without_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "_LONGEST", 1000)
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    endless = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000
    with answering(path, endless), pytest.raises(EngineError, match="an answer of more than 1000 bytes"):
        engine.image_id("a:b")


@pytest.mark.parametrize("answer", [b"HTTP/1.0\r\n\r\n", b"nonsense", b"a b c"])
def test_an_answer_that_is_none_is_an_error(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with answering(path, answer), pytest.raises(EngineError, match="no Docker engine answers"):
        engine.image_id("a:b")
