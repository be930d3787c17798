"""What a failure tells, where its log is, and a shell where its step stood. With a real builder."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import NATIVE, Project, Registry, header, publish, until

pytestmark = pytest.mark.engine

STAGES = '[stages.low]\npath = "low"\n[stages.app]\npath = "app"\n[images.app]\n'


@pytest.fixture
def app(project: Project, repo: str, program: Path) -> Project:
    """Stage ``low`` has a shell and a few programs; ``app`` is based on it. Tests write its Dockerfile."""
    project.write({"stages.toml": header(repo) + STAGES, "low/Dockerfile": "FROM scratch\nCOPY program /\n"})
    shutil.copytree(program, project.folder / "low/program")
    return project


def fail(app: Project, text: str, *words: str, status: int = 1) -> str:
    """Write the Dockerfile of ``app``; run doit, which must fail. Return the error without its hints."""
    app.write({"app/Dockerfile": text})
    run = app.doit(*(words or ("app:here",)))
    assert run.status == status and run.output.count("ERROR: ") == 1, run.output
    return run.output.partition("ERROR: ")[2].partition("\n  the whole log: ")[0]


# -- the message ---------------------------------------------------------------------------------------


def test_a_step_that_printed_nothing(app: Project, repo: str) -> None:
    assert fail(app, f"FROM low\n\nRUN exit 3 # {repo}\n") == (
        f"app:here: app/Dockerfile:3: RUN exit 3 # {repo}\n"
        "  it printed nothing and ended with status 3\n"
        "  fix the step and run again: finished nodes are kept"
    )


def test_the_steps_of_an_inline_file(app: Project) -> None:
    assert fail(app, "FROM low\nRUN <<EOF\nset -e\necho one\nexit 4\nEOF\n").startswith(
        "app:here: app/Dockerfile:2: RUN <<EOF (set -e...)\n    one\n  it ended with status 4\n"
    )


def test_a_trigger_names_the_image_that_it_comes_from(app: Project) -> None:
    text = (app.folder / "low/Dockerfile").read_text()
    app.write({"low/Dockerfile": f"{text}ONBUILD RUN echo in a trigger; exit 5\n"})
    assert fail(app, "# comment\nFROM low\n").startswith(
        "app:here: app/Dockerfile:2: RUN echo in a trigger; exit 5\n"
        "    in a trigger\n"
        "  it ended with status 5\n"
        "  it is a trigger (ONBUILD) of low:here\n"
    )


def test_a_file_that_another_build_stage_lacks(app: Project) -> None:
    assert fail(app, "FROM low AS part\n\nFROM low\nCOPY --from=part /nothing /x\n").startswith(
        "app:here: app/Dockerfile:4: COPY --from=part /nothing /x\n  there is no /nothing in part\n"
    )


def test_a_user_that_the_image_lacks(app: Project) -> None:
    said = fail(app, "FROM low\nUSER nobody-here\nRUN true\n")
    assert said.startswith(
        "app:here: app/Dockerfile:3: RUN true\n  it printed nothing and ended: unable to find"
    )


@contextlib.contextmanager
def answering(status: int) -> Iterator[str]:
    """A web server that answers everything with this status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        do_HEAD = do_GET  # noqa: N815 - the name is that of the base class

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "status", "hint"),
    [(404, 1, "correct the URL"), (503, 25, "run again"), (429, 25, "run again")],
)
def test_a_url_that_the_server_does_not_give(
    app: Project, repo: str, answer: int, status: int, hint: str
) -> None:
    app.write({"stages.toml": header(repo) + STAGES.replace('"app"', '"app"\nunpinned = "allow"', 1)})
    with answering(answer) as url:
        said = fail(app, f"FROM low\nADD {url}/{repo} /x\n", status=status)
    assert said.startswith(f"app:here: app/Dockerfile:2: ADD {url}/{repo} /x\n"), said
    assert f"the server answered with status {answer}" in said and hint in said


def test_an_image_that_the_registry_no_longer_has(app: Project, registry: Registry) -> None:
    reference = publish(registry, "some/base:1", "x", "y")
    app.write({"app/Dockerfile": f"FROM {reference}\n"})
    app.built("keys", "app:here")  # pins the image
    shutil.rmtree(registry.data / "docker/registry/v2/repositories/some")
    said = fail(app, f"FROM {reference}\nLABEL a=b\n", status=14)
    assert said.startswith("app:here: app/Dockerfile:1: ") and "doit lock" in said, said


