"""The commands that print facts, and doit's own list."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from derived import differences
from kit import NATIVE, Project, Registry, header, image_id, publish

pytestmark = pytest.mark.engine


STAGES = """
[stages.part]
path = "part"
[stages.whole]
path = "whole"
description = "all of it"
[images.whole]
"""

#: Fields of ``doit diff --json`` that images without packages do not have.
PACKAGES = {f"packages[].{field}" for field in ("kind", "name", "old", "new")}


@pytest.fixture
def small(project: Project, repo: str) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "part/Dockerfile": "FROM scratch\nCOPY file /\n",
            "part/file": "x\n",
            "whole/Dockerfile": "FROM scratch\nCOPY --from=part / /\n",
        }
    )
    return project


def test_keys_of_all_nodes_or_of_named_nodes(small: Project) -> None:
    keys = json.loads(small.doit("keys", "--json").output)
    assert set(keys) == {"part:here", "part:there", "whole:here", "whole:there"}
    assert all(key.startswith("sha256:") for key in keys.values()) and len(set(keys.values())) == 4
    # doit wants options first; here they also work after the names
    assert json.loads(small.doit("keys", "part:here", "--json").output) == {"part:here": keys["part:here"]}


def test_plan_lists_nodes_in_build_order_and_the_run_does_the_same(small: Project) -> None:
    small.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"  # a plan needs no engine
    plan = json.loads(small.doit("plan", "--json", "whole:here").output)
    assert plan["schema"] == 1
    assert [(n["node"], n["decision"]) for n in plan["nodes"]] == [
        ("part:here", "build"),
        ("whole:here", "build"),
    ]
    del small.env["DOCKER_HOST"]
    run = small.built("whole:here")
    assert differences("cache/last-run.json", run.last) == set()
    assert [n["node"] for n in run.last["nodes"]] == [n["node"] for n in plan["nodes"]]
    assert [n["key"] for n in run.last["nodes"]] == [n["key"] for n in plan["nodes"]]
    plan = json.loads(small.doit("plan", "--json", "whole:here").output)
    assert [(n["node"], n["decision"]) for n in plan["nodes"]] == [("whole:here", "reuse")]


def test_list_shows_images_and_with_all_every_node(small: Project) -> None:
    short, long = small.doit("list").output, small.doit("list", "--all").output
    assert [line.split() for line in short.splitlines()] == [["whole", "all", "of", "it"]]
    assert {"part:here", "part:there", "whole:here", "whole:there"} <= {
        line.split()[0] for line in long.splitlines()
    }


def test_settings_may_come_from_the_environment(small: Project, repo: str) -> None:
    small.env["STAGEGRAPH_TAG"] = "environment"
    assert set(small.built("whole:here").last["images"]) == {f"{repo}:environment"}
    assert set(small.built("tag=line", "whole:here").last["images"]) == {f"{repo}:line"}


def test_shown_sizes_are_the_sizes_of_the_blobs(small: Project, registry: Registry) -> None:
    small.write({"whole/Dockerfile": "FROM part\nCOPY Dockerfile /\n"})
    small.env["STAGEGRAPH_REGISTRY"] = registry.host
    run = small.built("whole:here")
    blobs = small.folder / "cache/blobs/sha256"
    manifest = json.loads((blobs / run.digests["whole:here"].removeprefix("sha256:")).read_text())
    first, second = ((blobs / layer["digest"][7:]).stat().st_size for layer in manifest["layers"])
    assert f"({first + second} B compressed)" in run.output
    plain = json.loads(small.doit("plan", "--json", "whole:here").output)
    assert "own_bytes" not in plain["nodes"][0]

    def sizes(decision: str) -> list[tuple[int | None, int | None]]:
        plan = json.loads(small.doit("plan", "--json", "--sizes").output)
        here = [node for node in plan["nodes"] if node["node"].endswith(":here")]
        assert {node["decision"] for node in here} == {decision}
        return [(node["own_bytes"], node["image_bytes"]) for node in here]

    assert sizes("reuse") == [(first, first), (second, first + second)]
    text = small.doit("plan", "whole:here", "--sizes").output
    assert f"[own layers {second} B, image {first + second} B]" in text
    shutil.rmtree(small.folder / "cache/records")
    shutil.rmtree(blobs)
    assert sizes("pull") == [(first, first), (second, first + second)]  # as the registry's manifests say
    del small.env["STAGEGRAPH_REGISTRY"]
    assert sizes("build") == [(None, None), (None, None)]


def test_only_doit_lock_changes_the_lock(project: Project, repo: str, registry: Registry) -> None:
    reference = publish(registry, "base:1", "n1", "f1")
    project.write(
        {
            "stages.toml": header(repo, f'image = "{reference}"') + '[stages.part]\npath = "part"\n',
            "part/Dockerfile": "FROM base\nCOPY Dockerfile /\n",
        }
    )
    project.built("part:here")
    lock = project.folder / "stages.lock"
    pinned = lock.read_text()
    assert project.doit("lock", "images").output.startswith(f"same   {reference}  sha256:")
    publish(registry, "base:1", "n2", "f1")
    assert project.built("part:here").nodes("reuse") and lock.read_text() == pinned
    refused = project.doit("locked=1", "lock", "images")
    assert refused.status == 13 and "locked=1" in refused.output and lock.read_text() == pinned
    assert project.doit("lock", "images", "nothing:1").status == 13
    old = tomllib.loads(pinned)["images"][reference]
    renewed = json.loads(project.doit("lock", "images", reference, "--json").output)
    assert differences("doit lock images --json", renewed) == set()
    (moved,) = renewed["images"]
    assert (moved["reference"], moved["old"]) == (reference, old)
    new = tomllib.loads(lock.read_text())["images"][reference]
    assert moved["new"] == new and set(new) == set(old) and not set(new.values()) & set(old.values())
    assert project.built("part:here").built == {"part:here"}


def test_lock_archive_writes_the_date_of_today(project: Project) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lock = project.folder / "stages.lock"
    lock.write_text('archive = "2020-01-31"\n')
    assert project.doit("locked=1", "lock", "archive").status == 13
    run = project.doit("lock", "archive")
    assert (run.status, run.output) == (0, f"moved  archive  2020-01-31 -> {today}\n")
    assert tomllib.loads(lock.read_text()) == {"archive": today}
    assert project.doit("lock", "archive").output == f"same   archive  {today}\n"
    for words in ((), ("archives",), ("archive", "more")):
        assert project.doit("lock", *words).status == 10


def test_doit_works_as_before_outside_a_project(tmp_path: Path) -> None:
    """The package adds commands and a backend, but doit works as before in a folder that is no project."""
    (tmp_path / "dodo.py").write_text("def task_x():\n    return {'actions': ['echo fine']}\n")
    done = subprocess.run(
        [sys.executable, "-m", "doit"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "") and ".  x" in done.stdout


FAMILY = """
[defaults]
dockerfile = "Containerfile"
[stages."{word}-{number}"]
matrix = { word = ["x", "y"], number = [1, 2] }
exclude = [{ word = "y", number = 2 }]
path = "made"
args = { TEXT = "{word} {number}" }
[stages."*"]
path = "images/*"
[stages.alone]
only = ["here"]
[images."*"]
[groups]
all = ["*"]
some = ["ever*", "alone:here"]
"""


def test_a_family_of_a_matrix_and_a_glob_with_groups(project: Project, repo: str) -> None:
    copies = "FROM scratch\nCOPY --from=x-1 / /one\nCOPY --from=y-1 / /two\n"
    project.write(
        {
            "stages.toml": header(repo) + FAMILY,
            "made/Containerfile": "ARG TEXT\nFROM scratch\nARG TEXT\nCOPY <<F /f\n$TEXT\nF\n",
            "images/everywhere/Containerfile": copies,
            "images/alone/Containerfile": "FROM everywhere\nCOPY --from=x-2 / /three\n",
            "images/no-stage/file": "",
        }
    )
    listed = project.built("list").output
    assert [line.split()[0] for line in listed.splitlines()] == ["all", "alone", "everywhere", "some"]
    run = project.built("some:here")
    assert run.built == {f"{name}:here" for name in ("x-1", "x-2", "y-1", "everywhere", "alone")}
    assert {name: bool(image_id(f"{repo}:{name}-here")) for name in ("alone", "everywhere")} == {
        "alone": True,
        "everywhere": True,
    }
    run = project.built("all:there")
    assert "all:there is without alone" in run.output
    assert run.built == {f"{name}:there" for name in ("x-1", "y-1", "everywhere")}
    assert project.built("all", "alone").built == set()
    assert "alone is not built for there" in project.doit("alone:there").output
    assert "alone is not built for there" in project.built("alone").output
    both = project.doit("some:here", "tag=x")
    assert both.status == 10 and "would both be called" in both.output


def test_info_says_what_the_engine_and_the_registry_have(
    small: Project, repo: str, registry: Registry
) -> None:
    small.env["STAGEGRAPH_REGISTRY"] = registry.host
    small.built("whole:here")
    (whole,) = json.loads(small.built("info", "whole:here", "--json").output)["nodes"]
    assert whole["images"][0]["tags"] == [{"tag": f"{repo}:whole-here", "engine": "loaded"}]
    assert (whole["in_cache"], whole["in_registry"], whole["decision"]) == (True, True, "reuse")
    assert whole["last_build"]["machine"] == NATIVE and whole["last_build"]["builder"].startswith("docker ")
    small.write({"part/file": "other\n"})
    (whole,) = json.loads(small.built("info", "whole:here", "--json").output)["nodes"]
    assert whole["images"][0]["tags"] == [{"tag": f"{repo}:whole-here", "engine": "other"}]
    assert (whole["in_cache"], whole["in_registry"], whole["decision"]) == (False, False, "build")
    small.env["STAGEGRAPH_TAG"] = "never-built"
    (whole,) = json.loads(small.built("info", "whole:here", "--json").output)["nodes"]
    assert whole["images"][0]["tags"] == [{"tag": f"{repo}:never-built", "engine": "absent"}]


def test_a_graph_says_what_a_run_would_do(small: Project, registry: Registry) -> None:
    small.env["STAGEGRAPH_REGISTRY"] = registry.host

    def tree() -> list[str]:
        return small.built("graph", "whole:here").output.splitlines()[:2]

    assert tree() == ["whole:here  build  [image]", "└╌╌ part:here  build"]
    small.built("whole:here")
    assert tree() == ["whole:here  reuse  [image]", "└╌╌ part:here"]
    shutil.rmtree(small.folder / "cache/records")
    assert tree() == ["whole:here  pull  [image]", "└╌╌ part:here"]


def test_a_diff_of_two_builds_and_of_images_of_the_engine(small: Project, repo: str) -> None:
    small.write({"whole/Dockerfile": "FROM part\nENV A=1\nCOPY --chmod=644 new /new\n", "whole/new": "n\n"})
    small.built("whole:here")
    small.write(
        {"part/file": "longer\n", "whole/Dockerfile": "FROM part\nENV A=2\nCOPY --chmod=755 new /new\n"}
    )
    small.built("tag=second", "whole:here")

    def found(*words: str) -> dict[str, Any]:
        value = json.loads(small.built("diff", *words, "--json").output)
        assert differences("doit diff --json", value, optional=PACKAGES) == set()
        return {
            "files": [(each["path"], each["change"], each["detail"]) for each in value["files"]],
            "values": [(each["name"], each["old"], each["new"]) for each in value["values"]],
            "layers": [each["same"] for each in value["layers"]],
            "bytes": (value["old"]["bytes"], value["new"]["bytes"]),
        }

    changed = {
        "files": [("/file", "content", "2 -> 7 bytes"), ("/new", "mode", "0644 -> 0755")],
        "values": [("env A", "1", "2")],
        "layers": [False, False],
        "bytes": (4, 9),
    }
    assert found("whole:here") == changed
    # the engine has layers without compression, and names the image by another digest than cache/ may
    assert found(f"{repo}:whole-here", f"{repo}:second") == changed
    assert found(f"{repo}:whole-here", "whole:here") == changed
    same = small.doit("diff", f"{repo}:second", "whole:here", "--exit-code")
    assert same.status == 0 and "layers: 2 the same, 0 different" in same.output
    assert small.doit("diff", "whole:here", "--exit-code").status == 4
    unknown = small.doit("diff", f"{repo}:third", "whole:here")
    assert unknown.status == 10 and "and the engine has no such image" in unknown.output
    assert [*(small.folder / "cache/tmp").iterdir()] == []


def test_a_diff_fetches_images_that_only_the_registry_has(small: Project, registry: Registry) -> None:
    small.env["STAGEGRAPH_REGISTRY"] = registry.host
    small.built("part:here")
    small.write({"part/file": "longer\n"})
    small.built("part:here")
    shutil.rmtree(small.folder / "cache/blobs")
    found = small.built("diff", "part:here")
    assert "content      /file (2 -> 7 bytes)" in found.output
    shutil.rmtree(small.folder / "cache")
    last = json.loads(small.built("info", "part:here", "--json").output)["nodes"][0]
    assert (last["decision"], last["last_build"]["key"]) == ("pull", last["key"])
    del small.env["STAGEGRAPH_REGISTRY"]
    assert small.doit("diff", "part:here").status == 27
