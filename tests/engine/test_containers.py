"""``doit outdated`` and ``doit shell`` always remove their container.

The shell of the image is a program of the test. Files in the image say what it prints, how it ends, and if it
sleeps first.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from derived import differences
from kit import Project, header, until
from libraries import with_libraries

pytestmark = pytest.mark.engine

#: Replaces the image's shell. It prints the answers of apt from files of the test.
SHELL = """#!/bin/real-sh
if [ $# = 0 ]; then
  [ ! -e /sleep ] || exec sleep 120
  exit 127
fi
[ "$1" = -c ] || exit 77
[ "$2" != : ] || exit 0
case $2 in *"apt list"*) ;; *) exit 77 ;; esac
[ -O /bin/sh ] || exit 77 # who asks must be root
[ ! -e /sleep ] || exec sleep 120
cat /output
[ ! -e /errors ] || cat /errors >&2
[ ! -e /status ] || read -r status </status
exit "${status:-0}"
"""
LISTED = """Listing...
bash/stable 2 amd64 [upgradable from: 1]
zlib1g/stable-security 4 amd64 [upgradable from: 3]
"""


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    with_libraries(folder, "sh", "sleep", "cat")
    (folder / "bin/sh").rename(folder / "bin/real-sh")
    (folder / "bin/sh").write_text(SHELL)
    (folder / "bin/sh").chmod(0o755)
    return folder


@pytest.fixture
def image(project: Project, repo: str, shell: Path) -> Project:
    """An image ``app`` with that shell. Tests add the files that it reads, and build it."""
    project.write(
        {
            "stages.toml": header(repo) + '[stages.app]\npath = "app"\n[images.app]\n',
            "app/Dockerfile": "FROM scratch\nCOPY shell files /\nUSER 1000\n",
            "app/files/output": "Listing...\n",
        }
    )
    shutil.copytree(shell, project.folder / "app/shell")
    return project


def containers(tag: str) -> list[str]:
    """Return the names of the containers of an image, running or not."""
    command = ["docker", "ps", "-a", "--format={{.Names}}", f"--filter=ancestor={tag}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_outdated_prints_a_table_and_json(image: Project, repo: str) -> None:
    image.write({"app/files/output": LISTED})
    image.built("app:here")
    run = image.doit("outdated", "app:here")
    assert run.status == 0
    assert run.output.splitlines()[1:] == [
        "app:here  2 packages have newer versions, 1 for security",
        "  security  zlib1g:amd64  3  ->  4  stable-security",
        "            bash:amd64    1  ->  2  stable",
    ]
    assert containers(f"{repo}:app-here") == []
    # without a goal: every image that the engine has
    run = image.doit("outdated", "--json")
    assert f"app:there: the engine has no {repo}:app-there" in run.output
    value = json.loads(run.output[run.output.index("{\n") :])
    assert differences("doit outdated --json", value) == set()
    (found,) = value["images"]
    assert (found["image"], found["tag"], found["error"]) == ("app:here", f"{repo}:app-here", None)
    assert [package["name"] for package in found["packages"]] == ["zlib1g", "bash"]


def test_outdated_reports_images_that_it_cannot_check(image: Project, repo: str) -> None:
    run = image.doit("outdated", "app:here")
    assert run.status == 20 and "the engine has no such image" in run.output
    assert image.doit("outdated").status == 20  # the engine has none of the images
    assert image.doit("outdated", "ap:here").status == 10
    image.write({"app/files/status": "92", "app/files/errors": "E: Failed to fetch http://archive\n"})
    image.built("app:here")
    run = image.doit("outdated", "app:here")
    assert run.status == 25 and "E: Failed to fetch http://archive" in run.output
    image.write({"app/Dockerfile": "FROM scratch\nCOPY files /\n"})
    image.built("app:here")
    run = image.doit("outdated", "app:here")
    assert run.status == 28 and "the image has no apt" in run.output
    image.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    assert image.doit("outdated", "app:here").status == 20
    del image.env["DOCKER_HOST"]
    assert containers(f"{repo}:app-here") == []


def test_outdated_ends_after_its_time_limit(image: Project, repo: str) -> None:
    image.write({"app/files/sleep": ""})
    image.built("app:here")
    start = time.monotonic()
    run = image.doit("outdated", "--timeout=2", "app:here")
    assert run.status == 20 and "did not end within 2 s" in run.output
    assert time.monotonic() - start < 20 and containers(f"{repo}:app-here") == []
    assert image.doit("outdated", "--timeout=0", "app:here").status == 10


def test_a_missing_command_is_not_taken_for_a_missing_shell(image: Project) -> None:
    """Status 127 of the last command is not taken for an image without a shell."""
    image.built("app:here")
    run = image.doit("shell", "app:here")
    assert run.status == 127 and "there is no shell" not in run.output


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_shell_leaves_no_container(
    image: Project, repo: str, number: signal.Signals, status: int
) -> None:
    image.write({"app/files/sleep": ""})
    image.built("app:here")
    process = image.start("shell", "app:here")
    until(lambda: containers(f"{repo}:app-here") != [], process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in output, output
    assert containers(f"{repo}:app-here") == []
    command = ["docker", "images", "--format={{.Tag}}", repo]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["app-here"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_outdated_leaves_no_container(
    image: Project, repo: str, number: signal.Signals, status: int, tmp_path: Path
) -> None:
    image.write({"app/files/sleep": ""})
    image.built("app:here")
    process = image.start("outdated", "app:here")
    deadline = time.monotonic() + 60
    while not containers(f"{repo}:app-here") and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in output, output
    assert containers(f"{repo}:app-here") == []
