"""``doit why``, ``doit explain`` and ``doit plan --since`` in a clone in which nothing was built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import derived
import pytest
from helpers import git, write

pytestmark = pytest.mark.unit

FILES = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.toml": """\
        [project]
        repo = "example/app"
        [platforms.here]
        docker = "linux/amd64"
        [base]
        image = "debian:trixie"
        [stages.tool]
        path = "tool"
        args = { VERSION = "1.0" }
        [stages.app]
        path = "app"
        [images.app]
        """,
    "stages.lock": f"""\
        [images."debian:trixie"]
        index = "sha256:{"1" * 64}"
        "linux/amd64" = "sha256:{"2" * 64}"
        """,
    "tool/Dockerfile": "FROM base\nARG VERSION\nCOPY conf run.sh /opt/\n",
    "tool/run.sh": "echo one\necho two\n",
    "tool/conf/a": "a\n",
    "tool/conf/note.md": "hidden\n",
    "tool/.dockerignore": "**/*.md\n",
    "app/Dockerfile": "FROM tool\nRUN true\n",
    "free/README": "in no stage\n",
}


LOCKED = f"""\
[images."debian:forky"]
index = "sha256:{"4" * 64}"
"linux/amd64" = "sha256:{"5" * 64}"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a repository with one commit."""
    write(tmp_path, FILES)
    git(tmp_path, "init", "-q")
    commit(tmp_path, "first")
    return tmp_path


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def doit(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def test_a_clone_without_edits_has_no_reason(clone: Path) -> None:
    done = doit(clone, "why", "app:here")
    assert done.stdout == "app:here: to build: no earlier build of it is known here\n", done.stderr


def test_edits_are_told_with_their_lines_and_ways(clone: Path) -> None:
    write(clone, {"tool/run.sh": "echo one\necho three\n", "app/Dockerfile": "FROM tool\nRUN false\n"})
    toml = (clone / "stages.toml").read_text()
    write(clone, {"stages.toml": toml.replace("1.0", "1.1")})
    assert doit(clone, "why", "app").stdout == (
        f"app:here: to build: 3 edits since commit {head(clone)[:12]}\n"
        "  app/Dockerfile:2: instruction changed\n"
        "      - RUN true\n"
        "      + RUN false\n"
        "  stages.toml:9: argument VERSION changed\n"
        "      - 1.0\n"
        "      + 1.1\n"
        "      comes by tool:here\n"
        "  tool/run.sh: file run.sh changed: 5c5386da6219 -> 44f028c86831\n"
        "      @@ -1,2 +1,2 @@\n"
        "       echo one\n"
        "      -echo two\n"
        "      +echo three\n"
        "      comes by tool:here\n"
    )
    value = json.loads(doit(clone, "why", "app", "--json").stdout)
    assert derived.differences("doit why --json", value) == set()
    assert value["nodes"][0]["edits"][1]["through"] == [["tool:here"]]


def test_a_file_that_git_does_not_have_is_told(clone: Path) -> None:
    write(clone, {"tool/.gitignore": "*.gen\n", "tool/conf/time.gen": "now\n"})
    ending = (
        "commit the file, or name it in tool/.dockerignore if no step needs it\n      comes by tool:here\n"
    )
    assert doit(clone, "why", "app:here").stdout.endswith(
        "  tool/conf/time.gen: file conf/time.gen is new\n"
        "      @@ -0,0 +1 @@\n"
        "      +now\n"
        "      git does not have this file, so other machines build this node differently:\n"
        f"      {ending}"
    )
    git(clone, "add", "--force", "tool/conf/time.gen")
    assert "git does not have" not in doit(clone, "why", "app:here").stdout


def test_a_new_pin_is_told_with_its_day(clone: Path) -> None:
    lock = (clone / "stages.lock").read_text()
    write(clone, {"stages.lock": lock.replace("2" * 64, "3" * 64)})
    told = doit(clone, "why", "tool:here").stdout
    assert "image base (debian:trixie) changed\n      - 222222222222\n      + 333333333333\n" in told
    assert (
        "debian:trixie, in stages.lock (not committed yet); the base is declared by stages.toml:6\n" in told
    )
    commit(clone, "new pin")
    told = doit(clone, "why", "tool:here", "--against", "HEAD~1").stdout
    assert "debian:trixie, in stages.lock since 20" in told


def test_another_base_is_told_with_its_line(clone: Path) -> None:
    toml = (clone / "stages.toml").read_text().replace("debian:trixie", "debian:forky")
    lock = (clone / "stages.lock").read_text() + LOCKED
    write(clone, {"stages.lock": lock, "stages.toml": toml})
    told = doit(clone, "why", "tool:here").stdout
    assert "tool/Dockerfile:1: image base (debian:trixie) is now base (debian:forky)\n" in told
    assert "the base is declared by stages.toml:6\n" in told


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ("nothing", "no revision 'nothing'"),
        ("--x", "no revision '--x'"),
        ("12345678", "no revision '12345678'"),
        ("HEAD~1", "app:here has no key at HEAD~1"),
    ],
)
def test_what_cannot_be_compared_is_said(clone: Path, against: str, said: str) -> None:
    toml = (clone / "stages.toml").read_text()
    write(clone, {"stages.toml": "[project"})
    commit(clone, "broken")
    write(clone, {"stages.toml": toml})
    commit(clone, "mended")
    done = doit(clone, "why", "app:here", f"--against={against}")
    assert said in done.stderr and done.returncode == 10, done.stderr


def test_an_edit_of_an_earlier_commit_is_found_by_revision_only(clone: Path) -> None:
    write(clone, {"app/Dockerfile": "FROM tool\nRUN false\n"})
    commit(clone, "second")
    assert "no earlier build" in doit(clone, "why", "app:here").stdout
    told = doit(clone, "why", "app:here", "--against", "HEAD~1").stdout
    assert "1 edit since" in told and "+ RUN false" in told


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("tool/run.sh", ["it counts for 1 node", "tool:here: tool/Dockerfile:3: COPY conf run.sh /opt/"]),
        ("tool/conf/a", ["it counts for 1 node", "tool:here: tool/Dockerfile:3: COPY conf run.sh /opt/"]),
        ("tool/conf/note.md", ["it counts for none", "tool:here: tool/.dockerignore: it is hidden"]),
        ("tool/Dockerfile", ["it counts for 1 node", "tool:here: tool/Dockerfile: it is the Dockerfile"]),
        ("tool/.dockerignore", ["it counts for 1 node", "it says which files are hidden"]),
        ("tool/gone", ["it counts for none", "tool:here: there is no such file"]),
        ("free/README", ["it counts for none", "app:here: it is outside of the stage's folder, app/"]),
        ("stages.toml", ["it counts for 2 nodes", "tool:here: stages.toml:7: its values"]),
        ("stages.lock", ["it counts for 1 node", "the digests of the external images"]),
    ],
)
def test_a_file_counts_through_a_line_or_not(clone: Path, path: str, lines: list[str]) -> None:
    done = doit(clone, "why", "app:here", "--file", path)
    assert all(line in done.stdout for line in lines), done.stdout + done.stderr


def test_a_file_counts_for_all_nodes_by_default(clone: Path) -> None:
    value = json.loads(doit(clone, "why", "--file=tool/run.sh", "--json").stdout)
    assert [(use["node"], use["counts"]) for use in value["nodes"] if use["counts"]] == [("tool:here", True)]


def test_inputs_are_printed_as_they_are_hashed(clone: Path) -> None:
    out = doit(clone, "explain", "tool:here").stdout
    assert '  instruction  ["ARG","",false,[],["VERSION"],[],""]   (tool/Dockerfile:2)\n' in out
    assert "  argument     VERSION 1.0   (stages.toml:9)\n" in out
    assert f"  image        0 sha256:{'2' * 64}   (tool/Dockerfile:1, base (debian:trixie))\n" in out
    write(clone, {"tool/Dockerfile": "FROM base\nARG VERSION=3\nCOPY conf run.sh /opt/\n"})
    out = doit(clone, "explain", "tool:here@HEAD", "tool:here").stdout
    changed = "tool/Dockerfile:2: instruction changed: ARG VERSION -> ARG VERSION=3"
    assert out.splitlines()[2:] == [f"  {changed}"]
    assert doit(clone, "explain", "tool:here@HEAD", "tool:here@HEAD").stdout.endswith("  nothing differs\n")


def test_a_plan_since_a_branch_shows_what_it_makes_others_rebuild(clone: Path) -> None:
    branch = git(clone, "branch", "--show-current")
    git(clone, "checkout", "-q", "-b", "mine")
    write(clone, {"tool/run.sh": "echo three\n"})
    commit(clone, "mine")
    git(clone, "checkout", "-q", branch)
    write(clone, {"app/Dockerfile": "FROM tool\nRUN false\n"})
    commit(clone, "theirs")
    git(clone, "checkout", "-q", "mine")
    text = doit(clone, "plan", "--since", branch).stdout
    assert "1 edit, 2 of 2 nodes changed\n  tool/run.sh: file run.sh changed" in text
    assert "      2 nodes: tool:here, app:here\n" in text
    assert "app/Dockerfile" not in text  # their edit is not of this branch
    value = json.loads(doit(clone, "plan", "--since", branch, "--json").stdout)
    assert set(value["since"]) == {"name", "commit", "edits", "changed", "new", "same"}
    assert derived.differences("doit plan --json", value, optional=SIZES) == set()
    markdown = doit(clone, "plan", "--since", branch, "--markdown").stdout
    assert "- `tool/run.sh: file run.sh changed" in markdown and "| build | `tool:here` |" in markdown
    assert "0 of 2 nodes" in doit(clone, "plan", "--since", "HEAD").stdout


SIZES = {
    "nodes[].own_bytes",
    "nodes[].image_bytes",
    "left_out[].node",
    "left_out[].cause",
    "left_out[].error",
}
SIZES |= {"left_out[].status"}


def test_a_commit_that_cannot_be_read_says_why_all_nodes_are_new(clone: Path) -> None:
    first = head(clone)
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{first},module")
    git(clone, "commit", "-q", "-m", "a submodule")
    run = doit(clone, "plan", "--since", "HEAD")
    assert (
        f"every node counts as new, as HEAD cannot be read: {head(clone)[:12]}: it has submodules"
        in run.stderr
    )
    assert "has submodules" in doit(clone, "why", "app:here", "--against", "HEAD").stderr
    write(clone, {"stages.toml": "[broken"})
    git(clone, "rm", "-q", "--cached", "module")
    commit(clone, "broken")
    write(clone, FILES)
    said = doit(clone, "plan", "--since", "HEAD").stderr
    assert "HEAD cannot be read: stages.toml" in said and "stagegraph-" not in said
