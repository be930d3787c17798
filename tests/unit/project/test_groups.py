"""Groups of images: what their words mean, and each fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import HEAD, Registry, graph, stages

from stagegraph.cli import tasks
from stagegraph.cli.commands import outdated, publish
from stagegraph.cli.goals import absences, resolve_goals, unknown_goal
from stagegraph.errors import ProjectError
from stagegraph.project.model import Node, Project

pytestmark = pytest.mark.unit

NAMES = ("low", "app", "app-dev", "tool", "part")
IMAGES = (
    '[images.low]\ntest = "low-test"\n[images.app]\n[images.app-dev]\ndefault = false\n[images.tool]\n'
    + ('platforms = ["amd64"]\n')
)


def project(root: Path, groups: str) -> Project:
    (root / "low-test").mkdir()
    (root / "low-test/Dockerfile").write_text("ARG IMAGE\nFROM ${IMAGE}\nRUN x\n")
    more = f"{IMAGES}[groups]\n{groups}"
    return graph(stages(root, dict.fromkeys(NAMES, "FROM base\n"), more=more)).project


# The number of the first line of a group.
NEXT = (HEAD + IMAGES).count("\n") + 2 * len(NAMES) + 2


def test_words_of_groups(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        'all = ["*"]\n'
        'both = ["one", "tool", "low:aarch64"]\n'
        'one = ["app:aarch64", "app:aarch64"]\n'
        'dev = ["*-dev:amd64", "lo[wx]"]\n'
        'arm = ["all:aarch64"]\n',
    )
    assert {name: found.goals(name) for name in found.groups} == {
        "all": ["low:amd64", "low:aarch64", "app:amd64", "app:aarch64", "app-dev:amd64", "app-dev:aarch64",
                "tool:amd64"],
        "both": ["app:aarch64", "tool:amd64", "low:aarch64"],
        "one": ["app:aarch64"],
        "dev": ["app-dev:amd64", "low:amd64", "low:aarch64"],
        "arm": ["low:aarch64", "app:aarch64", "app-dev:aarch64"],
    }  # fmt: skip
    assert found.goals("both:aarch64") == ["app:aarch64", "low:aarch64"]
    assert found.goals("one:amd64") == found.goals("app") == found.goals("app:amd64") == []


def test_groups_as_goals(tmp_path: Path) -> None:
    project(tmp_path, 'both = ["low", "tool"]\narm = ["low:aarch64"]\n')
    nodes = graph(tmp_path, Registry())

    def named(*words: str, tests: bool = False) -> set[str]:
        return {str(node) for node in resolve_goals(nodes, [*words], tests=tests).nodes}

    assert named("both") == {"low:amd64", "low:aarch64", "tool:amd64"}
    assert named("both:aarch64", tests=True) == {"low:aarch64", "low-test:aarch64"}
    assert named("arm", "tool") == {"low:aarch64", "tool:amd64"}
    for word, said in {
        "arm:amd64": "arm is not built for amd64\n  it is built for aarch64",
        "both:x": "no platform 'x'\n  known here: aarch64, amd64",
        "bot": "no stage, image or group 'bot'\n  did you mean 'both'?",
    }.items():
        with pytest.raises(ProjectError) as error:
            named(word)
        assert str(error.value) == f"command line: {said}"
    assert absences(nodes.project, ["both:aarch64", "both:amd64"]) == ["both:aarch64 is without tool"]
    assert absences(nodes.project, ["both", "tool"]) == ["tool is not built for aarch64"]
    assert unknown_goal(nodes.project, "x", []).what == "no stage, image or group 'x'"


def test_groups_in_commands_about_images(tmp_path: Path) -> None:
    found = project(tmp_path, 'both = ["tool", "low"]\narm = ["low:aarch64"]\n')
    assert publish.wanted(found, ["app", "both", "arm"]) == ["app", "tool", "low"]
    assert outdated.wanted(found, ["both:amd64", "arm"]) == [
        ("low", "amd64"),
        ("tool", "amd64"),
        ("low", "aarch64"),
    ]
    with pytest.raises(ProjectError, match="no image 'bath'"):
        outdated.wanted(found, ["bath"])


def test_tasks_of_groups_need_the_tasks_of_all_their_images(tmp_path: Path) -> None:
    """doit refuses a task that depends on one that does not exist."""
    found = project(tmp_path, 'both = ["tool", "low"]\n')

    def made(nodes: list[Node]) -> dict[str, list[str]]:
        found_tasks = tasks._group_tasks(found, set(nodes))
        return {f"both:{each['name']}": each["task_dep"] for each in found_tasks if each["name"]}

    every = {"both:amd64": ["tool:amd64", "low:amd64"], "both:aarch64": ["low:aarch64"]}
    assert made(found.nodes()) == every
    assert made([node for node in found.nodes() if str(node) != "low-test:amd64"]) == {
        "both:aarch64": ["low:aarch64"]
    }
    assert made([Node("tool", "amd64")]) == {}


RENAME, RESERVED = "rename one of the two", "the word is reserved; choose another"

FAULTS = {
    'x = "app"': 'x must be a list\n  x = ["IMAGE", ...]',
    "x = []": "group x is empty\n  name images, or remove the group",
    "x = [7]": "group x: 7 is not a string\n  name an image",
    'x = ["ap"]': "group x: no image or group 'ap'\n  did you mean 'app'?",
    'x = ["part"]': "group x: 'part' is a stage, not an image\n  declare it under [images]",
    'x = ["low-test"]': "group x: 'low-test' is a stage, not an image\n  declare it under [images]",
    'x = ["app-de?-*"]': "group x: no image matches 'app-de?-*'\n  did you mean 'app-dev'?",
    'x = ["app:aarch"]': "group x: unknown platform 'aarch' in 'app:aarch'\n  did you mean 'aarch64'?",
    'x = ["app:"]': "group x: unknown platform '' in 'app:'\n  known here: aarch64, amd64",
    'x = ["tool:aarch64"]': "group x: tool is not built for aarch64\n  it is built for amd64",
    'x = ["to*:aarch64"]': "group x: to* is not built for aarch64\n  it is built for amd64",
    'x = ["app", "x"]': "a cycle of groups: x -> x\n  remove one of these words",
    'x = ["y"]\ny = ["z"]\nz = ["y"]': "a cycle of groups: y -> z -> y\n  remove one of these words",
    'app = ["low"]': f"group app has the name of an image\n  {RENAME}",
    'part = ["low"]': f"group part has the name of a stage\n  {RENAME}",
    'low-test = ["low"]': f"group low-test has the name of a stage\n  {RENAME}",
    'amd64 = ["low"]': f"group amd64 has the name of a platform\n  {RENAME}",
    'plan = ["low"]': f"a group cannot be called 'plan'\n  {RESERVED}",
    'repo = ["low"]': f"a group cannot be called 'repo'\n  {RESERVED}",
}


@pytest.mark.parametrize(("text", "said"), FAULTS.items())
def test_faults_of_groups(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        project(tmp_path, text)
    line = NEXT + ("y -> z" in said)
    assert str(error.value) == f"stages.toml:{line}: {said}"


def test_groups_of_groups_that_are_too_deep(tmp_path: Path) -> None:
    chain = "\n".join(f'x{n} = ["x{n + 1}"]' for n in range(2000))
    with pytest.raises(ProjectError) as error:
        project(tmp_path, chain + '\nx2000 = ["app"]')
    said = "100 groups lead to x100, each through the one before\n  name images instead"
    assert str(error.value) == f"stages.toml:{NEXT + 100}: {said}"


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=f"stages.toml:{NEXT}: 'A B' is not a name"):
        project(tmp_path, '"A B" = ["app"]')
