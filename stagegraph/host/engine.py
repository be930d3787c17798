"""The engine that ``./run`` starts: where it is, how it starts, how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ..waits.waiting import patience, waiting_for
from . import build_cache, docker, network, system
from .messages import SetupError, Status, quoted, say

DEFAULT_FOLDER = "/var/lib/stagegraph"
#: The folder whose lock says that some ./run sets up, starts or stops an engine.
LOCK_FOLDER = Path("/var/lib")
#: Docker's configuration: with containerd's image store, images keep their digests and platforms.
CONFIGURATION = '{"features": {"containerd-snapshotter": true}}'
SERVICE_CONFIGURATION = Path("/etc/docker/daemon.json")
MACHINES_CONTAINERD = Path("/run/containerd/containerd.sock")
#: Seconds for an engine to start or to stop.
PATIENCE = 60


@dataclass(frozen=True)
class Engine:
    """An engine of ``./run``. ``bridge`` is its network bridge; "" for the default engine."""

    folder: Path
    socket: Path
    bridge: str = ""

    @classmethod
    def from_environment(cls) -> Engine:
        """The engine in STAGEGRAPH_ENGINE_DIR, or the default one."""
        folder = os.environ.get("STAGEGRAPH_ENGINE_DIR") or DEFAULT_FOLDER
        folder = folder if folder == "/" else folder.removesuffix("/")
        if folder == DEFAULT_FOLDER:
            return cls(Path(folder), docker.DEFAULT_SOCKET)
        # 13 letters at most, of the 15 that the name of an interface may have
        return cls(Path(folder), Path(folder, "docker.sock"), f"sg-{checksum(os.fsencode(folder))}")

    @property
    def data(self) -> Path:
        return self.folder / "docker"

    @property
    def log(self) -> Path:
        return self.folder / "dockerd.log"

    @property
    def pidfile(self) -> Path:
        return self.folder / "dockerd.pid"

    @property
    def containerd(self) -> Path:
        """The folder of the containerd that dockerd starts."""
        return self.folder / "exec" / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """The socket of the containerd that dockerd uses: the machine's own if it runs, else its child."""
        return MACHINES_CONTAINERD if MACHINES_CONTAINERD.exists() else self.containerd / "containerd.sock"

    @property
    def namespace(self) -> str:
        """The name under which containerd keeps this engine's images."""
        return self.bridge or "moby"

    def pid(self) -> int | None:
        """The number of the running dockerd; None if it does not run."""
        return system.process(self.pidfile, str(self.data))

    def containerd_pid(self) -> int | None:
        return system.process(self.containerd / "containerd.pid", str(self.containerd / "containerd.toml"))

    @property
    def is_service(self) -> bool:
        """True if systemd runs this engine."""
        return system.has_systemd() and not self.bridge

    @property
    def somebody_chose_another(self) -> bool:
        """True if the user named an engine. Then no other may take its place: that would surprise."""
        return bool((os.environ.get("DOCKER_HOST") and not self.bridge) or docker.context())


def checksum(data: bytes) -> int:
    """The checksum that the POSIX command ``cksum`` prints; shell scripts name the bridge by it."""
    length = len(data)
    crc = 0
    for byte in data + length.to_bytes((length.bit_length() + 7) // 8, "little"):
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x104C11DB7 if crc & 0x80000000 else 0)
    return crc ^ 0xFFFFFFFF


