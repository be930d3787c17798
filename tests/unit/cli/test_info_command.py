"""``doit info``: the facts about a node, for people and as JSON, without an engine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from derived import differences
from helpers import graph, image, sha, write

from stagegraph.keys.inputs import digest
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

PROJECT = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.lock": f"""\
        archive = "2026-01-31"
        [images."busybox:1"]
        index = "{sha("busybox")}"
        "linux/amd64" = "{sha("busybox amd64")}"
        "linux/arm64" = "{sha("busybox arm64")}"
        """,
    "stages.toml": """\
        [project]
        repo = "example/informed"
        [platforms.amd64]
        docker = "linux/amd64"
        [platforms.arm]
        docker = "linux/arm64"
        builder = "arm-farm"
        [base]
        bootstrap = "trixie"
        [secrets.token]
        env = "TOKEN"
        [stages.part]
        path = "part"
        description = "a part"
        args = { LEVEL = "2" }
        [stages.app]
        path = "app"
        [images.app]
        description = "all of it"
        test = "test"
        """,
    "part/Dockerfile": """\
        FROM base
        ARG LEVEL
        RUN --mount=type=secret,id=token apt-get install gcc
        COPY f /
        COPY --from=busybox:1 /bin/busybox /
        """,
    "part/f": "x\n",
    "app/Dockerfile": "FROM part\nCOPY --from=part /f /g\n",
    "test/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN /g\n",
}
PART = Node("part", "amd64")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


def built(root: Path, node: Node) -> None:
    """Put an image of a node into ``cache/``, as if a run had built it."""
    store, nodes = LayoutStore(root / "cache"), graph(root)
    inputs = tuple(nodes.inputs(node))
    record = image(store, str(node))._replace(
        node=str(node),
        inputs=inputs,
        key=digest(inputs),
        seconds=75.0,
        created="2026-01-31T12:00:00+00:00",
        builder="docker 28.5.2",
    )
    store.commit(record)
    store.set_latest(nodes.spec(node).history_name, record.key)


def info(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "info", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def facts(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = info(folder, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    nodes: list[dict[str, Any]] = json.loads(done.stdout)["nodes"]
    return nodes


def test_the_facts_about_a_node_that_was_built(project: Path) -> None:
    built(project, PART)
    key = graph(project).key(PART)
    how = "native" if platform.machine() == "x86_64" else "emulated"
    text = info(project, "part:amd64").stdout
    record = LayoutStore(project / "cache").read(key)
    assert record
    assert (
        text
        == f"""\
part:amd64
  a part
  declared     stages.toml:12
  platform     linux/amd64
  built        its steps run programs for linux/amd64: {how} on this machine
  Dockerfile   part/Dockerfile
  context      part, files that count: 1
  arguments    LEVEL=2  stages.toml:15
  needs        secret token
  parents      FROM  base:amd64  line 1
  children     FROM  app:amd64  line 1, 2
  external     COPY  busybox:1  {sha("busybox amd64")}  for linux/amd64  line 5
  package date 2026-01-31
  key          {key}
  a run would  reuse: its key is in cache/
  stored       {record.digest}
               all layers 18 B, compressed
               in cache/
  last build   2026-01-31T12:00:00+00:00, in 1 min 15 s
               by docker 28.5.2
               with this key
"""
    )


def test_the_facts_about_an_image_that_was_not_built(project: Path) -> None:
    text = info(project, "app:arm").stdout
    assert "\n  declared     stages.toml:16\n  platform     linux/arm64\n" in text
    assert "  built        no step runs a program\n               builders that are asked: arm-farm\n" in text
    assert "\n  a run would  build: " in text and "\n  stored       not in cache/\n" in text
    assert "\n  last build   none is known here\n  image        app: all of it\n" in text
    assert (
        "  tags         example/informed:app-arm  (no engine answers, or the tag is not known yet)\n" in text
    )
    assert text.endswith("\n  test         app-test:arm: has not passed\n")


def test_a_changed_node_has_the_key_of_its_last_build(project: Path) -> None:
    built(project, PART)
    old = graph(project).key(PART)
    write(project, {"part/f": "y\n"})
    text = info(project, "part:amd64").stdout
    assert "  a run would  build: part/f: file f changed" in text and f"with another key, {old}\n" in text


def test_a_base_that_mmdebstrap_makes_has_no_dockerfile(project: Path) -> None:
    (fact,) = facts(project, "base:amd64")
    assert (fact["dockerfile"], fact["context"], fact["package_date"]) == (None, None, "2026-01-31")
    assert [child["node"] for child in fact["children"]] == ["part:amd64"]
    assert "\n  bootstrap    trixie by mmdebstrap\n" in info(project, "base:amd64").stdout


def test_the_front_end_is_an_external_image(project: Path) -> None:
    front = f"docker/dockerfile:1@{sha('front')}"
    write(project, {"app/Dockerfile": f"# syntax={front}\nFROM part\n"})
    (fact,) = facts(project, "app:amd64")
    assert fact["external"] == [
        {"reference": front, "kind": "front end", "digest": sha("front"), "platform": None, "line": 1}
    ]


def test_a_stage_stands_for_its_platforms(project: Path) -> None:
    assert [fact["node"] for fact in facts(project, "part", "app:arm")] == [
        *("part:amd64", "part:arm"),
        "app:arm",
    ]


def test_json_fields_are_those_of_the_page(project: Path) -> None:
    built(project, PART)
    value = json.loads(info(project, "part:amd64", "app:amd64", "--json").stdout)
    assert differences("doit info --json", value) == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "doit info needs a node or an image\n  doit info base:amd64"),
        (["ap"], "no stage or image 'ap'\n  did you mean 'app'?"),
    ],
)
def test_a_wrong_word_is_an_error_with_a_hint(project: Path, words: list[str], said: str) -> None:
    done = info(project, *words)
    assert (done.returncode, done.stderr) == (10, f"ERROR: command line: {said}\n")
