"""Wrong input gives one clear message (where, what, what to do), its own exit status, no half-built tag."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import FOREIGN, Project, header, image_id

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
    "unknown platform": (
        "FROM --platform=linux/s390x good\n",
        11,
        "bad/Dockerfile:1",
        "not a platform of this",
    ),
}


@pytest.mark.parametrize("case", DOCKERFILES)
def test_a_bad_dockerfile_is_an_error(bad: Project, repo: str, case: str) -> None:
    text, status, where, what = DOCKERFILES[case]
    bad.write({"bad/Dockerfile": text})
    run = bad.doit("bad:here")
    assert run.status == status, run.output
    assert where in run.output and what in run.output
    assert not image_id(f"{repo}:bad-here")
    # the other stage still builds
    assert bad.built("good:here").built <= {"good:here"}


def test_a_link_that_leaves_the_folder_is_an_error(bad: Project) -> None:
    bad.write({"bad/Dockerfile": "FROM good\nCOPY link /\n"})
    (bad.folder / "bad/link").symlink_to("../good/file")
    run = bad.doit("bad:here")
    assert run.status == 12 and "leaves the stage's folder" in run.output


WORDS = {
    "wrong platform": (["bad:hare"], 10, "did you mean 'here'?"),
    "wrong stage": (["god:here"], 10, "did you mean 'good:here'?"),
    "wrong stage of a command": (["plan", "god"], 10, "did you mean 'good'?"),
    "wrong setting": (["rebo=x", "good:here"], 10, "did you mean 'repo'?"),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_bad_command_line_is_an_error(bad: Project, case: str) -> None:
    words, status, what = WORDS[case]
    run = bad.doit(*words)
    assert run.status == status and what in run.output


def test_malformed_toml_is_an_error(bad: Project) -> None:
    text = (bad.folder / "stages.toml").read_text()
    bad.write({"stages.toml": text + "[stages.x\n"})
    run = bad.doit("good:here")
    assert run.status == 10 and f"stages.toml:{text.count(chr(10)) + 1}" in run.output


def test_engine_down(bad: Project) -> None:
    bad.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    run = bad.doit("bad:here")
    assert run.status == 20 and "doit doctor" in run.output
    # a plan needs no engine
    assert bad.doit("plan", "bad:here").status == 0


LOSES_A_SNAPSHOT = r"""#!/bin/bash
echo "$*" >>"$CALLS"
if [[ $* == "buildx build"* && ! -e $CALLS.lost ]]; then
  touch "$CALLS.lost"
  lost='failed to stat active key during commit: snapshot abc does not exist: not found'
  step='"digest": "sha256:8", "name": "exporting to oci image format", "started": "2026-01-31T12:00:00Z"'
  printf '{"vertexes": [{%s, "completed": "2026-01-31T12:00:01Z", "error": "%s"}]}\n' "$step" "$lost" >&2
  echo "ERROR: failed to solve: $lost" >&2
  exit 1
fi
exec "$DOCKER" "$@"
"""


def test_a_build_is_tried_again_after_the_builder_lost_a_snapshot(bad: Project, tmp_path: Path) -> None:
    """BuildKit's known race after a cancelled build: doit tries once more, without the builder's cache."""
    docker, calls = tmp_path / "bin/docker", tmp_path / "calls"
    docker.parent.mkdir()
    docker.write_text(LOSES_A_SNAPSHOT)
    docker.chmod(0o755)
    bad.env |= {
        "PATH": f"{docker.parent}:{os.environ['PATH']}",
        "DOCKER": shutil.which("docker") or "",
        "CALLS": str(calls),
    }
    run = bad.built("good:here")
    assert run.built == {"good:here"} and "snapshot abc does not exist: not found" in run.output
    assert run.output.count("trying once more") == 1
    first, second = [line for line in calls.read_text().splitlines() if line.startswith("buildx build")]
    assert "--no-cache" not in first and "--no-cache" in second


ENGINE = Path(__file__).parents[2] / "run"


@pytest.mark.skipif(os.geteuid() != 0, reason="starts an engine of its own")
def test_engine_killed_during_a_build(bad: Project, repo: str, program: Path, tmp_path: Path) -> None:
    """A killed engine gives a clear message. Finished nodes are kept; work continues after a restart."""
    data = Path(tempfile.mkdtemp(prefix="sg-"))  # short: it contains sockets
    env = {**os.environ, "STAGEGRAPH_ENGINE_DIR": str(data)}

    def engine(*words: str) -> None:
        subprocess.run([ENGINE, *words], env=env, check=True, capture_output=True, timeout=120)

    engine("true")
    try:
        bad.env["DOCKER_HOST"] = f"unix://{data}/docker.sock"
        shutil.copytree(program, bad.folder / "bad/program")
        bad.write({"bad/Dockerfile": 'FROM good\nCOPY program /\nRUN ["/program", "sleep", "6"]\n'})
        process = bad.start("bad:here")
        log = bad.folder / "cache/logs/bad--here.log"
        while not (log.exists() and '"sleep"' in log.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(int((data / "dockerd.pid").read_text()), signal.SIGKILL)
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 20 and "trying once more" in output, output
        assert "Traceback" not in output
        engine("true")
        run = bad.built("bad:here")
        assert run.built == {"bad:here"} and run.nodes("reuse") == {"good:here"}
        assert set(run.last["images"]) == {f"{repo}:bad-here"}
    finally:
        engine("down")
        shutil.rmtree(data)


@contextlib.contextmanager
def answering(status: int, reading: int) -> Iterator[str]:
    """A registry that answers ``status`` to writes and ``reading`` to reads."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v2/" and reading != 401 else reading)
            self.finish_headers()

        def do_POST(self) -> None:
            self.send_response(status)
            self.finish_headers()

        do_HEAD = do_GET  # noqa: N815 - the names are http.server's
        do_PUT = do_PATCH = do_POST  # noqa: N815

        def finish_headers(self) -> None:
            self.send_header("WWW-Authenticate", 'Basic realm="closed"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("reading", "said"),
    [(401, "continuing without reading the registry"), (404, "continuing without writing to the registry")],
)
def test_a_registry_that_needs_a_login_gives_one_warning(
    bad: Project, repo: str, reading: int, said: str
) -> None:
    """One warning. Everything is built, stored and in the engine. The exit status shows the missing push."""
    with answering(401, reading) as host:
        run = bad.doit(f"registry={host}", "bad:here")
        assert run.status == 23, run.output
        assert run.built == {"good:here", "bad:here"}
        assert run.output.count(said) == 1 and f"docker login {host}" in run.output
        assert set(run.last["images"]) == {f"{repo}:bad-here"} and image_id(f"{repo}:bad-here")
        assert "not delivered: bad:here: the registry requires a login" in run.output
        # no failure if no final image was requested
        bad.write({"good/file": "y\n"})
        assert bad.built(f"registry={host}", "good:here").built == {"good:here"}
    assert not bad.built("good:here").built


