"""Every command in the README of an example runs as written and prints what the README shows.

In a ``console`` block, lines that begin with ``$`` are commands. The output must contain the other lines in
the same order. ``...`` stands for any text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import NATIVE, SUMMARY, image_id

from stagegraph import errors

pytestmark = pytest.mark.engine

EXAMPLES = Path(__file__).parents[2] / "examples"
ARCH = NATIVE.removeprefix("linux/")


@dataclass
class Step:
    """A command and the lines that it must print."""

    command: str
    lines: list[str]

    @property
    def status(self) -> int:
        """The expected exit status. A step that shows an error is the failing test of the image."""
        return errors.TestError.exit_status if any(line.startswith("ERROR: ") for line in self.lines) else 0


def steps(text: str) -> list[Step]:
    """Return the commands of the ``console`` blocks of a Markdown text."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].lines.append(line)
    return found


def shows(output: str, lines: list[str]) -> bool:
    """Return true if the output has these lines, in this order."""
    patterns = [".*".join(map(re.escape, line.split("..."))) for line in lines]
    return re.search(r"^" + r"$(?s:.*)^".join(patterns) + r"$", output, re.MULTILINE) is not None


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the examples and a ``run`` that has nothing to set up."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("cache"))
    run = tmp_path / "run"
    run.write_text(f'#!/bin/sh\n[ "$1" = doit ] && shift && exec {sys.executable} -m doit "$@"\n')
    run.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/stages.toml")))
def test_the_readme_of_an_example_shows_the_real_output(
    name: str, clone: Path, repo: str, request: pytest.FixtureRequest
) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    tour = steps(text.replace("amd64", ARCH).replace(f"example/{name}:", f"{repo}:"))
    assert len(tour) > 5
    start, folder = time.monotonic(), clone
    for step in tour:
        if step.command.startswith("cd "):
            folder /= step.command.removeprefix("cd ")
            continue
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env={**os.environ, "CI": "true", "STAGEGRAPH_REPO": repo},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == step.status, f"$ {step.command}\n{done.stdout}"
        assert shows(done.stdout, step.lines), f"$ {step.command}\n{done.stdout}"
    if name == "hello":
        assert [step.status for step in tour].count(errors.TestError.exit_status) == 1
        assert image_id(f"{repo}:hello-{ARCH}")  # the tag of the last good image
    figure = f"the tour of examples/{name}: {time.monotonic() - start:.0f} s"
    request.config.stash.setdefault(SUMMARY, []).append(figure)


def test_a_line_that_is_shown_but_not_printed_is_found() -> None:
    assert shows("a\nbuilt: x in 1.2 s\nb\n", ["built: x in ... s", "b"])
    assert not shows("built: x in 1.2 s\n", ["built: y in ... s"])
    assert not shows("b\na\n", ["a", "b"])


def test_hello_runs_on_the_foreign_platform(clone: Path, repo: str) -> None:
    """The program for the other processor runs, too."""
    foreign = {"amd64": "arm64", "arm64": "amd64"}[ARCH]
    done = subprocess.run(
        [clone / "run", "doit", f"hello:{foreign}"],
        cwd=clone / "examples/hello",
        env={**os.environ, "STAGEGRAPH_REPO": repo},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and image_id(f"{repo}:hello-{foreign}"), done.stdout + done.stderr
