"""Names of jobs: what they build, valid for both services, unique, and stable."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import AMD, ARM, TABLE, problem

from stagegraph.ci import jobs
from stagegraph.ci.model import MINUTE, WorkUnit
from stagegraph.ci.names import names
from stagegraph.project.model import Node
from stagegraph.project.schema import LONGEST_NAME, NAME

pytestmark = pytest.mark.unit

#: The rules of CircleCI and GitHub for names of jobs, together.
VALID = re.compile(r"[a-z][a-z0-9_-]{0,98}")


def unit(name: str, minutes: float, *needs: int, goal: bool = False) -> WorkUnit:
    return WorkUnit((f"{name}:amd64",), (Node(name, "amd64"),), {"amd": round(minutes * MINUTE)}, needs, goal)


@pytest.mark.parametrize(
    ("targets", "platform", "expected"),
    [
        ([("stock:amd64", 0)], "", ["stock-amd64"]),
        ([("stock:amd64", 0)], "amd64", ["stock"]),
        ([("arrow:aarch64", 3)], "", ["arrow-aarch64-and-3-more"]),
        ([("_app:amd64", 0)], "", ["app-amd64"]),  # the stage of an image that is no goal
        ([("python3.11:amd64", 0), ("python3-11:amd64", 0)], "amd64", ["python3-11", "python3-11-2"]),
        ([("3.11-slim:amd64", 1)], "amd64", ["node-3-11-slim-and-1-more"]),
        ([("check:a", 0), ("all:a", 0), ("check:a", 0)], "a", ["check-2", "all-2", "check-3"]),
        ([("a:x", 2), ("a-and-2-more:x", 0)], "x", ["a-and-2-more", "a-and-2-more-2"]),
    ],
)
def test_a_job_is_named_after_its_main_target(
    targets: list[tuple[str, int]], platform: str, expected: list[str]
) -> None:
    assert [str(name) for name in names(targets, platform)] == expected


PARTS = st.sampled_from(
    ["a", "a-1", "a.1", "1.a", "a_1", "a--b", "a-and-1-more", "check", "x" * LONGEST_NAME]
)


@given(st.lists(st.tuples(PARTS, PARTS, st.integers(0, 999)), max_size=9))
def test_names_are_valid_and_unique(rows: list[tuple[str, str, int]]) -> None:
    assert all(NAME.fullmatch(stage) for stage, _, _ in rows)
    found = names([(f"{stage}:{platform}", more) for stage, platform, more in rows])
    assert all(VALID.fullmatch(str(name)) for name in found)
    assert len({str(name) for name in found}) == len({name.stem for name in found}) == len(rows)


def test_the_first_image_names_a_job_and_without_one_what_takes_longest() -> None:
    parts = [unit("quick", 1), unit("low", 30), unit("slow", 2, 1), unit("other", 20)]
    (job,) = jobs.plan("github", parts, (AMD,), TABLE).jobs
    assert (job.name, job.stem) == ("slow-amd64-and-2-more", "slow-amd64")  # it takes 2 and its parent 30
    images = [unit("app", 1, 2, goal=True), unit("bigger", 40, 4, goal=True)]
    (job,) = jobs.plan("github", [*parts, *images], (AMD,), replace(TABLE, limit=200)).jobs
    assert job.name == "app-amd64-and-3-more"
    (job,) = jobs.plan("github", [*parts, *images], (AMD,), replace(TABLE, limit=200, platform="amd64")).jobs
    assert (job.name, job.stem) == ("app-and-3-more", "app")


def test_one_more_target_changes_only_the_number() -> None:
    parts = [unit("slow", 30), unit("quick", 1)]
    before, after = (
        jobs.plan("github", units, (AMD,), TABLE).jobs[0] for units in (parts, [*parts, unit("new", 2)])
    )
    assert (before.stem, before.name, after.name) == (
        after.stem,
        f"{after.stem}-and-1-more",
        f"{after.stem}-and-2-more",
    )


def test_needs_are_names_of_jobs() -> None:
    made = jobs.plan("github", problem((60, 60, ()), (60, 60, (0,)), (60, 60, (0, 1))), (AMD, ARM), TABLE)
    assert [job.name for job in made.jobs] == ["u0", "u1", "u2"]
    assert [job.needs for job in made.jobs] == [(), ("u0",), ("u0", "u1")]
