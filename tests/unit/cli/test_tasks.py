"""The layer between doit and the workspace: goals, the tags of one run, doit's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import AMD64, ARM64, HEAD, Registry, graph, stages, write

from stagegraph.cli import goals as cli_goals
from stagegraph.cli.goals import absences, default_goals, resolve_goals, unknown_goal
from stagegraph.cli.memory import MemoryDB
from stagegraph.cli.reporter import check_tags
from stagegraph.cli.tasks import _in_short
from stagegraph.errors import (
    DockerfileError,
    LoginError,
    ProjectError,
    RegistryError,
    ResolveError,
    StagegraphError,
)
from stagegraph.execution.final_tags import FinalTags
from stagegraph.graph import goals as asked
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.project.model import Bootstrap, ExternalBase, Node, Platform, Project, Stage
from stagegraph.project.tags import check_setting
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit


def metas(*names: str) -> list[dict[str, Any]]:
    return [
        {},
        *({"image": name, "node": Node(name, p)} for name in names for p in ("amd64", "aarch64")),
    ]


def test_two_images_of_one_run_cannot_have_one_tag(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path / "cache")
    root = stages(
        tmp_path, dict.fromkeys(("stock", "dev"), "FROM base\n"), more="[images.stock]\n[images.dev]\n"
    )
    plain = FinalTags(graph(root).project, layout)
    tagged = FinalTags(graph(root, cli={"tag": "x"}).project, layout)
    check_tags(plain, metas("stock", "dev"))
    check_tags(tagged, metas("stock")[:2] * 2)  # the same image twice
    said = "stock:amd64 and stock:aarch64 would both be called example/atom:x"
    with pytest.raises(ProjectError, match=said):
        check_tags(tagged, metas("stock"))


def test_the_setting_tag_cannot_take_the_tag_of_another_image(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path / "cache")
    more = '[images.stock]\n[images.dev]\ntags = ["edge", "dev-{arch}"]\n[images.far]\nstage = "dev"\n'
    root = stages(
        tmp_path, dict.fromkeys(("stock", "dev"), "FROM base\n"), more=more + 'repo = "example/far"\n'
    )
    for own in ("stock", "stock-amd64", "x", "far", "far-amd64"):  # its own, nobody's, of another repository
        check_tags(FinalTags(graph(root, cli={"tag": own}).project, layout), metas("stock")[:2])
    for taken, owner in (("edge", "the index of dev"), ("dev-arm64", "dev:aarch64")):
        tagged = FinalTags(graph(root, cli={"tag": taken}).project, layout)
        what = f"tag={taken}: image stock would get the tag example/atom:{taken}, as {owner}"
        with pytest.raises(ProjectError, match=f"command line: {what}"):
            check_tags(tagged, metas("stock")[:2])
    project = graph(root, cli={"tag": "dev"}).project
    check_setting(project, project.images["stock"])
    project = project._replace(settings=project.settings._replace(tag="stock"))
    check_setting(project, project.images["far"], published=True)  # another repository
    with pytest.raises(ProjectError, match="example/atom:stock, as the index of stock"):
        check_setting(project, project.images["dev"], published=True)


def test_doit_remembers_nothing_after_the_end(tmp_path: Any) -> None:
    file = tmp_path / "db"
    memory = MemoryDB(str(file), None)
    memory.set("a", "b", 1)
    assert memory.get("a", "b") == 1
    memory.dump()
    assert not file.exists()


def test_an_unknown_platform_gives_a_hint_with_the_name_in_this_project() -> None:
    platforms = {"amd64": Platform("amd64", AMD64), "aarch64": Platform("aarch64", ARM64)}
    top = Stage("low--top", "", {}, stacked_on="low")
    bases = {"amd64": Bootstrap("trixie"), "aarch64": ExternalBase("debian")}
    project: Any = SimpleNamespace(platforms=platforms, stages={"low--top": top}, bases=bases, groups={})
    words = ["stock", "stock:amd64", "stock:aarch64"]
    assert str(unknown_goal(project, "stock:arm64", words)) == (
        "command line: no platform 'arm64'\n  arm64 is called aarch64 here"
    )
    assert unknown_goal(project, "stock:x", words).hint == "known here: aarch64, amd64"
    assert unknown_goal(project, "stick:x", words).what == "no stage or image 'stick:x'"
    assert unknown_goal(project, "base:aarch64", words).what == "base:aarch64 is the image debian"
    assert unknown_goal(project, "plann", words, ["plan"]).hint == "did you mean 'plan'?"
    assert unknown_goal(project, "top:amd64", words).hint == "it is built only as part of a stack: low--top"


@pytest.mark.parametrize("kind", [ResolveError, LoginError, RegistryError])
def test_nodes_that_cannot_be_resolved_are_left_out_and_reported(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: type[StagegraphError],
) -> None:
    dockerfiles = {
        "here": "FROM base\n",
        "far": "FROM registry.example.org/far:1\n",
        "above": "FROM far\n",
        "farther": "FROM registry.example.org/far:1\nUSER 1\n",
    }
    registry = Registry(kind=kind)
    nodes = graph(stages(tmp_path, dockerfiles), registry)
    goals = resolve_goals(nodes, [])
    assert [str(node) for node in goals.nodes] == ["here:amd64", "here:aarch64"]
    assert goals.status == 0  # the other nodes can be listed
    assert registry.asked.count("registry.example.org/far:1") == 1
    said = capsys.readouterr().err
    assert said.startswith("warning: far:amd64 has no key: far/Dockerfile:1: registry")
    assert "left out: far:amd64, above:amd64, farther:amd64, far:aarch64" in said
    assert said.count("warning") == 1
    with pytest.raises(kind):  # an error if the command names the node
        resolve_goals(nodes, ["far:amd64"])


def goals(root: Path, dockerfiles: dict[str, str], *names: str, **options: bool) -> tuple[list[str], Any]:
    nodes = graph(stages(root, dockerfiles))
    wanted = [node for node in nodes.nodes if not names or node.stage in names]
    options = {"by_name": bool(names), "keep_going": False, **options}
    found = asked.keyed(nodes, wanted, **options)
    return [str(node) for node in found.nodes], found


def test_the_command_fails_if_all_nodes_are_left_out(tmp_path: Path) -> None:
    found, result = goals(tmp_path, {"far": "FROM far:1\n", "above": "FROM far\n"})
    assert (found, result.status) == ([], ResolveError.exit_status)
    assert [(fact["node"], fact["cause"], fact["status"]) for fact in result.to_json()] == [
        (f"{stage}:{platform}", "far:amd64", 14)
        for platform in ("amd64", "aarch64")
        for stage in ("far", "above")
    ]


def test_the_first_node_of_a_cause_is_named_although_a_leaf_is_declared_first(tmp_path: Path) -> None:
    dockerfiles = {"leaf": "FROM mid\n", "mid": "FROM low\n", "low": "FROM far:1\n", "good": "FROM base\n"}
    _, result = goals(tmp_path, dockerfiles)
    (out,) = result.left_out
    assert out.first == "low:amd64"
    assert str(out).startswith("low:amd64 has no key: low/Dockerfile:1: far:1")
    assert str(out).endswith(
        "left out: leaf:amd64, mid:amd64, low:amd64, leaf:aarch64, mid:aarch64, low:aarch64"
    )


BROKEN = {
    "broken": "FROM base\nRUNN x\n",
    "above": "FROM broken\n",
    "slip": "FROM gone\n",
    "good": "FROM base\n",
}


def test_a_broken_dockerfile_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(DockerfileError, match="unknown instruction RUNN"):
        goals(tmp_path, BROKEN)


@pytest.mark.parametrize("names", [(), ("good", "slip", "above")])
def test_keep_going_leaves_out_broken_nodes(tmp_path: Path, names: tuple[str, ...]) -> None:
    found, result = goals(tmp_path, BROKEN, *names, keep_going=True)
    assert found == ["good:amd64", "good:aarch64"]
    assert result.status == DockerfileError.exit_status
    assert sorted((out.first, out.error.what.partition("\n")[0]) for out in result.left_out) == [
        ("broken:amd64", "unknown instruction RUNN"),
        ("slip:amd64", "no stage is called 'gone'"),
    ]


def test_the_same_mistake_in_two_dockerfiles_is_two_causes(tmp_path: Path) -> None:
    slip = "FROM base\nRUNN x\n"
    dockerfiles = {"one": slip, "two": slip, "above": "FROM two\n"}
    _, result = goals(tmp_path, dockerfiles, keep_going=True)
    assert [(out.first, len(out.nodes)) for out in result.left_out] == [("one:amd64", 2), ("two:amd64", 4)]


def test_a_cycle_is_one_cause(tmp_path: Path) -> None:
    dockerfiles = {"b": "FROM a\n", "a": "FROM b\n", "above": "FROM b\n", "good": "FROM base\n"}
    _, result = goals(tmp_path, dockerfiles, keep_going=True)
    (out,) = result.left_out
    assert (len(out.nodes), out.error.what) == (6, "a cycle: a -> b -> a")


def test_keep_going_fails_only_if_an_unresolved_node_was_named(tmp_path: Path) -> None:
    dockerfiles = {"far": "FROM far:1\n", "good": "FROM base\n"}
    assert goals(tmp_path, dockerfiles, keep_going=True)[1].status == 0
    assert goals(tmp_path, dockerfiles, "far", "good", keep_going=True)[1].status == ResolveError.exit_status


def test_an_image_without_default_is_built_only_if_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    more = "[images.usual]\n[images.rare]\ndefault = false\n"
    project = graph(stages(tmp_path, dict.fromkeys(("usual", "rare"), "FROM base\n"), more=more)).project
    monkeypatch.setattr(cli_goals, "host_platform", lambda: "linux/arm64")
    assert default_goals(project) == ["usual:aarch64"]


def some_platforms(root: Path) -> Project:
    more = """\
