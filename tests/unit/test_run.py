"""``./run`` without engine, network or root: a copy in its own folder, with stubs for other programs.

tests/unit/host tests the Python modules that ``./run`` calls.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_engine import answering

from stagegraph.host.messages import Status

pytestmark = pytest.mark.unit

RUN = Path(__file__).parents[2] / "run"
# fmt: off
TOOLS = [
    "awk", "bash", "cat", "chmod", "cksum", "cmp", "cp", "curl", "cut", "date", "df", "dirname", "env",
    "flock", "grep", "head", "id", "ls", "mkdir", "mktemp", "mv", "printenv", "readlink", "rm", "sed",
    "sleep", "sort", "tail", "tee", "timeout", "touch", "tr", "true", "wc",
]
# fmt: on

# Replaces Python: creates a "venv" whose python is this script, and logs its arguments. The Python of the
# tests does the rest of ./run.
PYTHON = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
  *stagegraph.host*) exec "$REAL_PYTHON" "$@" ;;
  *sys.version_info*) echo "$0"; exit "${TOO_OLD:-0}" ;;
  *-V*) echo Python 3.11.0 ;;
  *ensurepip*) exit "${NO_ENSUREPIP:-0}" ;;
  *"-m venv "*) sleep "${SLOW:-0}"; mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python" ;;
  *pip\\ install*) echo "${PIP_SAYS:-}"; exit "${PIP_FAILS:-0}" ;;
esac
"""

# ./run installs curl with the engine. The quick check of the engine needs curl.
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short path, for sockets. pytest's own paths are too long when tests run in parallel."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@dataclass
class Project:
    """A folder with ``run`` and a lock file. PATH has only stubs and harmless tools."""

    folder: Path
    bin: Path
    env: dict[str, str] = field(default_factory=dict)

    def call(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "run", *command],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def stub(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # it may be a link to a program of the machine
        path.write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def replace(self, old: str, new: str) -> None:
        """Replace an absolute path in the copy, in bash and in Python."""
        files = {path: path.read_text() for path in (self.folder / "run", *self.folder.rglob("*.py"))}
        assert any(old in text for text in files.values())
        for path, text in files.items():
            path.write_text(text.replace(old, new))

    @property
    def calls(self) -> list[str]:
        path = Path(self.env["CALLS"])
        return path.read_text().splitlines() if path.exists() else []

    def forget_calls(self) -> None:
        Path(self.env["CALLS"]).unlink(missing_ok=True)


def make_project(base: Path, name: str = "project") -> Project:
    folder, stubs, home = base / name, base / "bin", base / "home"
    for path in (folder, stubs, home):
        path.mkdir()
    shutil.copy(RUN, folder / "run")
    package = RUN.parent / "stagegraph"
    for room in ("host", "oci", "waits"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package / room, folder / "stagegraph" / room, ignore=ignored)
    for module in ("__init__.py", "errors.py", "output.py"):
        shutil.copy(package / module, folder / "stagegraph" / module)
    (folder / "requirements.lock").write_text("doit==0.37.0\n")
    (folder / "pyproject.toml").write_text("[project]\n")
    for tool in TOOLS:
        if found := shutil.which(tool):
            (stubs / tool).symlink_to(found)
    env = {
        "PATH": str(stubs),
        "HOME": str(home),
        "CALLS": str(base / "calls"),
        "REAL_PYTHON": sys.executable,
        "DOCKER_HOST": f"unix://{base}/none.sock",
        "STAGEGRAPH_NO_ENGINE": "1",
    }
    project = Project(folder, stubs, env)
    project.stub("python3", PYTHON)
    project.replace("/var/lib/stagegraph", f"{base}/default-engine")
    project.replace("/var/run/docker.sock", f"{base}/default.sock")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


@pytest.fixture
def ready(project: Project) -> Project:
    """A project whose virtual environment exists."""
    assert project.call("true").returncode == 0
    project.forget_calls()
    return project


def add_buildx(project: Project) -> None:
    project.stub("docker", 'echo "docker $*" >>"$CALLS"')
    plugin = Path(project.env["HOME"]) / ".docker/cli-plugins/docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.touch(mode=0o755)


# ---------------------------------------------------------------- usage


def test_help_goes_to_stdout(project: Project) -> None:
    for option in ("--help", "-h"):
        result = project.call(option)
        assert (result.returncode, result.stderr) == (0, "")
        assert "./run doctor" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["down", "now"], ["doctor", "--json"]])
