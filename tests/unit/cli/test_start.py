"""``stagegraph init`` and ``stagegraph import``: what they write loads, the rest is said."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import graph

from stagegraph.cli import program
from stagegraph.cli.main import main
from stagegraph.errors import ProjectError
from stagegraph.graph.graph import Graph
from stagegraph.oci.platform import host_platform, tag_part
from stagegraph.project.model import Node, Project, RunOptions

pytestmark = pytest.mark.unit

HERE = tag_part(host_platform())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working folder."""
    (tmp_path / "family").mkdir()
    monkeypatch.chdir(tmp_path / "family")
    monkeypatch.setattr(program, "_program", program._program)  # main changes it
    return tmp_path / "family"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def edges(folder: Path) -> dict[str, list[str]]:
    """Return the parents of every stage on this machine's platform, which must all be readable."""
    loaded: Graph = graph(folder)
    nodes = [node for node in loaded.nodes if node.platform == HERE]
    return {node.stage: [parent.stage for parent in loaded.parents(node)] for node in nodes}


def project(folder: Path) -> Project:
    return graph(folder).project


# -- init ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param({"Dockerfile": "FROM scratch\n"}, {"family": []}, id="one in the folder itself"),
        pytest.param(
            {"images/low/Dockerfile": "FROM scratch\n", "images/top/Dockerfile": "FROM low\n"},
            {"low": [], "top": ["low"]},
            id="a name of a folder",
        ),
        pytest.param(
            {"x/Dockerfile.low": "FROM scratch\n", "x/top.Dockerfile": "FROM scratch\nCOPY --from=low / /\n"},
            {"low": [], "top": ["low"]},
            id="a name in the file's name",
        ),
        pytest.param(
            {"base/Dockerfile": "FROM scratch\n", "app/Dockerfile": "FROM base\n"},
            {"base-image": [], "app": ["base-image"]},
            id="a reserved name",
        ),
        pytest.param(
            {"low/Dockerfile": "FROM scratch\n", "top/Dockerfile": "FROM org/low:1.2\n"},
            {"low": [], "top": ["low"]},
            id="a published name",
        ),
        pytest.param(
            {"low/Dockerfile": "FROM scratch\n", "top/Dockerfile": "ARG R=h.io/o\nARG T=1\nFROM $R/low:$T\n"},
            {"low": [], "top": ["low"]},
            id="a published name in arguments",
        ),
        pytest.param(
            {
                "low/Dockerfile": "FROM scratch\n",
                "mid/Dockerfile": "FROM h.io/app:low\n",
                "top/Dockerfile": "FROM h.io/app:mid\n",
            },
            {"low": [], "mid": ["low"], "top": ["mid"]},
            id="a tag that is a name",
        ),
        pytest.param(
            {"redis/Dockerfile": "FROM redis\n", "app/Dockerfile": "FROM debian:12\n"},
            {"redis-image": [], "app": []},
            id="an image of its own name",
        ),
        pytest.param(
            {"cuda/Dockerfile": "FROM nvidia/cuda:12\n", "app/Dockerfile": "FROM nvidia/cuda:12\n"},
            {"cuda": [], "app": []},
            id="a name of the origin",
        ),
        pytest.param(
            {
                "low/Dockerfile": "FROM scratch\n",
                "a/Dockerfile": "FROM org/low:1\n",
                "b/Dockerfile": "FROM org/low:2\n",
            },
            {"low": [], "a": [], "b": []},
            id="two tags",
        ),
        pytest.param(
            {"a/Dockerfile": "FROM org/b:1\n", "b/Dockerfile": "FROM org/a:1\n"},
            {"a": ["b"], "b": []},
            id="no cycle",
        ),
        pytest.param(
            {"a/Dockerfile": "FROM o/b:1\n", "b/Dockerfile": "FROM c\n", "c/Dockerfile": "FROM o/b:1\n"},
            {"a": [], "b": ["c"], "c": []},
            id="no cycle of three",
        ),
        pytest.param(
            {"a/Dockerfile": "FROM scratch\n", "b/Dockerfile": "FROM ${NONE}\n", "c/Dockerfile": "FROM b\n"},
            {"a": []},
            id="one that cannot be read, and what is based on it",
        ),
        pytest.param(
            {
                "a/Dockerfile": "FROM scratch\nCOPY . /\n",
                "b/.git/Dockerfile": "FROM x\n",
                "c/Dockerfile.md": "",
            },
            {"a": []},
            id="files that are no Dockerfiles",
        ),
        pytest.param(
            {
                "python/3.12/Dockerfile": "FROM scratch\n",
                "python/3.13/Dockerfile": "FROM scratch\n",
                "app/Dockerfile": "FROM acme/python:3.13\n",
            },
            {"python-3.12": [], "python-3.13": [], "app": ["python-3.13"]},
            id="a folder for each version",
        ),
    ],
)
def test_init_finds_stages_and_parents(
    folder: Path, files: dict[str, str], found: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, files)
    assert main(["init"]) == 0, capsys.readouterr().err
    assert edges(folder) == found
    assert "next: stagegraph list" in capsys.readouterr().out


