"""``.dockerignore`` and the sources of COPY select the same paths as BuildKit does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from plain import build

from stagegraph.context.selection import ContextSelection, ignore_file
from stagegraph.errors import ContextError

pytestmark = pytest.mark.engine

TREE = ("README", "readme", "a", "b.tmp", ".hidden", "d/a", "d/b.tmp", "d/e/a", "d/e/z", "d/e/f/a", "x y/q")
LINKS = {"link": "a", "d/up": "../a", "folder": "d/e"}

#: Not here: an escaped plain letter. BuildKit before 0.13 takes it for a backslash and a letter.
IGNORES = (
    "",
    "*",
    "**",
    "*\n!a",
    "*\n!d/e/z",
    "d\n!d/e",
    "d/*\n!d/e",
    "**/a",
    "**/*.tmp\n!d/b.tmp",
    "d/**",
    "d/**/a",
    "/a",
    "a/",
    "./a",
    "d/../a",
    "readme",
    "READ*",
    "?",
    "[a-b]*",
    "[^a]",
    "# comment\na",
    "  a  ",
    "!a\na",
    "a\n!a\na",
    "*.tmp\n!**/e",
    "d/e/\n!d/e/f/a",
    "**/e/**\n!**/f",
    "x y",
    ".*",
    "Dockerfile",
    "link\nfolder",
    "d/e*",
    "!",
)

SOURCES = (
    "a",
    "d",
    "d/",
    "*",
    "d/*",
    "**",
    "d/**/a",
    "[ab]*",
    "?",
    "folder",
    "folder/z",
    "link",
    "d/e/../a",
    "./d",
    "x*",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name in TREE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
    return folder


def selected(folder: Path, source: str) -> set[str] | None:
    try:
        selection = ContextSelection(folder, "Dockerfile", ignore_file(folder, "Dockerfile"))
        return {entry.path for entry in selection.select([(source, 1)])}
    except ContextError:
        return None


@pytest.mark.parametrize("ignore", IGNORES)
def test_an_ignore_file_selects_the_same_files_as_buildkit(tree: Path, ignore: str) -> None:
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tree / ".dockerignore").write_text(ignore)
    content, _ = build(tree)
    assert selected(tree, ".") == (None if content is None else content.paths)


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_selects_the_same_files_as_buildkit(tree: Path, source: str) -> None:
    """A build from the selected files gives the same as a build from the whole folder."""
    (tree / "Dockerfile").write_text(f"FROM scratch\nCOPY {source} /to/\n")
    content, _ = build(tree)
    chosen = selected(tree, source)
    assert (chosen is None) == (content is None)
    if chosen is None:
        return
    for path in sorted((p for p in tree.rglob("*") if p.name != "Dockerfile"), reverse=True):
        if path.relative_to(tree).as_posix() not in chosen:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert build(tree)[0] == content


#: Names of one generated tree; patterns are generated from the pieces.
NAMES = ("a", "b", "ab", "aab", "a.b", "d/a", "d/ab", "d/b/a", "d/b/aab", "a*b", "b-a")
PIECES = ("a", "b", "*", "*", "?", "[ab]", "[^a]", "**", "d/", "**/", ".", r"\*")


def generated(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    found = ("".join(chance.choices(PIECES, k=chance.randrange(1, 7))) for _ in range(1000))
    patterns = [pattern for pattern in found if any(wildcard in pattern for wildcard in "*?[")]
    return ["*a" * 11 + "*b", "**/" * 8 + "b", *patterns][:count]


def planted(folder: Path) -> None:
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_generated_lines_hide_the_same_files_as_for_buildkit(tmp_path: Path) -> None:
    """One build: each line has a folder of its own."""
    tree, lines = tmp_path / "tree", []
    for number, pattern in enumerate(generated(80, 1)):
        planted(tree / f"p{number}")
        lines += [f"p{number}/{pattern}", f"!p{number}/{generated(number + 3, 2)[-1]}"]
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tree / ".dockerignore").write_text("\n".join(lines))
    content, _ = build(tree)
    assert content is not None
    assert selected(tree, ".") == content.paths


def test_generated_sources_select_the_same_files_as_for_buildkit(tmp_path: Path) -> None:
    """One build: each source has a target of its own."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("a", "b", "ab", "aab", "a.b", "a*b", "b-a", "é", "aé", "a" * 40):
        (tree / name).touch()
    sources = [source for source in generated(200, 3) if "/" not in source and "\\" not in source][:60]
    lines = [f"COPY {source} /{number}/" for number, source in enumerate(sources)]
    (tree / "Dockerfile").write_text("\n".join(["FROM scratch", "COPY a /", *lines]))
    (tree / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    content, _ = build(tree)
    assert content is not None
    ours = {
        f"{number}/{path}" for number, source in enumerate(sources) for path in selected(tree, source) or ()
    }
    assert ours == {path for path in content.paths if "/" in path}
