"""Messages of errors. Another test checks the exit statuses."""

from __future__ import annotations

import pytest

from stagegraph.errors import ProjectError, nearest

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("stages.toml:3", "wrong"), "stages.toml:3: wrong"),
        (("stages.toml:3", "wrong", "do it so"), "stages.toml:3: wrong\n  do it so"),
        (("", "wrong"), "wrong"),
    ],
)
def test_where_what_hint(parts: tuple[str, ...], text: str) -> None:
    assert str(ProjectError(*parts)) == text


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("blass", ["blas", "redis"], "did you mean 'blas'?"),
        ("x", ["blas", "amd"], "known here: amd, blas"),
        ("x", [], "none is declared"),
        ("x", list("abcdefghijklmnopqrstuvwyz"), "known here: " + ", ".join("abcdefghijklmnopqrstuvwyz")),
        (
            "x",
            list("abcdefghijklmnopqrstuvwyz-+"),
            "known here: +, -, " + ", ".join("abcdefghijklmnopqrstuv") + " and 3 more",
        ),
    ],
)
def test_nearest(word: str, known: list[str], said: str) -> None:
    assert nearest(word, known) == said
