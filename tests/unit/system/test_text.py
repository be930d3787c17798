"""Texts for people."""

from __future__ import annotations

import pytest

from stagegraph.system.text import counted, listed, one_line, rough_time

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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "10 s"), (10, "10 s"), (11, "20 s"), (51, "1 min"), (61, "2 min"), (3600, "1 h 00 min")],
)
def test_an_estimate_is_rounded_up(seconds: float, text: str) -> None:
    assert rough_time(seconds) == text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("\x1b[1;31merror:\x1b[0m no file\r\n", "error: no file"),
        ("10 %\r50 %\r100 %\r", "100 %"),
        ("\x1b]0;title\x07a\x1b[2K\x1b[1Ab\x1b(B", "ab"),
        ("a\tb", "a       b"),
        ("bell\x07 \x1b", r"bell\x07 \x1b"),
        ("na\u00efve \u65e5\u672c  ", "na\u00efve \u65e5\u672c"),
    ],
)
def test_a_line_of_output_is_text_and_nothing_else(output: str, text: str) -> None:
    assert one_line(output) == text


@pytest.mark.parametrize(("number", "text"), [(0, "no nodes"), (1, "1 node"), (2, "2 nodes")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert counted(number, "node") == text
