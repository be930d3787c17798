"""The last line of ``doit plan``, and its error."""

from __future__ import annotations

import pytest

from stagegraph.cli.commands.plan import combined, total
from stagegraph.errors import BuilderError, ProjectError
from stagegraph.execution.plan import Step
from stagegraph.keys.key import Key
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit


def test_the_last_line_of_a_plan_has_the_totals() -> None:
    steps = [
        Step(Node("a", "amd64"), Key("1"), "reuse", "", seconds=7.0),
        Step(Node("b", "amd64"), Key("2"), "build", "", seconds=60.0),
        Step(Node("c", "rpi"), Key("3"), "build", ""),
        Step(Node("c", "xavier"), Key("3"), "reuse", ""),
    ]
    assert total(steps) == (
        "2 to build, 0 to pull, 2 to reuse; 1 min 00 s one by one, as long as the last builds took, "
        "1 of unknown duration"
    )
    assert total(steps[:1]) == "0 to build, 0 to pull, 1 to reuse"


def test_one_error_tells_of_all_problems() -> None:
    one, other = ProjectError("a/Dockerfile:2", "x"), BuilderError("b:amd64", "y", "z")
    assert combined([one]) is one
    both = combined([one, other, one])
    assert both.exit_status == 10
    assert str(both) == "a run would fail:\na/Dockerfile:2: x\nb:amd64: y\n  z"
