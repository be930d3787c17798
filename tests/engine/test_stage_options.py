"""Labels, and what RUN instructions get from the builder: in the image, in the key, or refused by a plan."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import Project, header
from libraries import with_libraries

pytestmark = pytest.mark.engine

STAGES = """
[stages.low]
path = "low"
{own}
[stages.app]
path = "app"
[images.app]
"""
#: Writes what a step sees of the options into the image.
SHOWS = (
    'RUN ["/bin/sh", "-c", "{ cat /etc/hosts; ulimit -n; ulimit -Hn; df -k /dev/shm; } >/seen; cat /seen"]\n'
)


@pytest.fixture
def shown(project: Project, tmp_path: Path) -> Project:
    """A stage with programs that show what a step sees, and a child."""
    with_libraries(project.folder / "low/programs", "sh", "cat", "df")
    project.write(
        {"low/Dockerfile": "FROM scratch\nCOPY programs /\n" + SHOWS, "app/Dockerfile": "FROM low\n"}
    )
    return project


def new_steps() -> str:
    """The start of a Dockerfile whose steps are in no builder's cache: a step from there prints nothing."""
    return f"FROM scratch\nCOPY programs /\nENV RUN={uuid.uuid4()}\n"


def declare(project: Project, repo: str, own: str = "", more: str = "") -> None:
    project.write({"stages.toml": header(repo) + STAGES.format(own=own) + more})


def inside(repo: str, *command: str) -> str:
    """Run a program of the image."""
    words = ["docker", "run", "--rm", f"{repo}:app-here", *command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def labels(repo: str) -> dict[str, str]:
    words = ["docker", "image", "inspect", "--format={{json .Config.Labels}}", f"{repo}:app-here"]
    found: dict[str, str] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return found


def seen(repo: str) -> list[str]:
    return inside(repo, "/bin/cat", "/seen").splitlines()


# -- labels ------------------------------------------------------------------------------------------


def test_labels_are_over_those_of_the_dockerfile_and_children_inherit_them(
    project: Project, repo: str
) -> None:
    low = "FROM scratch\nCOPY file /\nLABEL a=dockerfile b=dockerfile\n"
    project.write({"low/file": "", "low/Dockerfile": low, "app/Dockerfile": "FROM low\nLABEL d=child\n"})
    declare(project, repo, 'labels = { a = "toml", c = "x = y, z" }')
    project.built("app:here")
    assert labels(repo) == {"a": "toml", "b": "dockerfile", "c": "x = y, z", "d": "child"}
    declare(project, repo, 'labels = { a = "new", c = "x = y, z" }')
    plan = project.doit("plan", "app:here").output
    assert "label a changed: toml -> new" in plan
    assert project.built("app:here").built == {"low:here", "app:here"}
    assert labels(repo)["a"] == "new"
    declare(project, repo)
    project.built("app:here")
    assert labels(repo) == {"a": "dockerfile", "b": "dockerfile", "d": "child"}


# -- what steps get ----------------------------------------------------------------------------------


def test_a_step_sees_its_options(shown: Project, repo: str) -> None:
    own = 'extra_hosts = ["mirror:10.0.0.1", "six=::1"]\nshm_size = "3m"\nulimits = ["nofile=77:99"]\n'
    declare(shown, repo, own + 'cgroup_parent = "/stagegraph-test"')
    shown.built("app:here")
    lines = [line.split() for line in seen(repo)]
    assert ["10.0.0.1", "mirror"] in lines and ["::1", "six"] in lines
    assert ["77"] in lines and ["99"] in lines
    assert lines[-1][:2] == ["tmpfs", "3072"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('extra_hosts = ["a:10.0.0.1"]', 'extra_hosts = ["a:10.0.0.2"]'),
        ('extra_hosts = ["a:10.0.0.1"]', 'extra_hosts = ["b:10.0.0.1"]'),
        ('extra_hosts = ["a:10.0.0.1", "a:10.0.0.2"]', 'extra_hosts = ["a:10.0.0.2", "a:10.0.0.1"]'),
        ('shm_size = "3m"', 'shm_size = "4m"'),
        ('ulimits = ["nofile=77:99"]', 'ulimits = ["nofile=77:98"]'),
    ],
)
def test_a_change_of_one_option_gives_another_image(shown: Project, repo: str, one: str, other: str) -> None:
    """The second build must not take the step from BuildKit's own cache, which has no addresses of hosts."""
    found = []
    for own in ("", one, other):
        declare(shown, repo, own)
        assert shown.built("app:here").built == {"low:here", "app:here"}
        found.append([line for line in seen(repo) if "stagegraph.invalid" not in line])
    assert found[0] != found[1] != found[2] != found[0]
    declare(shown, repo, one)
    assert not shown.built("app:here").built


