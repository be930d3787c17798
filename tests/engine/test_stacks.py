"""Stacks: one stage on several images."""

from __future__ import annotations

import subprocess

import pytest
from kit import Project, header, image_id

pytestmark = pytest.mark.engine

STACKS = """
[stages.low]
path = "low"
[stages.mid]
path = "mid"
[stages.top]
path = "top"
[images.short]
stack = ["low", "top"]
[images.long]
stack = ["low", "mid", "top"]
"""
ON = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"
ALL = {"low:here", "low--mid:here", "low--top:here", "low--mid--top:here"}


@pytest.fixture
def stacked(project: Project, repo: str) -> Project:
    files = {f"{name}/file": name for name in ("low", "mid", "top")}
    files |= {f"{name}/Dockerfile": f"{ON}COPY file /{name}\n" for name in ("mid", "top")}
    files["low/Dockerfile"] = "FROM scratch\nCOPY file /low\nENV LOW=1\n"
    project.write({"stages.toml": header(repo) + STACKS, **files})
    return project


def layers(tag: str) -> list[str]:
    """Return the digests of an image's layers in the engine."""
    command = ["docker", "image", "inspect", "--format={{range .RootFS.Layers}}{{println .}}{{end}}", tag]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_each_stage_is_built_once_for_each_parent(stacked: Project, repo: str) -> None:
    run = stacked.built("short:here", "long:here")
    assert run.built == ALL
    assert run.last["images"] == {f"{repo}:{i}-here": image_id(f"{repo}:{i}-here") for i in ("short", "long")}
    short, long = (layers(f"{repo}:{image}-here") for image in ("short", "long"))
    # both share low; mid is only in the long stack
    assert short[0] == long[0] and (len(short), len(long)) == (2, 3)


def test_a_node_is_reported_as_built_although_another_goal_reuses_it(stacked: Project) -> None:
    stacked.write(
        {
            "stages.toml": (stacked.folder / "stages.toml").read_text() + "[images.low]\n",
            "low/Dockerfile": "FROM scratch AS w\nCOPY . /\nFROM scratch\nCOPY --from=w /file /low\n",
        }
    )
    stacked.built("short:here", "low:here")
    stacked.write({"low/other": "not taken from the first part"})
    assert stacked.built("-n", "1", "short:here", "low:here").built == {"low:here"}


@pytest.mark.parametrize(
    ("edited", "rebuilt"),
    [
        ("low", ALL),
        ("mid", {"low--mid:here", "low--mid--top:here"}),
        ("top", {"low--top:here", "low--mid--top:here"}),
    ],
)
def test_an_edit_rebuilds_only_the_edited_stage_and_its_children(
    stacked: Project, edited: str, rebuilt: set[str]
) -> None:
    stacked.built("short:here", "long:here")
    stacked.write({f"{edited}/file": "edited"})
    assert stacked.built("short:here", "long:here").built == rebuilt
