"""The lines about what a run did not reach, and the failures that are the cause."""

from __future__ import annotations

import pytest

from stagegraph.cli.unreached import TaskGraph, lines

pytestmark = pytest.mark.unit

#: a is based on tools, b on a and libs; an image of b, and one of c, which stands alone; a group of both.
NEEDS = {
    "tools": [],
    "libs": [],
    "a": ["tools"],
    "_b": ["a", "libs"],
    "b": ["_b", "b-test"],
    "b-test": ["_b"],
    "c": ["_c"],
    "_c": [],
    "all": ["b", "c"],
}
LABELS = {name: name.removeprefix("_") for name in NEEDS if name not in ("b", "c", "all")}
LABELS |= {"b": "image b", "c": "image c"}
TASKS = TaskGraph(NEEDS, LABELS, ("all", "b", "c"))


def test_one_line_names_all_that_a_failure_keeps_from_being_built() -> None:
    found = [*lines(TASKS, {"tools": "tools"}, {"libs", "_c", "c"})]
    assert found == ["not built, as tools failed: a, b-test, image b"]


def test_what_needs_two_failed_nodes_names_both() -> None:
    found = [*lines(TASKS, {"libs": "libs", "tools": "tools"}, {"_c", "c"})]
    assert found == [
        "not built, as tools failed: a",
        "not built, as libs and tools failed: b-test, image b",
    ]


def test_goals_that_a_run_without_continue_did_not_reach() -> None:
    found = [*lines(TASKS, {"tools": "tools"}, set())]
    assert found[1:] == ["not reached, as the run ended at the failure (doit --continue goes on): image c"]


def test_what_a_reused_image_needs_was_not_needed() -> None:
    assert [*lines(TASKS, {"_c": "c"}, {"b"})] == ["not built, as c failed: image c"]


def test_the_error_of_an_ancestor_names_the_ancestor() -> None:
    """An image whose ancestor has a broken Dockerfile fails by itself, with the error of the ancestor."""
    found = [*lines(TASKS, {"b": "tools", "tools": "tools"}, {"_c", "c"})]
    assert found == ["not built, as tools failed: image b"]


def test_a_run_without_failures_has_no_lines() -> None:
    assert not [*lines(TASKS, {}, set(NEEDS))]


def test_a_graph_may_be_deep() -> None:
    needs = {str(number): [str(number - 1)] for number in range(1, 3000)}
    deep = TaskGraph(needs, {"2999": "last"}, ("2999",))
    assert [*lines(deep, {"0": "first"}, set())] == ["not built, as first failed: last"]