def test_wrong_usage(project: Project, arguments: list[str]) -> None:
    result = project.call(*arguments)
    assert result.returncode == 64
    assert "./run" in result.stderr
    assert result.stdout == ""


def test_every_exit_status_is_documented() -> None:
    text = RUN.read_text()
    used = set(re.findall(r"\bdie (\d+)|\b(?:exit|return) (6\d|7\d)\b", text))
    numbers = {number for pair in used for number in pair if number} | {str(int(status)) for status in Status}
    documented = set(re.findall(r"^  (\d+) +\S", text, re.MULTILINE)) - {"1"}
    assert numbers == documented


def test_run_names_no_package_registry() -> None:
    for file in (RUN, *(RUN.parent / "stagegraph/host").glob("*.py")):
        assert not re.search(r"pypi\.|pythonhosted|deb\.debian|registry\.npm|index-url", file.read_text())


# ---------------------------------------------------------------- the command


def test_command_gets_its_arguments_status_and_path(ready: Project) -> None:
    result = ready.call(
        "bash", "-c", 'printf "%s|" "$@" "$PATH" "$VIRTUAL_ENV"; exit 37', "x", "a b", "", 'it\'s "$x"'
    )
    venv = ready.folder / ".venv"
    assert result.stdout == f'a b||it\'s "$x"|{venv}/bin:{ready.env["PATH"]}|{venv}|'
    assert (result.returncode, result.stderr) == (37, "")


