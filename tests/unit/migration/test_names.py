"""Names of stages: from paths, from other tools' names, unique and allowed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagegraph.migration import names
from stagegraph.project import schema

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ({"a": ["root", "images", "foo"]}, ["foo"]),
        ({"a": ["root"]}, ["root"]),
        ({"a": ["root", "one", "app"], "b": ["root", "two", "app"]}, ["one-app", "two-app"]),
        ({"a": ["root", "python", "3.12"], "b": ["root", "node", "22"]}, ["python-3.12", "node-22"]),
        (
            {"a": ["root", "python", "3.12", "slim"], "b": ["root", "python", "3.13", "slim"]},
            ["python-3.12-slim", "python-3.13-slim"],
        ),
        ({"a": ["root", "app", "arm64"]}, ["app-arm64"]),
        ({"a": ["root", "app"], "b": ["root", "App"]}, ["root-app", "root-app-2"]),
        ({"a": ["root", "app"], "b": ["root", "x", "app"]}, ["root-app", "x-app"]),
    ],
)
def test_a_name_is_the_last_word_of_the_path_and_longer_where_it_must_be(
    paths: dict[str, list[str]], found: list[str]
) -> None:
    assert list(names.from_paths(paths).values()) == found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My App", "my-app"), ("web_server", "web_server"), ("a--b", "a-b"), ("-x-", "x"), ("12", "image-12"),
        ("é", "image"), ("a" * 80, "a" * 54),
    ],
)  # fmt: skip
def test_other_text_becomes_a_name(text: str, name: str) -> None:
    assert names.slug(text) == name


@given(st.text())
def test_every_text_becomes_a_name_that_a_stage_can_have(text: str) -> None:
    assert schema.NAME.fullmatch(names.slug(text))


@given(st.lists(st.sampled_from(["a", "a-2", "b"])))
def test_numbered_names_are_unique(wanted: list[str]) -> None:
    found = names.unique(wanted)
    assert len(set(found)) == len(found) == len(wanted)


def test_a_reserved_name_gets_an_ending() -> None:
    assert [names.allowed(name) for name in ("base", "lock", "app")] == ["base-image", "lock-image", "app"]
    assert re.fullmatch(schema.NAME, names.allowed("a" * 54, {"a" * 54}))
