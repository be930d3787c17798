"""``doit graph``: formats, files, what is drawn, and errors of the command line."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write

pytestmark = pytest.mark.unit

PROJECT = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.lock": "",
    "stages.toml": """\
        [project]
        repo = "example/drawn"
        [platforms.amd64]
        docker = "linux/amd64"
        [platforms.arm]
        docker = "linux/arm64"
        [base]
        image = "debian:trixie"
        [stages.part]
        path = "part"
        [stages.app]
        path = "app"
        [images.app]
        """,
    "part/Dockerfile": "FROM scratch\nCOPY f /\n",
    "part/f": "",
    "app/Dockerfile": "FROM part\nCOPY --from=part / /copy\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


def graph(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "graph", *words]
    known = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    return subprocess.run(command, cwd=folder, env=known | env, capture_output=True, text=True, check=False)


def test_a_tree_with_the_decisions_of_a_plan(project: Path) -> None:
    done = graph(project, "app:amd64")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["app:amd64  build  [image]", "└── part:amd64  build"]
    assert not (project / "cache").exists()


def test_without_a_plan_no_store_is_asked_and_nothing_is_pinned(project: Path) -> None:
    write(project, {"part/Dockerfile": "FROM nowhere.invalid/image:1\nCOPY gone /\n"})
    done = graph(project, "app:amd64", "--no-plan", "registry=nowhere.invalid")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:3] == [
        "└── part:amd64",
        "    └── nowhere.invalid/image:1  [external image]",
    ]


def test_a_node_without_a_key_is_drawn_without_a_decision(project: Path) -> None:
    write(project, {"part/Dockerfile": "FROM scratch\nCOPY gone /\n"})
    done = graph(project, "app:amd64")
    assert done.returncode == 12 and "warning: part:amd64 has no key" in done.stderr
    assert done.stdout.splitlines()[:2] == ["app:amd64  [image]", "└── part:amd64"]


def test_a_pipe_and_no_color_get_no_colours_and_a_terminal_does(project: Path) -> None:
    def on_terminal(**env: str) -> str:
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "doit", "graph", "app:amd64"]
        known = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "TERM")}
        subprocess.run(command, cwd=project, env=known | env, stdout=slave, stderr=slave, check=True)
        os.close(slave)
        text = os.read(master, 65536).decode()
        os.close(master)
        return text

    assert "\x1b[33mbuild" in on_terminal(TERM="xterm")
    assert "\x1b[" not in on_terminal(TERM="xterm", NO_COLOR="1") + on_terminal(TERM="dumb")
    assert "\x1b[" not in graph(project, "app:amd64").stdout


def test_an_encoding_without_lines_gets_ascii(project: Path) -> None:
    assert "`-- part:amd64" in graph(project, "app:amd64", PYTHONIOENCODING="ascii").stdout


@pytest.mark.parametrize(
    ("name", "start"),
    [("g.mmd", "flowchart TD"), ("g.gv", "digraph"), ("g.json", "{"), ("g.txt", "app:amd64  build")],
)
def test_the_ending_of_a_file_chooses_the_format(project: Path, name: str, start: str) -> None:
    done = graph(project, "app:amd64", f"--output={name}")
    assert (done.returncode, done.stdout) == (0, "")
    text = (project / name).read_text()
    assert text.startswith(start) and text.endswith("\n") and not text.endswith("\n\n")


def test_two_calls_give_the_same_text(project: Path) -> None:
    for form in ("tree", "mermaid", "dot", "json"):
        one, two = (graph(project, f"--format={form}", PYTHONHASHSEED=seed).stdout for seed in ("1", "2"))
        assert one == two != ""


def test_stages_depth_and_focus(project: Path) -> None:
    value = json.loads(graph(project, "--stages", "--json").stdout)
    assert [node["id"] for node in value["nodes"]] == ["part", "app"]
    assert [each["node"] for each in value["nodes"][1]["nodes"]] == ["app:amd64", "app:arm"]
    assert value["edges"] == [{"parent": "part", "child": "app", "kind": "from"}]
    assert (
        graph(project, "app:arm", "--depth", "0", "--no-plan").stdout
        == "app:arm  [image] …\n\n… it has more\n"
    )
    value = json.loads(graph(project, "--focus=part:arm", "--json").stdout)
    assert [(node["id"], node["focus"]) for node in value["nodes"]] == [
        ("part:arm", True),
        ("app:arm", False),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format=sgv"], "no format 'sgv'\n  did you mean 'svg'?"),
        (["--json", "--format=svg"], "--json and --format=svg\n  name one format"),
        (
            ["--output=g.png"],
            "--output=g.png: its ending names no format\n"
            "  use one of .txt, .mmd, .mermaid, .dot, .gv, .svg, .json; or name a format: --format=svg",
        ),
        (["apq"], "no stage or image 'apq'\n  did you mean 'app'?"),
        (["--focus=apq"], "no stage or image 'apq'\n  did you mean 'app'?"),
        (
            ["part:arm", "--focus=app"],
            "--focus=app: the nodes that you name do not depend on it\n"
            "  name no nodes, and every node is drawn",
        ),
        (["--depth=-2"], "--depth=-2 is not a positive number\n  --depth=2"),
    ],
)
def test_a_wrong_word_is_an_error_with_a_hint(project: Path, words: list[str], said: str) -> None:
    done = graph(project, *words)
    assert (done.returncode, done.stderr) == (10, f"ERROR: command line: {said}\n")


def test_a_file_that_cannot_be_written_is_an_error(project: Path) -> None:
    done = graph(project, "--output=none/g.txt")
    assert done.returncode == 27 and done.stderr.startswith("ERROR: none/g.txt: ")


def test_the_outputs_in_the_guide_are_those_of_the_command(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    folder = shutil.copytree(root / "examples/languages", tmp_path / "it", ignore=lambda *_: {"cache"})
    page = (root / "docs/how-to/look-at-the-graph.md").read_text()
    calls = dict(re.findall(r"^\$ doit graph ([^\n]+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    # the others show what a run did
    alone = {words: output for words, output in calls.items() if "--no-plan" in words}
    assert len(alone) == 2
    assert {words: graph(folder, *words.split()).stdout for words in alone} == alone
