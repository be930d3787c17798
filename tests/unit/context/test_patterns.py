"""Go's ``filepath.Match`` and ``.dockerignore``."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.context.go_match import PathPattern
from stagegraph.context.patterns import Ignore, has_wildcard
from stagegraph.errors import ContextError

pytestmark = pytest.mark.unit


# Most cases are from Go's path/filepath/match_test.go.
@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*b*c", "axbxc", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "z", False),
        ("[\\-x]", "a", False),
        ("[]a]", "]", False),
        ("[-]", "-", False),
        ("[x-]", "x", False),
        ("[-x]", "x", False),
        ("\\", "a", False),
        ("[a-b-c]", "a", False),
        ("[", "a", False),
        ("[^", "a", False),
        ("[^bc", "a", False),
        ("a[", "ab", False),
        ("*x", "xxx", True),
        ("[b-a]", "a", False),
        ("[^b-a]", "a", True),
        ("[[]0]", "[0]", True),
        ("[a&&b]", "&", True),
        ("[a||b]", "|", True),
        ("[a~~b]", "~", True),
        ("?", "\n", True),
        ("a.c", "abc", False),
        ("(a|b)+", "(a|b)+", True),
        ("[^a]", "/", True),
        ("a[^x]b", "a/b", True),
        # Go takes the first place for what stands behind a star, and never another one
        ("*[^a]*b", "x/yb", False),
        # bytes: the star takes the first byte of a character, the class the second
        ("*[^é]", "é", True),
        ("[^a]", "\udcff", True),
        ("\udcff", "\udcff", True),
        ("[\udcff]", "\udcff", False),
        ("a**b", "axb", True),
        ("**", "a/b", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_path_match(pattern: str, name: str, matches: bool) -> None:
    assert PathPattern(pattern).matches(name) is matches


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("a", False),
        ("a*", True),
        ("a?", True),
        ("a[b", True),
        ("a\\*", False),
        ("a\\\\*", True),
        ("a\\b]", False),
    ],
)
def test_has_wildcard(word: str, is_one: bool) -> None:
    assert has_wildcard(word) is is_one


@pytest.mark.parametrize(
    ("text", "path", "hidden"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a", "b/a", False),
        ("/a", "a", True),
        ("**/a", "b/c/a", True),
        ("*.o", "x.o", True),
        ("*.o", "d/x.o", False),
        ("**/*.o", "d/x.o", True),
        ("*\n!a", "a", False),
        ("*\n!a", "b", True),
        ("d\n!d/keep", "d/keep", False),
        ("d\n!d/keep", "d/drop", True),
        ("!a\na", "a", True),
        ("# a\na", "a", True),
        ("#a", "#a", False),
        (" a ", "a", True),
        ("a\r\nb\r\n", "b", True),
        ("\ufeffa", "a", True),
        # str.splitlines would split this line
        ("a\u2028b", "b", False),
        ("a\x0cb", "b", False),
        ("\udcff*", "\udcffx", True),
        ("./a/../b", "b", True),
        ("", "a", False),
    ],
)
def test_ignore(tmp_path: Path, text: str, path: str, hidden: bool) -> None:
    file = tmp_path / ".dockerignore"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert Ignore.read(file).hides(path) is hidden


def test_malformed_ignore_file(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n[\n")
    with pytest.raises(ContextError, match=r"\.dockerignore: Invalid ignore pattern '\['"):
        Ignore.read(tmp_path / ".dockerignore")


def test_ignore_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="cannot be read: Is a directory"):
        Ignore.read(tmp_path)
