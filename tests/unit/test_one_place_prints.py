"""``stagegraph/output.py`` prints, and nothing else does: what it cleans, no other way goes around."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PACKAGE = Path(__file__).parents[2] / "stagegraph"

#: Who gives a text to a terminal in another way, and why it may.
OTHERS = {
    "output.py": "the one place",
    "system/early.py": "a fixed word, before anything else is imported",
    "execution/live.py": "rich draws; display.py has cleaned the texts",
}

#: Who prints a text that it has cleaned itself, by ``write_exact``, and why.
EXACT = {
    "cli/commands/ci.py": "JSON for GitHub: names of jobs",
    "cli/commands/doctor.py": "JSON for ./run: names of builders",
    "cli/commands/export.py": "JSON for bake, which needs the values",
    "cli/commands/graph.py": "a tree with colours; the diagram was cleaned",
    "cli/commands/logs.py": "lines that Lines has cleaned",
    "cli/reporter.py": "the summary with colours; report.py has cleaned its texts",
}

#: Uses of a stream that print nothing.
HARMLESS = {"flush", "fileno", "encoding", "isatty"}


def raw_prints(tree: ast.Module) -> Iterator[int]:
    """The lines that print, or hand a stream of the process to somebody."""
    harmless = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in HARMLESS and is_stream(node.value)
    }
    for node in ast.walk(tree):
        is_print = isinstance(node, ast.Name) and node.id in ("print", "input", "breakpoint")
        is_rich = isinstance(node, ast.Attribute) and ast.unparse(node) in ("self._console.print", "os.write")
        imports = isinstance(node, ast.ImportFrom) and node.module == "sys"
        if is_print or is_rich or imports or (is_stream(node) and id(node) not in harmless):
            yield node.lineno  # type: ignore[attr-defined]


def is_stream(node: ast.AST) -> bool:
    """Whether it is ``sys.stdout`` or ``sys.stderr``, also as the process got them."""
    return isinstance(node, ast.Attribute) and ast.unparse(node) in {
        f"sys.{name}" for name in ("stdout", "stderr", "__stdout__", "__stderr__", "displayhook")
    }


def uses_of_exact(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and "write_exact" in {each.name for each in node.names}
        for node in ast.walk(tree)
    )


#: Lines that give a stream to ``output``, or only look at it.
PASSED_ON = (
    "write_exact(sys.stdout, ",
    "has_colours(sys.stdout)",
    "has_characters(sys.stdout, ",
    "or sys.stderr",
)


def test_nothing_else_prints() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name, text = str(path.relative_to(PACKAGE)), path.read_text()
        lines = text.splitlines()
        prints = [
            line for line in raw_prints(ast.parse(text)) if not any(p in lines[line - 1] for p in PASSED_ON)
        ]
        if prints and name not in OTHERS:
            found[name] = prints
    assert found == {}


def test_few_print_a_text_that_they_have_cleaned_themselves() -> None:
    trees = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert {name for name, tree in trees.items() if uses_of_exact(tree)} == EXACT.keys()


@pytest.mark.parametrize(
    "line",
    [
        "print('x')",
        "f = print",
        "sys.stdout.write('x')",
        "write = sys.stderr.write",
        "sys.stdout.buffer.write(b'x')",
        "json.dump({}, sys.stdout)",
        "sys.__stderr__.write('x')",
        "from sys import stdout",
        "os.write(1, b'x')",
        "input('name? ')",
    ],
)
def test_a_raw_print_is_found(line: str) -> None:
    assert [*raw_prints(ast.parse(line))]


@pytest.mark.parametrize("line", ["sys.stdout.flush()", "self._display.print('x')", "file.write(b'x')"])
def test_other_calls_are_none(line: str) -> None:
    assert not [*raw_prints(ast.parse(line))]