def test_a_registry_that_is_down_gives_one_warning(bad: Project, repo: str) -> None:
    """Digits in the message of a dead registry are not taken for an HTTP status."""
    name = f"{repo}-a401b403c404d"
    bad.write({"stages.toml": header(name) + STAGES})
    run = bad.built("registry=127.0.0.1:1", "bad:here")
    assert run.output.count("warning: ") == 1, run.output
    expected = f"continuing without the registry: 127.0.0.1:1/{name}: the registry does not answer"
    assert expected in run.output and "docker login" not in run.output
    subprocess.run(["docker", "rmi", "-f", f"{name}:bad-here"], check=True, capture_output=True)


def test_the_message_of_a_failed_step_is_complete(bad: Project, repo: str, program: Path) -> None:
    """The message has the node, the Dockerfile line, the instruction, its last output, the log's path."""
    shutil.copytree(program, bad.folder / "bad/program")
    bad.write({"bad/Dockerfile": 'FROM good\nCOPY program /\n\nRUN ["/program", "fail", "7", "loudly"]\n'})
    run = bad.doit("bad:here")
    assert run.status == 1
    # the instruction as buildx writes it
    assert 'ERROR: bad:here: bad/Dockerfile:4: RUN ["/program"' in run.output
    assert "    fail 7 loudly\n  it ended with status 7\n" in run.output
    assert "doit logs bad:here (cache/logs/bad--here.log)" in run.output
    assert run.nodes("failed") == {"bad:here"} and run.built == {"good:here"}
    assert not image_id(f"{repo}:bad-here")


def test_a_step_that_was_killed_for_memory_is_reported(bad: Project, program: Path) -> None:
    shutil.copytree(program, bad.folder / "bad/program")
    bad.write({"bad/Dockerfile": 'FROM good\nCOPY program /\nRUN ["/program", "fail", "137"]\n'})
    run = bad.doit("bad:here")
    assert run.status == 26 and "memory" in run.output


def test_a_read_only_project_gives_one_message(bad: Project) -> None:
    """A cache that cannot be written gives one message."""
    if os.geteuid() == 0:  # root can write everywhere, so put a file in place of the folder
        shutil.rmtree(bad.folder / "cache", ignore_errors=True)
        (bad.folder / "cache").mkdir()
        (bad.folder / "cache/blobs").write_text("")
    else:
        (bad.folder / "cache").mkdir(exist_ok=True)
        (bad.folder / "cache").chmod(0o555)
    run = bad.doit("good:here")
    said = "cache/blobs: is not a folder" if os.geteuid() == 0 else "cannot be written"
    assert run.status == 27 and said in run.output, run.output