def test_command_runs_where_it_was_called(ready: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere/project"
    elsewhere.mkdir(parents=True)
    result = subprocess.run(
        ["project/run", "bash", "-c", "pwd"],
        cwd=tmp_path,
        env=ready.env | {"CDPATH": str(elsewhere.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == (f"{tmp_path}\n", "")


def test_unknown_command_is_127(ready: Project) -> None:
    done = ready.call("no-such-command\x1b[2J")
    assert done.returncode == 127 and "no command 'no-such-command?[2J'" in done.stderr


def test_only_pytest_gets_packages_for_tests(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    ready.stub("pytest", 'echo "pytest $*"')
    with answering(tmp_path / "none.sock"):
        for command, asked in (("pytest", True), ("true", False)):
            ready.forget_calls()
            assert ready.call(command, STAGEGRAPH_NO_ENGINE="0").returncode == 0
            assert any(call.endswith(" test-packages") for call in ready.calls) == asked
        ready.forget_calls()
        assert ready.call("pytest").returncode == 0  # STAGEGRAPH_NO_ENGINE=1
        for program in ("chromium", "cosign", "dot", "fish", "zsh"):
            ready.stub(program, "")
        assert ready.call("pytest", STAGEGRAPH_NO_ENGINE="0").returncode == 0
    assert ready.calls == []


@needs_curl
def test_warm_call_starts_neither_python_nor_docker_and_is_fast(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    times = []
    with answering(tmp_path / "none.sock"):
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert ready.call("true", STAGEGRAPH_NO_ENGINE="0").returncode == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert ready.calls == []
    assert 0 < min(times) < 0.1  # processor time: other work on the machine does not count


# ---------------------------------------------------------------- Python


def test_first_call_announces_each_step_and_the_second_is_silent(project: Project) -> None:
    first = project.call("true")
    assert first.returncode == 0, first.stderr
    lines = first.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("run: ") for line in lines)
    assert ["--require-hashes" in call for call in project.calls if "pip install" in call] == [True, False]
    assert f"-m compileall -q {project.folder}/stagegraph" in project.calls
    project.forget_calls()
    second = project.call("true")
    assert (second.returncode, second.stderr, project.calls) == (0, "", [])


def test_a_changed_lock_creates_the_environment_again(ready: Project) -> None:
    leftover = ready.folder / ".venv/leftover"
    leftover.touch()
    (ready.folder / "requirements.lock").write_text("doit==0.38.0\n")
    assert "creating the virtual environment" in ready.call("true").stderr
    assert not leftover.exists()


def test_a_changed_pyproject_installs_only_the_project(ready: Project) -> None:
    (ready.folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    result = ready.call("true")
    assert result.stderr.splitlines() == ["run: installing the project into the virtual environment"]
    assert ready.call("true").stderr == ""


def test_a_moved_project_creates_the_environment_again(ready: Project, tmp_path: Path) -> None:
    ready.folder = ready.folder.rename(tmp_path / "moved")
    assert "creating the virtual environment" in ready.call("true").stderr


def test_an_environment_whose_python_is_gone_is_created_again(ready: Project) -> None:
    (ready.folder / ".venv/bin/python").unlink()
    assert "creating the virtual environment" in ready.call("true").stderr


def test_project_without_pyproject(project: Project) -> None:
    (project.folder / "pyproject.toml").unlink()
    assert project.call("true").returncode == 0
    assert project.call("true").stderr == ""


def test_failed_step_shows_its_log_and_is_tried_again(project: Project) -> None:
    failed = project.call("true", PIP_FAILS="1", PIP_SAYS="THESE PACKAGES DO NOT MATCH THE HASHES")
    assert failed.returncode == 70
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in failed.stderr
    log = re.search(r"full log: (.*)", failed.stderr)
    assert log
    assert "HASHES" in Path(log[1]).read_text()
    again = project.call("true")
    assert again.returncode == 0
    assert "creating the virtual environment" in again.stderr


def test_a_killed_set_up_starts_again(project: Project) -> None:
    with subprocess.Popen(
        [project.folder / "run", "true"], env=project.env | {"SLOW": "20"}, start_new_session=True
    ) as call:
        while not any(" venv " in line for line in project.calls):
            assert call.poll() is None
            time.sleep(0.01)
        os.killpg(call.pid, 9)
    assert (project.folder / ".venv").exists()
    result = project.call("true")
    assert result.returncode == 0
    assert "creating the virtual environment" in result.stderr


def test_two_calls_at_once_set_up_once(project: Project) -> None:
    calls = [
        subprocess.Popen(
            [project.folder / "run", "true"],
            env=project.env | {"SLOW": "0.5"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    messages = [call.communicate(timeout=30)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert sum("creating" in message for message in messages) == 1
    assert sum("waiting for another ./run" in message for message in messages) == 1


def test_the_process_that_has_the_lock_is_named(project: Project) -> None:
    """The functions of ./run are read; ``flock`` gives up at once in place of after ten seconds."""
    flock = shutil.which("flock")
    script = f"""
        . {project.folder}/run
        flock() {{ [[ $1 == -n ]] || [[ -e {project.folder}/second ]] && command {flock} -n 9 && return
          touch {project.folder}/second; return 1; }}
        lock {project.folder} engine & first=$!
        sleep 0.2; kill -KILL $OTHER; wait $first"""
    project.stub("stat", 'exec /usr/bin/stat "$@"')
    other = subprocess.Popen([flock or "", str(project.folder), "sleep", "30"], start_new_session=True)
    try:
        until = time.monotonic() + 10
        while subprocess.run([flock or "", "-n", str(project.folder), "true"], check=False).returncode == 0:
            assert time.monotonic() < until
        os.kill(other.pid, signal.SIGSTOP)
        result = subprocess.run(
            ["bash", "-c", f"OTHER=-{other.pid}\n{script}"],
            env=project.env, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
    assert result.returncode == 0, result.stderr
    named = f"waiting 10 s for the lock of {project.folder}, held by process {other.pid}"
    assert (
        f"{named}, stopped: kill -CONT {other.pid} lets it go on, kill -KILL {other.pid} ends it"
        in result.stderr
    )


@pytest.mark.parametrize(
    "name", ["with space", "it's", 'say "x"', "dollar $HOME `x`", "back\\slash", "ünï", "a&b|c"]
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, name)
    (tmp_path / "t m p").mkdir()
    first = project.call("true", TMPDIR=str(tmp_path / "t m p"), CI="true")
    assert first.returncode == 0, first.stderr
    assert project.call("true").stderr == ""


@pytest.mark.parametrize("name", ['it is "x"', "cost $HOME now", "back\\ slash"])
def test_scripts_run_although_pip_would_write_a_broken_first_line(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, name)
    write_tool = r"""*pip\ install*)
      printf '%s\n' '#!/bin/sh' "'''exec' \"$0\" \"\$0\" \"\$@\"" "' '''" >"${0%/*}/tool"
      chmod 755 "${0%/*}/tool" """
    project.stub("python3", PYTHON.replace(r"*pip\ install*)", write_tool + ";"))
    result = project.call("tool", "argument")
    assert result.returncode == 0, result.stderr
    assert project.calls[-1] == f"{project.folder}/.venv/bin/tool argument"


def test_a_colon_in_the_folder_name_is_an_error(tmp_path: Path) -> None:
    result = make_project(tmp_path, "a:b").call("true")
    assert result.returncode == 78
    assert "colon" in result.stderr


def test_a_missing_python_is_an_error(project: Project) -> None:
    result = project.call("true", TOO_OLD="1")
    assert result.returncode == 72
    assert "apt-get install" in result.stderr
    assert not (project.folder / ".venv").exists()


def test_a_later_python_is_found_after_an_old_one_on_path(project: Project) -> None:
    project.stub("python3.12", PYTHON)
    project.stub("python3", "exit 1")
    assert project.call("true").returncode == 0


def test_the_environment_is_not_created_with_its_own_python(ready: Project) -> None:
    own = ready.folder / ".venv/bin/python3"
    own.write_text(f"#!/bin/bash\n[[ $* != *sys._base_executable* ]] || echo {ready.bin}/python3\n")
    own.chmod(0o755)
    (ready.folder / "requirements.lock").write_text("doit==0.38.0\n")
    result = ready.call("true", PATH=f"{own.parent}:{ready.bin}")
    assert result.returncode == 0, result.stderr
    assert any(" venv " in call for call in ready.calls)


def test_no_machine_needs_a_compiler() -> None:
    """Only BuildKit's parser in Go has no wheel for arm64, and only tests use it."""
    (line,) = re.findall(r"^dockerfile==.*", (RUN.parent / "requirements.lock").read_text(), re.MULTILINE)
    assert "; sys_platform == 'linux' and platform_machine == 'x86_64'" in line
    assert (
        "dockerfile"
        not in tomllib.loads((RUN.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    )


def test_python_without_ensurepip(project: Project) -> None:
    result = project.call("true", NO_ENSUREPIP="1")
    assert result.returncode == 72
    assert "python3-venv" in result.stderr


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "PIP_CERT"),
        ("Temporary failure in name resolution", "no DNS"),
        ("Could not resolve 'example.org'", "no DNS"),
    ],
)
def test_usual_causes_are_named(project: Project, output: str, advice: str) -> None:
    assert advice in project.call("true", PIP_FAILS="1", PIP_SAYS=output).stderr
    shutil.rmtree(project.folder / ".venv")
    assert advice not in project.call("true", PIP_FAILS="1", PIP_SAYS="something else").stderr


# ---------------------------------------------------------------- which engine


def test_a_chosen_engine_that_is_down_is_named(ready: Project) -> None:
    result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert ready.env["DOCKER_HOST"] in result.stderr
    assert "STAGEGRAPH_NO_ENGINE=1" in result.stderr


def test_a_chosen_docker_context_that_is_down_is_named(ready: Project) -> None:
    del ready.env["DOCKER_HOST"]
    config = Path(ready.env["HOME"]) / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{\n\t"auths": {},\n\t"currentContext": "far-away"\n}')
    result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert "'far-away'" in result.stderr


@needs_curl
def test_an_engine_without_buildx_is_not_changed(ready: Project, tmp_path: Path) -> None:
    ready.stub("docker", "exit 1")
    ready.replace("/usr/{local/,}lib{exec,}/docker", "/nowhere")
    ready.replace('Path("/usr/', 'Path("/nowhere/')
    with answering(tmp_path / "none.sock"):
        result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert "buildx is missing" in result.stderr
    assert "fix: " in result.stderr


def test_no_engine_and_none_can_be_set_up(ready: Project) -> None:
    """The programs of an engine are not on PATH, so it does not matter which user runs the test."""
    del ready.env["DOCKER_HOST"]
    ready.replace("platform.freedesktop_os_release()", "{}")
    result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert "run: fix: install Docker Engine" in result.stderr


def test_engine_dir_has_its_own_socket(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    folder = tmp_path / "e 'x"
    folder.mkdir()
    environment = {
        "STAGEGRAPH_ENGINE_DIR": f"{folder}/",
        "STAGEGRAPH_NO_ENGINE": "0",
        "DOCKER_CONTEXT": "other",
    }
    with answering(folder / "docker.sock"):
        result = ready.call("bash", "-c", 'echo "$DOCKER_HOST ${DOCKER_CONTEXT-unset}"', **environment)
    assert result.stdout == f"unix://{folder}/docker.sock unset\n", result.stderr


@pytest.mark.parametrize(
    ("folder", "status"), [("/" + 68 * "x", 0), ("/" + 69 * "x", 78), ("/" + 35 * "ü", 78), ("x", 78)]
)
def test_engine_dir_must_leave_room_for_sockets(ready: Project, folder: str, status: int) -> None:
    result = ready.call("true", STAGEGRAPH_ENGINE_DIR=folder, LC_ALL="C.UTF-8")
    assert result.returncode == status, result.stderr
    assert (folder in result.stderr) == (status != 0)


def test_the_kernel_accepts_the_longest_engine_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "/exec/containerd/containerd-debug.sock"
    assert 69 + len(name) == 107
    monkeypatch.chdir(tmp_path)
    for length in (107, 108):
        with socket.socket(socket.AF_UNIX) as server:
            if length == 107:
                server.bind("x" * length)
            else:
                with pytest.raises(OSError, match="too long"):
                    server.bind("x" * length)


def test_an_engine_of_somebody_else_is_not_changed(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    binfmt = tmp_path / "binfmt_misc"
    binfmt.mkdir()
    ready.replace("/proc/sys/fs/binfmt_misc", str(binfmt))
    with answering(tmp_path / "none.sock"):
        result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 0
    assert re.search("note: (aarch64|x86_64) images cannot be built here.*; fix: .", result.stderr)
    assert list(binfmt.iterdir()) == []


@needs_curl
@pytest.mark.parametrize("text", ['{"currentContext": "far-away"}', "{}"])
def test_the_engine_of_the_current_docker_context_is_checked(
    ready: Project, tmp_path: Path, text: str
) -> None:
    """The default engine answers, but a context may name another one."""
    add_buildx(ready)
    del ready.env["DOCKER_HOST"]
    (Path(ready.env["HOME"]) / ".docker/config.json").write_text(text)
    ready.stub("docker", "exit 1")
    with answering(tmp_path / "default.sock"):
        result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == (69 if "far-away" in text else 0)


def test_a_set_up_that_is_interrupted(ready: Project) -> None:
    """The exit status is that of the signal, and there is no traceback."""
    add_buildx(ready)
    ready.env["DOCKER_HOST"] = "ssh://there"
    # the quick check fails, where it comes to docker at all; then Python calls docker, in another form
    ready.stub("docker", 'case $* in *--format=*) echo >"$CALLS.asked"; sleep 20 ;; *) exit 1 ;; esac')
    # a background job has SIGINT ignored, and so would all that it starts
    command = [str(shutil.which("env")), "--default-signal=INT", str(ready.folder / "run"), "true"]
    with subprocess.Popen(
        command,
        env=ready.env | {"STAGEGRAPH_NO_ENGINE": "0"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as call:
        while not Path(ready.env["CALLS"] + ".asked").exists():
            assert call.poll() is None
            time.sleep(0.01)
        os.killpg(call.pid, signal.SIGINT)
        assert call.stderr and "Traceback" not in call.stderr.read()
    assert call.returncode in (130, -signal.SIGINT)


# ---------------------------------------------------------------- down and doctor


@pytest.mark.parametrize("text", ["", "x", "999999999", "-1", "1 2"])
def test_down_with_a_nonsense_pid_file(project: Project, tmp_path: Path, text: str) -> None:
    (tmp_path / "dockerd.pid").write_text(text)
    project.stub("ip", "exit 1")
    result = project.call("down", STAGEGRAPH_ENGINE_DIR=str(tmp_path))
    assert result.returncode == 0
    assert "no engine" in result.stderr
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize("word", ["down", "doctor"])
def test_python_is_needed(project: Project, word: str) -> None:
    result = project.call(word, TOO_OLD="1")
    assert result.returncode == (72 if word == "down" else 1)
    assert "apt-get install -y python3 python3-venv" in result.stdout + result.stderr
    assert bool(re.match(r"missing  Python >= 3\.11 +fix: ", result.stdout)) == (word == "doctor")


def test_doctor_with_nothing_there(project: Project, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = project.call("doctor")
    assert result.returncode == 1
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert all(re.match(r"ok       \S|missing  \S.* fix: \S", line) for line in lines)
    missing = {line[9:27].strip() for line in lines if line.startswith("missing")}
    assert {"docker client", "engine", "skopeo", "mmdebstrap", "docker-registry"} <= missing
    assert re.search(r"^ok       Python >= 3.11 +3", result.stdout, re.MULTILINE)
    assert re.search(r"^ok       .venv +none yet", result.stdout, re.MULTILINE)
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "calls"] == before


def test_doctor_with_everything_there(project: Project, tmp_path: Path) -> None:
    project.call("true")
    add_buildx(project)
    project.stub(
        "docker",
        """case "$*" in
      *DriverStatus*) echo '[[driver-type io.containerd.snapshotter.v1]]' ;;
      "buildx inspect"*) printf 'Status: running\\nPlatforms: linux/amd64, linux/arm64\\n' ;;
      *) echo 26.1 ;;
    esac""",
    )
    for tool in ("skopeo", "mmdebstrap", "arch-test", "docker-registry", "curl"):
        project.stub(tool, "")
    for name in ("aarch64", "x86_64"):
        (tmp_path / f"qemu-{name}").write_text("enabled\ninterpreter /q\nflags: POF\n")
    project.replace("/proc/sys/fs/binfmt_misc", str(tmp_path))
    project.replace("FREE, BUILDX = 5,", "FREE, BUILDX = 0,")
    (tmp_path / "ca").touch()
    names = "*commands.doctor*) echo '[\"farm\"]' ;; *sys.version_info*)"
    project.stub("python3", PYTHON.replace("*sys.version_info*)", names))
    shutil.copy(project.bin / "python3", project.folder / ".venv/bin/python")
    with answering(tmp_path / "none.sock"):
        result = project.call("doctor", SSL_CERT_FILE=str(tmp_path / "ca"))
        assert (result.returncode, re.findall("missing.*", result.stdout)) == (0, [])
        assert "builder farm       linux/amd64, linux/arm64" in result.stdout
        (project.bin / "skopeo").unlink()
        assert project.call("doctor", SSL_CERT_FILE=str(tmp_path / "ca")).returncode == 1
        shutil.rmtree(project.folder / ".venv/bin")
        assert "missing  .venv" in project.call("doctor").stdout


def test_a_closed_pipe_ends_doctor_without_a_message(project: Project) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [str(project.folder / "run"), "doctor"]
    done = subprocess.run(command, env=project.env, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")
