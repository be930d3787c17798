"""The test of an image runs before the image gets its tag. A pass is remembered; a failure leaves no tag."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from kit import Project, Registry, header, image_id

from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.engine

STAGES = """
[stages.part]
path = "part"
[images.thing]
stage = "part"
test = "test"
"""


@pytest.fixture
def thing(project: Project, repo: str, program: Path) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "part/Dockerfile": "FROM scratch\nARG X=1\nCOPY file program /\n",
            "part/file": "x\n",
            "test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nCOPY words /\nRUN ["/program", "fine"]\n',
            "test/words": "w\n",
        }
    )
    shutil.copytree(program, project.folder / "part/program")
    return project


def write_test(thing: Project, words: str) -> None:
    thing.write({"test/Dockerfile": f'ARG IMAGE\nFROM ${{IMAGE}}\nRUN ["/program", {words}]\n'})


def test_a_pass_is_remembered(thing: Project, repo: str) -> None:
    run = thing.built("thing:here")
    assert run.built == {"part:here", "thing-test:here"}
    assert image_id(f"{repo}:thing-here") == run.last["images"][f"{repo}:thing-here"]
    assert not thing.built("thing:here").built
    # another test, the same image
    thing.write({"test/words": "v\n"})
    run = thing.built("thing:here")
    assert run.built == {"thing-test:here"} and run.nodes("reuse") == {"part:here"}
    # another recipe, but the image is the same
    text = (thing.folder / "part/Dockerfile").read_text()
    thing.write({"part/Dockerfile": text.replace("file program", "program file")})
    run = thing.built("thing:here")
    assert run.built == {"part:here"} and run.nodes("reuse") == {"thing-test:here"}
    # another image
    thing.write({"part/file": "y\n"})
    assert thing.built("thing:here").built == {"part:here", "thing-test:here"}


def test_a_failed_test_leaves_the_image_without_a_tag(thing: Project, repo: str) -> None:
    write_test(thing, '"fail", "3", "a-test-with-a-name"')
    run = thing.doit("thing:here")
    assert run.status == 15, run.output
    assert 'test/Dockerfile:3: the test of image thing failed: RUN ["/program", "fail", "3"' in run.output
    assert "a-test-with-a-name" in run.output and "doit shell part:here" in run.output
    assert run.built == {"part:here"} and run.nodes("failed") == {"thing-test:here"}
    assert not image_id(f"{repo}:thing-here")
    # a failure is not remembered
    assert thing.doit("thing:here").status == 15
    write_test(thing, '"fine"')
    run = thing.built("thing:here")
    assert run.built == {"thing-test:here"} and image_id(f"{repo}:thing-here")
    # an older image keeps its tag when a newer one fails
    thing.write({"part/file": "y\n"})
    write_test(thing, '"fail", "3"')
    assert thing.doit("thing:here").status == 15
    assert image_id(f"{repo}:thing-here") == run.last["images"][f"{repo}:thing-here"]


def test_a_test_that_hangs_is_ended(thing: Project, repo: str) -> None:
    thing.write({"stages.toml": header(repo) + STAGES + "test_timeout = 3\n"})
    write_test(thing, f'"sleep", "120", "{repo}"')
    run = thing.doit("thing:here")
    assert run.status == 15, run.output
    assert "was ended after 3 s, its time limit, at: " in run.output and "stages.toml:" in run.output
    assert not image_id(f"{repo}:thing-here")


def test_plan_shows_the_test(thing: Project) -> None:
    assert "thing-test:here" in thing.built("plan", "thing:here").output
    assert "thing-test" not in thing.built("keys", "part:here").output


def test_a_pass_on_another_machine_counts(thing: Project, repo: str, registry: Registry) -> None:
    setting = f"registry={registry.host}"
    first = thing.built(setting, "thing:here")
    shutil.rmtree(thing.folder / "cache")
    subprocess.run(["docker", "rmi", "-f", f"{repo}:thing-here"], check=True, capture_output=True)
    run = thing.built(setting, "thing:here")
    assert not run.built and run.nodes("pull") == {"part:here"}
    assert run.last["images"] == first.last["images"]


def test_shell_reports_an_image_that_it_cannot_start(thing: Project, repo: str) -> None:
    """``doit shell`` reports an image that is not built, and an image of files without a shell."""
    thing.write({"part/Dockerfile": "FROM scratch\nCOPY file /\n"})
    run = thing.doit("shell", "part:here")
    assert run.status == 27 and "build it first: doit part:here" in run.output
    thing.built("part:here")
    run = thing.doit("shell", "part:here")
    assert run.status == 10 and "there is no shell in this image" in run.output
    left = subprocess.run(["docker", "images", "-q", repo], capture_output=True, check=True)
    assert not left.stdout


def test_with_continue_an_image_whose_test_failed_gets_no_tag(thing: Project, repo: str) -> None:
    write_test(thing, '"fail", "3"')
    run = thing.doit("--continue", "thing:here")
    assert run.status == 15 and run.output.count("ERROR") == 1
    assert "not built, as thing-test:here failed: image thing:here\n" in run.output
    assert not image_id(f"{repo}:thing-here") and not run.last["images"]


def test_a_pass_counts_only_for_the_image_that_was_tested(thing: Project, repo: str) -> None:
    """An image that is not reproducible can be a different one under the same recipe key."""
    text = (thing.folder / "stages.toml").read_text()
    thing.write({"stages.toml": text + '[stages.other]\npath = "other"\n', "other/file": "z\n"})
    thing.write({"other/Dockerfile": "FROM scratch\nCOPY file program /\n"})
    shutil.copytree(thing.folder / "part/program", thing.folder / "other/program")
    thing.built("thing:here", "other:here")
    store = LayoutStore(thing.folder / "cache")
    keys = json.loads(thing.built("keys", "--json").output)
    part, other = store.find(keys["part:here"]), store.find(keys["other:here"])
    assert part and other
    store.commit(other.with_key(part.key, list(part.inputs), "part:here"))
    run = thing.built("thing:here")
    assert run.built == {"thing-test:here"}
    assert image_id(f"{repo}:thing-here") == other.digest


def test_a_lost_image_whose_new_build_differs_is_tested_again(thing: Project, repo: str) -> None:
    """A pass for a lost image does not count for its new build."""
    thing.built("thing:here")
    keys = json.loads(thing.built("keys", "--json").output)
    for record in (thing.folder / "cache/records").iterdir():
        text = record.read_text()
        # keep only a pass that does not count for the content of the new build
        if '"part:here"' in text or keys["thing-test:here"] not in text:
            record.unlink()
    subprocess.run(["docker", "image", "rm", f"{repo}:thing-here"], capture_output=True, check=True)
    steps = json.loads(thing.doit("plan", "--json", "thing:here").output)["nodes"]
    assert {step["node"]: step["decision"] for step in steps} == {
        "part:here": "build",
        "thing-test:here": "build",
    }
    assert thing.built("thing:here").built == {"part:here", "thing-test:here"}
    assert image_id(f"{repo}:thing-here")