def test_what_changes_no_result_builds_nothing(shown: Project, repo: str) -> None:
    declare(shown, repo, 'shm_size = "3m"')
    shown.built("app:here")
    same = 'shm_size = "3072k"\ncgroup_parent = "other"\nssh = ["default"]\nallow = ["network.host"]'
    declare(shown, repo, same)
    assert not shown.built("app:here").built


def test_host_gateway_is_an_address_of_the_machine(shown: Project, repo: str) -> None:
    declare(shown, repo, 'extra_hosts = ["gate:host-gateway"]')
    shown.built("app:here")
    (address,) = [line.split()[0] for line in seen(repo) if line.endswith("gate")]
    assert len(address.split(".")) == 4


# -- entitlements ------------------------------------------------------------------------------------


def test_a_step_gets_the_network_of_the_machine_only_if_the_stage_allows_it(
    project: Project, repo: str
) -> None:
    with_libraries(project.folder / "low/programs", "sh", "readlink")
    step = '["/bin/sh", "-c", "exec readlink /proc/self/ns/net"]'
    project.write(
        {"low/Dockerfile": f"{new_steps()}RUN --network=host {step}\n", "app/Dockerfile": "FROM low\n"}
    )
    declare(project, repo)
    told = "low/Dockerfile:4: low:here: RUN --network=host needs the entitlement network.host"
    for words in (("plan", "app:here"), ("app:here",)):
        run = project.doit(*words)
        assert run.status == 10 and told in run.output, run.output
    assert not list((project.folder / "cache").glob("logs/*"))
    declare(project, repo, 'allow = ["network.host"]')
    assert project.doit("plan", "app:here").status == 0
    project.built("app:here")
    own, log = str(Path("/proc/self/ns/net").readlink()), project.folder / "cache/logs/low--here.log"
    assert own in log.read_text()
    project.write({"low/Dockerfile": f"{new_steps()}RUN {step}\n"})
    declare(project, repo)
    project.built("app:here")
    assert own not in log.read_text()
    declare(project, repo, 'network = "host"\nallow = ["network.host"]')
    assert project.built("app:here").built == {"low:here"}
    assert own in log.read_text()


def test_plan_reports_what_the_engine_does_not_grant(shown: Project, repo: str) -> None:
    """dockerd grants security.insecure only if its daemon.json says so."""
    file = shown.folder / "low/Dockerfile"
    file.write_text(file.read_text() + 'RUN --security=insecure ["/bin/sh"]\n')
    declare(shown, repo, 'allow = ["security.insecure"]')
    plan = shown.doit("plan", "app:here")
    assert plan.status == 20, plan.output
    told = (
        "does not grant the entitlement security.insecure, which RUN --security=insecure (low/Dockerfile:4)"
    )
    assert f"low:here: the current builder {told} needs" in plan.output
    assert "build  low:here" in plan.output  # the plan is there all the same
    answer = shown.doit("plan", "--json", "app:here").output
    answer = answer[: answer.index("\n}") + 2]
    problems = {node["node"]: node["problems"] for node in json.loads(answer)["nodes"]}
    assert told in problems["low:here"][0] and problems["app:here"] == []
    run = shown.doit("app:here")
    assert run.status == 20 and "security.insecure is not allowed by build daemon" in run.output
    assert "/etc/docker/daemon.json" in run.output and "trying once more" not in run.output


# -- SSH ---------------------------------------------------------------------------------------------

needs_ssh = pytest.mark.skipif(
    not (shutil.which("ssh-agent") and shutil.which("ssh-add")), reason="needs openssh-client"
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stagegraph-test", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def agent(tmp_path: Path, key: Path) -> Iterator[str]:
    """The socket of an agent with one key."""
    socket = f"{tmp_path}/agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not Path(socket).exists():
            assert process.poll() is None
        env = {**os.environ, "SSH_AUTH_SOCK": socket}
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env=env, capture_output=True)
        yield socket
    finally:
        process.terminate()
        process.wait(10)


def with_ssh(project: Project, mount: str) -> None:
    with_libraries(project.folder / "low/programs", "sh", "ssh-add")
    run = f'RUN --mount={mount} ["/bin/sh", "-c", "exec ssh-add -l"]\n'
    project.write({"low/Dockerfile": new_steps() + run, "app/Dockerfile": "FROM low\n"})