def test_a_registry_that_is_down(app: Project, registry: Registry) -> None:
    reference = publish(registry, "some/base:1", "x", "y")
    app.write({"app/Dockerfile": f"FROM {reference}\n"})
    app.built("keys", "app:here")  # pins the image
    registry.process.terminate()
    registry.process.wait(10)
    said = fail(app, f"FROM {reference}\nLABEL a=b\n", status=22)
    assert said.startswith("app:here: app/Dockerfile:1: ") and "the registry is up" in said, said


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("foo", "correct DOCKER_HOST"),
        ("foo://bar", "correct DOCKER_HOST"),
        ("npipe://foo", "correct DOCKER_HOST"),
        ("tcp://127.0.0.1:99999", "correct DOCKER_HOST"),
        ("unix:///nonexistent/docker.sock", "Cannot connect to the Docker daemon"),
    ],
)
def test_an_engine_that_is_not_there(app: Project, address: str, said: str) -> None:
    app.env["DOCKER_HOST"] = address
    app.write({"app/Dockerfile": "FROM low\n"})
    run = app.doit("low:here")
    assert run.status == 20 and said in run.output, run.output
    assert "fix the step" not in run.output
    assert ("trying once more" in run.output) == address.startswith("unix:")


@pytest.mark.parametrize(
    ("env", "status", "said"),
    [
        ({"DOCKER_CONFIG": "/proc/none"}, 20, "export DOCKER_CONFIG=FOLDER"),
        ({"BUILDX_CONFIG": "/proc/none"}, 20, "export DOCKER_CONFIG=FOLDER, and BUILDX_CONFIG"),
        ({"HOME": "/proc/1", "DOCKER_CONFIG": ""}, 20, "export DOCKER_CONFIG=FOLDER"),
        ({"DOCKER_CONFIG": "/etc/passwd"}, 20, "docker cannot read its configuration"),
        ({"DOCKER_API_VERSION": "9.9"}, 20, "unset DOCKER_API_VERSION"),
        ({"DOCKER_TLS_VERIFY": "1"}, 20, "DOCKER_TLS_VERIFY"),
        ({"DOCKER_BUILDKIT": "maybe"}, 20, "correct this variable"),
        ({"BUILDX_BUILDER": "none-of-this-name"}, 20, "unset BUILDX_BUILDER"),
    ],
)
def test_a_client_that_cannot_begin_is_not_the_fault_of_a_step(
    app: Project, env: dict[str, str], status: int, said: str
) -> None:
    app.env |= env
    app.write({"app/Dockerfile": "FROM low\n"})
    run = app.doit("low:here")
    assert run.status == status and said in run.output, run.output
    assert "fix the step" not in run.output and "trying once more" not in run.output