def test_init_makes_images_of_what_nothing_is_based_on(folder: Path) -> None:
    write(folder, {"low/Dockerfile": "FROM scratch\n", "top/Dockerfile": "FROM low\n"})
    assert main(["init"]) == 0
    assert [*project(folder).images] == ["top"]
    assert [p.docker for p in project(folder).platforms.values()] == [host_platform()]
    assert "from stagegraph.tasks import *" in (folder / "dodo.py").read_text()


@pytest.mark.parametrize("command", [["init"], ["import", "compose.yaml"]])
def test_the_next_commands_work(folder: Path, command: list[str]) -> None:
    write(folder, {"low/Dockerfile": "FROM scratch\n", "top/Dockerfile": "FROM low\n"})
    write(
        folder,
        {
            "compose.yaml": "services:\n  low: { build: low }\n"
            "  top: { build: { context: top, additional_contexts: [ low=service:low ] } }\n"
        },
    )
    assert main(command) == 0
    for words, said in ((["list"], "top"), (["plan", "top"], f"build  top:{HERE}")):
        done = subprocess.run(
            [sys.executable, "-m", "doit", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and said in done.stdout, done.stderr


def test_a_reader_that_closes_the_pipe_is_no_traceback(folder: Path) -> None:
    write(folder, {"low/Dockerfile": "FROM scratch\n"})
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m stagegraph.cli.main init | true; exit ${{PIPESTATUS[0]}}"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 141) and "Traceback" not in done.stderr


def test_init_of_another_folder_says_where_to_go_next(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"sub/app/Dockerfile": "FROM scratch\n"})
    assert main(["init", "sub"]) == 0
    assert "next: cd sub" in capsys.readouterr().out and (folder / "sub/stages.toml").exists()


@pytest.mark.parametrize(
    ("copied", "path", "dockerfile"),
    [
        ("file", "images/app", "Dockerfile"),
        ("src/main.c", ".", "images/app/Dockerfile"),
        ("lib/*.c", "images", "app/Dockerfile"),
        (".", "images/app", "Dockerfile"),
    ],
)
def test_the_context_is_the_nearest_folder_that_has_what_is_copied(
    folder: Path, copied: str, path: str, dockerfile: str
) -> None:
    files = {"images/app/file": "", "src/main.c": "", "images/lib/a.c": ""}
    write(folder, {"images/app/Dockerfile": f"FROM scratch\nCOPY {copied} /x/\n", **files})
    assert main(["init"]) == 0
    config = project(folder).stages["app"].configs[HERE]
    assert (config.context, config.dockerfile) == (path, dockerfile)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\nCOPY none /\n", "no folder around it has none, which it copies"),
        ("FROM debian\n", "debian has no tag; [contexts] says that it means debian:latest"),
        ("FROM scratch\nADD https://x.example/y /\n", 'has no --checksum (unpinned = "allow")'),
        ("FROM ${X}\n", "left out: app/Dockerfile: app/Dockerfile:1: FROM ${X}"),
        ("FRUM x\n", "left out: app/Dockerfile"),
    ],
)
def test_init_says_what_it_did_and_what_it_cannot_write(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"app/Dockerfile": text, "other/Dockerfile": "FROM scratch\n"})
    assert main(["init"]) == 0
    assert said in capsys.readouterr().err
    assert "other" in edges(folder)


