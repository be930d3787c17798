"""What is told of each kind of edit, of the node itself and of ancestors; and of random pairs of edits."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
from helpers import Registry, graph, resolved, sha, write

from stagegraph.execution.causes import Cause, causes
from stagegraph.graph.graph import Graph
from stagegraph.keys.inputs import Input
from stagegraph.keys.key import Key
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

OLD = sha("debian amd64")[7:19]

LEVELS = ("top", "mid", "low")

DOCKERFILE = """\
FROM {parent}
ARG VERSION
ARG MODE=fast
COPY --from=tools /bin/tool /bin/
RUN apt-get install -y $VERSION
RUN <<END
first
END
COPY conf file /opt/
"""

STAGES = """\
[project]
repo = "example/atom"
source_date_epoch = 7
[platforms.amd64]
docker = "linux/amd64"
args = { COMMON = "1" }
[defaults]
labels = { vendor = "us" }
[base]
image = "debian:trixie"
[stages.tools]
path = "tools"
[stages.others]
path = "others"
""" + "".join(
    f"""\
[stages.{name}]
path = "{name}"
[stages.{name}.args]
VERSION = "1"
[stages.{name}.labels]
kind = "plain"
[stages.{name}.alternatives.other]
args = {{ VERSION = "9" }}
"""
    for name in LEVELS
)

LOCK = f"""\
archive = "2025-01-01"
[images."debian:trixie"]
index = "{sha("debian index")}"
"linux/amd64" = "{sha("debian amd64")}"
"""


def project(root: Path) -> Path:
    write(root, {"stages.toml": STAGES, "stages.lock": LOCK, "tools/Dockerfile": "FROM base\n"})
    write(root, {"others/Dockerfile": "FROM base\nRUN true\n"})
    for name, parent in zip(LEVELS, (*LEVELS[1:], "base"), strict=True):
        files = {
            "Dockerfile": DOCKERFILE.format(parent=parent),
            "file": "x\n",
            "conf/a": "a\n",
            "conf/b": "b\n",
        }
        write(root, {f"{name}/{path}": text for path, text in files.items()})
    return root


def nodes_of(root: Path, settings: Mapping[str, str]) -> Graph:
    return graph(root, Registry({"debian:forky": resolved("forky")}), settings)


def told(before: Graph, after: Graph, name: str = "top") -> list[Cause]:
    """Return the causes of a node's new key; both graphs have read their files."""
    goal = Node(name, "amd64")

    def earlier(node: Node, key: Key) -> list[Input]:
        assert before.key(node) == key
        return before.inputs(node)

    return causes(after, goal, before.inputs(goal), earlier)


# -- edits -------------------------------------------------------------------------------------------


def replaced(name: str, old: str, new: str) -> Callable[[Path, str], None]:
    """Return an edit of a file: ``old`` becomes ``new`` once. ``{level}`` is the stage."""

    def edit(root: Path, level: str) -> None:
        path = root / name.format(level=level)
        text, was = path.read_text(), old.format(level=level)
        assert text.count(was) == 1, (path, was)
        path.write_text(text.replace(was, new.format(level=level)))

    return edit


def dockerfile(old: str, new: str) -> Callable[[Path, str], None]:
    return replaced("{level}/Dockerfile", old, new)


def of_stage(old: str, new: str) -> Callable[[Path, str], None]:
    """Return an edit of a stage's tables in ``stages.toml``."""

    def edit(root: Path, level: str) -> None:
        path = root / "stages.toml"
        head, name, tail = path.read_text().partition(f"[stages.{level}]\n")
        assert old in tail
        path.write_text(head + name + tail.replace(old, new, 1))

    return edit


def file(change: Callable[[Path], object], name: str) -> Callable[[Path, str], None]:
    def edit(root: Path, level: str) -> None:
        change(root / level / name)

    return edit


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("a")


class Kind(NamedTuple):
    """A kind of edit: what is done, and the text about it. ``everywhere``: it is of all nodes at once."""

    edit: Callable[[Path, str], None]
    text: str
    settings: Mapping[str, str] = MappingProxyType({})
    everywhere: bool = False


