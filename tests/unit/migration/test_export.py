"""A graph as a bake file, and back: the same stages with the same parents."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import HEAD, Registry, graph, resolved, stages

from stagegraph.cli.main import main
from stagegraph.execution.final_tags import FinalTags
from stagegraph.graph.graph import Graph
from stagegraph.migration.export import bake_file
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

FAMILY = {
    "low": "FROM scratch\nCOPY . /\n",
    "mid": "ARG WHO\nFROM low\nARG WHO\nENV WHO=$WHO\n",
    "top": "FROM mid\nCOPY --from=low / /low/\n",
}
IMAGES = '[images.top]\n[images.lower]\nstage = "low"\ndefault = false\n'


def finished(node: Node) -> str:
    return f"docker-image://finished:{node.platform}"


def tags_of(loaded: Graph) -> FinalTags:
    return FinalTags(loaded.project, LayoutStore(loaded.project.cache))


def exported(loaded: Graph, *words: str) -> dict[str, Any]:
    """Return the bake file for nodes, or for all."""
    nodes = [node for node in loaded.nodes if not words or str(node) in words]
    file: dict[str, Any] = bake_file(loaded, nodes, tags_of(loaded), finished).to_json()
    return file


def test_a_stage_that_is_the_same_on_all_platforms_is_one_target(tmp_path: Path) -> None:
    file = exported(graph(stages(tmp_path, FAMILY, more=IMAGES)))
    assert file["target"]["top"] == {
        "context": "top",
        "dockerfile": "Dockerfile",
        "args": {"SOURCE_DATE_EPOCH": "1735689600"},
        "contexts": {"mid": "target:mid", "low": "target:low"},
        "platforms": ["linux/amd64", "linux/arm64"],
        "tags": ["example/atom:top"],
    }
    assert file["target"]["low"]["tags"] == ["example/atom:lower"]
    assert file["group"] == {"lower": {"targets": ["low"]}, "default": {"targets": ["top"]}}


def test_a_stage_that_differs_is_a_target_for_each_platform_and_so_are_its_children(tmp_path: Path) -> None:
    more = '[stages.mid.platforms.aarch64]\nargs = { WHO = "arm" }\n' + IMAGES
    file = exported(graph(stages(tmp_path, FAMILY, more=more)))
    assert [*file["target"]] == ["low", "mid-amd64", "mid-aarch64", "top-amd64", "top-aarch64"]
    assert file["target"]["top-aarch64"]["contexts"] == {"mid": "target:mid-aarch64", "low": "target:low"}
    assert file["target"]["top-aarch64"]["tags"] == ["example/atom:top-aarch64"]
    assert file["target"]["mid-aarch64"]["args"]["WHO"] == "arm"
    assert file["group"]["mid"] == {"targets": ["mid-amd64", "mid-aarch64"]}
    assert file["group"]["default"] == {"targets": ["top-amd64", "top-aarch64"]}


def test_one_goal_and_its_ancestors(tmp_path: Path) -> None:
    file = exported(graph(stages(tmp_path, FAMILY, more=IMAGES)), "mid:amd64")
    assert [*file["target"]] == ["low", "mid"]
    assert file["target"]["low"]["platforms"] == ["linux/amd64"]
    assert file["target"]["low"]["tags"] == ["example/atom:lower-amd64"]


def test_external_images_are_pinned(tmp_path: Path) -> None:
    root = stages(tmp_path, {"app": "FROM debian:trixie\n"})
    file = exported(graph(root, Registry({"debian:trixie": resolved("d")})), "app:amd64")
    (context,) = file["target"]["app"]["contexts"].values()
    assert context.startswith("docker-image://debian@sha256:")


def test_a_base_without_a_dockerfile_is_its_finished_image(tmp_path: Path) -> None:
    head = HEAD.replace('image = "debian:trixie"', 'bootstrap = "trixie"')
    loaded = graph(stages(tmp_path, {"app": "FROM base\n"}, head=head))
    file = bake_file(loaded, loaded.nodes, tags_of(loaded), finished)
    assert file.target["app-amd64"]["contexts"] == {"base": "docker-image://finished:amd64"}
    assert file.notes[0] == (
        "base:amd64: no Dockerfile builds it, so the file names the finished image: "
        "docker-image://finished:amd64"
    )


def test_one_name_for_two_platforms_is_a_target_that_joins_them(tmp_path: Path) -> None:
    text = "FROM --platform=linux/amd64 mid AS tools\nFROM mid\nCOPY --from=tools / /\n"
    more = '[stages.mid.platforms.aarch64]\nargs = { WHO = "arm" }\n'
    file = exported(graph(stages(tmp_path, {**FAMILY, "top": text}, more=more)), "top:aarch64")
    (name,) = file["target"]["top"]["contexts"].values()
    joined = file["target"][name.removeprefix("target:")]
    assert joined["contexts"] == {"at-amd64": "target:mid-amd64", "at-arm64": "target:mid-aarch64"}
    assert joined["dockerfile-inline"] == "FROM at-$${TARGETARCH}$${TARGETVARIANT}\n"
    assert joined["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_stage_that_is_based_on_itself_on_another_platform(tmp_path: Path) -> None:
    head = f'{HEAD}[base.platforms.amd64]\npath = "low"\n[base.platforms.aarch64]\npath = "top"\n'
    texts = {"low": "FROM scratch\n", "top": "FROM --platform=linux/amd64 base\n", "app": "FROM base\n"}
    file = exported(graph(stages(tmp_path, texts, head=head)), "app:aarch64", "app:amd64")
    assert file["target"]["base-aarch64"]["contexts"] == {"base": "target:base-amd64"}
    assert file["target"]["app-aarch64"]["contexts"] == {"base": "target:base-aarch64"}


def test_what_bake_would_read_as_its_own_variables_is_escaped(tmp_path: Path) -> None:
    more = 'args = { WHO = "${A} %{B}" }\n'
    root = stages(tmp_path, {"low": FAMILY["low"], "mid": FAMILY["mid"]}, more=more)
    assert exported(graph(root), "mid:amd64")["target"]["mid"]["args"]["WHO"] == "$${A} %%{B}"


def test_the_name_of_a_target_has_no_dots(tmp_path: Path) -> None:
    root = stages(tmp_path, {"py3.12": "FROM scratch\n", "app": "FROM py3.12\n"})
    assert exported(graph(root))["target"]["app"]["contexts"] == {"py3.12": "target:py3_12"}


def test_secrets_network_target_and_front_end(tmp_path: Path) -> None:
    text = (
        "# syntax=docker/dockerfile:1\nFROM scratch AS one\n"
        "RUN --mount=type=secret,id=token --mount=type=secret,id=key x\nFROM scratch\n"
    )
    more = (
        'target = "one"\nnetwork = "none"\n[secrets.token]\nenv = "TOKEN"\n[secrets.key]\nfile = "key.pem"\n'
    )
    registry = Registry({"docker/dockerfile:1": resolved("front end")})
    table = exported(graph(stages(tmp_path, {"app": text}, more=more), registry), "app:amd64")["target"][
        "app"
    ]
    assert table["secret"] == ["id=key,src=key.pem", "id=token,env=TOKEN"]
    assert (table["target"], table["network"]) == ("one", "none")
    assert table["args"]["BUILDKIT_SYNTAX"].startswith("docker/dockerfile@sha256:")


def test_labels_and_options_of_run(tmp_path: Path) -> None:
    text = "FROM scratch\nRUN --mount=type=ssh,id=k --security=insecure --network=host x\n"
    more = (
        'labels = { a = "b" }\nnetwork = "host"\nallow = ["network.host", "security.insecure"]\n'
        'ssh = ["default", "k=/key"]\nextra_hosts = ["h:10.0.0.1"]\nshm_size = "1m"\n'
        'ulimits = ["nofile=1:2"]\ncgroup_parent = "x"\n'
    )
    loaded = graph(stages(tmp_path, {"app": text}, more=more))
    file = bake_file(loaded, [Node("app", "amd64")], tags_of(loaded), finished)
    table = file.target["app"]
    assert table["extra-hosts"]["h"] == "10.0.0.1"
    assert {
        key: table[key] for key in ("labels", "network", "entitlements", "ssh", "shm-size", "ulimits")
    } == {
        "labels": {"a": "b"},
        "network": "host",
        "entitlements": ["network.host", "security.insecure"],
        "ssh": ["k=/key"],
        "shm-size": "1048576",
        "ulimits": ["nofile=1:2"],
    }
    assert file.notes == ["app:amd64: cgroup_parent is left out: bake has no such key"]


def test_a_project_that_ignores_the_syntax_line_sends_the_text_without_it(tmp_path: Path) -> None:
    root = stages(tmp_path, {"app": "# syntax=x/y:1\nFROM scratch\n"}, more='frontend = "builder"\n')
    table = exported(graph(root), "app:amd64")["target"]["app"]
    assert "dockerfile" not in table and "syntax" not in table["dockerfile-inline"]


def test_groups_are_groups(tmp_path: Path) -> None:
    root = stages(tmp_path, FAMILY, more='[groups]\nall = ["*"]\narm = ["top:aarch64"]\n' + IMAGES)
    file = exported(graph(root))
    assert file["group"]["all"] == {"targets": ["top", "low"]} and file["group"]["arm"] == {
        "targets": ["top"]
    }


def test_declared_tags_and_repositories(tmp_path: Path) -> None:
    more = (
        '[images.top]\nrepo = "example/top"\ntags = ["1.2", "{arch}-1.2", "{prints.x}"]\n'
        '[images.top.prints]\nx = "cat /x"\n'
    )
    loaded = graph(stages(tmp_path, FAMILY, more=more))
    assert exported(loaded)["target"]["top"]["tags"] == ["example/top:1.2"]
    assert exported(loaded, "top:amd64")["target"]["top"]["tags"] == ["example/top:amd64-1.2"]
    file = bake_file(loaded, loaded.nodes, tags_of(loaded), finished)
    assert "top: tag example/top:{prints.x} is left out: only a run or git knows it" in file.notes


def test_the_tests_of_images_are_a_group(tmp_path: Path) -> None:
    root = stages(tmp_path, {"low": FAMILY["low"]}, more='[images.low]\ntest = "check"\n')
    (root / "check").mkdir()
    (root / "check/Dockerfile").write_text("ARG IMAGE\nFROM ${IMAGE}\nRUN true\n")
    file = exported(graph(root))
    assert file["group"]["test"] == {"targets": ["low-test"]}
    assert file["target"]["low-test"]["contexts"] == {"low": "target:low"}


@pytest.mark.parametrize("more", ["", '[stages.mid.platforms.aarch64]\nargs = { WHO = "arm" }\n'])
def test_a_project_that_is_exported_and_imported_has_the_same_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    root = stages(tmp_path / "old", FAMILY, more=more + IMAGES)
    old = graph(root)
    file = exported(old)
    shutil.copytree(root, tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    Path("bake.json").write_text(json.dumps(file))
    assert main(["import", "--force", "bake.json"]) == 0
    new = graph(tmp_path / "new")
    platforms = {"amd64": "amd64", "aarch64": "arm64"}

    def renamed(node: Node) -> Node:
        split = f"{node.stage}-{node.platform}"
        return Node(split if split in file["target"] else node.stage, platforms[node.platform])

    for node in old.nodes:
        assert new.parents(renamed(node)) == [renamed(parent) for parent in old.parents(node)]
        assert new.key(renamed(node)) == old.key(node)
