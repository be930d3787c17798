"""The package date and BuildKit's cache: a step that ran under one date is not reused under another date."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from kit import Project, header

pytestmark = pytest.mark.engine

STAGES = '[stages.low]\npath = "low"\n[stages.high]\npath = "high"\n'
LOW = "FROM scratch\nCOPY program mark /\n"
#: A step with another result each time it runs, like a step that installs packages on another day.
ASKS = 'RUN ["/program", "noise", "/packages", "apt-get"]\n'


@pytest.fixture
def asking(project: Project, repo: str, program: Path) -> Project:
    """Stages low <- high. The tests decide which step uses the package archive."""
    project.write({"stages.toml": header(repo) + STAGES, "low/Dockerfile": LOW, "low/mark": repo})
    shutil.copytree(program, project.folder / "low/program")
    stamp(project, "2026-01-31")
    return project


def stamp(project: Project, date: str) -> None:
    """Set the package date, as ``doit lock archive`` does on that day."""
    project.write({"stages.lock": f'archive = "{date}"\n'})


def made(project: Project) -> tuple[str, bool]:
    """Build ``high`` with an empty ``cache/``.

    Return its digest, and true if BuildKit took a RUN from its cache.
    """
    shutil.rmtree(project.folder / "cache", ignore_errors=True)
    run = project.built("high:here")
    assert run.built == {"low:here", "high:here"}
    log = (project.folder / "cache/logs/high--here.log").read_text()
    return run.digests["high:here"], bool(
        re.search(r"^#(\d+) \[[^]]*\] (?:ONBUILD )?RUN .*\n#\1 CACHED$", log, re.MULTILINE)
    )


@pytest.mark.parametrize(
    ("low", "high", "options"),
    [
        ("", ASKS, ""),
        ("", ASKS.replace(', "apt-get"', ""), "archive = true"),
        (f"ONBUILD {ASKS}", "", ""),
        ("", f"{ASKS}FROM scratch\nCOPY --from=0 /packages /\n", ""),
    ],
    ids=["by name", "as the stage says", "by a trigger", "in another part"],
)
def test_a_new_stamp_runs_the_step_and_the_same_does_not(
    asking: Project, low: str, high: str, options: str
) -> None:
    settings = (asking.folder / "stages.toml").read_text()
    asking.write(
        {
            "stages.toml": f"{settings}{options}\n",
            "low/Dockerfile": LOW + low,
            "high/Dockerfile": f"FROM low\n{high}",
        }
    )
    first, cached = made(asking)
    assert not cached
    assert made(asking) == (first, True)
    stamp(asking, "2026-02-28")
    second, cached = made(asking)
    assert second != first and not cached
    assert made(asking) == (second, True)
    stamp(asking, "2026-01-31")  # back to the first date, as on another branch: BuildKit still has that step
    assert made(asking) == (first, True)


def test_the_stamp_is_in_no_image(asking: Project) -> None:
    asking.write({"high/Dockerfile": 'FROM low\nRUN ["/program", "apt-get"]\n'})
    first, _ = made(asking)
    stamp(asking, "2026-02-28")
    assert made(asking) == (first, False)
    assert asking.doit("verify", "--rebuild", "high:here").output.count("same  ") == 2


@pytest.mark.parametrize("step", [ASKS.replace("apt-get", "x"), "RUN --network=none" + ASKS[3:]])
def test_what_asks_no_archive_is_reused_under_any_stamp(asking: Project, step: str) -> None:
    asking.write({"high/Dockerfile": f"FROM low\n{step}"})
    first, _ = made(asking)
    stamp(asking, "2026-02-28")
    assert made(asking) == (first, True)


def test_a_step_before_the_one_that_failed_is_not_run_again(asking: Project) -> None:
    asking.write({"high/Dockerfile": f'FROM low\n{ASKS}RUN ["/program", "fail", "7"]\n'})
    assert asking.doit("high:here").status == 1
    asking.write({"high/Dockerfile": f'FROM low\n{ASKS}RUN ["/program", "good"]\n'})
    assert made(asking)[1]
