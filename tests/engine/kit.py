"""Tiny projects for the real engine, and a real registry on loopback. Fixtures are in ``conftest``."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stagegraph.oci.documents import INDEX

#: Lines for the end of pytest's report, one group for each test.
SUMMARY = pytest.StashKey[list[str]]()

DODO = "from stagegraph.tasks import *\n"
HOST = {"x86_64": ("linux/amd64", "linux/arm64"), "aarch64": ("linux/arm64", "linux/amd64")}
NATIVE, FOREIGN = HOST[os.uname().machine]


@dataclass
class Run:
    """The result of one call of doit."""

    status: int
    output: str
    last: dict[str, Any]

    def nodes(self, decision: str) -> set[str]:
        return {node["node"] for node in self.last.get("nodes", ()) if node["decision"] == decision}

    @property
    def built(self) -> set[str]:
        return self.nodes("build")

    @property
    def digests(self) -> dict[str, str]:
        return {node["node"]: node["digest"] for node in self.last["nodes"]}


@dataclass
class Project:
    """A project folder. ``doit`` runs in it as a user would run it."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    limit: int = 300  # seconds that one call may take

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def start(self, *words: str, group: bool = False) -> subprocess.Popen[str]:
        """Start doit. ``group``: in a process group of its own, so that its builder can be killed with it."""
        # a shell starts background jobs with SIGINT ignored; reset it, so that a test can interrupt this
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "doit", *words],
            cwd=self.folder,
            env={**os.environ, "CI": "true", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=group,
        )

    def doit(self, *words: str) -> Run:
        last = self.folder / "cache" / "last-run.json"
        before = _stamp(last)
        process = self.start(*words)
        output, _ = process.communicate(timeout=self.limit)
        assert "Traceback" not in output, output
        return Run(process.returncode, output, json.loads(last.read_text()) if _stamp(last) != before else {})

    def built(self, *words: str) -> Run:
        """Run ``doit``, which must succeed."""
        run = self.doit(*words)
        assert run.status == 0, run.output
        return run

    def copy(self, folder: Path) -> Project:
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, dict(self.env))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes if a file is written anew; None without a file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until a condition is true while a process runs."""
    while not condition():
        assert process.poll() is None, "it ended before that"
        time.sleep(0.005)


def image_id(tag: str) -> str:
    """Return the engine's id of a tag, "" if the engine does not have it."""
    done = subprocess.run(
        ["docker", "image", "inspect", "--format={{.Id}}", tag], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def header(repo: str, base: str = 'image = "127.0.0.1:1/none:1"') -> str:
    return (
        f'[project]\nrepo = "{repo}"\n'
        f'[platforms.here]\ndocker = "{NATIVE}"\n[platforms.there]\ndocker = "{FOREIGN}"\n'
        f"[base]\n{base}\n"
    )


def remove_images(repo: str) -> None:
    """Remove the images of a repository from the engine."""
    command = ["docker", "images", "--format={{.Repository}}:{{.Tag}}", repo]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if tags := done.stdout.split():
        subprocess.run(["docker", "rmi", "-f", *tags], capture_output=True, check=False)


@dataclass
class Registry:
    """``docker-registry serve`` on a port of its own."""

    host: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes]

    def tags(self, repo: str) -> set[str]:
        """Return the tags of a repository that point to a manifest."""
        folder = self.data / "docker/registry/v2/repositories" / repo / "_manifests/tags"
        found = folder.iterdir() if folder.is_dir() else ()
        return {
            path.name for path in found if (path / "current").is_dir() and list((path / "current").iterdir())
        }

    def manifests_read(self) -> list[str]:
        """Return the tags and digests of the manifests that were requested."""
        return [
            line.split('"GET ')[1].split(" ")[0].rsplit("/", 1)[1]
            for line in self.log.read_text().splitlines()
            if '"GET ' in line and "/manifests/" in line
        ]

    def index(self, name: str) -> dict[str, Any]:
        """Return the index that ``REPOSITORY:TAG`` names."""
        value = json.loads(self._ask("GET", name))
        assert isinstance(value, dict)
        return value

    def put_index(self, name: str, index: dict[str, Any]) -> None:
        """Let ``REPOSITORY:TAG`` name this index, without changes."""
        self._ask("PUT", name, json.dumps(index).encode())

    def _ask(self, method: str, name: str, data: bytes | None = None) -> bytes:
        repository, _, tag = name.rpartition(":")
        with closing(http.client.HTTPConnection(self.host, timeout=30)) as connection:
            headers = {"Accept": INDEX, "Content-Type": INDEX}
            connection.request(method, f"/v2/{repository}/manifests/{tag}", data, headers)
            answer = connection.getresponse()
            said = answer.read()
        assert answer.status < 300, said
        return said

    def blobs_read(self) -> set[str]:
        return {
            line.split('"GET ')[1].split(" ")[0].rsplit("/", 1)[1]
            for line in self.log.read_text().splitlines()
            if '"GET ' in line and "/blobs/" in line
        }


@contextmanager
def serving(folder: Path, more: str = "") -> Iterator[Registry]:
    """A registry that keeps its data below ``folder``. ``more`` has more lines of its configuration."""
    port = free_port()
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {accesslog: {disabled: false}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{more}"
    )
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield Registry(f"127.0.0.1:{port}", folder / "data", log, process)
    finally:
        process.terminate()
        process.wait(10)


HTPASSWD = "robot:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # bcrypt of "secret"


@contextmanager
def serving_with_login(folder: Path) -> Iterator[Registry]:
    """A registry that requires basic authentication: user robot, password secret."""
    folder.mkdir()
    (folder / "htpasswd").write_text(HTPASSWD)
    more = f"auth: {{htpasswd: {{realm: here, path: {folder / 'htpasswd'}}}}}\n"
    with serving(folder / "registry", more) as registry:
        yield registry


def publish(registry: Registry, name: str, native: str, foreign: str) -> str:
    """Push an image with a file ``/base`` for both platforms as ``name``. Return its reference."""
    folder = registry.data.parent / uuid.uuid4().hex
    (folder / "context").mkdir(parents=True)
    for docker, text in ((NATIVE, native), (FOREIGN, foreign)):
        (folder / "context" / docker.partition("/")[2]).write_text(text)
    (folder / "context/Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /base\n")
    layout, reference = folder / "layout", f"{registry.host}/{name}"
    subprocess.run(
        [
            *("docker", "buildx", "build", "--provenance=false", f"--platform={NATIVE},{FOREIGN}"),
            *("--build-arg=SOURCE_DATE_EPOCH=1735689600", str(folder / "context")),
            f"--output=type=oci,dest={layout},tar=false,rewrite-timestamp=true",
        ],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{reference}"],
        check=True,
        capture_output=True,
    )
    return reference


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
