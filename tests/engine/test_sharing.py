"""``push=all``: one machine built everything; another edits one stage and builds only what depends on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import DODO, Project, Registry, header, serving

from stagegraph.prune import registry as retention

pytestmark = pytest.mark.engine

REPO = f"stagegraph-test/sharing-{os.getpid()}"

STAGES = """
[stages.low]
path = "low"
[stages.mid]
path = "mid"
[stages.side]
path = "side"
[stages.probe]
path = "probe"
[stages.leaf]
path = "leaf"
[images.leaf]
test = "test"
"""
NODES = {"low", "mid", "side", "probe", "leaf", "leaf-test"}


@dataclass
class Home:
    """A machine that has built everything and pushed it to ``registry`` with push=all."""

    project: Project
    registry: Registry

    def again(self, folder: Path, registry: Registry) -> Project:
        """Return the same machine with another registry."""
        copied = self.project.copy(folder / "again")
        copied.env["STAGEGRAPH_REGISTRY"] = registry.host
        return copied

    def elsewhere(self, folder: Path) -> Project:
        """Return the project on a machine that has nothing, with the same registry."""
        copied = self.project.copy(folder / "elsewhere")
        shutil.rmtree(copied.folder / "cache")
        return copied


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[Home]:
    """Stages low <- mid <- leaf -> side. The image's test also uses probe."""
    folder = tmp_path_factory.mktemp("sharing")
    project = Project(folder / "project")
    project.folder.mkdir()
    project.write(
        {
            "dodo.py": DODO,
            "stages.toml": header(REPO) + STAGES,
            "low/Dockerfile": "FROM scratch\nCOPY file /low\n",
            "low/file": "low\n",
            "mid/Dockerfile": "FROM scratch\nCOPY --from=low /low /low\nCOPY file /mid\n",
            "mid/file": "mid\n",
            "side/Dockerfile": "FROM scratch\nCOPY file /side\n",
            "side/file": "side\n",
            "probe/Dockerfile": "FROM scratch\nCOPY file /probe\n",
            "probe/file": "probe\n",
            "leaf/Dockerfile": "FROM mid\nCOPY --from=side /side /side\nCOPY file /leaf\n",
            "leaf/file": "leaf\n",
            "test/Dockerfile": """\
                ARG IMAGE
                FROM ${IMAGE}
                COPY --from=probe /probe /
                COPY program /
                RUN ["/program", "tests"]
                """,
        }
    )
    shutil.copytree(program, project.folder / "test/program")
    assert project.built("leaf:here").built == here(*NODES)
    with serving(folder / "registry") as registry:
        project.env["STAGEGRAPH_REGISTRY"] = registry.host
        assert not project.built("push=all", "leaf:here").built
        yield Home(project, registry)
    subprocess.run(["docker", "rmi", "-f", f"{REPO}:leaf-here"], capture_output=True, check=False)


def here(*stages: str) -> set[str]:
    return {f"{stage}:here" for stage in stages}


def pushed(registry: Registry) -> set[str]:
    """Return the stages whose nodes are in the registry."""
    return {tag.rsplit("-", 2)[0] for tag in filter(retention.is_node_tag, registry.tags(REPO))}


def planned(project: Project) -> dict[str, set[str]]:
    plan = json.loads(project.built("plan", "--json", "leaf:here").output)
    found: dict[str, set[str]] = {"build": set(), "pull": set(), "reuse": set()}
    for node in plan["nodes"]:
        found[node["decision"]].add(node["node"])
    return found


def test_a_change_on_another_machine_builds_only_what_depends_on_it(home: Home, tmp_path: Path) -> None:
    other = home.elsewhere(tmp_path)
    for edited, built, pulled in (
        ("leaf", {"leaf", "leaf-test"}, {"mid", "side", "probe"}),
        ("low", {"low", "mid", "leaf", "leaf-test"}, {"side", "probe"}),
        ("probe", {"probe", "leaf-test"}, {"leaf"}),
        ("mid", {"mid", "leaf", "leaf-test"}, {"low", "side", "probe"}),
    ):
        before = (other.folder / edited / "file").read_text()
        other.write({f"{edited}/file": f"{other.folder}\n"})
        assert planned(other) == {"build": here(*built), "pull": here(*pulled), "reuse": set()}
        if edited == "mid":
            run = other.built("push=never", "leaf:here")
            assert (run.built, run.nodes("pull")) == (here(*built), here(*pulled))
        other.write({f"{edited}/file": before})


def test_a_child_of_a_parent_with_the_same_content_is_pulled(home: Home, tmp_path: Path) -> None:
    """A child is found by the content of its parents: its record under that key was pushed as well."""
    other = home.elsewhere(tmp_path)
    other.write({"low/Dockerfile": "FROM scratch\nLABEL a=1\nCOPY file /low\n"})
    run = other.built("push=never", "leaf:here")
    assert run.built == here("low") and run.nodes("pull") >= here("mid", "leaf")


def test_an_image_that_the_registry_has_is_not_pushed_again(home: Home, tmp_path: Path) -> None:
    """Nothing is pushed again, also not by a machine that has pulled only the image."""
    assert pushed(home.registry) == NODES
    tags, begun = home.registry.tags(REPO), writes(home.registry)
    for project in (home.project, home.elsewhere(tmp_path)):
        run = project.built("push=all", "leaf:here")
        assert not run.built and "push=all" not in run.output
    assert (home.registry.tags(REPO), writes(home.registry)) == (tags, begun)


def writes(registry: Registry) -> int:
    """Return the number of requests that write."""
    lines = registry.log.read_text().splitlines()
    return sum(f'"{word} ' in line for line in lines for word in ("PUT", "POST", "PATCH"))


def test_by_default_ancestors_that_were_not_built_are_not_pushed(
    home: Home, tmp_path: Path, registry: Registry
) -> None:
    home.again(tmp_path, registry).built("leaf:here")
    assert pushed(registry) == {"leaf"}


@pytest.mark.parametrize("whole", [True, False])
def test_one_warning_names_images_that_are_missing_in_the_cache(
    home: Home, tmp_path: Path, registry: Registry, whole: bool
) -> None:
    """One warning names what is missing. ``whole``: the record is missing, too.

    Pruning keeps some records without their images.
    """
    project = home.again(tmp_path, registry)
    keys = json.loads(project.built("keys", "--json").output)
    record = project.folder / "cache/records" / keys["low:here"].removeprefix("sha256:")
    if whole:
        record.unlink()
    else:
        digest = json.loads(record.read_text())["manifests"][0]["digest"]
        (project.folder / "cache/blobs/sha256" / digest.removeprefix("sha256:")).unlink()
    run = project.built("push=all", "leaf:here")
    (line,) = (line for line in run.output.splitlines() if "push=all" in line)
    assert "low:here" in line and "mid:here" not in line and not run.built
    assert pushed(registry) == NODES - {"low"}