def test_missing_qemu_is_an_error(bad: Project) -> None:
    """Missing emulation is reported before the build starts."""
    if Path("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists():
        pytest.skip("this machine runs programs for riscv64")
    if "DOCKER_HOST" in os.environ:
        pytest.skip("DOCKER_HOST is set: the machine of that engine is not known")
    text = (bad.folder / "stages.toml").read_text()
    bad.write({"stages.toml": text.replace(f'"{FOREIGN}"', '"linux/riscv64"')})
    assert bad.built("bad:there").built == {"good:there", "bad:there"}  # these nodes run nothing
    bad.write({"good/Dockerfile": 'FROM scratch\nCOPY file /\nRUN ["/file"]\n'})
    shutil.rmtree(bad.folder / "cache")
    run = bad.doit("bad:there")
    assert run.status == 21 and "doit doctor" in run.output
    assert "good:there: this machine does not run programs for linux/riscv64" in run.output
    assert not (bad.folder / "cache/logs").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_disk_full(bad: Project, repo: str) -> None:
    """The message names the disk, no half record is left, and the next call works once there is space."""
    cache = bad.folder / "cache"
    cache.mkdir()
    (bad.folder / "bad/large").write_bytes(os.urandom(6 << 20))
    bad.write({"bad/Dockerfile": "FROM good\nCOPY large /\n"})
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(cache)]
    subprocess.run(mount, check=True)
    try:
        run = bad.doit("bad:here")
        assert run.status == 24 and "no space left" in run.output, run.output
        assert str(cache) in run.output
        assert not image_id(f"{repo}:bad-here")
        assert not list((cache / "tmp").iterdir())
        subprocess.run(["mount", "-o", "remount,size=64m", str(cache)], check=True)
        run = bad.built("bad:here")
        assert run.built == {"bad:here"} and run.nodes("reuse") == {"good:here"}
    finally:
        subprocess.run(["umount", str(cache)], check=True)


def test_one_tag_for_two_images_is_an_error(bad: Project, repo: str) -> None:
    run = bad.doit("tag=x", "bad:here", "bad:there")
    assert run.status == 10 and f"bad:here and bad:there would both be called {repo}:x" in run.output
    assert not image_id(f"{repo}:x") and not (bad.folder / "cache/records").exists()


def test_an_undeclared_secret_is_an_error(bad: Project) -> None:
    bad.write({"good/Dockerfile": "FROM scratch\nCOPY file /\nRUN --mount=type=secret,id=tokn true\n"})
    bad.write({"stages.toml": (bad.folder / "stages.toml").read_text() + '[secrets.token]\nenv = "TOKEN"\n'})
    run = bad.doit("good:here")
    assert run.status == 10 and "mounts a secret 'tokn', which is not declared" in run.output
    assert "did you mean 'token'?" in run.output


def test_a_secret_that_is_not_set_is_absent(bad: Project, program: Path) -> None:
    """A secret that is not set is absent, not empty. If a step requires it, nothing is built."""
    shutil.copytree(program, bad.folder / "good/program")
    bad.write({"stages.toml": (bad.folder / "stages.toml").read_text() + '[secrets.token]\nenv = "TOKEN"\n'})
    mount = "--mount=type=secret,id=token,target=/token"
    bad.write(
        {"good/Dockerfile": f'FROM scratch\nCOPY program /\nRUN {mount} ["/program", "{bad.folder}"]\n'}
    )
    run = bad.built("good:here")
    assert "warning: good:here: secret token: the variable TOKEN is not set, or empty" in run.output
    text = (bad.folder / "good/Dockerfile").read_text()
    bad.write({"good/Dockerfile": text.replace("id=token", "id=token,required=true")})
    run = bad.doit("good:here")
    assert run.status == 10 and "requires the secret 'token': the variable TOKEN is not set" in run.output
    bad.env |= {"TOKEN": "x"}
    assert "is not set" not in bad.built("good:here").output


def test_an_error_of_one_goal_does_not_stop_a_running_build(bad: Project, program: Path) -> None:
    shutil.copytree(program, bad.folder / "good/program")
    words = f'"/program", "sleep", "2", "{bad.folder}"'
    bad.write({"good/Dockerfile": f"FROM scratch\nCOPY file program /\nRUN [{words}]\n"})
    bad.write({"bad/Dockerfile": "FROM scratch\nCOPY nothing /\n"})
    run = bad.doit("good:here", "bad:here")
    assert run.status == 12 and "nothing: no such file" in run.output
    assert run.built == {"good:here"} and run.nodes("failed") == {"bad:here"}


@pytest.mark.parametrize(
    ("setting", "what"),
    [("x", "'x' is not a whole number above 0"), ("0", "'0' is not a whole number above 0")],
)
def test_an_invalid_number_of_jobs_is_an_error(bad: Project, setting: str, what: str) -> None:
    bad.env["STAGEGRAPH_JOBS"] = setting
    run = bad.doit("good:here")
    assert run.status == 10 and what in run.output


def test_a_cache_that_is_a_file_is_an_error(bad: Project) -> None:
    (bad.folder / "cache").write_text("x")
    process = bad.start("good:here")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 27 and "Traceback" not in output, output


def test_with_continue_a_child_of_a_failed_parent_is_not_built(
    bad: Project, repo: str, program: Path
) -> None:
    shutil.copytree(program, bad.folder / "good/program")
    bad.write({"good/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "fail", "7"]\n'})
    run = bad.doit("--continue", "bad:here")
    assert run.status == 1 and run.output.count("ERROR") == 1
    assert "not built, as good:here failed: image bad:here\n" in run.output
    assert not image_id(f"{repo}:bad-here")
