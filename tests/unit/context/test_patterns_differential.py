"""Matching of patterns in linear time gives what a slow and simple reference gives, and stays linear."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from e2b_dockerfile_utils.dockerignore import PatternMatcher

from stagegraph.context.glob import Automaton
from stagegraph.context.go_match import PathPattern
from stagegraph.context.patterns import Ignore
from stagegraph.context.selection import ContextSelection

pytestmark = pytest.mark.unit

SAMPLES = 2000
PIECES = ("a", "b", "*", "*", "?", "/", "[ab]", "[^a]", "[^/]", r"\*", ".", "**", "**/", "é")
CHARACTERS = "aab/*.é"


def sampled(chance: random.Random, choices: tuple[str, ...] | str, longest: int) -> str:
    return "".join(chance.choices(choices, k=chance.randrange(1, longest)))


def go(pattern: str, name: str) -> bool:
    """Go's description of ``filepath.Match``, by recursion; for patterns whose classes never match "/"."""
    tokens = re.findall(r"\[[^]]*\]|\\.|.", pattern)

    @cache
    def rest(token: int, place: int) -> bool:
        if token == len(tokens):
            return place == len(name)
        if tokens[token] == "*":
            here = place < len(name) and name[place] != "/"
            return rest(token + 1, place) or (here and rest(token, place + 1))
        return place < len(name) and one(tokens[token], name[place]) and rest(token + 1, place + 1)

    return rest(0, 0)


def one(piece: str, character: str) -> bool:
    if piece == "?":
        return character != "/"
    if piece[0] == "[":
        return (character in piece[1:-1]) is (piece[1] != "^")
    return piece[-1] == character


def test_go_match_equals_its_description() -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    pieces = tuple(piece for piece in PIECES if "^a" not in piece)
    matched = 0
    for _ in range(SAMPLES):
        pattern, name = sampled(chance, pieces, 7), sampled(chance, CHARACTERS.replace("é", ""), 7)
        expected = go(pattern, name)
        assert PathPattern(pattern).matches(name) is expected, (pattern, name)
        matched += expected
    assert matched > SAMPLES / 50  # the samples are not trivial


def test_ignore_files_equal_the_port_of_patternmatcher() -> None:
    chance = random.Random(2)  # noqa: S311
    hidden = 0
    for _ in range(SAMPLES):
        lines = ["!" * (chance.random() < 0.3) + sampled(chance, PIECES, 6) for _ in range(3)]
        lines = [line for line in lines if not line.startswith("!/")]
        reference = PatternMatcher(lines)
        ignore = Ignore(PatternMatcher(lines))
        paths = ["/".join(filter(None, sampled(chance, CHARACTERS, 8).split("/"))) or "a" for _ in range(4)]
        for path in (*paths, paths[0]):
            expected = reference.matches(path)
            assert ignore.hides(path) is expected, (lines, path)
            hidden += expected
    assert SAMPLES < hidden < 4 * SAMPLES


def ratio(call: Callable[[int], object], size: int) -> float:
    """How much longer eight times the size takes, in processor time; the least of three."""

    def spent(length: int) -> float:
        begin = time.thread_time()
        call(length)
        return time.thread_time() - begin

    return min(spent(8 * size) / spent(size) for _ in range(3))


def test_a_pattern_with_many_stars_is_linear_in_the_name() -> None:
    pattern = PathPattern("*a" * 12 + "*b")
    assert ratio(lambda length: pattern.matches("a" * length), 2000) < 24


def test_an_ignore_pattern_is_linear_in_the_path() -> None:
    pattern = Automaton(["**/", "*", "a", "*", "**/", "*", "b"])
    assert ratio(lambda length: pattern.matches("a/" * length), 2000) < 24


def test_a_source_with_many_stars_is_selected_at_once(tmp_path: Path) -> None:
    for name in ("a" * 40, "a" * 40 + "b", "more"):
        (tmp_path / name).touch()
    begin = time.thread_time()
    found = ContextSelection(tmp_path, "Dockerfile").select([("*a" * 11 + "*b", 1), ("more*", 1)])
    assert [entry.path for entry in found] == ["a" * 40 + "b", "more"]
    assert time.thread_time() - begin < 1


@pytest.mark.parametrize("line", ["**/" * 8 + "b", "*a" * 11 + "*b", "**/*a" * 8 + "/b", "a**" * 12 + "b"])
def test_an_ignore_file_on_a_deep_tree_is_read_at_once(tmp_path: Path, line: str) -> None:
    (tmp_path / ".dockerignore").write_text(line)
    ignore = Ignore.read(tmp_path / ".dockerignore")
    begin = time.thread_time()
    path = "/".join(["aaaa"] * 60)
    for depth in range(60):
        assert not ignore.hides(path[: 5 * depth + 4])
    assert time.thread_time() - begin < 1