def test_a_stage_that_is_left_out_is_a_comment_with_the_reason(folder: Path) -> None:
    write(folder, {"app/Dockerfile": "FROM ${X}\n", "other/Dockerfile": "FROM scratch\n"})
    assert main(["init"]) == 0
    text = (folder / "stages.toml").read_text()
    assert "# left out: app/Dockerfile:1: FROM ${X}" in text and "# [stages.app]" in text


@pytest.mark.parametrize("name", ["stages.toml", "dodo.py"])
@pytest.mark.parametrize("command", [["init"], ["import", "compose.yaml"]])
def test_nothing_is_overwritten(
    folder: Path, name: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    compose = "services: { app: { build: app } }\n"
    write(folder, {"app/Dockerfile": "FROM scratch\n", "compose.yaml": compose, name: "mine"})
    assert main(command) == ProjectError.exit_status
    assert f"{name}: exists, so nothing is written\n  move it away" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == sorted(["app", "compose.yaml", name])
    assert (folder / name).read_text() == "mine"
    assert main([*command, "--force"]) == 0
    assert edges(folder) == {"app": []}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init"], "no Dockerfile in this folder or below"),
        (["init", "none"], "none: is not a folder"),
        (["import", "none.json"], "none.json: cannot be read"),
        (
            ["init", "a", "b"],
            "command line: stagegraph init takes one folder, not 2\n  stagegraph init --help",
        ),
        (["import"], "command line: stagegraph import takes one file, not 0\n  stagegraph import --help"),
        (
            ["init", "--forse"],
            "command line: option --forse not recognized\n  did you mean '--force'? stagegraph init --help",
        ),
    ],
)
def test_a_call_that_finds_nothing(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == ProjectError.exit_status
    assert said in capsys.readouterr().err
    assert not [*folder.iterdir()]


def test_without_a_project_init_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ProjectError.exit_status
    assert "stagegraph init makes one" in capsys.readouterr().err


# -- bake ----------------------------------------------------------------------------------------


def imported(folder: Path, data: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """Import a bake file, which must succeed. Return what is said on standard error."""
    (folder / "bake.json").write_text(json.dumps(data))
    assert main(["import", "bake.json"]) == 0, capsys.readouterr().err
    return capsys.readouterr().err


def target(**keys: Any) -> dict[str, Any]:
    """Return a bake file with a parent ``low`` and a target ``app`` with these keys."""
    return {"target": {"low": {"context": "low"}, "app": {"context": "app", **keys}}}


@pytest.fixture
def two(folder: Path) -> Path:
    """Folders of two targets; ``app`` is FROM parent."""
    write(
        folder, {"low/Dockerfile": "FROM scratch\n", "app/Dockerfile": "ARG A\nFROM parent:1 AS x\nARG B\n"}
    )
    return folder


@pytest.mark.parametrize(
    ("keys", "key", "value"),
    [
        ({"target": "x"}, "target", "x"),
        ({"args": {"A": "1", "B": "3.10"}}, "args", {"A": "1", "B": "3.10"}),
        ({"network": "none"}, "network", "none"),
        ({"contexts": {"parent:1": "docker-image://debian:12"}}, "contexts", {"parent:1": "debian:12"}),
        ({"labels": {"a": "b"}}, "labels", {"a": "b"}),
        ({"network": "host"}, "network", "host"),
        ({"network": "host"}, "run_options", RunOptions(allow=frozenset(["network.host"]))),
        ({"ssh": ["default"]}, "run_options", RunOptions(ssh={"default": ()})),
        ({"ssh": [{"id": "k", "paths": ["/a"]}]}, "run_options", RunOptions(ssh={"k": ("/a",)})),
        (
            {"entitlements": ["security.insecure"]},
            "run_options",
            RunOptions(allow=frozenset(["security.insecure"])),
        ),
        (
            {"extra-hosts": {"h": "10.0.0.1,10.0.0.2"}},
            "run_options",
            RunOptions(extra_hosts=(("h", "10.0.0.1"), ("h", "10.0.0.2"))),
        ),
        ({"shm-size": "128m"}, "run_options", RunOptions(shm_size=128 << 20)),
        ({"ulimits": ["nofile=1:2"]}, "run_options", RunOptions(ulimits=(("nofile", "1:2"),))),
    ],
)
def test_an_option_of_a_target_is_one_of_the_stage(
    two: Path, keys: dict[str, Any], key: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(two, target(**keys), capsys) == ""
    assert getattr(project(two).stages["app"].configs[HERE], key) == value


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"network": "mine"}, "target app: network = 'mine' is left out"),
        (
            {"labels": {"a": "b", "org.opencontainers.image.created": "today"}},
            "target app: labels org.opencontainers.image.created are left out: `doit publish` adds them",
        ),
        ({"args": {"Z": "1"}}, "target app: argument Z is left out: the Dockerfile does not declare it"),
        ({"args": {"A": None}}, "target app: args: A has no value here"),
        ({"cache-from": ["type=gha"]}, "target app: cache-from is left out: registry=HOST"),
        ({"output": [{"type": "local"}]}, "target app: output is left out"),
        ({"attest": ["type=sbom"]}, "target app: attest is left out: `doit publish`"),
        ({"no-cache": True}, "target app: no-cache is left out"),
        ({"novelty": "x"}, "target app: novelty: stagegraph does not know this option"),
        ({"contexts": {"src": "./src"}}, "target app: context src = ./src is left out: make it a stage"),
        ({"platforms": ["linux/vax"]}, "target app: platform linux/vax is left out"),
        ({"context": "https://x.example/y.git"}, "target app: is left out: its context https"),
        ({"dockerfile-inline": "FROM x"}, "target app: is left out: its Dockerfile is written in this file"),
        ({"context": "../x"}, "target app: is left out: its context ../x is outside of family"),
        ({"dockerfile": "../Dockerfile"}, "target app: is left out: its Dockerfile ../Dockerfile is outside"),
        ({"dockerfile": "none"}, "target app: is left out: app has no none"),
        ({"secret": [{"id": "a b", "env": "X"}]}, "target app: secret 'a b' is left out"),
    ],
)
def test_what_a_stage_cannot_have_is_said_with_the_name_of_the_target(
    two: Path, keys: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in imported(two, target(**keys), capsys)
    assert "low" in edges(two)


def test_parents_of_targets(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = imported(two, target(contexts={"parent:1": "target:low"}), capsys)
    assert said == "" and edges(two) == {"low": [], "app": ["low"]} and [*project(two).images] == ["app"]


def test_a_parent_that_is_called_base(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, dict.fromkeys(("a/Dockerfile", "b/Dockerfile"), "FROM base\n"))
    write(folder, dict.fromkeys(("base/Dockerfile", "other/Dockerfile"), "FROM scratch\n"))
    targets: dict[str, Any] = {name: {"context": name} for name in ("base", "other", "a", "b")}
    targets["a"]["contexts"] = {"base": "target:base"}
    targets["b"]["contexts"] = {"base": "target:other"}
    imported(folder, {"target": targets}, capsys)
    assert edges(folder) == {"base-image": [], "other": [], "a": ["base-image"], "b": ["other"]}


def test_a_name_that_no_context_gives_is_external_though_a_target_has_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"app/Dockerfile": "FROM alpine\n", "alpine/Dockerfile": "FROM scratch\n"})
    imported(folder, {"target": {"app": {"context": "app"}, "alpine": {"context": "alpine"}}}, capsys)
    assert edges(folder) == {"app": [], "alpine-image": []}


