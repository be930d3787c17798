"""The benchmark ``replay``: its own reader of Dockerfiles, and the number of images that a program misses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from replay import truth

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ENTRY = {"entry.sh": "100755 1", "lib/a.txt": "100644 1", "README": "100644 1"}


@pytest.mark.parametrize(
    ("text", "parents"),
    [
        ("FROM ros:humble", {"ros:humble"}),
        ("ARG REG=quay.io\nARG BASE=$REG/${OWNER:-me}/base\nFROM $BASE", {"quay.io/me/base"}),
        ("FROM a:1 as One\nFROM one\nFROM scratch\nCOPY --from=One /x /x\nCOPY --from=0 /x /x", {"a:1"}),
        ("FROM --platform=linux/amd64 a:1\nARG X=b:1\nFROM c:${X}1", {"a:1", "c:1"}),
        (
            "FROM a:1\nCOPY --from=b:1 /x /x\nRUN --mount=type=bind,from=c:1,target=/c true",
            {"a:1", "b:1", "c:1"},
        ),
        ("from a:1 \\\n# a comment\n  as x\n\nRUN \\\n  true", {"a:1"}),
    ],
)
def test_parents(text: str, parents: set[str]) -> None:
    assert truth.read(text, {}).parents == parents


@pytest.mark.parametrize(
    ("line", "reached"),
    [
        ("COPY ./entry.sh /", {"entry.sh"}),
        ("copy --chown=1:1 lib entry.sh /", {"entry.sh", "lib/a.txt"}),
        ('ADD ["lib/*.txt", "/"]', {"lib/a.txt"}),
        ("COPY . /", set(ENTRY)),
        ("COPY ${WHICH}.sh /", set(ENTRY)),
        ("COPY --from=other entry.sh /", set()),
        ("ADD https://example.com/entry.sh /", set()),
        ("RUN --mount=source=lib,target=/lib --mount=type=cache,target=/c true", {"lib/a.txt"}),
        ("RUN cat entry.sh", set()),
    ],
)
def test_files_that_a_build_reaches(line: str, reached: set[str]) -> None:
    assert set(truth.read(f"FROM a:1\n{line}\n", ENTRY).files) == reached


def changed(before: str, after: str) -> bool:
    return bool(truth.due({"x": truth.read(before, {})}, {"x": truth.read(after, {})}, {}))


def test_what_counts_as_a_change() -> None:
    assert not changed("# old\nFROM a:1\nENV A b", "FROM a:1\n\n# new\nENV A=b")
    assert not changed("FROM a:1\nRUN one \\\n  # why\n  two", "FROM a:1\nRUN one \\\n  two")
    assert changed("FROM a:1\nENV A b", "FROM a:1\nENV A c")
    assert changed("FROM a:1\nRUN cat <<E\n# one\nE", "FROM a:1\nRUN cat <<E\n# two\nE")


def test_an_argument_counts_if_the_dockerfile_declares_it() -> None:
    def read(value: str) -> dict[str, truth.Folder]:
        return {"x": truth.read("FROM a:1\nARG \\\n  OTHER \\\n  A=1", {}, {"A": value, "B": value})}

    assert truth.due(read("1"), read("2"), {}) == {"x": True}
    assert truth.due(read("1"), read("1"), {}) == {}
    b = [{"x": truth.read("FROM a:1\nARG A", {}, {"B": value})} for value in "12"]
    assert truth.due(b[0], b[1], {}) == {}


def test_a_default_before_the_first_from_counts_where_it_is_used() -> None:
    def same(before: str, after: str, **args: str) -> bool:
        old, new = ({"x": truth.read(text, {}, args)} for text in (before, after))
        return not truth.due(old, new, {})

    text = "ARG V={}\nARG B=a:$V\nFROM $B"
    assert not same(text.format(1), text.format(2))
    assert not same(text.format(1), text.format(2), A="b:1")  # no argument of this Dockerfile
    assert same(text.format(1), text.format(2), B="b:1")
    assert same(text.format(1), text.format(2), V="3")
    taken = f"{text}\nARG V"
    assert not same(taken.format(1), taken.format(2), B="b:1")
    assert same("ARG V=1\nFROM a:1", "FROM a:1")


def test_edited_and_new_images_and_their_children_are_due() -> None:
    names = {"r:core": "core", "r:base": "base", "r:other": "other"}
    texts = {"core": "FROM a:1", "base": "FROM r:core", "top": "FROM r:base", "other": "FROM a:1"}
    old = {image: truth.read(text, {}) for image, text in texts.items()}
    edited = truth.read("FROM a:2", {})
    assert truth.due(old, old, names) == {}
    assert truth.due(old, old | {"core": edited}, names) == {"core": True, "base": False, "top": False}
    without = {image: folder for image, folder in old.items() if image != "base"}
    assert truth.due(without, old, names) == {"base": True, "top": False}
    assert truth.due(old, without, names) == {}


def git(clone: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *who, *arguments], cwd=clone, check=True, capture_output=True)


def test_misses_are_counted(tmp_path: Path) -> None:
    """A program that does not know ``names`` misses an image based on an edited one. This one does not."""
    clone, checkout = tmp_path / "clone", tmp_path / "checkout"
    for folder, text in {"core": "FROM a:1\nCOPY f /", "top": "FROM r:core"}.items():
        (clone / folder).mkdir(parents=True)
        (clone / folder / "Dockerfile").write_text(text)
    git(clone, "init", "-q")
    for content in ("one", "two"):
        (clone / "core/f").write_text(content)
        git(clone, "add", ".")
        git(clone, "commit", "-qm", content)
    declarations = tmp_path / "stages.toml"
    declarations.write_text(
        '[project]\nrepo = "example/r"\n[platforms.amd64]\ndocker = "linux/amd64"\n[base]\nimage = "a:1"\n'
        '[stages]\ncore = { path = "core", names = ["r:core"] }\ntop = { path = "top" }\n'
    )
    checkout.mkdir()
    (checkout / ".venv").symlink_to(sys.prefix)
    command = [sys.executable, "benchmarks/replay", str(clone), str(declarations)]
    done = subprocess.run(
        [*command, f"--against={checkout}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "edited  1, due  2, new  0; against   1, missed top:amd64; this   2" in done.stdout


def test_arguments_of_the_declarations_choose_the_parent() -> None:
    text = "ARG FROM=a\nARG TAG=1\nFROM $FROM:$TAG"
    assert truth.read(text, {}, {"TAG": "2"}).parents == {"a:2"}


WORKFLOW = """
jobs:
  check_images:
    strategy:
      matrix:
        env:
          - {HUB_REPO: ros, HUB_RELEASE: humble, HUB_OS_NAME: ubuntu, HUB_OS_CODE_NAME: jammy}
          - {HUB_REPO: ros, HUB_RELEASE: noetic, HUB_OS_NAME: debian, HUB_OS_CODE_NAME: buster}
          - {HUB_REPO: ros, HUB_RELEASE: iron, HUB_OS_NAME: ubuntu, HUB_OS_CODE_NAME: jammy}
