"""``doit diff``: the words that name images, its forms, and its exit status; without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from derived import differences
from helpers import AMD64, graph, layer, sha, write

from stagegraph.cli.commands.diff import DIFFERENT
from stagegraph.keys.inputs import digest
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests

pytestmark = pytest.mark.unit

PROJECT = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.toml": """\
        [project]
        repo = "example/compared"
        [platforms.amd64]
        docker = "linux/amd64"
        [base]
        image = "debian:trixie"
        [stages.app]
        path = "app"
        [stages.other]
        path = "app"
        args = { X = "1" }
        """,
    "app/Dockerfile": "FROM scratch\nARG X\nCOPY f /\n",
    "app/f": "1\n",
}
APP = Node("app", "amd64")


def build(root: Path, text: str, hour: int, *, files: dict[str, str] | None = None) -> Record:
    """Put an image of a node into ``cache/``, as if a run had built it at this hour."""
    write(root, {"app/f": text})
    store, nodes = LayoutStore(root / "cache"), graph(root)
    store.prepare()
    one = layer(store, files if files is not None else {"f": text})
    config = {"config": {"Env": [f"A={text.strip()}"]}, "rootfs": {"diff_ids": [sha(text)]}}
    data = json.dumps(config).encode()
    name, size = store.blobs.add(data)
    one_size = store.blobs.size(one["digest"])  # type: ignore[arg-type]
    manifest = {"config": {"digest": name, "size": size}, "layers": [{**one, "size": one_size}]}
    image, size = store.blobs.add(json.dumps(manifest).encode())
    inputs = tuple(nodes.inputs(APP))
    same_files, whole = content_digests(config)
    record = Record(
        *(digest(inputs), str(APP), AMD64, image, size, same_files, whole, 1.0),
        f"2026-01-31T{hour:02}:00:00+00:00",
        inputs,
    )
    store.commit(record)
    store.set_latest(str(APP), record.key)
    return record


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


def diff(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "diff", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return [value["old"]["digest"], value["new"]["digest"]]


def test_one_node_is_its_last_build_and_the_one_before(project: Path) -> None:
    build(project, "1\n", 10)
    before, last = build(project, "2\n", 11), build(project, "3\n", 12)
    assert names(diff(project, "app:amd64", "--json")) == [before.digest, last.digest]
    assert names(diff(project, "app@last", "--json")) == [before.digest, last.digest]


def test_the_differences_for_people(project: Path) -> None:
    before, last = build(project, "1\n", 10), build(project, "three\n", 11)
    done = diff(project, "app")
    assert (
        done.stdout
        == f"""\
app:amd64 before  {before.digest}  built 2026-01-31T10:00:00+00:00
app:amd64@last    {last.digest}  built 2026-01-31T11:00:00+00:00
files: 1 changed
  content      /f (2 -> 6 bytes)
packages: the same
Python packages: the same
configuration: 1
  env A: 1 -> three
layers: 0 the same, 1 different
  differs  2 B -> 6 B (+4 B)
size of all files: 2 B -> 6 B (+4 B)
"""
    )
    short = diff(project, "app", "--summary").stdout
    assert "files: 1 changed\npackages: the same\n" in short and "/f" not in short


def test_a_node_is_the_image_of_its_key_and_last_is_its_last_build(project: Path) -> None:
    one, two = build(project, "1\n", 10), build(project, "2\n", 11)
    write(project, {"app/f": "1\n"})
    assert names(diff(project, "app:amd64", "app@last", "--json")) == [one.digest, two.digest]


@pytest.mark.parametrize("start", [8, 12, 64])
def test_a_key_or_a_digest_may_be_short(project: Path, start: int) -> None:
    one, two = build(project, "1\n", 10), build(project, "2\n", 11)
    words = one.key.removeprefix("sha256:")[:start], two.digest[: len("sha256:") + start]
    assert names(diff(project, *words, "--json")) == [one.digest, two.digest]


def test_the_exit_status_tells_of_a_difference_only_if_asked(project: Path) -> None:
    build(project, "1\n", 10)
    build(project, "2\n", 11)
    assert diff(project, "app").returncode == 0
    assert diff(project, "app", "--exit-code").returncode == DIFFERENT
    assert diff(project, "app", "app@last", "--exit-code").returncode == 0


def test_json_fields_are_those_of_the_page(project: Path) -> None:
    status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
    build(project, "1\n", 10, files={})
    build(project, "2\n", 11, files={"var/lib/dpkg/status": status})
    value = json.loads(diff(project, "app", "--json").stdout)
    assert differences("doit diff --json", value) == set()
    assert (
        value["summary"] == {"files": 1, "packages": 1, "values": 1, "layers": 1} and value["same"] is False
    )
    value = json.loads(diff(project, "app", "--json", "--summary").stdout)
    assert value["files"] == value["layers"] == [] and value["summary"]["files"] == 1


def test_words_that_name_no_image_are_errors(project: Path) -> None:
    def error(*words: str) -> tuple[int, str]:
        done = diff(project, *words)
        return done.returncode, done.stderr.removeprefix("ERROR: ").removesuffix("\n")

    assert error("app") == (27, "app:amd64: no build of it is known here\n  build it first: doit app:amd64")
    one = build(project, "1\n", 10)
    assert error("app") == (
        27,
        "app:amd64: cache/ has no other image of it\n"
        "  name what to compare it with: doit diff IMAGE app:amd64@last",
    )
    assert error("app", "other") == (
        27,
        "other:amd64: no store has the image of its key\n"
        "  build it first: doit other:amd64; its last build is other:amd64@last",
    )
    status, text = error("app", "otter")
    assert status == 10 and "no node, key or digest 'otter', and the engine cannot be asked: " in text
    assert text.endswith("\n  did you mean 'other'?")
    assert error("ap@last", "app")[1] == "command line: no stage or image 'ap'\n  did you mean 'app'?"
    assert error("app", "app", "app")[1] == (
        "command line: doit diff takes one or two images, not 3\n  doit diff app:amd64@last app:amd64"
    )
    LayoutStore(project / "cache").blobs.path(one.digest).unlink()
    assert error("app@last", "app")[1].startswith(f"app:amd64: no store has its image {one.digest} any more")


def test_a_start_of_several_digests_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # only an empty start is sure to be that of two digests, and the command line takes eight digits or more
    from stagegraph.cli import compared
    from stagegraph.errors import ProjectError
    from stagegraph.execution import against
    from stagegraph.execution.workspace import Workspace
    from stagegraph.project import loader

    build(project, "1\n", 10)
    build(project, "2\n", 11)
    monkeypatch.setattr(against, "START_OF_DIGEST", re.compile("()"))
    with pytest.raises(ProjectError, match="begins several keys or digests"):
        compared._recorded(Workspace(loader.load(project, {}, {})), "")