def configure(file: Path) -> None:
    """Write Docker's configuration. A file that exists is not changed."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{CONFIGURATION}\n")
    elif "containerd-snapshotter" not in file.read_text():
        say(f"left {file} as it is; it should also have: {CONFIGURATION}")


# -- start ---------------------------------------------------------------------------------------


def start(engine: Engine) -> None:
    """Start the engine and wait until it answers. Raises ``SetupError``."""
    launched = None
    if engine.is_service:
        say("starting the docker service")
        system.call("systemctl", "enable", "--now", "docker")  # judged by whether the engine answers
    elif engine.pid():
        say(f"waiting for the engine that runs in {engine.folder}")
    else:
        say(f"starting the engine, data in {engine.folder}")
        launched = _launch(engine)
    if _answers(engine, launched):
        return
    if not launched or not build_cache.has_too_many_records(_read_log(engine)):
        raise _not_started(engine)
    say("the build cache has too many records for dockerd to start; starting it with an empty one")
    build_cache.remove(engine.data)
    if not _answers(engine, _launch(engine)):
        raise _not_started(engine)
    build_cache.release(engine.containerd_socket, engine.namespace)


def _answers(engine: Engine, launched: subprocess.Popen[bytes] | None) -> bool:
    """Wait until the engine answers. False if it does not in time, or if the launched dockerd ended."""
    limit = PATIENCE * patience()
    deadline = time.monotonic() + limit
    with waiting_for(f"the start of the engine, at most {limit:.0f} s; {_where_log(engine)}"):
        while not docker.answers():
            if time.monotonic() > deadline or (launched and launched.poll() is not None):
                return False
            time.sleep(0.2)
    return True


def _where_log(engine: Engine) -> str:
    return "its log: journalctl -u docker -n 50" if engine.is_service else f"its log: {engine.log}"


def _read_log(engine: Engine) -> str:
    return engine.log.read_text(errors="replace")


def _not_started(engine: Engine) -> SetupError:
    what = "the engine did not start:"
    if engine.is_service:
        return SetupError(Status.ENGINE_TIMEOUT, what, _where_log(engine))
    end = quoted(_read_log(engine), 20)
    return SetupError(Status.ENGINE_TIMEOUT, what, *end, f"full log: {engine.log}")


def _launch(engine: Engine) -> subprocess.Popen[bytes]:
    engine.folder.mkdir(parents=True, exist_ok=True)
    configure(engine.folder / "daemon.json")
    # After SIGKILL or a reboot, dockerd takes any process with the old number for the old one, and gives up.
    engine.pidfile.unlink(missing_ok=True)
    if not engine.containerd_pid():
        (engine.containerd / "containerd.pid").unlink(missing_ok=True)
    if engine.bridge:
        network.create(engine.bridge)
    # It outlives this call, and the folder and TMPDIR of this call. It holds no lock: Python's files close.
    environment = {k: v for k, v in os.environ.items() if k not in ("TMPDIR", "DOCKER_HOST")}
    with engine.log.open("ab") as log:
        return subprocess.Popen(
            ["dockerd", *options(engine)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def options(engine: Engine) -> list[str]:
    """The options of dockerd."""
    chosen = [
        f"--config-file={engine.folder}/daemon.json",
        *("--data-root", str(engine.data)),  # a word of its own, by which ``pid`` knows the process
        f"--exec-root={engine.folder}/exec",
        f"--pidfile={engine.pidfile}",
        f"--host=unix://{engine.socket}",
    ]
    if not engine.bridge:
        return chosen
    # An engine that starts flushes the iptables chains of one that runs. Engines may share a containerd, so
    # each has its own names there. No --default-address-pool: with it, an engine that restarts deletes the
    # bridge of the other engine, docker0.
    return [
        *chosen,
        *("--bridge", engine.bridge, "--iptables=false", "--ip6tables=false"),
        f"--containerd-namespace={engine.namespace}",
        f"--containerd-plugins-namespace={engine.namespace}-plugins",
    ]


# -- stop ----------------------------------------------------------------------------------------


def stop(engine: Engine) -> None:
    """Stop the engine that ``./run`` started, and remove its network. Raises ``SetupError``."""
    if not engine.pid():
        say(f"no engine that ./run started is running (data in {engine.folder})")
        if engine.bridge and system.is_root():
            _clean_up(engine)
        return
    if not system.is_root():
        raise SetupError(Status.NO_ENGINE, "stopping the engine needs root: sudo ./run down")
    with system.locked(LOCK_FOLDER, "engine"):
        if pid := engine.pid():
            say(f"stopping the engine (pid {pid})")
            os.kill(pid, signal.SIGTERM)
        _wait_for_end(engine)
        _clean_up(engine)
    say(f"stopped; its data stays in {engine.folder}")


def _wait_for_end(engine: Engine) -> None:
    limit = PATIENCE * patience()
    deadline = time.monotonic() + limit
    with waiting_for(f"the end of the engine, process {engine.pid()}, at most {limit:.0f} s"):
        while engine.pid() or engine.containerd_pid():
            if time.monotonic() > deadline:
                what = f"the engine has not stopped after {limit:.0f} s; log: {engine.log}"
                raise SetupError(Status.ENGINE_TIMEOUT, what, *_how_to_end(engine))
            time.sleep(0.1)


def _how_to_end(engine: Engine) -> list[str]:
    """What to do about a process that does not end: it may be stopped, and SIGTERM waits until it goes on."""
    pids = " ".join(str(pid) for pid in (engine.pid(), engine.containerd_pid()) if pid)
    return [f"if it is stopped, this lets it go on and end: kill -CONT {pids}"] if pids else []


def _clean_up(engine: Engine) -> None:
    if engine.bridge:
        network.remove(engine.bridge)
    # dockerd binds its data folder onto itself. One that was killed leaves that mount to us, and several of
    # them leave several mounts. A disk of its own is not unmounted: its root is "/".
    while _is_bound(engine.data):
        if system.call("umount", "-R", "--", str(engine.data)).returncode != 0:
            break


def _is_bound(folder: Path) -> bool:
    root = system.call("findmnt", "-no", "FSROOT", "--", str(folder)).stdout.splitlines()
    return any(line not in ("", "/") for line in root[-1:])