"""


def test_rebuilds_of_the_family_s_own_ci(tmp_path: Path) -> None:
    """A commit counts if it touches what the CI of its time builds. A new image is built, too."""
    clone = tmp_path / "clone"
    clone.mkdir()
    git(clone, "init", "-q")
    for name, text in (
        ("ros/humble/ubuntu/jammy/ros-base/Dockerfile", "FROM ros:humble-ros-core-jammy"),
        ("ros/humble/ubuntu/jammy/ros-core/Dockerfile", "FROM ubuntu:jammy"),
        (".github/workflows/ros_ci.yaml", WORKFLOW),
        ("README", "no image"),
        ("ros/foxy/ubuntu/focal/ros-core/Dockerfile", "FROM ubuntu:focal"),
        ("ros/humble/ubuntu/jammy/ros-core/Dockerfile", "FROM ubuntu:jammy\nENV A=b"),
        (".ci/x", "all images, and none is due"),
        ("ros/iron/ubuntu/jammy/ros-core/Dockerfile", "FROM ubuntu:jammy"),
    ):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
        git(clone, "add", ".")
        git(clone, "commit", "-qm", "x")
    command = [
        sys.executable,
        "benchmarks/replay",
        str(clone),
        "benchmarks/families/osrf.toml",
        "--commits=3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 nodes in all commits, 2 edited, 4 due (33.3%), 2 new\n" in done.stdout
    assert "CI builds 7 for linux/amd64\n" in done.stdout
    assert "| 3 (42.9%)" in done.stdout  # on amd64: the two images after the edit, and the new one