[stages.tool]
path = "tool"
only = ["amd64"]
[stages.app]
path = "app"
[images.tool]
[images.app]
"""
    write(root, {"tool/Dockerfile": "FROM base\n", "app/Dockerfile": "FROM base\nCOPY --from=tool / /\n"})
    return graph(stages(root, {}, more=more)).project


def test_what_a_platform_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project = some_platforms(tmp_path)
    assert absences(project, ["tool", "app", "tool:amd64"]) == ["tool is not built for aarch64"]
    monkeypatch.setattr(cli_goals, "host_platform", lambda: "linux/arm64")
    assert default_goals(project) == ["app:aarch64"]
    assert absences(project, []) == ["not built for aarch64: tool"]
    monkeypatch.setattr(cli_goals, "host_platform", lambda: "linux/amd64")
    assert absences(project, []) == []
    monkeypatch.setattr(cli_goals, "host_platform", lambda: "linux/s390x")
    assert (absences(project, []), default_goals(project)) == ([], [])


def test_a_goal_that_its_platform_lacks(tmp_path: Path) -> None:
    nodes = Graph(some_platforms(tmp_path), Lock(tmp_path, Registry()))
    with pytest.raises(ProjectError) as error:
        resolve_goals(nodes, ["tool:aarch64"])
    assert str(error.value) == "command line: tool is not built for aarch64\n  it is built for amd64"
    with pytest.raises(DockerfileError) as missing:
        resolve_goals(nodes, ["app"])
    assert str(missing.value) == (
        "app/Dockerfile:2: tool is not built for aarch64\n"
        '  add aarch64 to the list "only" of stage tool in stages.toml, '
        "or leave aarch64 out of what uses the stage"
    )
    assert [str(node) for node in resolve_goals(nodes, ["tool", "app:amd64"]).nodes] == [
        "tool:amd64",
        "app:amd64",
    ]


def test_a_list_has_the_repository_of_an_image_once(tmp_path: Path) -> None:
    repo = "registry.example.com:5000/example/app"
    texts = ["{version}", "{prints.x}", *(f"1.{number}" for number in range(8))]
    more = f'[images.app]\nrepo = "{repo}"\ntags = {json.dumps(texts)}\n[images.app.prints]\nx = "x"\n'
    head = HEAD.replace("[project]\n", '[project]\nversion = "2"\n')
    project = graph(stages(tmp_path, {"app": "FROM base\n"}, head=head, more=more)).project
    references = FinalTags(project, LayoutStore(tmp_path / "cache")).of_index("app")
    assert _in_short(project, project.images["app"], references) == (
        f"{repo}:2, :{{prints.x}}, :1.0, :1.1, :1.2, :1.3, :1.4, :1.5, :1.6, :1.7"
    )
    assert _in_short(project, project.images["app"], references[:1]) == f"{repo}:2"


NAMES = ["DOIT_CONFIG", "task_images", "task_stages"]


def test_importing_the_tasks_reads_no_project(tmp_path: Path) -> None:
    code = "import stagegraph.tasks; print(sorted(stagegraph.tasks.__all__))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{NAMES}\n", "")
