"""Regular expressions on text from outside: the time grows with the text, not with its square or faster."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable

import pytest

from stagegraph.audit import outdated
from stagegraph.build import failure
from stagegraph.dockerfile import directives, words
from stagegraph.inspection import inventory
from stagegraph.migration.interpolation import env_file
from stagegraph.store import skopeo

pytestmark = pytest.mark.unit

#: Characters; with a square, this takes minutes.
LENGTH = 300_000


def text(start: str, repeated: str, end: str = "") -> str:
    return start + repeated * (LENGTH // len(repeated)) + end


CASES: dict[str, Callable[[], object]] = {
    "directive": lambda: directives.read(text("# syntax=a", " ", "b"), "Dockerfile"),
    "process": lambda: failure._without_command(text("", 'process "')),
    "checksum": lambda: failure._WRAPPED.sub("", text("failed to calculate checksum of ref ", "a::")),
    "upload": lambda: skopeo._REASON.findall(text("", "Upload of manifest").encode()),
    "upload failed": lambda: skopeo._REASON.findall(text("", 'Upload of manifest failed: "').encode()),
    "package": lambda: outdated._LINE.fullmatch(text("", "a/")),
    "archive": lambda: [*inventory._PINNED[0].finditer(text("a", ".tar"))],
    "metadata": lambda: inventory._METADATA.fullmatch(text("", "/a.dist-info")),
    "variable": lambda: env_file(text("a=", " ", "x") + text("", " #b") + text("y", "\t"), {}, ".env"),
    "quoted": lambda: env_file(text("a='b'", " ", "x"), {}, ".env"),
    "stars, all": lambda: words._regex("*a" * 12 + "*b", greedy=True).match(text("", "a")),
    "stars, shortest": lambda: words._regex("*a" * 12 + "*b", greedy=False).match(text("", "a")),
}


@pytest.mark.parametrize("call", CASES.values(), ids=CASES)
def test_a_long_text_takes_no_time(call: Callable[[], object]) -> None:
    begin = time.thread_time()
    call()
    assert time.thread_time() - begin < 1


def backtracking(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    """Translate a shell pattern in the plain way."""
    star = ".*" if greedy else ".*?"
    return re.compile("".join({"*": star, "?": "."}.get(char, re.escape(char)) for char in pattern))


def test_shell_patterns_match_the_same_as_without_atomic_groups() -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    found = 0
    for _ in range(20_000):
        pattern = "".join(chance.choices("ab**?\n", k=chance.randrange(1, 8)))
        value = "".join(chance.choices("aabb\n", k=chance.randrange(9)))
        plain, ours = backtracking(pattern, greedy=True), words._regex(pattern, greedy=True)
        expected = [match.span() for match in plain.finditer(value)]
        assert [match.span() for match in ours.finditer(value)] == expected, (pattern, value)
        first = backtracking(pattern, greedy=False).match(value)  # the shortest is only cut off a start
        match = words._regex(pattern, greedy=False).match(value)
        assert (match and match.span()) == (first and first.span()), (pattern, value)
        found += len(expected)
    assert found > 10_000


@pytest.mark.parametrize(
    ("line", "value"), [("# syntax = a b \t", "a b"), ("#syntax=a", "a"), ("# syntax=  ", None)]
)
def test_the_value_of_a_directive(line: str, value: str | None) -> None:
    assert directives.read(f"{line}\nFROM a\n", "Dockerfile").get("syntax", "").strip() == (value or "")


def test_the_message_of_a_failed_run() -> None:
    message = 'a: process "x \\"process "y" did not complete successfully: exit code: 1'
    assert failure._without_command(message) == "a: process failed: exit code: 1"
    assert failure._without_command("no process") == "no process"
    assert failure._without_command('process "" did not complete successfully') == "process failed: "


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a=b", "b"),
        ("a = b  # c", "b"),
        ("a= #c", "#c"),
        ("a=b#c", "b#c"),
        ("a='b' # c", "b"),
        ("a='b'#c", "'b'#c"),
        ("a='b' c ", "'b' c"),
        ('a: "b\\n" ', "b\n"),
        ("a=", ""),
        ("a=b   ", "b"),
    ],
)
def test_the_value_of_a_variable(line: str, value: str) -> None:
    """As by the one regular expression that it was before."""
    assert env_file(line, {}, ".env") == {"a": value}
