"""A run that somebody watches: in a terminal, interrupted with Ctrl-C, with -v and -q."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from kit import Project, header
from pseudo_terminal import INTERRUPT, in_terminal

pytestmark = pytest.mark.engine

STAGES = """
[stages.first]
path = "first"
[stages.slow]
path = "slow"
[stages.last]
path = "last"
[images.last]
"""

LEFT = "1/3 nodes; waiting: last:here"


@pytest.fixture
def slow(project: Project, repo: str, program: Path) -> Project:
    """Three stages in a chain; the RUN of the second sleeps."""
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "first/Dockerfile": "FROM scratch\nCOPY program /\n",
            "slow/Dockerfile": f'FROM first\nRUN ["/program", "sleep", "5", "{repo}"]\n',
            "last/Dockerfile": "FROM slow\nCOPY --from=first /program /copy\n",
        }
    )
    shutil.copytree(program, project.folder / "first/program")
    return project


def environment() -> dict[str, str]:
    unwanted = ("CI", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {"TERM": "xterm"}


def test_an_interrupt_in_a_terminal_leaves_a_clean_screen(slow: Project, repo: str) -> None:
    doit = ["env", "--default-signal=INT", sys.executable, "-m", "doit", "last:here"]
    with in_terminal(doit, slow.folder, environment()) as terminal:
        live = terminal.until(lambda lines: [f"  sleep 5 {repo}", LEFT] == lines[-2:])
        assert re.fullmatch(r"   first:here: built in [\d.]+ s", live[0])
        assert re.match(r'slow:here  [\d.]+ s  \[\d/2\] RUN \["/program", "sleep", ', live[1])
        assert len(live) == 4
        terminal.press(INTERRUPT)
        end = [line for line in terminal.end() if line]
        assert terminal.process.returncode == 130
    assert end[0] == live[0]
    assert re.fullmatch(r'interrupted: slow:here \(RUN .*"sleep", .*, [\d.]+ s\)', end[1])
    assert end[2:] == ["kept: 1 node built in this run is in cache/; the next run goes on from there"]
    assert slow.built("last:here").nodes("reuse") == {"first:here"}


def test_verbose_and_quiet(slow: Project, repo: str) -> None:
    verbose = slow.built("slow:here", "-v")
    assert re.search(rf"^slow:here \| #\d+ [\d.]+ sleep 5 {repo}$", verbose.output, re.MULTILINE)
    digest = r"sha256:\w{64} \([\d.]+ .B compressed\)"
    assert re.fullmatch(rf"image: {repo}:last-here {digest}\n", slow.built("-q", "last:here").output)
