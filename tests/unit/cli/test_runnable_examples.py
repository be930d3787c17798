"""Every example in the help of a command runs. Those that need an engine are in the engine tier."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import derived
import pytest
from helpers import write

from stagegraph.cli.commands.errors import ErrorMessages, Place
from stagegraph.cli.help import NEEDS, Example, placeholders

pytestmark = pytest.mark.unit

FOLDERS = {f"images/{name}/Dockerfile": "FROM scratch\n" for name in ("tool", "small")}
#: For commands that start a project.
NEW = {
    **FOLDERS,
    "compose.yaml": "services: { tool: { build: images/tool } }\n",
    "bake.json": '{"target": {"tool": {"context": "images/tool"}}}\n',
}
PROJECT = {
    **FOLDERS,
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.lock": 'version = 1\narchive = "2026-01-01"\n',
    "stages.toml": """\
        [project]
        repo = "example/examples"
        [platforms.amd64]
        docker = "linux/amd64"
        [platforms.arm64]
        docker = "linux/arm64"
        [base]
        bootstrap = "trixie"
        [stages.tool]
        path = "images/tool"
        [stages.tool.alternatives.small]
        path = "images/small"
        [images.tool]
        [ci]
        [ci.github.amd64]
        docker = "linux/amd64"
        runs_on = "ubuntu-24.04"
        price = 0.006
        emulated = 0.1
        """,
}
WHO = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
#: Statuses of calls that succeed and report something: something is missing, out of date, unchecked or to do.
REPORTS = {"doctor": {1}, "ci": {1}, "verify": {1}, "plan": {4}}


def examples() -> Iterator[tuple[str, Example]]:
    for name, kind in derived.command_classes().items():
        if issubclass(kind, ErrorMessages):
            yield from ((name, example) for example in kind.examples)


@pytest.mark.parametrize(
    ("name", "example"), [pytest.param(*each, id=each[1].call) for each in examples() if not each[1].needs]
)
def test_an_example_runs(tmp_path: Path, name: str, example: Example) -> None:
    starts = derived.command_classes()[name].place is Place.HERE
    root = write(tmp_path, NEW if starts else PROJECT)
    for command in (
        ["init", "-qb", "main"],
        ["add", "."],
        ["commit", "-qm", "one"],
        ["commit", "-qm", "two", "--allow-empty"],
    ):
        subprocess.run(["git", *WHO, *command], cwd=root, check=True)
    words = shlex.split(example.call.format(**placeholders(None if starts else root)))
    env = {key: value for key, value in os.environ.items() if not key.startswith("STAGEGRAPH_")}
    env |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state")}
    call = [sys.executable, "-m", "stagegraph.cli.main", *words]
    done = subprocess.run(call, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in {0, *REPORTS.get(name, ())}, done.stderr
    assert "ERROR" not in done.stderr and "Traceback" not in done.stderr


def test_examples_need_what_can_be_given() -> None:
    assert {example.needs for _, example in examples()} <= NEEDS.keys()