def test_a_docker_without_buildx(app: Project, tmp_path: Path) -> None:
    """The real client looks in its own folders for plugins, too, so one without them takes its place."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/docker"
    fake.write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2\nexit 1\n")
    fake.chmod(0o755)
    app.env["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
    app.write({"app/Dockerfile": "FROM low\n"})
    run = app.doit("low:here")
    assert run.status == 28 and "install docker buildx" in run.output, run.output
    app.write({"low/Dockerfile": "FROM 127.0.0.1:1/none:2\n"})  # an image that is not pinned yet
    run = app.doit("low:here")
    assert run.status == 28 and "install docker buildx" in run.output, run.output


def test_with_continue_each_failure_is_told_once(app: Project, repo: str) -> None:
    more = "".join(f'[stages.{name}]\npath = "{name}"\n' for name in ("one", "two", "three"))
    app.write(
        {
            "stages.toml": header(repo) + STAGES + more,
            "one/Dockerfile": "FROM app\nRUN echo one\n",
            "two/Dockerfile": "FROM one\nRUN echo two\n",
            "three/Dockerfile": f"FROM low\nRUN exit 2 # {repo}\n",
            "app/Dockerfile": f"FROM low\nRUN exit 1 # {repo}\n",
        }
    )
    run = app.doit("--continue", "app:here", "two:here", "three:here")
    assert run.status == 1 and run.output.count("ERROR: ") == 2, run.output
    (line,) = re.findall("^not built, as app:here failed: (.*)$", run.output, re.MULTILINE)
    assert sorted(line.split(", ")) == ["image app:here", "one:here", "two:here"]
    assert run.nodes("failed") == {"app:here", "three:here"}
    run = app.doit("-n", "1", "two:here", "three:here")
    assert "not built, as app:here failed: one:here, two:here\n" in run.output, run.output
    assert re.search(
        "^not reached, as the run ended at the failure .*: three:here$", run.output, re.MULTILINE
    )


# -- logs ----------------------------------------------------------------------------------------------


def test_the_logs_of_what_failed(app: Project, repo: str) -> None:
    fail(app, f"FROM low\nRUN echo first {repo}; exit 3\n")
    fail(app, f"FROM low\nRUN echo second {repo}; exit 3\n")
    for words in (("app:here",), ("app:here", "--failed"), ("--failed",)):
        log = app.doit("logs", *words)
        assert log.status == 0 or words == ("--failed",)  # the helper removes last-run.json
        assert words == ("--failed",) or f"second {repo}\n" in log.output
    rows = app.doit("logs", "--list").output.splitlines()
    assert [(row.split()[0], row.split()[3]) for row in rows] == [
        ("low:here", "built"),
        ("app:here", "failed"),
        ("app:here", "failed"),
    ]


def test_follow_prints_the_log_of_a_running_build(app: Project, repo: str) -> None:
    app.write({"app/Dockerfile": f"FROM low\nRUN echo early {repo}; sleep 3; echo late {repo}\n"})
    app.built("low:here")
    build = app.start("app:here")
    log = app.folder / "cache/logs/app--here.log"
    until(lambda: log.exists() and f"early {repo}\n" in log.read_text(), build)
    followed = app.doit("logs", "-f", "app:here").output
    assert f" late {repo}\n" in followed and "no build of" not in followed
    output, _ = build.communicate(timeout=60)
    assert build.returncode == 0, output


# -- a shell where the step stood ----------------------------------------------------------------------

#: Each kind of thing that a step has.
DOCKERFILE = """\
FROM low AS part
RUN echo from-part >/file

FROM low AS main
ARG FLAVOUR=vanilla
ARG TARGETARCH
ENV LEVEL=3
WORKDIR /place/here
COPY file .
RUN echo {repo} >before
USER 1234
RUN --mount=from=part,source=/file,target=/part --mount=target=/ctx,source=file \\
    --mount=type=cache,target=/caches --mount=type=tmpfs,target=/tmp --mount=type=ssh \\
    --mount=type=secret,id=token,mode=0444 --mount=type=secret,id=other --network=none \\
    echo "in the step $FLAVOUR $TARGETARCH $LEVEL"; exit 7
RUN echo never
"""

#: Shows the place, with nothing but what a shell has.
SHOW = """
for file in /part /ctx /place/here/file /place/here/before /run/secrets/token; do
  read -r line <$file; echo $file is $line
