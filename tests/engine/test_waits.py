"""An engine that falls silent during a build, and a run that is stopped while another needs its node."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import Project, header, image_id, until

pytestmark = pytest.mark.engine

STAGES = '[stages.slow]\npath = "slow"\n[images.slow]\n'


class Gate:
    """A socket before the engine's. While ``open`` is not set, bytes stay here, as in a stopped engine."""

    def __init__(self, path: Path, engine: str) -> None:
        self.open, self._engine, self._sockets = threading.Event(), engine, list[socket.socket]()
        self.open.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.open.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, server = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                server.connect(self._engine)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.open.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    command = ["docker", "context", "inspect", "--format={{.Endpoints.docker.Host}}"]
    host = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not host.startswith("unix://"):
        pytest.skip("the engine is not on a Unix socket")
    gate = Gate(tmp_path / "gate.sock", host.removeprefix("unix://"))
    try:
        yield gate
    finally:
        gate.close()


@pytest.fixture
def slow(project: Project, repo: str, program: Path) -> Project:
    """A project whose only node sleeps for four seconds."""
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "slow/Dockerfile": f'FROM scratch\nCOPY program /\nRUN ["/program", "sleep", "4", "{repo}"]\n',
        }
    )
    shutil.copytree(program, project.folder / "slow/program")
    return project


def wait_for_its_step(project: Project, process: subprocess.Popen[str]) -> None:
    log = project.folder / "cache/logs/slow--here.log"
    until(lambda: log.exists() and '"sleep"' in log.read_text(), process)


def test_an_engine_that_falls_silent_is_told_and_given_up(
    slow: Project, repo: str, gate: Gate, tmp_path: Path
) -> None:
    """All limits are a twentieth: the first line after half a second, the end after six."""
    slow.env.update(DOCKER_HOST=f"unix://{tmp_path}/gate.sock", STAGEGRAPH_PATIENCE="0.05")
    process = slow.start("slow:here")
    wait_for_its_step(slow, process)
    gate.open.clear()
    begin = time.monotonic()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 20 and "Traceback" not in output, output
    assert time.monotonic() - begin < 30
    told = f"for the engine at {slow.env['DOCKER_HOST']}, which does not answer; after 6 s it is given up"
    assert len(re.findall(rf"waiting \d+ s {re.escape(told)}", output)) >= 5, output
    assert "has not answered for " in output and "trying once more" not in output
    gate.open.set()
    del slow.env["STAGEGRAPH_PATIENCE"]
    assert slow.built("slow:here").last["images"][f"{repo}:slow-here"] == image_id(f"{repo}:slow-here")


def test_a_silent_step_on_an_engine_that_answers_goes_on(slow: Project, gate: Gate, tmp_path: Path) -> None:
    """The step prints nothing for four seconds; the builder is asked after one, and answers."""
    slow.env.update(DOCKER_HOST=f"unix://{tmp_path}/gate.sock", STAGEGRAPH_PATIENCE="0.2")
    run = slow.built("slow:here")
    assert gate.open.is_set() and "does not answer" not in run.output


def test_a_run_that_waits_for_a_stopped_one_names_it(slow: Project) -> None:
    first = slow.start("slow:here")
    wait_for_its_step(slow, first)
    first.send_signal(signal.SIGSTOP)
    slow.env["STAGEGRAPH_PATIENCE"] = "0.2"
    second = slow.start("slow:here")
    try:
        assert second.stdout is not None
        line = next(line for line in second.stdout if "lock" in line)
    finally:
        first.send_signal(signal.SIGCONT)
    outputs = [first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert "for another run builds slow:here: the lock " in line
    assert re.search(rf"held by process {first.pid} \([^)]*doit slow:here\), stopped: ", line)
    assert f"kill -CONT {first.pid} lets it go on, kill -KILL {first.pid} ends it" in line
    assert "reused: slow:here" in outputs[1]


def test_a_prune_that_is_stopped_is_named_to_the_next_run(slow: Project) -> None:
    slow.write({"slow/Dockerfile": "FROM scratch\nCOPY program /\n"})
    slow.built("slow:here")
    lock = slow.folder / "cache/locks/use"
    prune = subprocess.Popen(["flock", "-x", str(lock), "sleep", "60"], start_new_session=True)
    slow.env["STAGEGRAPH_PATIENCE"] = "0.2"
    try:
        while subprocess.run(["flock", "-sn", lock, "true"], check=False).returncode == 0:
            assert prune.poll() is None
        os.killpg(prune.pid, signal.SIGSTOP)
        run = slow.start("slow:here")
        assert run.stdout is not None
        line = next(line for line in run.stdout if "lock" in line)
    finally:
        os.killpg(prune.pid, signal.SIGKILL)
        prune.wait()
    output = run.communicate(timeout=60)[0]
    assert run.returncode == 0, output
    assert (
        f"for doit prune uses the store alone: the lock cache/locks/use, held by process {prune.pid} ("
        in line
    )
