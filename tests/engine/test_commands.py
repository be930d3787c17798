"""The commands that print facts, and doit's own list."""

from __future__ import annotations

import json
import shutil

import pytest
from kit import Project, Registry, header

pytestmark = pytest.mark.engine


STAGES = """
[stages.part]
path = "part"
[stages.whole]
path = "whole"
description = "all of it"
[images.whole]
"""


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


def test_keys_of_every_node_or_of_those_asked_for(small: Project) -> None:
    keys = json.loads(small.doit("keys", "--json").output)
    assert set(keys) == {"part:here", "part:there", "whole:here", "whole:there"}
    assert all(key.startswith("sha256:") for key in keys.values()) and len(set(keys.values())) == 4
    # doit wants options first; behind the names they work too
    assert json.loads(small.doit("keys", "part:here", "--json").output) == {"part:here": keys["part:here"]}


def test_plan_is_in_the_order_of_work_and_comes_true(small: Project) -> None:
    small.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"  # it needs no engine
    plan = json.loads(small.doit("plan", "--json", "whole:here").output)
    assert plan["schema"] == 1
    assert [(n["node"], n["decision"]) for n in plan["nodes"]] == [
        ("part:here", "build"),
        ("whole:here", "build"),
    ]
    del small.env["DOCKER_HOST"]
    run = small.built("whole:here")
    assert [n["node"] for n in run.last["nodes"]] == [n["node"] for n in plan["nodes"]]
    assert [n["key"] for n in run.last["nodes"]] == [n["key"] for n in plan["nodes"]]
    plan = json.loads(small.doit("plan", "--json", "whole:here").output)
    assert [(n["node"], n["decision"]) for n in plan["nodes"]] == [("whole:here", "reuse")]


def test_list_shows_images_and_all_of_it(small: Project) -> None:
    short, long = small.doit("list").output, small.doit("list", "--all").output
    assert [line.split() for line in short.splitlines()] == [["whole", "all", "of", "it"]]
    assert {"part:here", "part:there", "whole:here", "whole:there"} <= {
        line.split()[0] for line in long.splitlines()
    }


def test_settings_come_from_the_environment_too(small: Project, repo: str) -> None:
    small.env["STAGEGRAPH_TAG"] = "environment"
    assert set(small.built("whole:here").last["images"]) == {f"{repo}:environment"}
    assert set(small.built("tag=line", "whole:here").last["images"]) == {f"{repo}:line"}


def test_sizes_are_those_of_the_blobs(small: Project, registry: Registry) -> None:
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
