"""The engine that ``./run`` starts and stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_machine import Machine

from stagegraph.host import build_cache, docker, engine, network, system
from stagegraph.host.engine import Engine
from stagegraph.host.messages import SetupError, Status

pytestmark = pytest.mark.unit


@pytest.fixture
def own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine in its own folder, which exists."""
    folder = machine.folder / "e"
    folder.mkdir()
    monkeypatch.setenv("STAGEGRAPH_ENGINE_DIR", str(folder))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
    return Engine.from_environment()


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    code = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("text", "sum_"),
    [(b"", 4294967295), (b"123456789", 930766865), (b"/var/lib/stagegraph-own", 209079372)],
)
def test_the_checksum_is_that_of_cksum(text: bytes, sum_: int) -> None:
    assert engine.checksum(text) == sum_


def test_the_default_engine_has_dockers_socket_and_bridge(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Engine.from_environment()
    assert (default.socket, default.bridge) == (docker.DEFAULT_SOCKET, "")
    monkeypatch.setenv("STAGEGRAPH_ENGINE_DIR", f"{engine.DEFAULT_FOLDER}/")
    assert Engine.from_environment() == default


def test_a_slash_at_the_end_means_the_same_engine(own: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEGRAPH_ENGINE_DIR", f"{own.folder}/")
    assert Engine.from_environment() == own
    assert own.bridge.startswith("sg-") and len(own.bridge) <= 13


def test_another_engine_that_the_user_chose_is_recognized(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not own.somebody_chose_another
    default = Engine(Path(engine.DEFAULT_FOLDER), docker.DEFAULT_SOCKET)
    assert default.somebody_chose_another  # DOCKER_HOST names another engine
    monkeypatch.delenv("DOCKER_HOST")
    assert not default.somebody_chose_another
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert default.somebody_chose_another


def test_an_existing_configuration_is_not_changed(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    file = machine.folder / "new/daemon.json"
    engine.configure(file)
    engine.configure(file)
    assert file.read_text() == '{"features": {"containerd-snapshotter": true}}\n'
    assert capsys.readouterr().err == ""
    file.write_text('{"dns": ["192.0.2.1"]}')
    engine.configure(file)
    assert "containerd-snapshotter" in capsys.readouterr().err
    assert file.read_text() == '{"dns": ["192.0.2.1"]}'


# -- start -----------------------------------------------------------------------------------------


def answers_when_up(own: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine answer as soon as its program has created a file."""
    monkeypatch.setattr(docker, "answers", (own.folder / "up").exists)
    monkeypatch.setattr(network, "create", list[str]().append)


def launches(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return a list to which each launched program is added."""
    launched: list[subprocess.Popen[bytes]] = []
    launch = engine._launch

    def noted(target: Engine) -> subprocess.Popen[bytes]:
        launched.append(launch(target))
        return launched[-1]

    monkeypatch.setattr(engine, "_launch", noted)
    return launched


def test_an_engine_that_does_not_start_shows_its_log(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_when_up(own, monkeypatch)
    machine.stub("dockerd", "echo no such luck >&2; exit 1")
    with pytest.raises(SetupError) as caught:
        engine.start(own)
    assert caught.value.status is Status.ENGINE_TIMEOUT
    assert caught.value.lines == (
        "the engine did not start:",
        "  | no such luck",
        f"full log: {own.folder}/dockerd.log",
    )


TOO_MANY_RECORDS = """\
time="2026-01-01T00:00:00Z" level=info msg="Daemon has completed initialization"
time="2026-01-01T00:00:11Z" level=info msg="stopping healthcheck following graceful shutdown"
context deadline exceeded
"""


def test_a_build_cache_that_dockerd_cannot_open_is_emptied(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """dockerd before 27.5 ends if BuildKit has too many records: moby issue 48569."""
    answers_when_up(own, monkeypatch)
    records, images = own.data / "buildkit/cache.db", own.data / "containerd/meta.db"
    for file in (records, images):
        file.parent.mkdir(parents=True)
        file.touch()
    (own.folder / "message").write_text(TOO_MANY_RECORDS)
    launched = launches(monkeypatch)
    machine.stub(
        "dockerd", f"if test -e {records}; then cat {own.folder}/message; exit 1; fi; touch {own.folder}/up"
    )
    of_record, of_history, of_container = "7" * 25, f"ref_{'8' * 25}", "9" * 64
    leases = (of_record, f"{of_record}-variants", of_history, of_container)
    machine.stub("ctr", f"case $* in *ls*) printf '%s\\n' {' '.join(leases)};; esac")
    engine.start(own)
    assert [child.wait() for child in launched] == [1, 0]
    assert not records.exists() and images.exists()
    ctr = f"ctr --address {own.containerd}/containerd.sock --namespace"
    removed = f"leases rm {' '.join(leases[:3])}"
    assert [call for call in machine.calls if " rm " in call] == [
        f"{ctr} {own.bridge} {removed}",
        f"{ctr} {own.bridge}_history {removed}",
    ]
    assert "starting it with an empty one" in capsys.readouterr().err


def test_a_build_cache_is_emptied_once_at_most(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_when_up(own, monkeypatch)
    (own.folder / "message").write_text(TOO_MANY_RECORDS)
    machine.stub("dockerd", f"cat {own.folder}/message; exit 1")
    with pytest.raises(SetupError, match="did not start"):
        engine.start(own)


@pytest.mark.parametrize("log", ["", "context deadline exceeded", TOO_MANY_RECORDS + "another start\n"])
def test_other_failures_keep_the_build_cache(log: str) -> None:
    assert not build_cache.has_too_many_records(log)


def test_an_engine_that_does_not_answer_in_time(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_when_up(own, monkeypatch)
    monkeypatch.setattr(engine, "PATIENCE", 0)
    own.log.write_text("")
    with process("--data-root", str(own.data)) as child:
        own.pidfile.write_text(str(child.pid))
        with pytest.raises(SetupError):
            engine.start(own)


def test_a_separate_engine_does_not_disturb_others(
    machine: Machine, own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_when_up(own, monkeypatch)
    # since a reboot, another process has this number
    own.pidfile.write_text(str(os.getpid()))
    monkeypatch.setenv("TMPDIR", "/gone")
    words = own.folder / "words"
    machine.stub(
        "dockerd",
        f'for word; do echo "$word"; done >{words}\n'
        f"locks=$(ls -l /proc/$$/fd | grep -c {machine.folder}$)\n"
        f'echo "$PWD ${{TMPDIR-}}${{DOCKER_HOST-}} $locks" >>{words}\n'
        f"touch {own.folder}/up; exec sleep 60",
    )
    launched = launches(monkeypatch)
    with system.locked(machine.folder, "engine"):
        engine.start(own)
    (child,) = launched
    assert os.getsid(child.pid) == child.pid
    child.kill()
    child.wait()
    *options, last = words.read_text().splitlines()
    # its working folder, no variables of this call, no open lock
    assert last == "/  0"
    assert {"--iptables=false", "--ip6tables=false", f"--host=unix://{own.folder}/docker.sock"} <= set(
        options
    )
    assert options[options.index("--data-root") + 1] == f"{own.folder}/docker"
    assert options[options.index("--bridge") + 1] == own.bridge
    # with an address pool, dockerd deletes docker0
    assert not any("tcp://" in word or "address-pool" in word for word in options)
    assert not own.pidfile.exists()


def test_the_default_engine_has_no_options_for_its_network() -> None:
    words = engine.options(Engine(Path("/d"), Path("/s")))
    assert not any("bridge" in word or "iptables" in word or "namespace" in word for word in words)


def test_systemd_starts_the_default_engine(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.folder / "systemd").mkdir()
    machine.stub("systemctl", "exit 1")
    monkeypatch.setattr(engine, "PATIENCE", 0)
    default = Engine.from_environment()
    with pytest.raises(SetupError, match="journalctl"):
        engine.start(default)
    assert machine.calls == ["systemctl enable --now docker"]
    monkeypatch.setattr(docker, "answers", lambda: True)
    engine.start(default)  # only the engine's answer counts
    assert "docker service" in capsys.readouterr().err


# -- stop ------------------------------------------------------------------------------------------


def test_another_engine_is_not_stopped(
    machine: Machine, own: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with process("--data-root", f"{own.data}2") as other:
        own.pidfile.write_text(str(other.pid))
        engine.stop(own)
        assert other.poll() is None
    assert "no engine that ./run started" in capsys.readouterr().err


def test_our_engine_is_stopped(
    machine: Machine,
    own: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(network, "remove", removed.append)
    with process("--data-root", str(own.data)) as ours:
        own.pidfile.write_text(str(ours.pid))
        reaper = threading.Thread(target=ours.wait)  # the parent of the process, as init would be
        reaper.start()
        engine.stop(own)
        reaper.join()
        assert ours.returncode == -15
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"run: stopping the engine (pid {ours.pid})",
        f"run: stopped; its data stays in {own.folder}",
    ]
    assert removed == [own.bridge]


def test_only_root_stops_the_engine(machine: Machine, own: Engine) -> None:
    machine.user_is_root(False)
    with process("--data-root", str(own.data)) as ours:
        own.pidfile.write_text(str(ours.pid))
        with pytest.raises(SetupError, match=r"sudo \./run down") as caught:
            engine.stop(own)
        assert ours.poll() is None and caught.value.status is Status.NO_ENGINE


@pytest.mark.parametrize(
    ("roots", "times"), [("/a/docker\n/b\n", 1), ("/\n", 0), ("", 0)], ids=["bound", "a disk", "no mount"]
)
def test_mounts_of_a_killed_engine_are_removed(machine: Machine, own: Engine, roots: str, times: int) -> None:
    (machine.folder / "roots").write_text(roots)
    machine.stub("findmnt", f"cat {machine.folder}/roots")
    machine.stub("umount", f": >{machine.folder}/roots")
    engine.stop(own)
    assert sum(call.startswith("umount") for call in machine.calls) == times
