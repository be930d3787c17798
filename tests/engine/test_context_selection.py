"""The files that the analysis of a Dockerfile selects give the same image in BuildKit as the whole folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import NATIVE
from plain import Content, build, digest

from stagegraph.context.selection import ContextSelection, ignore_file
from stagegraph.dockerfile.analysis import BuildOptions, analyse
from stagegraph.errors import StagegraphError
from stagegraph.oci.platform import OciPlatform

pytestmark = pytest.mark.engine

FILES = ("a", "ax", "b", "bx", "$Ax", "d/a", "d/b", "d/e/a", "e/a")

#: Dockerfiles by rule. Their image ``base`` has ``ENV B=b``.
RULES = {
    "ENV of a build stage overrides its ARG": "FROM scratch AS x\nENV A=b\nARG A=a\nFROM x\nCOPY $A* /o/",
    "ARG after ENV in one build stage": "FROM scratch\nENV A=b\nARG A=a\nCOPY $A* /o/",
    "child build stage sees ARG": "FROM scratch AS x\nARG A=b\nFROM x\nCOPY ${A:-a}* /o/",
    "ENV of an earlier build stage": "FROM scratch AS x\nENV A=b\nFROM x AS y\nARG A=a\nFROM y\nCOPY $A* /o/",
    "ENV from an ARG": "FROM scratch AS x\nARG A=a\nENV A=$A\nARG A=b\nFROM x\nCOPY $A* /o/",
    "ARG over ENV of an image": "FROM base\nARG B=a\nCOPY $B* /o/",
    "ENV of an image over ARG of a build stage": "FROM base AS x\nARG B=a\nFROM x\nCOPY $B* /o/",
    "ARG of a build stage that the image lacks": "FROM base AS x\nARG A=b\nFROM x\nCOPY $A* /o/",
    "ARG without a value over ENV of an image": "FROM base\nARG B\nCOPY $B* /o/",
    "ARG without a value": "FROM scratch\nARG A\nCOPY ${A:-b}* /o/",
    "global ARG": "ARG A=b\nFROM scratch AS x\nARG A\nFROM x\nCOPY $A* /o/",
    "PATH": "FROM scratch\nCOPY ${PATH:+b}* /o/",
    "trigger of a build stage": "FROM scratch AS x\nONBUILD ARG A=b\nONBUILD COPY $A* /o/\nFROM x",
    "trigger of a build stage, ENV": "FROM scratch AS x\nONBUILD ENV A=b\nFROM x AS y\nARG A=a\nFROM y\n"
    "COPY $A* /o/",
    "triggers of only one level": "FROM scratch AS x\nONBUILD COPY a /o/\nFROM x AS y\nFROM y\nCOPY b /o/",
    "inline file of a trigger": "FROM scratch AS x\nONBUILD COPY <<E b /o/\nx\nE\nFROM x",
    "escape after an interpreter line": "#!/usr/bin/env docker\n# escape=`\nFROM scratch\nARG V=A\n"
    "COPY \\$V* /o/\nCOPY \\$Ax /p",
    "escape": "# escape=`\nFROM scratch\nARG V=d\nCOPY $V/a /o/\nCOPY `$Ax /p",
    "unknown directive": "# a=b\n# escape=`\nFROM scratch\nCOPY \\$A* /o/",
    # COPY a: buildx sends the target of d/link only if something else needs it
    "pattern of folders": "FROM scratch\nCOPY */* /o/\nCOPY a /p",
    "pattern of folders below a link": "FROM scratch\nCOPY inside/* /o/",
    "pattern that matches links": "FROM scratch\nCOPY i* d/l* /o/",
    "pattern with a class of characters": "FROM scratch\nCOPY d[^x]b /o/",
    "pattern after a folder": "FROM scratch\nCOPY d/*/a /o/",
    "quotes": "FROM scratch\nCOPY '$A'x /o/",
    "replaced": "FROM scratch\nARG V=a.x\nCOPY ${V/./}* /o/\nCOPY ${V%.*}* /p/\nCOPY ${V//?.x/b}* /q/",
    "all replaced": "FROM scratch\nARG V=abc\nCOPY ${V//*/b}* /o/",
    "ignore file that is a link": "FROM scratch\nCOPY . /o/",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "inside").symlink_to("d")
    (folder / "outside").symlink_to("../nowhere")
    (folder / "d/link").symlink_to("/a")
    return folder


def delete_unselected(tree: Path, text: str) -> bool:
    """Delete what the program does not select. Return false if it selects everything."""
    native = OciPlatform(NATIVE)
    facts = analyse(text, "Dockerfile", BuildOptions(native, native))
    selection = ContextSelection(tree, "Dockerfile", ignore_file(tree, "Dockerfile"))
    chosen = {entry.path for entry in selection.select(facts.sources)}
    for path in sorted((p for p in tree.rglob("*") if p.name != "Dockerfile"), reverse=True):
        if path.relative_to(tree).as_posix() not in chosen:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return facts.sources is not None


@pytest.mark.parametrize("rule", RULES)
def test_the_selected_files_are_enough_for_the_build(tree: Path, tmp_path: Path, rule: str) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/Dockerfile").write_text("FROM scratch\nENV B=b\nWORKDIR /w\n")
    _, layout = build(tmp_path / "base")
    base = Path(f"{layout}@{digest(layout)}")
    (tree / "Dockerfile").write_text(RULES[rule] + "\n")
    if rule.startswith("ignore"):
        (tree / ".dockerignore").symlink_to("/d/e/ignore")
        (tree / "d/e/ignore").write_text("b*\n")
    content, _ = build(tree, base=base)
    assert isinstance(content, Content) and content.files, "nothing is built"
    delete_unselected(tree, RULES[rule])
    assert build(tree, base=base)[0] == content


def test_an_ignore_file_that_is_a_link_out_of_the_folder_is_an_error(tree: Path) -> None:
    """BuildKit does not follow such a link and sends the listed files. The program refuses it."""
    (tree.parent / "common").write_text("b\n")
    (tree / ".dockerignore").symlink_to("../common")
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY b /b\n")
    content, _ = build(tree)
    assert content is not None and "b" in content.paths
    with pytest.raises(StagegraphError, match="the link leaves the stage's folder"):
        ignore_file(tree, "Dockerfile")


@pytest.mark.parametrize("source", ["link", "link/*", "l*"])
def test_a_dangling_link_that_leaves_the_folder_is_an_error(tree: Path, source: str) -> None:
    """BuildKit follows such a link from the folder's root, finds nothing there, and refuses it too."""
    (tree / "link").symlink_to("../gone")
    (tree / "Dockerfile").write_text(f"FROM scratch\nCOPY {source} /o/\n")
    assert build(tree, no_cache=True)[0] is None
    with pytest.raises(StagegraphError, match="the link leaves"):
        delete_unselected(tree, f"FROM scratch\nCOPY {source} /o/\n")