def test_a_target_that_is_left_out_takes_its_children_with_it(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = target(contexts={"parent:1": "target:low"})
    data["target"] |= {"free": {"context": "low"}, "low": {"context": "git@x.example:y"}}
    said = imported(two, data, capsys)
    assert "target app: is left out: it is based on low, which is left out" in said
    assert edges(two) == {"free": []}


def test_a_published_tag_of_another_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, {"low/Dockerfile": "FROM scratch\n", "app/Dockerfile": "FROM org/low:1\n"})
    data = target()
    data["target"]["low"]["tags"] = ["docker.io/org/low:1"]
    assert "org/low:1 in Dockerfiles means this stage" in imported(folder, data, capsys)
    assert edges(folder) == {"low": [], "app": ["low"]}


def test_tags_and_repositories(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(tags=["org/app:1.2", "org/app", "other/app:1.2"], contexts={"parent:1": "target:low"})
    data["target"]["low"]["tags"] = ["org/low:2", "org/app:1.2"]
    said = imported(two, data, capsys)
    assert "target app: tag org/app:1.2 is left out: low has it" not in said
    assert "target low: tag org/app:1.2 is left out: an image has one repository" in said
    assert (
        "target app: tag other/app:1.2 is left out: an image has one repository; this one has org/app" in said
    )
    images = project(two).images
    assert {i.name: (i.repo, i.tags) for i in images.values()} == {
        "low": ("org/low", ("2",)),
        "app": ("org/app", ("1.2", "latest")),
    }
    assert project(two).settings.repo == "org/family"


def test_a_tag_belongs_to_one_image(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(tags=["org/all:1"])
    data["target"]["low"]["tags"] = ["org/all:1"]
    data["target"]["app"]["contexts"] = {"parent:1": "target:low"}
    assert "target app: tag org/all:1 is left out: low has it" in imported(two, data, capsys)


def test_usual_tags_need_no_line(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(tags=["org/all:app"], contexts={"parent:1": "target:low"})
    data["target"]["low"]["tags"] = [f"org/all:low-{HERE}"]
    imported(two, data, capsys)
    assert project(two).settings.repo == "org/all"
    assert [(i.repo, i.tags) for i in project(two).images.values()] == [("", ()), ("", ())]


def test_another_tag_of_the_own_repository_stays_external(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"low/Dockerfile": "FROM scratch\n", "app/Dockerfile": "FROM org/low:old\n"})
    data = target()
    data["target"]["low"]["tags"] = ["org/low:1"]
    assert "org/low:old is no tag of an image here" in imported(folder, data, capsys)
    assert edges(folder) == {"low": [], "app": []}


def test_platforms_groups_and_secrets(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(
        contexts={"parent:1": "target:low"},
        platforms=["linux/amd64", "linux/arm64"],
        secret=["id=a,env=A", {"id": "b", "src": "b.txt"}, {"id": "C"}],
    )
    data["target"]["extra"] = {"context": "low", "platforms": ["linux/arm64"]}
    data["group"] = {"default": {"targets": ["all"]}, "all": {"targets": ["app"]}}
    assert imported(two, data, capsys) == ""
    loaded = project(two)
    assert {group.name: group.words for group in loaded.groups.values()} == {"all": ("app",)}
    assert [*loaded.platforms] == ["amd64", "arm64"]
    assert {i.name: (i.platforms, i.default) for i in loaded.images.values()} == {
        "app": (("amd64", "arm64"), True),
        "extra": (("arm64",), False),
    }
    assert {n: s.env or s.file for n, s in loaded.secrets.items()} == {"a": "A", "b": "b.txt", "C": "C"}


def test_a_group_has_no_images_that_are_left_out(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(context="../x")
    data["group"] = {
        "some": {"targets": ["app", "low"]},
        "none": {"targets": ["app"]},
        "low": {"targets": ["low"]},
    }
    imported(two, data, capsys)
    assert {name: group.words for name, group in project(two).groups.items()} == {
        "some": ("low",),
        "low-2": ("low",),
    }


def test_secrets_that_differ(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = target(secret=["id=a,env=A"])
    data["target"]["low"]["secret"] = ["id=a,env=B"]
    assert "target app: secret a differs from that of another target" in imported(two, data, capsys)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"args": {"A": "\ud800"}}, "bake.json: has a \\u escape that is half of a character"),
        ({"labels": {"\udcff": "x"}}, "bake.json: has a \\u escape that is half of a character"),
        ({"secret": ["id=a\rb"]}, "'id=a\\rb' cannot be read: "),
        ({"secret": [f"id={'b' * 140_000}"]}, " cannot be read: "),
    ],
)
def test_a_value_that_no_file_can_hold_is_an_error(
    two: Path, keys: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (two / "bake.json").write_text(json.dumps(target(**keys)))
    assert main(["import", "bake.json"]) == ProjectError.exit_status
    assert said in capsys.readouterr().err


def test_a_folder_that_may_not_be_read_has_no_dockerfile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"app/Dockerfile": "FROM scratch\n", "locked/inner/file": "x"})
    real = os.stat

    def denied(path: Any, *words: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("locked/inner/stages.toml"):  # root may read every folder
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *words, **options)

    monkeypatch.setattr(os, "stat", denied)
    assert main(["init"]) == 0
    assert edges(folder) == {"app": []}


