"""``doit logs``: which log it prints, the list, and a log that grows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from derived import differences
from helpers import stages, write, write_last_run

from stagegraph.build.log import Log
from stagegraph.errors import BuildError
from stagegraph.store.folder import Folder

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose node a was built and then failed, and whose node b was built."""
    root = stages(tmp_path, {"a": "FROM scratch\n", "b": "FROM a\n", "c": "FROM a\n"})
    write(root, {"dodo.py": "from stagegraph.tasks import *\n"})
    attempt(root, "a:amd64", "a built\n")
    attempt(root, "a:amd64", "a failed\n", failed=True)
    attempt(root, "b:amd64", "b built\n")
    return root


def attempt(root: Path, node: str, text: str, *, failed: bool = False) -> None:
    try:
        with Log(logs(root), node) as log:
            log.file.write(text.encode())
            if failed:
                raise BuildError(node, "failed")  # noqa: TRY301
    except BuildError:
        pass


def logs(root: Path) -> Folder:
    return Folder(root / "cache", "logs")


def last_run(root: Path, **reasons: str) -> None:
    write_last_run(
        root,
        *({"node": f"{name}:amd64", "decision": "failed", "reason": why} for name, why in reasons.items()),
    )


def doit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "logs", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_prints_the_log_of_the_last_attempt(project: Path) -> None:
    assert doit(project, "a:amd64").stdout == "a failed\n"
    attempt(project, "a:amd64", "a built again\n")
    assert doit(project, "a:amd64").stdout == "a built again\n"
    assert doit(project, "a:amd64", "--failed").stdout == "a failed\n"


def test_a_broken_dockerfile_does_not_hide_its_log(project: Path) -> None:
    write(project, {"a/Dockerfile": "FRUM scratch\n"})
    assert doit(project, "a:amd64").stdout == "a failed\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["c:amd64"], 27, "c:amd64: was not built here"),
        (["b:amd64", "--failed"], 27, "b:amd64: no failed attempt to build it is known here"),
        (["d:amd64"], 10, "no stage or image 'd:amd64'"),
        ([], 10, "doit logs takes one node"),
        (["a"], 10, "doit logs takes one node"),
        (["a:amd64", "--json"], 10, "--json is only for --list"),
        (["--failed"], 27, "no run ended here"),
    ],
)
def test_what_it_cannot_print(project: Path, words: list[str], status: int, said: str) -> None:
    done = doit(project, *words)
    assert done.returncode == status and said in done.stderr, done.stderr


@pytest.mark.parametrize("content", ["[" * 100_000, '{"nodes": [], "seconds": 1e300}', "[1]", "null"])
def test_a_last_run_that_cannot_be_read(project: Path, content: str) -> None:
    write(project, {"cache/last-run.json": content})
    run = doit(project, "--failed")
    assert run.returncode == 27 and "cache/last-run.json: cannot be read" in run.stderr, run.stderr


def test_reasons_of_a_strange_last_run_do_not_reach_the_terminal_as_commands(project: Path) -> None:
    last_run(project, c="\x1b[31mred\nnext line")
    out = doit(project, "--failed").stdout
    assert "failed before its build began: \\x1b[31mred\nnext line" in out


@pytest.mark.parametrize("name", ["20261328T000000.000000Z-built.log", "00010101T000000.000000Z.log"])
def test_a_file_that_only_looks_like_a_log_is_none(project: Path, name: str) -> None:
    write(project, {f"cache/logs/b--amd64/{name}": "x"})
    assert doit(project, "b:amd64").stdout == "b built\n"


def test_the_logs_of_all_nodes_that_failed_in_the_last_run(project: Path) -> None:
    last_run(project, a="RUN false", c="it has no Dockerfile")
    printed = doit(project, "--failed").stdout
    assert "==> a:amd64, 20" in printed and " <==\na failed\n" in printed
    assert "==> c:amd64 <==\nfailed before its build began: it has no Dockerfile\n" in printed
    last_run(project)
    assert doit(project, "--failed").stdout == "no node failed in the last run\n"


def test_a_log_of_an_earlier_run_is_not_taken_for_the_last_one(project: Path) -> None:
    last_run(project, a="its registry is down")
    path = project / "cache/logs/a--amd64"
    (old,) = path.glob("*-failed.log")
    old.rename(path / "20200101T000000.000000Z-failed.log")
    assert "failed before its build began: its registry is down" in doit(project, "--failed").stdout


def test_the_list_of_attempts(project: Path) -> None:
    lines = [line.split() for line in doit(project, "--list").stdout.splitlines()]
    assert [(line[0], line[3]) for line in lines] == [
        ("a:amd64", "built"),
        ("a:amd64", "failed"),
        ("b:amd64", "built"),
    ]
    assert lines[0][4:6] == ["8", "B"] and (project / lines[0][6]).read_text() == "a built\n"
    assert len(doit(project, "--list", "a:amd64").stdout.splitlines()) == 2
    assert doit(project, "--list", "c:amd64").stdout == "no logs: nothing was built here\n"


def test_the_list_as_json(project: Path) -> None:
    value = json.loads(doit(project, "--list", "--json", "--failed").stdout)
    assert differences("doit logs --list --json", value) == set()
    (found,) = value["attempts"]
    assert (found["node"], found["outcome"], found["bytes"]) == ("a:amd64", "failed", 9)
    assert (project / found["path"]).read_text() == "a failed\n"


def test_follow_prints_a_running_build_until_it_ends(project: Path) -> None:
    with Log(logs(project), "c:amd64") as log:
        log.file.write(b"one\n")
        command = [sys.executable, "-m", "doit", "logs", "-f", "c:amd64"]
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True)
        assert process.stdout and process.stdout.readline() == "one\n"
        log.file.write(b"two\n")
        assert process.stdout.readline() == "two\n"
        time.sleep(0.5)
        assert process.poll() is None
        log.file.write(b"three\n")
    assert process.stdout.read() == "three\n" and process.wait(10) == 0
    process.stdout.close()


def test_follow_without_a_running_build_prints_the_last_log(project: Path) -> None:
    done = doit(project, "b:amd64", "-f")
    assert done.stdout == "b built\n" and "no build of b:amd64 runs now" in done.stderr
