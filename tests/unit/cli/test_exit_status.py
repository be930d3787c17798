"""Exit statuses: each error has its own, so a script can tell errors apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagegraph import errors
from stagegraph.errors import BuildError, StagegraphError

pytestmark = pytest.mark.unit

DOIT = {0, 1, 2, 3}  # doit: success, failure, error, wrong usage


def kinds(of: type[StagegraphError] = StagegraphError) -> Iterator[type[StagegraphError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def of_run() -> set[int]:
    """Return the exit statuses that the usage of ./run lists."""
    usage = (Path(__file__).parents[3] / "run").read_text().partition("Exit status:")[2].partition("END")[0]
    return {int(number) for number in re.findall(r"^ +(\d+) ", usage, re.MULTILINE)}


def test_all_errors_are_in_one_module() -> None:
    assert all(kind.__module__ == errors.__name__ for kind in kinds())


def test_each_status_is_unique() -> None:
    # a subclass that a script would treat the same inherits the status
    statuses = [kind.exit_status for kind in kinds() if "exit_status" in vars(kind)]
    assert len(statuses) >= 15
    assert len(set(statuses)) == len(statuses)


def test_run_lists_its_statuses() -> None:
    assert {64, 69, 70, 71, 72, 73, 78} <= of_run()


def test_only_the_status_of_a_build_error_is_also_used_by_doit() -> None:
    clashes = {kind for kind in kinds() if kind.exit_status in DOIT | of_run()}
    assert clashes == {BuildError}
    assert BuildError.exit_status == 1


def test_each_status_is_valid_in_a_shell() -> None:
    # in a shell, 126 and above mean "not found", "not executable" or a signal
    assert all(0 < kind.exit_status < 126 for kind in kinds())