def test_a_file_in_hcl_is_for_bake_to_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, {"docker-bake.hcl": 'target "app" {}\n'})
    assert main(["import", "docker-bake.hcl"]) == ProjectError.exit_status
    assert "docker buildx bake --print | stagegraph import -" in capsys.readouterr().err


def test_a_target_may_be_called_services(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"target": {"services": {"context": "low"}}, "variable": {"X": {"default": "1"}}}
    assert "variable: is not read: give the import what `docker buildx" in imported(two, data, capsys)
    assert edges(two) == {"services": []}


def test_standard_input(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.BytesIO(json.dumps(target(contexts={"parent:1": "target:low"})).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text))
    assert main(["import", "-"]) == 0
    assert edges(two) == {"low": [], "app": ["low"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ", "x.json: is empty"),
        ("{", "not valid JSON"),
        ("{}", "declares no target"),
        ('{"services": {}}', "no service has a `build`"),
        ('{"target": []}', "declares no target"),
        ('{"target": {"a": []}}', "target a is not an object"),
        ('{"target": {"a": {"tags": "x"}}}', "target a is not a list"),
        ('{"target": {"a": {"args": 1}}}', "args has a value of a wrong type"),
        ('{"target": {"a": {"contexts": 1}}}', "is not an object"),
        ('{"target": {"a": {"secret": 1}}}', "is not a list"),
        ('{"target": {"a": {}}, "group": 1}', "group is not an object"),
        ("[" * 100000, "nested too deep"),
        ('{"a": ' * 100000, "nested too deep"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_and_no_traceback(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"Dockerfile": "FROM scratch\n", "x.json": text})
    assert main(["import", "x.json"]) == ProjectError.exit_status
    assert said in capsys.readouterr().err or text.startswith("[")
    assert not (folder / "stages.toml").exists()


# -- compose -------------------------------------------------------------------------------------

COMPOSE = """
x-shared: &shared
  args: { A: "${A:-1}", B: 3.10 }
services:
  low:
    build: ./low
    image: org/low:1
  app:
    image: org/app:${TAG:-2}
    platform: linux/arm64
    build:
      <<: *shared
      context: app
      dockerfile: Dockerfile
      target: x
      network: none
      additional_contexts: [ "parent:1=service:low" ]
      secrets: [ token, { source: file } ]
  redis:
    image: redis:7
secrets:
  token: { environment: TOKEN }
  file: { file: ./secret.txt }
"""


def test_a_compose_file(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, {"compose.yaml": COMPOSE, ".env": "A=from the file\n"})
    assert main(["import", "compose.yaml"]) == 0
    loaded, arm = graph(two), "arm64"
    config = loaded.project.stages["app"].configs[arm]
    assert (config.context, config.target, config.network) == ("app", "x", "none")
    assert config.args == {"A": "from the file", "B": "3.10"}
    assert loaded.parents(Node("app", arm)) == [Node("low", arm)]
    assert {n: s.env or s.file for n, s in loaded.project.secrets.items()} == {
        "token": "TOKEN",
        "file": "secret.txt",
    }
    assert "compose.yaml: variable A: its value 'from the file' is written" in capsys.readouterr().err


def test_a_compose_file_of_another_folder(folder: Path) -> None:
    write(
        folder,
        {"deploy/compose.yaml": "services: {app: {build: ../app}}", "app/Dockerfile": "FROM scratch\n"},
    )
    assert main(["import", "deploy/compose.yaml"]) == 0
    assert project(folder).stages["app"].configs[HERE].context == "app"


def test_options_of_compose(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "labels: [a=b, c=d], ssh: [default, k=/a], extra_hosts: [h=10.0.0.1], shm_size: 2gb, "
        "ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}, entitlements: [network.host], network: host"
    )
    write(two, {"c.yaml": f"services: {{low: {{build: low}}, app: {{build: {{context: app, {options}}}}}}}"})
    assert main(["import", "c.yaml"]) == 0
    assert capsys.readouterr().err == ""
    config = project(two).stages["app"].configs[HERE]
    assert (config.labels, config.network) == ({"a": "b", "c": "d"}, "host")
    assert config.run_options == RunOptions(
        ssh={"default": (), "k": ("/a",)},
        allow=frozenset(["network.host"]),
        extra_hosts=(("h", "10.0.0.1"),),
        shm_size=2 << 30,
        ulimits=(("nofile", "1:2"), ("nproc", "5:5")),
    )


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("{context: app, cache_from: [x]}", "service app: cache-from is left out"),
        ("{context: app, privileged: true}", 'service app: privileged is left out: write allow = ["security'),
        ("{context: app, isolation: x}", "service app: isolation: stagegraph does not know this option"),
        ("{context: app, no_cache: false}", ""),
        ("{context: app, x-bake: {}}", "service app: x-bake is left out"),
        ("{context: app, args: [UNSET]}", "variable UNSET is not set"),
        ("{context: app, secrets: [none]}", "service app: secret none is left out"),
    ],
)
def test_what_compose_has_and_a_stage_has_not_is_said(
    two: Path, build: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(two, {"c.yaml": f"services: {{low: {{build: low}}, app: {{build: {build}}}}}"})
    assert main(["import", "c.yaml"]) == 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "c.yaml:1: not valid YAML"),
        ("a: 1", "declares no services"),
        ("services: {a: {image: x}}", "no service has a `build`"),
        ("services: {a: {build: 1.5}}", "left out"),
        ("services: {a: {build: [x]}}", "build is neither a folder nor a table"),
        ("services: {a: {build: {args: x}}}", "args is neither a table nor a list"),
        ("services: {a: {build: {tags: x}}}", "tags is not a list"),
        ("services: {a: {build: '${X?no}'}}", "variable X is not set: no"),
        ("services: &a {a: {build: {context: .}, x: *a}}", "contains itself"),
    ],
)
def test_a_compose_file_that_is_wrong_is_an_error_and_no_traceback(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"Dockerfile": "FROM scratch\n", "c.yaml": text})
    assert main(["import", "c.yaml"]) == ProjectError.exit_status
    assert said in capsys.readouterr().err