done
echo caches: /caches/*; pwd; set | while read -r line; do case $line in FLAVOUR*) echo $line; esac; done
while read -r line; do case $line in *some.host) echo $line; esac; done </etc/hosts
while read -r line; do case $line in Uid*) echo $line; esac; done </proc/self/status
/failed-step; echo status $?
"""


@pytest.fixture
def place(app: Project, repo: str) -> Project:
    """A project whose node ``app`` failed at the step above."""
    more = '[secrets.token]\nenv = "TOKEN"\n[secrets.other]\nenv = "OTHER"\n'
    options = (
        '"app"\nssh = ["default"]\nextra_hosts = ["some.host:192.0.2.7"]\nargs = { FLAVOUR = "a=b c" }\n'
    )
    app.write(
        {"stages.toml": header(repo) + STAGES.replace('"app"', options, 1) + more, "app/file": "context\n"}
    )
    app.env |= {"TOKEN": "hidden", "SSH_AUTH_SOCK": ""}
    fail(app, DOCKERFILE.format(repo=repo))
    return app


def left(repo: str) -> str:
    """Return the temporary images and containers of a repository."""
    lines = ""
    for command in (["images"], ["ps", "-a"]):
        done = subprocess.run(["docker", *command], capture_output=True, text=True, check=True)
        lines += "".join(line for line in done.stdout.splitlines() if repo in line and "temporary" in line)
    return lines


def test_the_shell_stands_where_the_step_stood(place: Project, repo: str) -> None:
    run = place.doit("shell", "app:here", "--failed", "--", "/bin/sh", "-c", SHOW)
    assert run.status == 0, run.output
    for line in (
        "/part is from-part",
        "/ctx is context",
        "/place/here/file is context",
        f"/place/here/before is {repo}",
        "/run/secrets/token is hidden",
        "caches: /caches/*",
        "/place/here",
        "FLAVOUR='a=b c'",
        "192.0.2.7 some.host",
        "Uid: 1234 1234 1234 1234",
        f"in the step a=b c {NATIVE.removeprefix('linux/')} 3",
        "status 7",
    ):
        assert line in re.sub("\t", " ", run.output).splitlines(), (line, run.output)
    for note in (
        "app:here: before app/Dockerfile:12: RUN --mount=… --network=none echo",
        "/failed-step repeats this step",
        "the cache mount /caches is empty here",
        "the secret other is not there: the variable OTHER is not set",
        "the SSH agent default is not there",
    ):
        assert note in run.output, run.output
    assert left(repo) == ""


def test_the_steps_before_are_not_run_again(place: Project) -> None:
    place.built("shell", "app:here", "--failed", "--", "/bin/sh", "-c", ":")
    log = (place.folder / "cache/logs/shell/app--here.log").read_text()
    steps = re.findall(r"^(#\d+) \[.*\] (?:RUN|COPY file|WORKDIR)", log, re.MULTILINE)
    assert len(steps) == 4, log
    assert all(f"\n{number} CACHED\n" in log for number in steps), log


def test_the_status_is_that_of_the_command(place: Project) -> None:
    words = ("shell", "app:here", "--failed", "--", "/bin/sh", "-c", "code=9; exit $code")
    assert place.doit(*words).status == 9  # doit takes words with a = for settings
    place.built("low:here")
    assert place.doit("shell", "low:here", "--", "/bin/sh", "-c", "exit 8").status == 8


def test_the_shell_of_another_platform(app: Project, repo: str) -> None:
    """The program is this machine's, so no emulation is needed."""
    app.write({"app/Dockerfile": "FROM low AS part\nFROM low\nCOPY --from=part /nothing /x\n"})
    assert app.doit("app:there").status == 1
    run = app.built("shell", "app:there", "--failed", "--", "/bin/sh", "-c", "echo over there")
    assert "before app/Dockerfile:3: COPY" in run.output and "over there\n" in run.output
    assert "/failed-step" not in run.output and left(repo) == ""


def test_a_step_that_moved_is_found(place: Project) -> None:
    text = (place.folder / "app/Dockerfile").read_text()
    place.write({"app/Dockerfile": text.replace("USER 1234", "LABEL a=b\nRUN echo more\nUSER 1234")})
    run = place.built("shell", "app:here", "--failed", "--", "/bin/sh", "-c", ":")
    assert "before app/Dockerfile:14: RUN" in run.output


def test_no_step_to_stand_before(place: Project, repo: str) -> None:
    text = (place.folder / "app/Dockerfile").read_text()
    place.write({"app/Dockerfile": text.replace("exit 7", "true")})
    run = place.doit("shell", "app:here", "--failed")
    assert run.status == 10 and "the step that failed is not in the Dockerfile now" in run.output
    run = place.doit("shell", "low:here", "--failed")
    assert run.status == 10 and "no step is known here at which its build failed" in run.output
    text = (place.folder / "low/Dockerfile").read_text()
    place.write({"low/Dockerfile": f"{text}ONBUILD RUN exit 5 # {repo}\n"})
    fail(place, "FROM low\nARG FLAVOUR\nRUN echo\n")
    run = place.doit("shell", "app:here", "--failed")
    assert run.status == 10 and "a trigger (ONBUILD) failed" in run.output
    assert "doit shell low:here" in run.output and left(repo) == ""


def test_the_script_of_an_inline_file_and_of_another_shell(app: Project, repo: str) -> None:
    text = f'FROM low\nSHELL ["/bin/sh", "-e", "-c"]\nRUN <<EOF\necho {repo}\nexit 6\nEOF\n'
    fail(app, text)
    words = ("shell", "app:here", "--failed", "--", "/failed-step")
    run = app.doit(*words)
    assert run.status == 6 and f"\n{repo}\n" in run.output
    fail(app, f'FROM low\nRUN ["/program", "fail", "5", "{repo}"]\n')
    run = app.doit(*words)
    assert run.status == 5 and f"fail 5 {repo}\n" in run.output
