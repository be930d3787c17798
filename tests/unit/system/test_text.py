"""Texts for people."""

from __future__ import annotations

import pytest

from stagegraph.system.text import listed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b and 2 more"),
    ],
)
def test_a_long_list_is_cut(words: list[str], expected: str) -> None:
    assert listed(words, 2) == expected
