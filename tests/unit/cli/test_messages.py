"""Messages name what is there: commands that exist, and ``./run`` only where it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import derived
import pytest

from stagegraph.cli.commands.replaced import NAMES

pytestmark = pytest.mark.unit

PACKAGE = Path(derived.__file__).parents[1] / "stagegraph"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
#: Words that follow "doit" in a sentence and are no commands.
PROSE = {"alone", "and", "calls", "gives", "shows"}


def texts() -> Iterator[tuple[str, str]]:
    """The literal texts of the package that are no docstrings, with their files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        bodies = [node.body for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
        docs = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield str(path.relative_to(PACKAGE)), node.value


def test_a_command_that_a_message_names_exists() -> None:
    commands = derived.command_classes().keys() - NAMES
    named = {(word, file) for file, text in texts() for word in re.findall(r"\bdoit ([a-z][a-z-]+)", text)}
    assert len(named) > 20
    assert {(word, file) for word, file in named if word not in commands | PROSE} == set()


def test_no_message_names_a_goal_of_the_atom_images() -> None:
    assert [each for each in texts() if re.search(r"\b(stock|blas|numpy)[:=]|stock-a", each[1])] == []


def test_the_script_of_this_repository_is_named_only_where_it_runs() -> None:
    """``host`` is what ``./run`` calls; the schema describes variables that only ``./run`` reads."""
    files = {file for file, text in texts() if "./run" in text}
    assert {file for file in files if not file.startswith("host/")} <= {"project/schema.py"}
