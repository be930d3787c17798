"""The jobs behind a job, and how long they take."""

from __future__ import annotations

import pytest
from planned import AMD, TABLE, problem

from stagegraph.ci import jobs
from stagegraph.ci.model import Pipeline
from stagegraph.ci.outlook import Outlook, behind

pytestmark = pytest.mark.unit


@pytest.fixture
def pipeline() -> Pipeline:
    """u1 and u2 run side by side after u0; u3 needs both. A job has 5 minutes of setup."""
    units = problem((50, 50, ()), (60, 60, (0,)), (70, 70, (0,)), (40, 40, (1, 2)))
    made = jobs.plan("github", units, (AMD,), TABLE)
    assert [(job.name, job.minutes) for job in made.jobs] == [("u0", 55), ("u1", 65), ("u2", 75), ("u3", 45)]
    return made


@pytest.mark.parametrize(
    ("name", "waiting", "minutes"),
    [
        ("u0", ("u1", "u2", "u3"), 75 + 45),
        ("u1", ("u3",), 10 + 45),  # u2 ends ten minutes later
        ("u2", ("u3",), 45),
        ("u3", (), 0),
    ],
)
def test_later_jobs_and_their_time(
    pipeline: Pipeline, name: str, waiting: tuple[str, ...], minutes: int
) -> None:
    assert behind(pipeline, name, TABLE) == Outlook(waiting, minutes * 60, known=False)


def test_nodes_that_a_store_has_take_no_time(pipeline: Pipeline) -> None:
    found = behind(pipeline, "u0", TABLE, lambda node: node.stage == "u1")
    assert found == Outlook(("u1", "u2", "u3"), (65 + 5) * 60, known=True)  # the last job only starts
    found = behind(pipeline, "u1", TABLE, lambda node: node.stage == "u3")
    assert found == Outlook(("u3",), 45 * 60, known=True)  # the job beside it has nothing to do


def test_a_job_that_is_not_planned_has_no_outlook(pipeline: Pipeline) -> None:
    assert behind(pipeline, "other", TABLE) is None
