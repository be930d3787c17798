"""The text of a TOML file: it is read as the tables that were written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagegraph.migration import toml_text

pytestmark = pytest.mark.unit

_TEXT = st.text(st.characters(blacklist_categories=["Cs"]))
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | _TEXT,
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(_TEXT, inner, max_size=4),
)


@given(st.dictionaries(_TEXT, _VALUES, max_size=4))
def test_what_is_written_is_read(table: dict[str, object]) -> None:
    assert tomllib.loads(toml_text.section(["a", "b.c"], table)) == {"a": {"b.c": table}}


def test_a_long_table_becomes_a_section() -> None:
    text = toml_text.section(
        ["stages", "app"], {"args": {"A": "x" * 60, "B": "y" * 60}, "path": "app"}, "why"
    )
    assert text.splitlines()[:3] == ["[stages.app]  # why", 'path = "app"', "[stages.app.args]"]
