"""Wrong input: one clear message (where, what, what to do), its own exit status, no half-made tag."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import Project, header, image_id

pytestmark = pytest.mark.engine

STAGES = """
[stages.good]
path = "good"
[stages.bad]
path = "bad"
[images.bad]
"""


@pytest.fixture
def bad(project: Project, repo: str) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "good/Dockerfile": "FROM scratch\nCOPY file /\n",
            "good/file": "x\n",
            "bad/Dockerfile": "FROM good\n",
        }
    )
    return project


DOCKERFILES = {
    "does not parse": ("FROM good\nRUN <<EOF\nx\n", 11, "bad/Dockerfile", "unterminated heredoc"),
    "missing file": ("FROM good\nCOPY nothing /\n", 12, "bad/Dockerfile:2", "nothing: no such file"),
    "unpinned URL": ("FROM good\nADD https://example.com/x /\n", 11, "bad/Dockerfile:2", "is not pinned"),
    "leaves by ..": ("FROM good\nCOPY ../good/file /\n", 12, "bad/Dockerfile:2", "leaves the stage's folder"),
    "base that cannot be resolved": ("FROM base\n", 14, "stages.toml", "cannot be resolved"),
    "platform that is none": (
        "FROM --platform=linux/s390x good\n",
        11,
        "bad/Dockerfile:1",
        "no platform of this",
    ),
}


@pytest.mark.parametrize("case", DOCKERFILES)
def test_dockerfile(bad: Project, repo: str, case: str) -> None:
    text, status, where, what = DOCKERFILES[case]
    bad.write({"bad/Dockerfile": text})
    run = bad.doit("bad:here")
    assert run.status == status, run.output
    assert where in run.output and what in run.output
    assert not image_id(f"{repo}:bad-here")
    # others are not concerned
    assert bad.built("good:here").built <= {"good:here"}


def test_link_that_leaves_the_folder(bad: Project) -> None:
    bad.write({"bad/Dockerfile": "FROM good\nCOPY link /\n"})
    (bad.folder / "bad/link").symlink_to("../good/file")
    run = bad.doit("bad:here")
    assert run.status == 12 and "leaves the stage's folder" in run.output


WORDS = {
    "wrong platform": (["bad:hare"], 10, "did you mean 'bad:here'?"),
    "wrong stage": (["god:here"], 10, "did you mean 'good:here'?"),
    "wrong stage of a command": (["plan", "god"], 10, "did you mean 'good'?"),
    "wrong setting": (["rebo=x", "good:here"], 10, "did you mean 'repo'?"),
}


@pytest.mark.parametrize("case", WORDS)
def test_command_line(bad: Project, case: str) -> None:
    words, status, what = WORDS[case]
    run = bad.doit(*words)
    assert run.status == status and what in run.output


def test_malformed_toml(bad: Project) -> None:
    text = (bad.folder / "stages.toml").read_text()
    bad.write({"stages.toml": text + "[stages.x\n"})
    run = bad.doit("good:here")
    assert run.status == 10 and f"stages.toml:{text.count(chr(10)) + 1}" in run.output


def test_engine_down(bad: Project) -> None:
    bad.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    run = bad.doit("bad:here")
    assert run.status == 20 and "./run doctor" in run.output
    # looking needs none
    assert bad.doit("plan", "bad:here").status == 0


@pytest.fixture
def login_registry() -> Iterator[str]:
    """A registry that wants a login for everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="closed"')
            self.end_headers()

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_registry_that_needs_a_login(bad: Project, login_registry: str) -> None:
    run = bad.doit(f"registry={login_registry}", "bad:here")
    assert "docker login" in run.output
    assert run.status in (0, 23)
    assert bad.built("good:here").nodes("reuse") == {"good:here"}  # what was built is kept


def test_failing_step(bad: Project, repo: str, program: Path) -> None:
    """Node, Dockerfile line, instruction, its last lines, and where the log is."""
    shutil.copy(program, bad.folder / "bad/program")
    bad.write({"bad/Dockerfile": 'FROM good\nCOPY program /\n\nRUN ["/program", "fail", "7", "loudly"]\n'})
    run = bad.doit("bad:here")
    assert run.status == 1
    assert (
        'bad:here: bad/Dockerfile:4: exit code 7 from: RUN ["/program", "fail", "7", "loudly"]' in run.output
        or ("bad:here: bad/Dockerfile:4: exit code 7 from: RUN" in run.output)
    )
    assert "fail 7 loudly" in run.output and "cache/logs/bad--here.log" in run.output
    assert run.nodes("failed") == {"bad:here"} and run.built == {"good:here"}
    assert not image_id(f"{repo}:bad-here")


def test_killed_for_memory_is_named(bad: Project, program: Path) -> None:
    shutil.copy(program, bad.folder / "bad/program")
    bad.write({"bad/Dockerfile": 'FROM good\nCOPY program /\nRUN ["/program", "fail", "137"]\n'})
    run = bad.doit("bad:here")
    assert run.status == 26 and "memory" in run.output


def test_read_only_project(bad: Project) -> None:
    """A cache that cannot be written is one message."""
    if os.geteuid() == 0:  # root writes everywhere, so a file stands where the folder should be
        shutil.rmtree(bad.folder / "cache", ignore_errors=True)
        (bad.folder / "cache").mkdir()
        (bad.folder / "cache/blobs").write_text("")
    else:
        (bad.folder / "cache").mkdir(exist_ok=True)
        (bad.folder / "cache").chmod(0o555)
    run = bad.doit("good:here")
    assert run.status in (24, 27), run.output