KINDS = {
    "an instruction": Kind(
        dockerfile("-y $VERSION", "-y $VERSION more"),
        "{level}/Dockerfile:5: instruction changed: RUN apt-get install -y $VERSION -> "
        "RUN apt-get install -y $VERSION more",
    ),
    "a new instruction": Kind(
        dockerfile("RUN apt", "WORKDIR /w\nRUN apt"), "{level}/Dockerfile:5: instruction is new: WORKDIR /w"
    ),
    "an instruction less": Kind(
        dockerfile("RUN <<END\nfirst\nEND\n", ""), "instruction is gone (was RUN <<END 'first\\n')"
    ),
    "a heredoc": Kind(
        dockerfile("first", "second"),
        "{level}/Dockerfile:6: instruction changed: RUN <<END 'first\\n' -> RUN <<END 'second\\n'",
    ),
    "the default of an argument": Kind(
        dockerfile("MODE=fast", "MODE=slow"),
        "{level}/Dockerfile:3: instruction changed: ARG MODE=fast -> ARG MODE=slow",
    ),
    "a stage that COPY names": Kind(
        dockerfile("--from=tools", "--from=others"),
        "{level}/Dockerfile:4: instruction changed: COPY --from=tools /bin/tool /bin/ -> "
        "COPY --from=others /bin/tool /bin/",
    ),
    "an argument": Kind(
        of_stage('VERSION = "1"', 'VERSION = "2"'), "stages.toml:{args}: argument VERSION changed: 1 -> 2"
    ),
    "a new argument": Kind(
        of_stage('VERSION = "1"', 'VERSION = "1"\nMODE = "m"'), "stages.toml:{more}: argument MODE is new: m"
    ),
    "an argument less": Kind(of_stage('VERSION = "1"\n', ""), "argument VERSION is gone (was 1)"),
    "an empty argument": Kind(
        of_stage('VERSION = "1"', 'VERSION = ""'), 'stages.toml:{args}: argument VERSION changed: 1 -> ""'
    ),
    "an alternative of the command line": Kind(
        lambda _root, _level: None,
        "stages.toml:{other}, {level}=other (command line): argument VERSION changed: 1 -> 9",
        {"{level}": "other"},
    ),
    "a label": Kind(
        of_stage('"plain"', '"fancy"'), "stages.toml:{labels}: label kind changed: plain -> fancy"
    ),
    "a network": Kind(
        of_stage("path", 'network = "none"\npath'), "stages.toml:{stage}: option network is new: none"
    ),
    "shared memory": Kind(
        of_stage("path", 'shm_size = "64m"\npath'), "stages.toml:{stage}: option shm size is new: 67108864"
    ),
    "a limit": Kind(
        of_stage("path", 'ulimits = ["nofile=9"]\npath'),
        "stages.toml:{stage}: option ulimit nofile is new: 9:9",
    ),
    "an address": Kind(
        of_stage("path", 'extra_hosts = ["mirror:10.0.0.1"]\npath'),
        "stages.toml:{stage}: option extra host mirror is new: 10.0.0.1",
    ),
    "a file": Kind(
        file(lambda path: path.write_text("y\n"), "file"),
        "{level}/file: file file changed: 73cb3858a687 -> 3bb2abb69ebb",
    ),
    "a new file": Kind(
        file(lambda path: path.write_text("c\n"), "conf/c"), "{level}/conf/c: file conf/c is new"
    ),
    "a file less": Kind(file(lambda path: path.unlink(), "conf/a"), "file conf/a is gone"),
    "a new folder": Kind(file(lambda path: path.mkdir(), "conf/d"), "{level}/conf/d: folder conf/d is new"),
    "a mode": Kind(
        file(lambda path: path.chmod(0o755), "file"),
        "{level}/file: file file was a file and is an executable file",
    ),
    "a link": Kind(
        file(linked, "conf/b"),
        "{level}/conf/b: file conf/b was a file and is a link",
    ),
    "an ignore file": Kind(
        file(lambda path: path.write_text("conf/b\n"), ".dockerignore"), "file conf/b is gone"
    ),
    "a pin": Kind(
        replaced("stages.lock", sha("debian amd64"), sha("new")),
        f"{{image}}/Dockerfile:1: image base (debian:trixie) changed: {OLD} -> {sha('new')[7:19]}",
        everywhere=True,
    ),
    "the base": Kind(
        replaced("stages.toml", "debian:trixie", "debian:forky"),
        "{image}/Dockerfile:1: image base (debian:trixie) is now base (debian:forky)",
        everywhere=True,
    ),
    "the package date": Kind(
        replaced("stages.lock", "2025-01-01", "2025-02-02"),
        "stages.lock: archive changed: 2025-01-01 -> 2025-02-02",
        everywhere=True,
    ),
    "the time of files": Kind(
        replaced("stages.toml", "epoch = 7", "epoch = 8"), "option epoch changed: 7 -> 8", everywhere=True
    ),
    "a label for all": Kind(
        replaced("stages.toml", 'vendor = "us"', 'vendor = "them"'),
        "stages.toml:8: label vendor changed: us -> them",
        everywhere=True,
    ),
}


