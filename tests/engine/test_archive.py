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
def two_stages(project: Project, repo: str, program: Path) -> Project:
    """Stages low <- high. The tests decide which step uses the package archive."""
    project.write({"stages.toml": header(repo) + STAGES, "low/Dockerfile": LOW, "low/mark": repo})
    shutil.copytree(program, project.folder / "low/program")
    set_package_date(project, "2026-01-31")
    return project


def set_package_date(project: Project, date: str) -> None:
    """Set the package date, as ``doit lock archive`` does on that day."""
    project.write({"stages.lock": f'archive = "{date}"\n'})


def build_high(project: Project) -> tuple[str, bool]:
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
    ids=["by name", "by a setting of the stage", "by a trigger", "in another build stage"],
)
def test_a_new_package_date_runs_the_step_again_and_the_same_date_does_not(
    two_stages: Project, low: str, high: str, options: str
) -> None:
    settings = (two_stages.folder / "stages.toml").read_text()
    two_stages.write(
        {
            "stages.toml": f"{settings}{options}\n",
            "low/Dockerfile": LOW + low,
            "high/Dockerfile": f"FROM low\n{high}",
        }
    )
    first, cached = build_high(two_stages)
    assert not cached
    assert build_high(two_stages) == (first, True)
    set_package_date(two_stages, "2026-02-28")
    second, cached = build_high(two_stages)
    assert second != first and not cached
    assert build_high(two_stages) == (second, True)
    set_package_date(
        two_stages, "2026-01-31"
    )  # back to the first date, as on another branch: BuildKit still has that step
    assert build_high(two_stages) == (first, True)


def test_the_package_date_does_not_change_the_image(two_stages: Project) -> None:
    two_stages.write({"high/Dockerfile": 'FROM low\nRUN ["/program", "apt-get"]\n'})
    first, _ = build_high(two_stages)
    set_package_date(two_stages, "2026-02-28")
    assert build_high(two_stages) == (first, False)
    assert two_stages.doit("verify", "--rebuild", "high:here").output.count("same  ") == 2


@pytest.mark.parametrize("step", [ASKS.replace("apt-get", "x"), "RUN --network=none" + ASKS[3:]])
def test_a_step_that_does_not_use_the_package_archive_is_reused_after_a_new_date(
    two_stages: Project, step: str
) -> None:
    two_stages.write({"high/Dockerfile": f"FROM low\n{step}"})
    first, _ = build_high(two_stages)
    set_package_date(two_stages, "2026-02-28")
    assert build_high(two_stages) == (first, True)


def test_a_step_before_a_failed_step_is_not_run_again(two_stages: Project) -> None:
    two_stages.write({"high/Dockerfile": f'FROM low\n{ASKS}RUN ["/program", "fail", "7"]\n'})
    assert two_stages.doit("high:here").status == 1
    two_stages.write({"high/Dockerfile": f'FROM low\n{ASKS}RUN ["/program", "good"]\n'})
    assert build_high(two_stages)[1]
