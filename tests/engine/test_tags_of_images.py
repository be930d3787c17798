"""Several tags and repositories of images: in the engine, in a registry, and as an index."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from derived import differences
from helpers import git
from kit import FOREIGN, NATIVE, Project, Registry, header, image_id, remove_images

pytestmark = pytest.mark.engine

ARCH = NATIVE.partition("/")[2]
FOREIGN_ARCH = FOREIGN.partition("/")[2]


@pytest.fixture
def other(repo: str) -> Iterator[str]:
    """A second repository. Its images are removed from the engine afterwards."""
    name = f"{repo}-other"
    yield name
    remove_images(name)


def declared(other: str) -> str:
    """Two images: ``both`` for two platforms, ``tool`` for one with a repository of its own."""
    return f"""
[stages.both]
path = "both"
[images.both]
description = "for both"
tags = ["{{version}}-{{arch}}", "both-{{version}}", "{{args.WORD}}"]
[stages.tool]
path = "tool"
[images.tool]
repo = "{other}"
platforms = ["here"]
tags = ["{{version}}", "{{revision}}", "sh-{{prints.shell}}", "latest"]
[images.tool.prints.shell]
command = ["/program", "program 3.12.1"]
match = '\\d+\\.\\d+'
"""


@pytest.fixture
def two(project: Project, repo: str, other: str, program: Path) -> Project:
    head = header(repo).replace("[project]\n", '[project]\nversion = "git"\n')
    head += '[defaults]\nargs = { WORD = "stable" }\n'
    project.write(
        {
            ".gitignore": "cache/\n",
            "stages.toml": head + declared(other),
            "both/Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /text\n",
            f"both/{ARCH}": "native",
            f"both/{FOREIGN_ARCH}": "foreign",
            "tool/Dockerfile": "FROM scratch\nCOPY program /\n",
        }
    )
    shutil.copytree(program, project.folder / "tool/program")
    for words in ("init -q", "add .", "commit -qm first", "tag v1.0"):
        git(project.folder, *words.split())
    return project


def revision(project: Project) -> str:
    return git(project.folder, "rev-parse", "HEAD")[:12]


def in_engine(repository: str) -> set[str]:
    command = ["docker", "images", "--format={{.Tag}}", repository]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def pushed(project: Project, *words: str) -> dict[str, str]:
    run = project.doit("publish", "--json", *words)
    assert run.status == 0, run.output
    value: dict[str, Any]
    value, _ = json.JSONDecoder().raw_decode(run.output[run.output.index("{") :])
    assert differences("doit publish --json", value) == set()
    lists = (item for item in value["pushed"] if "sha256-" not in item["reference"])
    return {item["reference"].partition("/")[2]: item["state"] for item in lists}


def test_tags_in_the_engine(two: Project, repo: str, other: str) -> None:
    first = revision(two)
    run = two.built("both:here", "tool:here")
    assert run.built == {"both:here", "tool:here"}
    assert in_engine(repo) == {f"1.0-{ARCH}"}
    assert in_engine(other) == {"1.0", first, "sh-3.12", "latest"}
    assert set(run.last["images"]) == {
        f"{repo}:1.0-{ARCH}",
        *(f"{other}:{tag}" for tag in ("1.0", first, "sh-3.12", "latest")),
    }
    assert len({image_id(f"{other}:{tag}") for tag in in_engine(other)}) == 1

    # a second run does nothing, not even in a container
    outputs = list((two.folder / "cache/prints").iterdir())
    run = two.built("both:here", "tool:here")
    assert not run.built and "0 built, 0 pulled, 2 reused" in run.output
    assert list((two.folder / "cache/prints").iterdir()) == outputs and len(outputs) == 1

    # a tag that was removed is set again
    subprocess.run(["docker", "rmi", f"{other}:latest"], check=True, capture_output=True)
    assert not two.built("tool:here").built
    assert "latest" in in_engine(other)

    # another revision moves tags, and builds nothing
    git(two.folder, "commit", "-qm", "second", "--allow-empty")
    run = two.built("both:here", "tool:here")
    second = revision(two)
    assert not run.built and second != first
    assert {second, f"1.0-1-g{second}"} < in_engine(other)
    assert f"1.0-1-g{second}-{ARCH}" in in_engine(repo)


def test_an_index_with_several_tags_in_each_repository(
    two: Project, registry: Registry, repo: str, other: str
) -> None:
    setting = f"registry={registry.host}"
    words = ("both:here", "both:there", "tool:here", setting)
    two.built(*words)
    first = revision(two)
    # nodes are in the repository of the project, final tags in that of their image
    nodes = {tag for tag in registry.tags(repo) if len(tag) > 64}
    assert {tag.rpartition("-")[0] for tag in nodes} == {
        f"both-{ARCH}",
        f"both-{FOREIGN_ARCH}",
        f"tool-{ARCH}",
    }
    assert registry.tags(repo) - nodes == {f"1.0-{ARCH}", f"1.0-{FOREIGN_ARCH}"}
    assert registry.tags(other) == {"1.0", first, "sh-3.12", "latest"}

    states = pushed(two, "both", "tool", setting)
    assert {name: state for name, state in states.items() if state != "moved"} == {
        f"{repo}:1.0-{ARCH}": "same",
        f"{repo}:1.0-{FOREIGN_ARCH}": "same",
        f"{repo}:both-1.0": "new",
        f"{repo}:stable": "new",
    }
    # the only platform had these tags from the run; now they name the index
    assert {name for name, state in states.items() if state == "moved"} == {
        f"{other}:{tag}" for tag in ("1.0", first, "sh-3.12", "latest")
    }
    index = registry.index(f"{repo}:both-1.0")
    assert len(index["manifests"]) == 2
    assert index == registry.index(f"{repo}:stable")
    assert index["annotations"]["org.opencontainers.image.version"] == "1.0"
    assert len(registry.index(f"{other}:latest")["manifests"]) == 1

    # neither a run nor a publication has anything left to do
    assert "0 built, 0 pulled, 3 reused" in two.built(*words).output
    assert set(pushed(two, "both", "tool", setting).values()) == {"same"}
    subprocess.run(["docker", "rmi", f"{other}:latest"], check=True, capture_output=True)
    two.built(*words)  # sets it in the engine, and leaves the index in the registry
    assert "latest" in in_engine(other)
    assert set(pushed(two, "both", "tool", setting).values()) == {"same"}
    # another version for one call
    states = pushed(two, "both", setting, "--version=2", "--dry-run")
    assert states[f"{repo}:both-2"] == states[f"{repo}:2-{ARCH}"] == "new"


def test_the_setting_tag_replaces_all_tags(two: Project, registry: Registry, repo: str, other: str) -> None:
    two.built("tool:here", "tag=x")
    assert in_engine(other) == {"x"} and in_engine(repo) == set()
    assert not list((two.folder / "cache").glob("prints/*"))  # nothing was asked
    setting = f"registry={registry.host}"
    assert set(pushed(two, "tool", "tag=x", setting)) == {f"{other}:x", f"{other}:x-here"}


def test_an_image_with_one_platform_that_no_run_has_pushed(
    two: Project, registry: Registry, other: str
) -> None:
    two.built("tool:here")
    states = pushed(two, "tool", f"registry={registry.host}")
    assert set(states.values()) == {"new"} and len(states) == 4
    reference = f"{registry.host}/{other}:latest"
    subprocess.run(["docker", "pull", "-q", reference], check=True, capture_output=True)
    assert image_id(reference)
    subprocess.run(["docker", "rmi", reference], check=True, capture_output=True)


def test_tags_are_listed(two: Project, repo: str, other: str) -> None:
    said = two.built("list").output
    assert f"for both -> {repo}:both-1.0, :stable\n" in said
    assert f"-> {other}:1.0, :{revision(two)}, :sh-{{prints.shell}}, :latest\n" in said
    assert f"-> {repo}:1.0-{FOREIGN_ARCH}" in two.built("list", "--all").output


def test_two_images_of_one_stage_are_asked_at_the_same_time(
    project: Project, repo: str, program: Path
) -> None:
    """Each has a temporary tag of its own: the first to end must not take the tag of the other."""
    more = '[stages.tool]\npath = "tool"\n'
    for name, seconds in (("short", 0), ("long", 4)):
        command = f"/program {name}; /program sleep {seconds}"
        more += f'[images.{name}]\nstage = "tool"\nplatforms = ["here"]\n'
        more += f'tags = ["{name}-{{prints.x}}"]\nprints.x = {{ command = "{command}", match = "[a-z]+" }}\n'
    project.write({"stages.toml": header(repo) + more, "tool/Dockerfile": "FROM scratch\nCOPY program /\n"})
    shutil.copytree(program, project.folder / "tool/program")
    project.built("-n", "2", "short:here", "long:here")
    assert in_engine(repo) == {"short-short", "long-long"}


FAULTS = {
    # the command, and the message
    '["/program", "fail", "3"]': "prints.shell in tool:here: ended with status 3\n  it said: fail 3",
    '["/none"]': "prints.shell in tool:here: its container could not be run",
    '"none"': "prints.shell in tool:here: ended with status 127\n  it said: ",
    '["/program", "no number"]': "printed 'no number', in which match = '\\d+\\.\\d+' finds nothing",
}


@pytest.mark.parametrize("command", FAULTS)
def test_a_command_that_prints_no_tag(two: Project, other: str, command: str) -> None:
    text = (two.folder / "stages.toml").read_text()
    two.write({"stages.toml": text.replace('["/program", "program 3.12.1"]', command)})
    run = two.doit("tool:here")
    assert run.status in (10, 20) and FAULTS[command] in run.output
    assert in_engine(other) == set()  # not even a tag that was known before


def test_a_command_has_no_network_and_the_user_of_the_image(two: Project, other: str) -> None:
    text = (two.folder / "stages.toml").read_text()
    user = "while read -r a b c; do [ $a != Uid: ] || u=$b; done </proc/self/status"
    # the table of routes has a head, and no route
    routes = "n=0; while read -r x; do n=$((n+1)); done </proc/net/route"
    shell = f"command = '{user}; {routes}; echo $u.$n'"
    text = text.replace('command = ["/program", "program 3.12.1"]', shell)
    text = text.replace(r"match = '\d+\.\d+'", "")
    two.write(
        {
            "stages.toml": text,
            "tool/Dockerfile": "FROM scratch\nCOPY program /\nCOPY program/bin/sh /bin/sh\nUSER 7\n",
        }
    )
    two.built("tool:here")
    assert "sh-7.1" in in_engine(other)


def test_two_commands_that_print_one_tag(two: Project, repo: str, other: str) -> None:
    more = f"""
[images.second]
stage = "tool"
repo = "{other}"
platforms = ["here"]
tags = ["second", "sh-{{prints.x}}"]
prints = {{ x = ["/program", "3.12"] }}
"""
    two.write({"stages.toml": (two.folder / "stages.toml").read_text() + more})
    run = two.doit("-n", "1", "tool:here", "second:here")
    assert run.status == 10
    assert f"image second: second:here would get the tag {other}:sh-3.12, as " in run.output
    assert "second" not in in_engine(other) and "sh-3.12" in in_engine(other)
    # an image beside the run keeps its tag, too
    assert "would get the tag" in two.doit("second:here").output
    run = two.doit("publish", "tool", "second", "--dry-run")
    assert run.status == 10 and "would get the tag" in run.output