@needs_ssh
def test_a_step_uses_an_agent(project: Project, repo: str, agent: str) -> None:
    with_ssh(project, "type=ssh,required=true")
    declare(project, repo)
    told = (
        "low/Dockerfile:4: low:here: RUN --mount=type=ssh requires the SSH agent 'default', which the stage"
    )
    for words in (("plan", "app:here"), ("app:here",)):
        run = project.doit(*words)
        assert run.status == 10 and told in run.output, run.output
    declare(project, repo, 'ssh = ["default"]')
    project.env["SSH_AUTH_SOCK"] = ""
    for words in (("plan", "app:here"), ("app:here",)):
        run = project.doit(*words)
        assert run.status == 10 and "the variable SSH_AUTH_SOCK is not set" in run.output, run.output
    project.env["SSH_AUTH_SOCK"] = agent
    project.built("app:here")
    assert "stagegraph-test (ED25519)" in (project.folder / "cache/logs/low--here.log").read_text()
    records = b"".join(path.read_bytes() for path in (project.folder / "cache/records").iterdir())
    assert b"ssh" in records and agent.encode() not in records  # only the step itself
    project.env["SSH_AUTH_SOCK"] = ""
    assert not project.built("app:here").built


@needs_ssh
def test_a_step_uses_a_key(project: Project, repo: str, key: Path) -> None:
    with_ssh(project, "type=ssh,id=git,required=true")
    shutil.copy(key, project.folder / "deploy-key")
    declare(project, repo, 'ssh = ["git=deploy-key"]')
    project.built("app:here")
    assert "(ED25519)" in (project.folder / "cache/logs/low--here.log").read_text()


# -- secrets -----------------------------------------------------------------------------------------


def test_a_parent_is_not_built_for_a_child_that_cannot_be(shown: Project, repo: str) -> None:
    shown.write({"app/Dockerfile": 'FROM low\nRUN --mount=type=secret,id=token ["/bin/sh"]\n'})
    declare(shown, repo)
    run = shown.doit("app:here")
    assert run.status == 10 and "app/Dockerfile:2: app:here: mounts a secret 'token'" in run.output
    assert not (shown.folder / "cache/logs").exists()
    declare(shown, repo, more='[secrets.token]\nfile = "token"\n')
    assert "warning: app:here: secret token: there is no file" in shown.built("app:here").output
    shown.write({"app/Dockerfile": 'FROM low\nRUN --mount=type=secret,id=token,required=true ["/bin/sh"]\n'})
    plan = shown.doit("plan", "app:here")
    assert plan.status == 10 and "app/Dockerfile:2: app:here: RUN --mount=type=secret requires" in plan.output
    (shown.folder / "token").write_text("x")
    assert shown.doit("plan", "app:here").status == 0
    shown.built("app:here")


def test_a_secret_that_a_step_prints_is_nowhere(shown: Project, repo: str) -> None:
    """Not on the terminal, in the log, in the error, in the results, in the trace, or on the page."""
    shown.write({"key": "-----BEGIN KEY-----\nZmlyc3QgbGluZQ==\nc2Vjb25k\n-----END KEY-----\n"})
    shown.env |= {"TOKEN": "sword=fish", "STAGEGRAPH_TRACE": "trace.json"}
    secrets = '[secrets.token]\nenv = "TOKEN"\n[secrets.key]\nfile = "key"\n'
    declare(shown, repo, more=secrets)
    mounts = "--mount=type=secret,id=token --mount=type=secret,id=key"
    step = f': {repo}; read t </run/secrets/token; while read l; do echo "$t $l"; done </run/secrets/key'
    shown.write({"app/Dockerfile": f"FROM low\nRUN {mounts} {step}; echo sword=fish; exit 3\n"})
    run = shown.doit("-v", "app:here")
    assert run.status == 1 and "*** ***\n" in run.output and "echo ***; exit 3" in run.output
    log = shown.folder / "cache/logs/app--here.log"
    assert "*** ***\n" in log.read_text() and log.stat().st_mode & 0o777 == 0o600
    texts = [run.output]
    texts += [shown.doit(*words).output for words in (["logs", "app:here"], ["report"], ["summary"])]
    written = [path for path in (shown.folder / "cache").rglob("*") if path.is_file()]
    assert {"last-run.json", "report.html"} <= {path.name for path in written}
    texts += [path.read_text(errors="replace") for path in [*written, shown.folder / "trace.json"]]
    for secret in ("sword=fish", "Zmlyc3QgbGluZQ==", "c2Vjb25k"):
        assert not [text for text in texts if secret in text]