#: Edits that touch the same place: of two of these, one may hide the other.
TOGETHER = (
    {"an argument", "an argument less", "an empty argument", "an alternative of the command line"},
    {"a new argument", "an argument less"},
    {"a pin", "the base", "a stage that COPY names"},
    {"a file less", "an ignore file", "a link", "a new file", "a new folder"},
    {"a file", "a mode"},
    {"a heredoc", "an instruction less"},
)


def made(root: Path, kind: Kind, level: str) -> dict[str, str]:
    """Make an edit. Return the settings that go with it."""
    kind.edit(root, level)
    return {name.format(level=level): value for name, value in kind.settings.items()}


def text(root: Path, kind: Kind, level: str) -> str:
    """Return the text about an edit, with the lines that ``stages.toml`` has now."""
    rows = (root / "stages.toml").read_text().splitlines()
    stage = rows.index(f"[stages.{level}]") + 1
    args = rows.index(f"[stages.{level}.args]") + 2
    labels = rows.index(f"[stages.{level}.labels]") + 2
    other = rows.index(f"[stages.{level}.alternatives.other]") + 2
    lines = {"stage": stage + 1, "args": args, "more": args + 1, "labels": labels, "other": other}
    return kind.text.format(level=level, image="tools", **lines)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", KINDS)
def test_an_edit_is_told_where_it_was_made_and_nothing_else(tmp_path: Path, name: str, level: str) -> None:
    kind, root = KINDS[name], project(tmp_path)
    before = nodes_of(root, {})
    before.key(Node("top", "amd64"))
    after = nodes_of(root, made(root, kind, level))
    (cause,) = told(before, after)
    assert str(cause.change) == text(root, kind, level)
    if not kind.everywhere:
        way = LEVELS[1 : LEVELS.index(level) + 1]
        assert cause.node.stage == level
        assert [[node.stage for node in each] for each in cause.ways] == ([[*way]] if way else [])


def without_line(text: str) -> str:
    """Return a text without the number of its line, which another edit of the same file moves."""
    return re.sub(r"^([^ ]+?):\d+", r"\1", text)


@pytest.mark.parametrize("seed", range(60))
def test_two_edits_are_told_and_nothing_else(tmp_path: Path, seed: int) -> None:
    dice, root = random.Random(seed), project(tmp_path)  # noqa: S311 - no secret
    before = nodes_of(root, {})
    before.key(Node("top", "amd64"))
    edits: list[tuple[str, str]] = []
    while len(edits) < 2:
        name, level = dice.choice(list(KINDS)), dice.choice(LEVELS)
        close = [names for names in TOGETHER if name in names]
        if all(name != one and not any(one in names for names in close) for one, _ in edits):
            edits.append((name, level))
    settings: dict[str, str] = {}
    for name, level in edits:
        settings |= made(root, KINDS[name], level)
    expected = {without_line(text(root, KINDS[name], level)) for name, level in edits}
    assert {without_line(str(cause.change)) for cause in told(before, nodes_of(root, settings))} == expected


def test_a_file_of_a_shared_parent_comes_by_all_ways(tmp_path: Path) -> None:
    root = project(tmp_path)
    before = nodes_of(root, {})
    before.key(Node("top", "amd64"))
    write(root, {"tools/Dockerfile": "FROM base\nRUN true\n"})
    (cause,) = told(before, nodes_of(root, {}))
    assert str(cause.change) == "tools/Dockerfile:2: instruction is new: RUN true"
    assert [[node.stage for node in way] for way in cause.ways] == [
        ["tools"],
        ["mid", "tools"],
        ["mid", "low", "tools"],
    ]


def test_a_parent_of_which_nobody_knows_more_is_told_itself(tmp_path: Path) -> None:
    root = project(tmp_path)
    node = Node("top", "amd64")
    old = nodes_of(root, {}).inputs(node)
    write(root, {"mid/file": "y\n"})
    (cause,) = causes(nodes_of(root, {}), node, old, lambda _node, _key: None)
    assert not cause.is_known
    assert str(cause.change).startswith("top/Dockerfile:1: parent mid changed: ")
