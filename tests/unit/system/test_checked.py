"""Values of files that anybody may have written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stagegraph.system.checked import moment, number, text
from stagegraph.system.text import human_time

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("value", ["", "a\n\x1b[31m", "\U0001f433"])
def test_a_text(value: str) -> None:
    assert text(json.loads(json.dumps(value))) == value


@pytest.mark.parametrize("value", [0, -1, 2.5, 10**18])
def test_a_number(value: float) -> None:
    assert number(value) == value
    assert human_time(number(value) * 1000)


@pytest.mark.parametrize("value", ["2026-11-28T08:00:00.000+00:00", "2026-11-28T08:00:00Z"])
def test_a_moment(value: str) -> None:
    assert moment(value) == value


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (text, "1"),
        (text, r'"\ud800"'),
        (number, '"1"'),
        (number, "true"),
        (number, "null"),
        (number, "NaN"),
        (number, "-Infinity"),
        (number, "1e308"),
        (number, "1" + "0" * 400),
        (moment, "1"),
        (moment, '"yesterday"'),
        (moment, '"2026-11-28T08:00:00"'),
        (moment, '"0001-01-01T00:00:00+14:00"'),
        (moment, '"9999-12-31T00:00:00-14:00"'),
    ],
)
def test_other_values_are_refused(read: Callable[[object], object], value: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        read(json.loads(value))
