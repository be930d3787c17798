"""`./run` without engine, network or root: a copy in a folder of its own, with stubs for what it would start.

Functions that no call reaches here (they install packages) are read with `source` and called one by one.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

RUN = Path(__file__).parents[2] / "run"
# fmt: off
TOOLS = [
    "awk", "bash", "cat", "chmod", "cksum", "cmp", "cp", "curl", "cut", "date", "df", "dirname", "env",
    "flock", "grep", "head", "id", "ls", "mkdir", "mktemp", "mv", "printenv", "readlink", "rm", "sed",
    "sleep", "sort", "tail", "tee", "timeout", "touch", "tr", "true", "wc",
]
# fmt: on

# Stands in for Python: makes a "venv" whose python is itself, and notes what it was asked.
PYTHON = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
  *sys.version_info*) echo "$0"; exit "${TOO_OLD:-0}" ;;
  *-V*) echo Python 3.11.0 ;;
  *ensurepip*) exit "${NO_ENSUREPIP:-0}" ;;
  *"-m venv "*) sleep "${SLOW:-0}"; mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python" ;;
  *pip\\ install*) echo "${PIP_SAYS:-}"; exit "${PIP_FAILS:-0}" ;;
esac
"""

# ./run installs it with the engine; without it the docker client is asked, which is slower.
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: sockets lie in it. pytest's own are longer where tests run side by side."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@dataclass
class Project:
    """A folder with `run` and a lock file, and a PATH that has nothing but stubs and harmless tools."""

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

    def shell(self, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs bash with the functions of `run`."""
        return subprocess.run(
            ["bash", "-c", f"source {shlex.quote(str(self.folder / 'run'))}\n{script}"],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def stub(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # it may be a link to the machine's own program
        path.write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def replace(self, old: str, new: str) -> None:
        """Points an absolute path in the copy elsewhere."""
        text = (self.folder / "run").read_text()
        assert old in text
        (self.folder / "run").write_text(text.replace(old, new))

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
    (folder / "requirements.lock").write_text("doit==0.37.0\n")
    (folder / "pyproject.toml").write_text("[project]\n")
    for tool in TOOLS:
        if found := shutil.which(tool):
            (stubs / tool).symlink_to(found)
    env = {
        "PATH": str(stubs),
        "HOME": str(home),
        "CALLS": str(base / "calls"),
        "DOCKER_HOST": f"unix://{base}/none.sock",
        "STAGEGRAPH_NO_ENGINE": "1",
    }
    project = Project(folder, stubs, env)
    project.stub("python3", PYTHON)
    project.replace("engine_dir=/var/lib/stagegraph", f"engine_dir={base}/default-engine")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


@pytest.fixture
def ready(project: Project) -> Project:
    """A project whose virtual environment is there."""
    assert project.call("true").returncode == 0
    project.forget_calls()
    return project


@contextmanager
def engine(path: Path) -> Iterator[None]:
    """A socket that answers a ping as Docker's does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    if not client.recv(4096):
                        return
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


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
    numbers = {number for pair in used for number in pair if number}
    documented = set(re.findall(r"^  (\d+) +\S", text, re.MULTILINE)) - {"1"}
    assert numbers == documented


def test_names_no_package_registry() -> None:
    assert not re.search(r"pypi\.|pythonhosted|deb\.debian|registry\.npm|index-url", RUN.read_text())


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
    assert ready.call("no-such-command").returncode == 127


@needs_curl
def test_warm_call_starts_neither_python_nor_docker_and_is_fast(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    times = []
    with engine(tmp_path / "none.sock"):
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert ready.call("true", STAGEGRAPH_NO_ENGINE="0").returncode == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert ready.calls == []
    assert 0 < min(times) < 0.1  # of the processor, so that other work on the machine does not count


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


def test_changed_lock_makes_the_environment_anew(ready: Project) -> None:
    leftover = ready.folder / ".venv/leftover"
    leftover.touch()
    (ready.folder / "requirements.lock").write_text("doit==0.38.0\n")
    assert "making the virtual environment" in ready.call("true").stderr
    assert not leftover.exists()


def test_changed_pyproject_installs_the_project_only(ready: Project) -> None:
    (ready.folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    result = ready.call("true")
    assert result.stderr.splitlines() == ["run: installing the project into the virtual environment"]
    assert ready.call("true").stderr == ""


def test_moved_project_makes_the_environment_anew(ready: Project, tmp_path: Path) -> None:
    ready.folder = ready.folder.rename(tmp_path / "moved")
    assert "making the virtual environment" in ready.call("true").stderr


def test_environment_whose_python_is_gone_is_made_anew(ready: Project) -> None:
    (ready.folder / ".venv/bin/python").unlink()
    assert "making the virtual environment" in ready.call("true").stderr


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
    assert "making the virtual environment" in again.stderr


def test_killed_set_up_is_started_over(project: Project) -> None:
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
    assert "making the virtual environment" in result.stderr


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
    assert sum("making" in message for message in messages) == 1
    assert sum("waiting for another ./run" in message for message in messages) == 1


@pytest.mark.parametrize(
    "name", ["with space", "it's", 'say "x"', "dollar $HOME `x`", "back\\slash", "ünï", "a&b|c"]
)
def test_folder_names(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, name)
    (tmp_path / "t m p").mkdir()
    first = project.call("true", TMPDIR=str(tmp_path / "t m p"), CI="true")
    assert first.returncode == 0, first.stderr
    assert project.call("true").stderr == ""


@pytest.mark.parametrize("name", ['it is "x"', "cost $HOME now", "back\\ slash"])
def test_scripts_run_where_pip_would_write_a_broken_first_line(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, name)
    write_tool = r"""*pip\ install*)
      printf '%s\n' '#!/bin/sh' "'''exec' \"$0\" \"\$0\" \"\$@\"" "' '''" >"${0%/*}/tool"
      chmod 755 "${0%/*}/tool" """
    project.stub("python3", PYTHON.replace(r"*pip\ install*)", write_tool + ";"))
    result = project.call("tool", "argument")
    assert result.returncode == 0, result.stderr
    assert project.calls[-1] == f"{project.folder}/.venv/bin/tool argument"


def test_colon_in_the_folder(tmp_path: Path) -> None:
    result = make_project(tmp_path, "a:b").call("true")
    assert result.returncode == 78
    assert "colon" in result.stderr


def test_no_python(project: Project) -> None:
    result = project.call("true", TOO_OLD="1")
    assert result.returncode == 72
    assert "apt-get install" in result.stderr
    assert not (project.folder / ".venv").exists()


def test_later_python_is_found_behind_an_old_one(project: Project) -> None:
    project.stub("python3.12", PYTHON)
    project.stub("python3", "exit 1")
    assert project.call("true").returncode == 0


def test_environment_is_not_made_with_its_own_python(ready: Project) -> None:
    own = ready.folder / ".venv/bin/python3"
    own.write_text(f"#!/bin/bash\n[[ $* != *sys._base_executable* ]] || echo {ready.bin}/python3\n")
    own.chmod(0o755)
    (ready.folder / "requirements.lock").write_text("doit==0.38.0\n")
    result = ready.call("true", PATH=f"{own.parent}:{ready.bin}")
    assert result.returncode == 0, result.stderr
    assert any(" venv " in call for call in ready.calls)


def test_no_machine_needs_a_compiler() -> None:
    """Of all packages only BuildKit's parser in Go lacks a wheel for arm64, and only tests want it."""
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


def test_chosen_engine_that_is_down_is_named(ready: Project) -> None:
    result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert ready.env["DOCKER_HOST"] in result.stderr
    assert "STAGEGRAPH_NO_ENGINE=1" in result.stderr


def test_chosen_context_that_is_down_is_named(ready: Project) -> None:
    del ready.env["DOCKER_HOST"]
    config = Path(ready.env["HOME"]) / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{\n\t"auths": {},\n\t"currentContext": "far-away"\n}')
    result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert "'far-away'" in result.stderr
    assert ready.shell("DOCKER_CONTEXT=default docker_context").stdout == ""
    assert ready.shell("DOCKER_HOST=unix:///x docker_context").stdout == ""


@needs_curl
def test_engine_without_buildx_is_left_alone(ready: Project, tmp_path: Path) -> None:
    ready.stub("docker", "exit 1")
    ready.replace("/usr/{local/,}lib{exec,}/docker", "/nowhere")
    with engine(tmp_path / "none.sock"):
        result = ready.call("true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 69
    assert "buildx is missing" in result.stderr
    assert "mend: " in result.stderr


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ("is_root() { false; }; debian_kind() { printf plain; }", "mend: sudo .*run true"),
        ("is_root() { true; }; debian_kind() { :; }", "install Docker Engine"),
        ("is_root() { true; }; debian_kind() { :; }; OSTYPE=darwin24", "mend: "),
        ("is_root() { false; }; debian_kind() { :; }", "install Docker Engine"),
    ],
)
def test_no_engine_and_none_can_be_set_up(
    ready: Project, tmp_path: Path, overrides: str, advice: str
) -> None:
    del ready.env["DOCKER_HOST"]
    ready.replace("socket=/var/run/docker.sock", f"socket={tmp_path}/no.sock")
    if "darwin" in overrides:  # where Docker Desktop may have been installed, but not started
        add_buildx(ready)
        ready.stub("dockerd", "")
    script = f"{overrides}; install_packages() {{ exit 1; }}; start_engine() {{ exit 1; }}"
    result = ready.shell(f"{script}; STAGEGRAPH_NO_ENGINE=0; main true")
    assert result.returncode == 69
    assert re.search(advice, result.stderr)


def test_engine_dir_has_its_own_socket(ready: Project, tmp_path: Path) -> None:
    add_buildx(ready)
    folder = tmp_path / "e 'x"
    folder.mkdir()
    environment = {
        "STAGEGRAPH_ENGINE_DIR": f"{folder}/",
        "STAGEGRAPH_NO_ENGINE": "0",
        "DOCKER_CONTEXT": "other",
    }
    with engine(folder / "docker.sock"):
        result = ready.call("bash", "-c", 'echo "$DOCKER_HOST ${DOCKER_CONTEXT-unset}"', **environment)
    assert result.stdout == f"unix://{folder}/docker.sock unset\n", result.stderr


@pytest.mark.parametrize(
    ("folder", "status"), [("/" + 68 * "x", 0), ("/" + 69 * "x", 78), ("/" + 35 * "ü", 78), ("x", 78)]
)
def test_engine_dir_must_leave_room_for_sockets(ready: Project, folder: str, status: int) -> None:
    result = ready.call("true", STAGEGRAPH_ENGINE_DIR=folder, LC_ALL="C.UTF-8")
    assert result.returncode == status, result.stderr
    assert (folder in result.stderr) == (status != 0)


def test_longest_engine_dir_is_one_the_kernel_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# ---------------------------------------------------------------- packages


@pytest.mark.parametrize(
    ("system", "version", "kind"),
    [
        ("debian", "11", ""),
        ("debian", "9", ""),
        ("debian", "12", "12"),
        ("debian", "13", "plain"),
        ("debian", "", "plain"),
        ("ubuntu", "24.04", "plain"),
        ("fedora", "42", ""),
        ("", "", ""),
    ],
)
def test_systems(project: Project, system: str, version: str, kind: str) -> None:
    os_release = f"case $1 in ID) printf '{system}' ;; VERSION_ID) printf '{version}' ;; esac"
    assert project.shell(f"os_release() {{ {os_release}; }}; debian_kind").stdout == kind


def test_packages_wanted_are_those_whose_commands_are_missing(project: Project) -> None:
    functions = "os_release() { printf debian; }; buildx_there() { false; }; qemu_conf() { false; };"
    wanted = project.shell(f"{functions} missing_packages").stdout.split()
    assert {"docker.io", "docker-cli", "docker-buildx", "qemu-user-static", "mmdebstrap", "skopeo"} <= set(
        wanted
    )
    project.stub("docker", "")
    project.stub("skopeo", "")
    left = project.shell(f"{functions} buildx_there() {{ true; }}; missing_packages").stdout.split()
    assert set(wanted) - set(left) == {"docker-cli", "skopeo", "docker-buildx"}


DEB822 = """\
# the machine's own
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm-updates bookworm
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://mirror.example/debian bookworm main
deb https://other.example/debian/12/prod bookworm main
deb-src http://mirror.example/debian bookworm main
deb [ arch=amd64 signed-by=/keys/debian.gpg ] http://mirror.example/debian/ bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
"""


DEB822_TRIXIE = """\
Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By: /keys/debian.gpg
"""
ONE_LINE_TRIXIE = "deb [ arch=amd64 signed-by=/keys/debian.gpg ] http://mirror.example/debian/ trixie main\n"


@pytest.mark.parametrize(
    ("style", "text", "expected"),
    [("sources", DEB822, DEB822_TRIXIE), ("list", ONE_LINE, ONE_LINE_TRIXIE)],
)
def test_source_for_trixie_is_the_machines_own(
    project: Project, style: str, text: str, expected: str
) -> None:
    (project.folder / "source").write_text(text)
    script = f"trixie_source {style} http://mirror.example/debian/ bookworm <{project.folder}/source"
    assert project.shell(script).stdout == expected


def test_update_waits_for_the_lists_lock(project: Project, tmp_path: Path) -> None:
    project.stub("sleep", "")
    project.stub(
        "apt-get",
        """echo x >>"$CALLS"
        [[ $(wc -l <"$CALLS") == 3 ]] && echo fine && exit
        echo 'E: Could not get lock /var/lib/apt/lists/lock.' && exit 100""",
    )
    result = project.shell(f"apt_update {tmp_path}/log")
    assert (result.returncode, result.stderr, len(project.calls)) == (0, "", 3)
    assert (tmp_path / "log").read_text() == "fine\n"


def test_update_that_fails_in_part_is_said_and_goes_on(project: Project, tmp_path: Path) -> None:
    project.stub("apt-get", "printf 'Get:1\\nW: Failed to fetch x\\n'; exit 0")
    result = project.shell(f"apt_update {tmp_path}/log")
    assert result.returncode == 0
    assert f"{tmp_path}/log" in result.stderr


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 7\n"])
@pytest.mark.parametrize("killed", [False, True])
def test_policy_file_is_put_back(project: Project, tmp_path: Path, before: str | None, killed: bool) -> None:
    policy = tmp_path / "policy-rc.d"
    project.replace("policy=/usr/sbin/policy-rc.d", f"policy={policy}")
    if before:
        policy.write_text(before)
    if killed:
        project.shell("( keep_services_stopped; kill -9 $BASHPID )")
        assert "exit 101" in policy.read_text()
    result = project.shell(f'( keep_services_stopped; "{policy}" || echo $? )')
    assert result.stdout == "101\n"
    assert (policy.read_text() if policy.exists() else None) == before
    assert {path.name for path in tmp_path.iterdir() if "policy" in path.name} == (
        {policy.name} if before else set()
    )


def test_existing_engine_configuration_is_left(project: Project, tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    assert project.shell(f"write_config {config}").stderr == ""
    assert config.read_text() == '{"features": {"containerd-snapshotter": true}}\n'
    config.write_text('{"dns": ["192.0.2.1"]}')
    assert "containerd-snapshotter" in project.shell(f"write_config {config}").stderr
    assert config.read_text() == '{"dns": ["192.0.2.1"]}'


# ---------------------------------------------------------------- starting and stopping


def start(project: Project, folder: Path, dockerd: str) -> subprocess.CompletedProcess[str]:
    project.stub("dockerd", dockerd)
    project.stub("setsid", 'exec "$@"')
    functions = (
        "make_bridge() { :; }; uses_service() { false; }; engine_answers() { [[ -e $engine_dir/up ]]; }"
    )
    return project.shell(
        f"{functions}; engine_paths; lock / engine; start_engine",
        STAGEGRAPH_ENGINE_DIR=str(folder),
        TMPDIR="/gone",
    )


def test_engine_that_does_not_start_shows_its_log(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    result = start(project, folder, "echo no such luck >&2; exit 1")
    assert result.returncode == 71
    assert "no such luck" in result.stderr
    assert f"full log: {folder}/dockerd.log" in result.stderr


def test_engine_of_its_own_keeps_clear_of_others(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "dockerd.pid").write_text(str(os.getpid()))  # taken by another process since the last reboot
    result = start(
        project,
        folder,
        """printf '%s\\n' "$@" "TMPDIR=${TMPDIR-}" "fd9=$(ls /proc/$$/fd | grep -cx 9)" >"$CALLS"
        for word; do [[ $word != */dockerd.pid ]] || touch "${word%/*}/up"; done""",
    )
    assert result.returncode == 0, result.stderr
    words = project.calls
    assert {"--iptables=false", "--ip6tables=false", "--bridge", f"unix://{folder}/docker.sock"} <= set(words)
    assert words[words.index("--data-root") + 1] == f"{folder}/docker"
    assert words[words.index("--exec-root") + 1] == f"{folder}/exec"
    assert not any(
        "tcp://" in word or "address-pool" in word for word in words
    )  # a pool would delete docker0
    assert words[-2:] == ["TMPDIR=", "fd9=0"]
    assert not (folder / "dockerd.pid").exists()


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_down_stops_our_engine_only(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    project.stub("ip", "exit 1")
    project.stub("findmnt", "exit 1")
    pid = folder / "dockerd.pid"
    script = "is_root() { true; }; main down"
    with process("--data-root", f"{folder}/docker2") as other:
        pid.write_text(str(other.pid))
        result = project.shell(script, STAGEGRAPH_ENGINE_DIR=str(folder))
        assert (result.returncode, other.poll()) == (0, None)
        assert "no engine" in result.stderr
    with process("--data-root", f"{folder}/docker") as ours:
        pid.write_text(str(ours.pid))
        reaper = threading.Thread(target=ours.wait)  # its parent, as init would be
        reaper.start()
        result = project.shell(script, STAGEGRAPH_ENGINE_DIR=str(folder))
        reaper.join()
        assert ours.returncode == -15
        assert f"stopping the engine (pid {ours.pid})" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("run: stopped")


@pytest.mark.parametrize("text", ["", "x", "999999999", "-1", "1 2"])
def test_down_with_a_nonsense_pid_file(project: Project, tmp_path: Path, text: str) -> None:
    (tmp_path / "dockerd.pid").write_text(text)
    project.stub("ip", "exit 1")
    result = project.call("down", STAGEGRAPH_ENGINE_DIR=str(tmp_path))
    assert result.returncode == 0
    assert "no engine" in result.stderr


# ---------------------------------------------------------------- QEMU

ENTRY = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: {}\noffset 0\n"


@pytest.fixture
def binfmt(project: Project, tmp_path: Path) -> Path:
    folder = tmp_path / "binfmt_misc"
    folder.mkdir()
    (folder / "register").touch()
    conf = tmp_path / "binfmt.d"
    conf.mkdir()
    (conf / "qemu-aarch64.conf").write_text(":qemu-aarch64:M::\\x7f\\x45:\\xff:/usr/bin/qemu-aarch64:OP")
    project.replace("binfmt=/proc/sys/fs/binfmt_misc", f"binfmt={folder}")
    project.replace("/usr/lib/binfmt.d", str(conf))
    project.replace("case $HOSTTYPE in", "case x86_64 in")
    return folder


def test_qemu_is_registered_for_containers(project: Project, binfmt: Path) -> None:
    assert project.shell("other_architecture_runs").returncode == 1
    assert "registering QEMU" in project.shell("register_binfmt").stderr
    assert (binfmt / "register").read_text() == ":qemu-aarch64:M::\\x7f\\x45:\\xff:/usr/bin/qemu-aarch64:OPF"


def test_registered_qemu_is_left(project: Project, binfmt: Path) -> None:
    (binfmt / "qemu-aarch64").write_text(ENTRY.format("POF"))
    result = project.shell("register_binfmt")
    assert (result.returncode, result.stderr) == (0, "")
    assert (binfmt / "register").read_text() == ""


def test_engine_of_somebody_else_is_not_touched(ready: Project, binfmt: Path, tmp_path: Path) -> None:
    add_buildx(ready)
    with engine(tmp_path / "none.sock"):
        result = ready.shell("is_root() { true; }; main true", STAGEGRAPH_NO_ENGINE="0")
    assert result.returncode == 0
    assert "note: aarch64 images cannot be built" in result.stderr
    assert "mend: " in result.stderr
    assert (binfmt / "register").read_text() == ""


def test_qemu_that_containers_cannot_use_is_replaced(project: Project, binfmt: Path) -> None:
    (binfmt / "qemu-aarch64").write_text(ENTRY.format("OC"))
    assert project.shell("other_architecture_runs").returncode == 1
    project.shell("register_binfmt")
    assert (binfmt / "qemu-aarch64").read_text() == "-1"
    assert (binfmt / "register").read_text().endswith("OPF")


def test_qemu_that_cannot_be_registered_is_a_note(project: Project, binfmt: Path) -> None:
    (binfmt / "register").unlink()
    project.stub("mount", "exit 1")
    result = project.shell("register_binfmt; echo went on")
    assert result.stdout == "went on\n"
    assert "note: could not register QEMU" in result.stderr


# ---------------------------------------------------------------- doctor


def test_doctor_with_nothing_there(project: Project, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = project.call("doctor", TOO_OLD="1")
    assert result.returncode == 1
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert all(re.match(r"ok       \S|missing  \S.* mend: \S", line) for line in lines)
    missing = {line[9:27].strip() for line in lines if line.startswith("missing")}
    assert {
        "Python >= 3.11",
        "docker client",
        "engine",
        "skopeo",
        "mmdebstrap",
        "docker-registry",
    } <= missing
    assert re.search(r"^ok       .venv +none yet", result.stdout, re.MULTILINE)
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "calls"] == before


def test_doctor_with_everything_there(project: Project, binfmt: Path, tmp_path: Path) -> None:
    project.call("true")
    add_buildx(project)
    project.stub(
        "docker",
        """case "$*" in
      *DriverStatus*) echo '[[driver-type io.containerd.snapshotter.v1]]' ;;
      "buildx inspect") echo 'Platforms: linux/amd64, linux/arm64' ;;
      *) echo 26.1 ;;
    esac""",
    )
    for tool in ("skopeo", "mmdebstrap", "arch-test", "docker-registry"):
        project.stub(tool, "")
    (binfmt / "qemu-aarch64").write_text(ENTRY.format("POF"))
    project.stub("df", "echo / 1 1 99999999 1% /")
    (tmp_path / "ca").touch()
    script = "python_fact() { echo 3.11; }; main doctor"
    with engine(tmp_path / "none.sock"):
        result = project.shell(script, SSL_CERT_FILE=str(tmp_path / "ca"))
        assert (result.returncode, re.findall("missing.*", result.stdout)) == (0, [])
        shutil.rmtree(project.folder / ".venv/bin")
        assert "missing  .venv" in project.shell(script, SSL_CERT_FILE=str(tmp_path / "ca")).stdout
        (project.bin / "skopeo").unlink()
        assert project.shell(script, SSL_CERT_FILE=str(tmp_path / "ca")).returncode == 1


def test_doctor_looks_at_the_builders_that_are_named(project: Project) -> None:
    project.stub(
        "docker",
        """case "$*" in
      *inspect\\ up) printf 'Name: up\nStatus:  running\nPlatforms: linux/arm64*, linux/amd64\n' ;;
      *inspect\\ down) printf 'Name: down\nStatus:  inactive\nPlatforms: linux/arm64*\n' ;;
    esac""",
    )
    result = project.shell("named_builders() { printf 'up\ndown\n'; }; main doctor")
    said = [line for line in result.stdout.splitlines() if re.search("builder (up|down)", line)]
    assert [line.split()[0] for line in said] == ["ok", "missing"]
    assert said[0].endswith("linux/arm64*, linux/amd64")
    assert "docker buildx inspect --bootstrap down" in said[1]


def test_an_engine_takes_addresses_that_no_other_has(project: Project) -> None:
    """Others may have so many that a reader which stops at the first one it looks for breaks the pipe."""
    lines = r"printf '10.199.%s.0/24 dev other scope link src 10.199.%s.1\n' 0 0 1 1"
    project.stub(
        "ip",
        f"[[ $* != *show* || $* == *sg-* ]] || {{ {lines}; for i in {{1..3000}}; do {lines}; done; }}\n"
        'echo "ip $*" >>"$CALLS"',
    )
    result = project.shell('bridge=sg-1; rules() { echo "$*"; }; make_bridge')
    assert (result.returncode, result.stdout) == (0, "add 10.199.2.0/24\n"), result.stderr
    assert "ip addr add 10.199.2.1/24 dev sg-1" in project.calls


@pytest.mark.parametrize(
    "line", ["10.199.0.0/24 via 192.0.2.1 dev eth0", "blackhole 10.199.0.0/24", "10.199.0.7 dev tun0"]
)
def test_a_route_takes_its_addresses_wherever_it_names_them(project: Project, line: str) -> None:
    project.stub("ip", f"[[ $* != '-4 route show' ]] || echo '{line}'\n[[ $* != *'show dev'* ]] || exit 1")
    result = project.shell('bridge=sg-1; rules() { echo "$*"; }; make_bridge')
    assert (result.returncode, result.stdout) == (0, "add 10.199.1.0/24\n"), result.stderr


def test_an_engine_for_which_no_addresses_are_left_is_an_error(project: Project) -> None:
    taken = "for n in {0..255}; do echo 10.199.$n.0/24 via 192.0.2.1 dev eth0; done"
    project.stub("ip", f'[[ $* != "-4 route show" ]] || {taken}\necho "ip $*" >>"$CALLS"')
    result = project.shell('bridge=sg-1; rules() { echo "$*"; }; make_bridge')
    assert (result.returncode, result.stdout) == (70, "")
    assert "no addresses are left" in result.stderr
    assert not any(call.startswith("ip link add") for call in project.calls)
