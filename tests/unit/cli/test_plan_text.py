"""The last line of ``doit plan``, and its error."""

from __future__ import annotations

import pytest

from stagegraph.cli.commands.plan import combined
from stagegraph.cli.plan_text import Facts, longest, markdown, text, total
from stagegraph.errors import BuilderError, ProjectError
from stagegraph.execution.estimate import estimate
from stagegraph.execution.plan import Step
from stagegraph.keys.key import Key
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit


A, B, C = Node("a", "amd64"), Node("b", "amd64"), Node("c", "rpi")


def facts(*steps: Step, workers: int = 2) -> Facts:
    """Return the facts of steps of which each is based on the one before."""
    builds = {step.node: step.seconds for step in steps if step.decision == "build"}
    nodes = [step.node for step in steps]
    parents = {node: nodes[max(place - 1, 0) : place] for place, node in enumerate(nodes)}
    return Facts(list(steps), [], estimate(builds, parents, workers))


def test_the_last_line_of_a_plan_has_the_totals() -> None:
    steps = [
        Step(A, Key("1"), "reuse", "", seconds=7.0),
        Step(B, Key("2"), "build", "", seconds=60.0),
        Step(C, Key("3"), "build", ""),
        Step(Node("c", "xavier"), Key("3"), "reuse", ""),
    ]
    assert total(facts(*steps)) == (
        "2 to build, 0 to pull, 2 to reuse; 1 min 00 s one by one, 1 min 00 s with 2 at once, "
        "as long as the last builds took, 1 of unknown duration"
    )
    assert total(facts(steps[0])) == "0 to build, 0 to pull, 1 to reuse"
    fetching = Facts([Step(A, Key("1"), "pull", "")], [], fetch=2_500_000)
    assert total(fetching) == "0 to build, 1 to pull (2.5 MB), 0 to reuse"


def test_the_longest_chain_has_a_line() -> None:
    steps = [Step(A, Key("1"), "build", "", seconds=30.0), Step(B, Key("2"), "build", "", seconds=60.0)]
    assert text(facts(*steps)).splitlines()[-1] == "longest chain, 1 min 30 s: a:amd64 > b:amd64"
    assert longest(facts(steps[0]).estimate) == ""


def test_markdown_shows_reasons_as_they_are() -> None:
    step = Step(A, Key("1"), "build", "x/Dockerfile:2: RUN a | b `c`", seconds=60.0)
    assert markdown(facts(step)) == (
        "**1 to build, 0 to pull, 0 to reuse; 1 min 00 s one by one, as long as the last builds took**\n\n"
        "| | node | why | last time |\n|---|---|---|---|\n"
        "| build | `a:amd64` | `` x/Dockerfile:2: RUN a \\| b `c` `` | 1 min 00 s |"
    )


def test_one_error_tells_of_all_problems() -> None:
    one, other = ProjectError("a/Dockerfile:2", "x"), BuilderError("b:amd64", "y", "z")
    assert combined([one]) is one
    both = combined([one, other, one])
    assert both.exit_status == 10
    assert str(both) == "a run would fail:\na/Dockerfile:2: x\nb:amd64: y\n  z"
