"""No class has over 200 lines and no function over 40, unless ``# long: REASON`` is beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
LIMITS = {ast.ClassDef: 200, ast.FunctionDef: 40}


def too_long(text: str) -> Iterator[str]:
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        limit = LIMITS.get(type(node))
        if limit is None or not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        length = (node.end_lineno or 0) - node.lineno + 1
        if length > limit and "# long: " not in lines[node.lineno - 1]:
            yield f"{node.name} has {length} lines, the limit is {limit}"


@pytest.mark.parametrize("folder", ["stagegraph", "docs", "variant"])
def test_nothing_is_too_long(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {str(path.relative_to(ROOT)): [*too_long(path.read_text())] for path in files} == {
        str(path.relative_to(ROOT)): [] for path in files
    }


def test_a_function_that_is_too_long_is_found() -> None:
    body = "    x = 1\n" * 40
    assert [*too_long(f"def f():\n{body}")] == ["f has 41 lines, the limit is 40"]
    assert not [*too_long(f"def f():  # long: a table\n{body}")]
