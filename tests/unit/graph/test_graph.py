"""The graph of a project and its lock: a changed input changes only the keys of nodes that depend on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import HEAD, Registry, graph, resolved, sha, stages, write

from stagegraph.dockerfile import analysis
from stagegraph.errors import ContextError, DockerfileError, ProjectError, StagegraphError
from stagegraph.graph import dockerfiles, reader
from stagegraph.keys import spec as keys_spec
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

BOOTSTRAP = HEAD.replace('image = "debian:trixie"', 'bootstrap = "trixie"')
FAMILY = {
    "tool": "FROM base\nRUN apt-get install gcc\n",
    "part": "FROM tool AS build\nARG CPU\nCOPY make /\nRUN make\nFROM scratch\nCOPY --from=build /out /\n",
    "other": "FROM scratch\nCOPY f /\n",
    "app": "FROM base\nCOPY --from=part / /\nCOPY --from=other / /\n",
}


def amd64(*names: str) -> list[Node]:
    return [Node(name, "amd64") for name in names]


def family(root: Path) -> Path:
    return write(
        stages(root, FAMILY, head=BOOTSTRAP),
        {"part/make": "x", "other/f": "x", "stages.lock": 'archive = "2025-01-31"\n'},
    )


def keys(root: Path, registry: Registry | None = None) -> dict[str, str]:
    nodes = graph(root, registry)
    return {str(node): nodes.key(node) for node in nodes.nodes}


def fault(root: Path, kind: type[StagegraphError], *names: str, registry: Registry | None = None) -> str:
    with pytest.raises(kind) as error:
        graph(root, registry).key(*amd64(*names))
    return str(error.value)


# -- parents and order -------------------------------------------------------------------------------


def test_parents_are_the_names_that_the_dockerfile_uses(tmp_path: Path) -> None:
    nodes = graph(family(tmp_path))
    assert nodes.parents(Node("app", "amd64")) == amd64("base", "part", "other")
    assert nodes.parents(Node("part", "aarch64")) == [Node("tool", "aarch64")]
    assert nodes.parents(Node("base", "amd64")) == []


def test_the_order_has_parents_first_and_each_node_once(tmp_path: Path) -> None:
    nodes = graph(family(tmp_path))
    assert nodes.order(amd64("app", "part")) == amd64("base", "tool", "part", "other", "app")


def test_name_in_other_spellings_is_the_same_parent(tmp_path: Path) -> None:
    text = "FROM docker.io/library/base:latest\nCOPY --from=base:latest / /\n"
    nodes = graph(stages(tmp_path, {"base2": "FROM scratch\n", "app": text.replace("base", "base2")}))
    assert nodes.parents(Node("app", "amd64")) == amd64("base2")
    assert not nodes.spec(Node("app", "amd64")).images


def test_argument_may_name_a_stage(tmp_path: Path) -> None:
    root = stages(
        tmp_path,
        {"a": "FROM scratch\n", "b": "ARG BASE_IMAGE=debian\nFROM $BASE_IMAGE\n"},
        more='args = { BASE_IMAGE = "a" }\n',
    )
    assert graph(root).parents(Node("b", "amd64")) == amd64("a")


def test_parent_on_another_platform(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\n", "b": "FROM --platform=linux/amd64 a\n"})
    assert graph(root).parents(Node("b", "aarch64")) == amd64("a")


def test_platform_that_the_project_lacks(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\n", "b": "FROM --platform=linux/riscv64 a\n"})
    assert fault(root, DockerfileError, "b") == (
        "b/Dockerfile:1: a is needed for linux/riscv64, which is not a platform of this project\n"
        "  declare a platform with that docker value in stages.toml"
    )


def test_parents_need_neither_context_nor_lock(tmp_path: Path) -> None:
    root = stages(
        tmp_path, {"a": "FROM scratch\nCOPY nothing /\n", "b": "FROM debian:12\nCOPY --from=a / /\n"}
    )
    assert graph(root).order(amd64("b")) == amd64("a", "b")


@pytest.mark.parametrize(
    ("dockerfiles", "start", "said"),
    [
        (
            {
                "a": "FROM scratch\n\nCOPY --from=b / /\n",
                "b": "FROM c\n",
                "c": "FROM scratch\nRUN --mount=from=a,target=/a x\n",
            },
            "a",
            "stages.toml: a cycle: a -> b -> c -> a\n"
            "  a/Dockerfile:3 uses b\n  b/Dockerfile:1 uses c\n  c/Dockerfile:2 uses a",
        ),
        (
            {"a": "FROM docker.io/library/a\n"},
            "a",
            "stages.toml: a cycle: a -> a\n  a/Dockerfile:1 uses a\n"
            "  for an external image, write a tag other than latest: a:TAG",
        ),
        (
            {"top": "FROM a\n", "a": "FROM b\n", "b": "FROM a\n"},
            "top",
            "stages.toml: a cycle: a -> b -> a\n  a/Dockerfile:1 uses b\n  b/Dockerfile:1 uses a",
        ),
        (
            {"a": "FROM b\n", "b": "FROM b\nONBUILD COPY x /\n"},
            "a",
            "stages.toml: a cycle: b -> b\n  b/Dockerfile:1 uses b\n"
            "  for an external image, write a tag other than latest: b:TAG",
        ),
    ],
)
def test_a_cycle_is_reported_as_a_path_with_lines(
    tmp_path: Path, dockerfiles: dict[str, str], start: str, said: str
) -> None:
    assert fault(stages(tmp_path, dockerfiles), ProjectError, start) == said


def test_cycle_over_platforms(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM --platform=linux/amd64 a\n"})
    with pytest.raises(ProjectError, match=r"a cycle: a:amd64 -> a:amd64|a cycle: a -> a"):
        graph(root).key(Node("a", "aarch64"))


def test_a_chain_longer_than_the_recursion_limit_of_python(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(1500)]
    dockerfiles = {name: f"FROM {before}\n" for before, name in zip(["scratch", *names], names, strict=False)}
    nodes = graph(stages(tmp_path, dockerfiles))
    assert nodes.key(Node(names[-1], "amd64"))
    assert nodes.order(amd64(names[-1])) == amd64(*names)


# -- keys --------------------------------------------------------------------------------------------


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return change


ALL = {"base", "tool", "part", "other", "app"}


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (edit("part/make", "x", "y"), {"part", "app"}),
        (edit("other/f", "x", "y"), {"other", "app"}),
        (edit("tool/Dockerfile", "gcc", "g++"), {"tool", "part", "app"}),
        (edit("app/Dockerfile", "FROM base", "FROM base\nARG A"), {"app"}),
        (edit("app/Dockerfile", "FROM", "ARG A\nFROM"), set()),
        (edit("stages.lock", "2025-01-31", "2025-02-01"), ALL - {"other"}),
        (edit("stages.toml", '"trixie"', '"forky"'), ALL - {"other"}),
        (edit("stages.toml", '"trixie"', '"trixie"\ninclude = ["less"]'), ALL - {"other"}),
        (edit("stages.toml", 'path = "part"', 'path = "part"\nargs = { CPU = "x" }'), {"part", "app"}),
        (edit("stages.toml", 'path = "part"', 'path = "part"\nnetwork = "none"'), {"part", "app"}),
        (edit("stages.toml", 'path = "other"', 'path = "other"\narchive = true'), {"other", "app"}),
        (edit("stages.toml", 'atom"', 'atom"\nsource_date_epoch = 1'), ALL),
        (edit("stages.toml", "linux/amd64", "linux/386"), ALL),
        # these are no inputs of a key
        (edit("stages.toml", 'atom"', 'another"\nregistry = "host"'), set()),
        (edit("stages.toml", '"linux/amd64"', '"linux/amd64"\nargs = { UNUSED = "x" }'), set()),
        (edit("part/Dockerfile", "ARG", "# a comment\n\n  ARG"), set()),
        (lambda root: write(root, {"part/not-copied": "x", "other/.dockerignore": "x"}), set()),
        (lambda root: (root / "part" / "make").touch(), set()),
        (lambda root: (root / "other" / "f").chmod(0o600), set()),
    ],
)
def test_a_change_changes_exactly_these_keys(
    tmp_path: Path, change: Callable[[Path], object], moved: set[str]
) -> None:
    before = keys(family(tmp_path))
    change(tmp_path)
    after = keys(tmp_path)
    assert {
        node.partition(":")[0] for node in after if node.endswith(":amd64") and after[node] != before[node]
    } == moved


def test_the_key_contains_the_manifest_of_an_external_image_for_its_platform(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM debian:12\n"})
    registry = Registry({"debian:12": resolved("one")})
    before = keys(root, registry)
    lock = (root / "stages.lock").read_text()
    (root / "stages.lock").write_text(
        lock.replace(sha("one arm64"), sha("new arm64")).replace(sha("one index"), sha("new"))
    )
    after = keys(root, registry)
    assert before["a:amd64"] == after["a:amd64"]
    assert before["a:aarch64"] != after["a:aarch64"]


def test_external_base(tmp_path: Path) -> None:
    nodes = graph(stages(tmp_path, {"a": "FROM base\n"}))
    assert [str(node) for node in nodes.nodes] == ["a:amd64", "a:aarch64"]
    (image,) = nodes.spec(Node("a", "aarch64")).images
    assert (image.reference, image.digest, image.index) == (
        "debian:trixie",
        sha("debian arm64"),
        sha("debian index"),
    )


def test_jetson_shares_nodes_whose_arguments_do_not_differ(tmp_path: Path) -> None:
    more = '[platforms.jetson]\ndocker = "linux/arm64"\nargs = { CPU = "a57" }\n'
    root = stages(tmp_path, {"a": "FROM base\n", "b": "FROM a\nARG CPU\n"}, more=more)
    found = keys(root)
    assert found["a:jetson"] == found["a:aarch64"] != found["a:amd64"]
    assert found["b:jetson"] != found["b:aarch64"]


def test_the_content_key_depends_only_on_the_images_of_the_parents(tmp_path: Path) -> None:
    nodes = graph(family(tmp_path))
    node = Node("app", "amd64")
    before = nodes.key(node)
    one = nodes.content_inputs(node, lambda parent: sha(parent.node.stage))
    edit("part/make", "x", "y")(tmp_path)
    again = graph(tmp_path)
    assert again.key(node) != before
    assert again.content_inputs(node, lambda parent: sha(parent.node.stage)) == one
    assert again.content_inputs(node, lambda _: sha("new")) != one


def test_copy_and_from_of_one_parent_are_two_edges(tmp_path: Path) -> None:
    nodes = graph(stages(tmp_path, {"a": "FROM scratch\n", "b": "FROM a\nCOPY --from=a / /\n"}))
    parents = [(i.name, i.value) for i in nodes.inputs(Node("b", "amd64")) if i.role == "parent"]
    key = nodes.key(Node("a", "amd64"))
    assert parents == [("0", key), ("1 files", key)]


SAME = [
    ("FROM p1", "FROM p2"),
    ("FROM p1", "FROM docker.io/library/p2:latest AS x"),
    ("FROM p1", "FROM --platform=$TARGETPLATFORM p1"),
    ("FROM p1", "ARG B=p2\nFROM ${B}"),
    ("ARG A=p B=${A}1\nFROM ${B}", "ARG OTHER=x\nARG B=p2\nFROM ${B}"),
    ("FROM p1 AS x\nRUN a\nFROM x", "FROM p2 AS y\nRUN a\nFROM y"),
    ("FROM scratch\nCOPY --from=p1 / /", "FROM scratch\nCOPY --from=p2 / /"),
    ("FROM p1 AS x\nFROM scratch\nCOPY --from=x / /", "FROM p1 AS y\nFROM scratch\nCOPY --from=0 / /"),
    (
        "FROM scratch AS x\nFROM q\nRUN --mount=from=x,target=/x y",
        "FROM scratch AS y\nFROM q\nRUN --mount=target=/x,from=y y",
    ),
    (
        "FROM q\nRUN --mount=type=bind,from=p1,target=/x y",
        'FROM q\nRUN --mount=type=bind,"from=p2",dst=/x y',
    ),
    ("FROM --platform=linux/arm64 p1", "ARG P=arm64\nFROM --platform=$P p2"),
    ("FROM p1 AS unused\nFROM q", "FROM q"),
    ("ARG B=1\nFROM p1", "ARG B=2\nFROM p1"),
    ("FROM scratch\nCOPY --from=scratch / /", "FROM scratch AS x\nCOPY --from=scratch / /"),
]
DIFFERENT = [
    ("FROM p1", "FROM q"),
    ("FROM p1\nCOPY --from=q / /", "FROM q\nCOPY --from=p1 / /"),
    (
        "FROM scratch\nCOPY --from=p1 / /\nCOPY --from=q / /",
        "FROM scratch\nCOPY --from=q / /\nCOPY --from=p1 / /",
    ),
    ("FROM q\nRUN --mount=from=p1,target=/x y", "FROM q\nRUN --mount=from=q,target=/x y"),
    ("FROM q\nRUN --mount=from=p1,target=/x y", "FROM q\nRUN --mount=from=p1,target=/z y"),
    (
        "FROM p1 AS a\nFROM q AS b\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /c",
        "FROM p1 AS a\nFROM q AS b\nFROM scratch\nCOPY --from=b / /\nCOPY --from=a / /c",
    ),
    ("FROM p1", "FROM --platform=linux/arm64 p1"),
    (
        "FROM --platform=linux/arm64 p1 AS x\nFROM p1\nCOPY --from=x / /",
        "FROM p1 AS x\nFROM --platform=linux/arm64 p1\nCOPY --from=x / /",
    ),
    ("FROM p1", "FROM scratch\nCOPY --from=p1 / /"),
    ("FROM scratch\nCOPY --from=p1 / /", "FROM scratch\nCOPY --from=scratch / /"),
    ("FROM scratch AS x\nFROM scratch\nCOPY --from=x / /", "FROM scratch\nCOPY --from=scratch / /"),
    ("FROM p1 AS x\nFROM x", "FROM p1 AS x\nFROM p1"),
    # an argument of the head that a build stage also declares
    ("ARG B=p1\nFROM ${B}\nARG B", "ARG B=p2\nFROM ${B}\nARG B"),
    ("ARG A=1\nARG B=$A\nFROM p1\nARG B", "ARG A=2\nARG B=$A\nFROM p1\nARG B"),
    ("ARG B=1\nFROM p1 AS x\nONBUILD ARG B\nFROM x", "ARG B=2\nFROM p1 AS x\nONBUILD ARG B\nFROM x"),
    ("ARG BUILDKIT_X=1\nFROM p1", "ARG BUILDKIT_X=2\nFROM p1"),
    # from version 0.17 on, BuildKit passes the name of the target to a step
    ("FROM p1 AS x\nARG TARGETSTAGE", "FROM p1 AS y\nARG TARGETSTAGE"),
]


def two_keys(root: Path, one: str, other: str) -> tuple[str, str]:
    """Return the keys of two stages. ``p1`` and ``p2`` are equal stages, ``q`` is a different one."""
    files = {"p1": "FROM scratch\n", "q": "FROM scratch\nLABEL a=b\n", "one": one, "other": other}
    nodes = graph(stages(root, files, more='[stages.p2]\npath = "p1"\n'))
    return nodes.key(Node("one", "amd64")), nodes.key(Node("other", "amd64"))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_are_not_part_of_a_key(tmp_path: Path, one: str, other: str) -> None:
    keys = two_keys(tmp_path, one, other)
    assert keys[0] == keys[1]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_places_give_different_keys(tmp_path: Path, one: str, other: str) -> None:
    keys = two_keys(tmp_path, one, other)
    assert keys[0] != keys[1]


def test_an_argument_that_names_a_parent_is_sent_but_not_part_of_the_key(tmp_path: Path) -> None:
    more = '[stages.p2]\npath = "p1"\n[stages.c1]\npath = "c"\nargs = { B = "p1" }\n'
    more += '[stages.c2]\npath = "c"\nargs = { B = "p2" }\n'
    stages(tmp_path, {"p1": "FROM scratch\n"}, more=more)
    write(tmp_path, {"c/Dockerfile": "ARG B\nFROM ${B}\n"})
    nodes = graph(tmp_path)
    assert nodes.key(Node("c1", "amd64")) == nodes.key(Node("c2", "amd64"))
    assert dict(nodes.spec(Node("c2", "amd64")).analysis.args) == {"B": "p2"}
    (shown,) = [i.shown for i in nodes.inputs(Node("c2", "amd64")) if i.role == "parent"]
    assert shown == "p2"


def test_a_trigger_may_declare_a_global_argument(tmp_path: Path) -> None:
    """The argument gets the head's value, although no instruction of this Dockerfile uses it."""
    files = {"a": "FROM scratch\nONBUILD ARG B\n", "one": "ARG B=1\nFROM a\n", "other": "ARG B=2\nFROM a\n"}
    stages(tmp_path, files)
    write(tmp_path, {"stages.lock": 'archive = "2025-01-31"\n'})
    nodes = graph(tmp_path)
    assert nodes.key(Node("one", "amd64")) != nodes.key(Node("other", "amd64"))


def test_the_network_is_part_of_the_key_only_if_something_runs(tmp_path: Path) -> None:
    files = {
        "a": "FROM scratch\nONBUILD LABEL a=b\n",
        "b": "FROM scratch\n",
        "c": "FROM b\nRUN x\n",
        "d": "FROM a\n",
    }
    files["e"] = "FROM scratch AS x\nONBUILD RUN y\nFROM x\n"
    stages(tmp_path, files)
    write(tmp_path, {"stages.lock": 'archive = "2025-01-31"\n'})
    before = keys(tmp_path)
    text = (tmp_path / "stages.toml").read_text()
    write(tmp_path, {"stages.toml": text + '[defaults]\nnetwork = "none"\n'})
    after = keys(tmp_path)
    assert {node[0] for node in after if before[node] != after[node]} == {"c", "d", "e"}


# -- triggers ----------------------------------------------------------------------------------------


def test_trigger_of_a_parent_takes_the_whole_context(tmp_path: Path) -> None:
    root = stages(
        tmp_path,
        {"a": "FROM scratch\nONBUILD COPY . /\n", "b": "FROM a\n", "c": "FROM scratch\nCOPY --from=a / /\n"},
    )
    write(root, {"b/f": "x", "c/f": "x", "stages.lock": 'archive = "2025-01-31"\n'})
    nodes = graph(root)
    b, c = nodes.spec(Node("b", "amd64")), nodes.spec(Node("c", "amd64"))
    assert [entry.path for entry in b.entries] == ["Dockerfile", "f"]
    # a trigger may run the package manager
    assert b.package_date == "2025-01-31"
    assert (c.entries, c.package_date) == ((), "")


def test_triggers_of_a_build_stage_that_is_not_the_parent_s_last(tmp_path: Path) -> None:
    two = "FROM scratch AS x\nONBUILD COPY . /\nFROM scratch\nONBUILD COPY . /\nFROM scratch\n"
    root = write(stages(tmp_path, {"a": two, "b": "FROM a\n"}), {"b/f": "x"})
    assert not graph(root).spec(Node("b", "amd64")).entries
    root = write(
        stages(tmp_path, {"a": two, "b": "FROM a\n"}, more='[stages.c]\npath = "a"\ntarget = "X"\n'), {}
    )
    write(root, {"b/Dockerfile": "FROM c\n", "stages.lock": 'archive = "2025-01-31"\n'})
    assert graph(root).spec(Node("b", "amd64")).entries


def test_a_trigger_that_depends_on_the_machine_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key contains the value that the builder gets. Without such a trigger, machines share the key."""
    root = stages(
        tmp_path, {"a": "FROM scratch\nONBUILD ARG BUILDARCH\n", "b": "FROM a\n", "c": "FROM n:1\n"}
    )
    write(root, {"p/Dockerfile": "FROM scratch\nONBUILD LABEL a=b\n", "q/Dockerfile": "FROM p\n"})
    with (root / "stages.toml").open("a") as file:
        file.write('[stages.p]\npath = "p"\n[stages.q]\npath = "q"\n')
    write(root, {"stages.lock": 'archive = "2025-01-31"\n'})
    registry = Registry({"n:1": resolved("n", onbuild=True)})
    monkeypatch.setattr(reader, "host_platform", lambda: "linux/amd64")
    one = keys(root, registry)
    assert dict(graph(root, registry).spec(Node("b", "amd64")).analysis.args) == {"BUILDARCH": "amd64"}
    monkeypatch.setattr(reader, "host_platform", lambda: "linux/arm64")
    other = keys(root, registry)
    assert {node[0] for node in one if one[node] != other[node]} == {"b", "c"}
    write(root, {"b/Dockerfile": "FROM a\nARG BUILDARCH=x\n"})
    assert "ARG BUILDARCH has a default here" in fault(root, DockerfileError, "b", registry=registry)


def test_trigger_of_an_external_image(tmp_path: Path) -> None:
    root = write(stages(tmp_path, {"a": "FROM node:onbuild\n"}), {"a/f": "x"})
    spec = graph(root, Registry({"node:onbuild": resolved("x", onbuild=True)})).spec(Node("a", "amd64"))
    assert [entry.path for entry in spec.entries] == ["Dockerfile", "f"]


def test_a_trigger_of_an_external_image_that_copies_from_another_image_is_an_error(tmp_path: Path) -> None:
    """An error, because BuildKit would resolve the other name during the build, without a pin."""
    use = "FROM scratch\nCOPY --from=node:onbuild / /\n"
    root = stages(tmp_path, {"a": "FROM scratch\nFROM node:onbuild\n", "b": use})
    registry = Registry({"node:onbuild": resolved("x", onbuild=True, onbuild_from=True)})
    assert fault(root, DockerfileError, "a", registry=registry).startswith(
        "a/Dockerfile:2: triggers (ONBUILD) of node:onbuild take from another image"
    )
    assert graph(root, registry).key(Node("b", "amd64"))  # it only copies files


# -- reading -----------------------------------------------------------------------------------------


def test_files_are_read_once(tmp_path: Path) -> None:
    nodes = graph(family(tmp_path))
    node = Node("part", "amd64")
    key, spec = nodes.key(node), nodes.spec(node)
    edit("part/make", "x", "y")(tmp_path)
    edit("part/Dockerfile", "RUN make", "RUN other")(tmp_path)
    assert (nodes.key(node), nodes.spec(node)) == (key, spec)


def test_threads_read_each_node_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = graph(family(tmp_path))
    read: list[Node] = []
    real = reader.NodeReader._read

    def counted(self: reader.NodeReader, node: Node) -> keys_spec.NodeSpec:
        read.append(node)
        return real(self, node)

    monkeypatch.setattr(reader.NodeReader, "_read", counted)
    threads = [threading.Thread(target=nodes.key, args=amd64("app")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read) == sorted(amd64("base", "tool", "part", "other", "app"))


@pytest.mark.parametrize(
    ("ignore", "copy", "exposed"),
    [
        ("", ".", False),
        ("Dockerfile\n", ".", True),
        ("Dockerfile\n", "D*", True),
        ("Dockerfile\n", "f", False),
        ("", "f", False),
    ],
)
def test_exposed_dockerfile(tmp_path: Path, ignore: str, copy: str, exposed: bool) -> None:
    root = write(
        stages(tmp_path, {"a": f"FROM scratch\nCOPY {copy} /\n"}), {"a/f": "", "a/.dockerignore": ignore}
    )
    assert graph(root).spec(Node("a", "amd64")).exposed is exposed


def test_a_dockerfile_that_is_a_link_is_exposed_if_copy_takes_it(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\nCOPY . /\n"})
    (root / "a" / "Dockerfile").rename(root / "shared")
    (root / "a" / "Dockerfile").symlink_to("../shared")
    assert graph(root).spec(Node("a", "amd64")).exposed


def test_dockerfile_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\nCOPY . /\n"})
    real = analysis.analyse

    def edited(*args: object, **options: object) -> object:
        edit("a/Dockerfile", "scratch", "base")(root)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(dockerfiles, "analyse", edited)
    assert fault(root, ContextError, "a") == (
        "a/Dockerfile: changed while it was read\n  run again while nothing changes the folder"
    )


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\r\nCOPY <<E /x\r\ny\r\nE\r\n"})
    spec = graph(root).spec(Node("a", "amd64"))
    assert spec.text.encode() == (root / "a" / "Dockerfile").read_bytes()
    assert "y\\r\\n" in graph(root).inputs(Node("a", "amd64"))[-1].value


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        (
            'args = { CPP = "x" }\n',
            ProjectError,
            "stages.toml:9: stage a: a/Dockerfile declares no argument CPP\n  did you mean 'CPU'?",
        ),
        (
            'target = "ou"\n',
            DockerfileError,
            "a/Dockerfile: has no stage 'ou'\n  did you mean 'out'?",
        ),
    ],
)
def test_a_stage_that_does_not_fit_its_dockerfile_is_an_error(
    tmp_path: Path, more: str, kind: type[StagegraphError], said: str
) -> None:
    root = stages(tmp_path, {"a": "FROM scratch AS out\nARG CPU\n"}, more=more)
    assert fault(root, kind, "a") == said


def test_a_dockerfile_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM scratch\n"})
    write(root, {"a/Dockerfile": b"FROM \xff\n"})
    assert fault(root, DockerfileError, "a").startswith("a/Dockerfile: is not UTF-8: ")


def test_folders_with_odd_names(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s a "folder" ä'
    assert keys(stages(root, {"a": "FROM scratch\n"})) == keys(
        stages(tmp_path / "x", {"a": "FROM scratch\n"})
    )


# -- unusual input -------------------------------------------------------------------------------


def test_a_stage_cannot_be_based_on_a_test(tmp_path: Path) -> None:
    write(tmp_path, {"t/Dockerfile": "FROM a\n"})
    more = '[images.a]\ntest = "t"\n'
    stages(tmp_path, {"a": "FROM base\n", "b": "FROM a-test\n"}, more=more)
    said = fault(tmp_path, DockerfileError, "b")
    assert "b/Dockerfile:1: a-test is the test of image a; nothing can be based on it" in said


def test_a_trigger_of_a_parent_may_use_its_arguments_and_every_secret(tmp_path: Path) -> None:
    more = '[defaults]\nargs = { FOO = "2", BAR = "3" }\n[secrets.token]\nenv = "TOKEN"\n'
    stages(tmp_path, {"par": "FROM base\nONBUILD ARG FOO=1\n", "kid": "FROM par\n"}, more=more)
    facts = graph(tmp_path).spec(Node("kid", "amd64")).analysis
    assert dict(facts.args) == {"FOO": "2"} and facts.needs_all
    assert graph(tmp_path).spec(Node("par", "amd64")).analysis.needs == ()
    write(tmp_path, {"par/Dockerfile": "FROM base\nONBUILD ARG $X=1\n"})
    assert dict(graph(tmp_path).spec(Node("kid", "amd64")).analysis.args).keys() > {"FOO", "BAR"}


def test_the_stage_that_declares_a_trigger_knows_the_secrets_of_the_trigger(tmp_path: Path) -> None:
    """The stage that declares the trigger knows the secret, so an undeclared secret is reported there."""
    stages(tmp_path, {"par": "FROM base\nONBUILD RUN --mount=type=secret,id=token x\n"})
    assert graph(tmp_path).spec(Node("par", "amd64")).analysis.secrets == {"token"}


def test_a_context_that_contains_the_store_is_an_error(tmp_path: Path) -> None:
    stages(tmp_path, {}, more='[stages.all]\npath = "."\n')
    write(tmp_path, {"Dockerfile": "FROM base\nCOPY . /\n", "cache/index.json": "x"})
    assert "Dockerfile: the build reads cache/" in fault(tmp_path, ContextError, "all")
    write(tmp_path, {".dockerignore": "cache\n"})
    assert graph(tmp_path).key(Node("all", "amd64"))


def test_a_base_of_two_images_cannot_be_used_for_both_platforms_at_once(tmp_path: Path) -> None:
    registry = Registry({"other": resolved("other")})
    head = HEAD.replace('"debian:trixie"', '"debian:trixie"\n[base.platforms.aarch64]\nimage = "other"')
    both = "FROM --platform=linux/arm64 base AS o\nFROM base\nCOPY --from=o / /o\n"
    stages(tmp_path, {"a": both, "b": "FROM --platform=linux/arm64 base\n"}, head=head)
    said = fault(tmp_path, DockerfileError, "a", registry=registry)
    assert "base is debian:trixie for one platform and other for another" in said
    # used for one platform only, ``base`` is the image of that platform
    [image] = graph(tmp_path, registry).spec(Node("b", "amd64")).images
    assert image.reference == "other"


FOREIGN = '"debian:trixie"\n[base.platforms.aarch64]\npath = "foreign"'


def test_a_base_that_is_a_stage_may_use_the_base_of_another_platform(tmp_path: Path) -> None:
    head = HEAD.replace('image = "debian:trixie"', f"bootstrap = {FOREIGN}".replace("debian:", ""))
    text = (
        "FROM --platform=linux/amd64 base AS tool\nRUN apt-get update\nFROM scratch\nCOPY --from=tool / /\n"
    )
    write(tmp_path, {"foreign/Dockerfile": text})
    nodes = graph(stages(tmp_path, {"a": "FROM base\n"}, head=head))
    base = Node("base", "aarch64")
    assert nodes.parents(Node("a", "aarch64")) == [base]
    assert nodes.parents(base) == [Node("base", "amd64")]
    assert nodes.spec(base).package_date and nodes.spec(base).bootstrap is None
    assert nodes.order([base]) == [Node("base", "amd64"), base]


def test_a_base_that_is_based_on_itself_is_a_cycle(tmp_path: Path) -> None:
    write(tmp_path, {"foreign/Dockerfile": "FROM base\n"})
    stages(tmp_path, {"a": "FROM base\n"}, head=HEAD.replace('"debian:trixie"', FOREIGN))
    with pytest.raises(ProjectError, match="base -> base"):
        graph(tmp_path).order([Node("a", "aarch64")])


def test_a_base_cannot_be_a_stage_and_an_image_at_once(tmp_path: Path) -> None:
    write(tmp_path, {"foreign/Dockerfile": "FROM scratch\n"})
    both = "FROM --platform=linux/arm64 base AS o\nFROM base\nCOPY --from=o / /o\n"
    stages(tmp_path, {"a": both}, head=HEAD.replace('"debian:trixie"', FOREIGN))
    said = fault(tmp_path, DockerfileError, "a")
    assert "base is debian:trixie for one platform and a stage for another" in said


@pytest.mark.parametrize("declared", ["ARG FO\\\nO=1", "ARG N=FOO\nARG $N=1"])
def test_an_argument_whose_name_is_not_in_the_text(tmp_path: Path, declared: str) -> None:
    stages(tmp_path, {"a": f"FROM base\n{declared}\n"}, more='[defaults]\nargs = { FOO = "2" }\n')
    assert dict(graph(tmp_path).spec(Node("a", "amd64")).analysis.args) == {"FOO": "2"}


STACK = """
[images.top]
stack = ["low", "top"]
[images.other]
stack = ["low", "mid", "top"]
"""
ON = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"


def test_a_stage_on_two_parents_is_two_nodes(tmp_path: Path) -> None:
    stages(tmp_path, {"low": "FROM base\n", "mid": ON + "LABEL a=b\n", "top": ON}, more=STACK)
    nodes = graph(tmp_path)
    goals = amd64("low--mid--top", "low--top")
    assert nodes.order(goals) == amd64("low", "low--mid", "low--mid--top", "low--top")
    assert nodes.key(Node("low--mid--top", "amd64")) != nodes.key(Node("low--top", "amd64"))


def test_a_stacked_stage_must_start_from_the_stage_below(tmp_path: Path) -> None:
    stages(tmp_path, {"low": "FROM base\n", "mid": ON, "top": "FROM base\n"}, more=STACK)
    said = fault(tmp_path, DockerfileError, "low--top")
    assert "it is stacked on low, but does not start from it\n  write ARG BASE_IMAGE, then FROM" in said


def test_a_stacked_stage_must_be_named_with_the_stages_below(tmp_path: Path) -> None:
    files = {"low": "FROM base\n", "mid": ON, "top": ON, "user": "FROM low\nCOPY --from=top / /\n"}
    stages(tmp_path, files, more=STACK)
    said = fault(tmp_path, DockerfileError, "user")
    assert "user/Dockerfile:2: top is only part of stacks" in said
    assert "low--top" in said


def test_a_stacked_stage_is_on_the_platforms_of_its_images(tmp_path: Path) -> None:
    """A stacked stage is on the platforms of all images with it; so is a test. Any other use is an error."""
    images = STACK.replace('["low", "top"]\n', '["low", "top"]\nplatforms = ["aarch64"]\ntest = "test"\n')
    images = images.replace('["low", "mid", "top"]\n', '["low", "mid", "top"]\nplatforms = ["amd64"]\n')
    write(tmp_path, {"test/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN x\n"})
    files = {"low": "FROM base\n", "mid": ON, "top": ON, "user": "FROM low\nCOPY --from=low--top / /\n"}
    nodes = graph(stages(tmp_path, files, more=images))
    found = {str(node) for node in nodes.nodes}
    assert {name for name in found if "--" in name or "test" in name} == {
        "low--mid:amd64", "low--mid--top:amd64", "low--top:aarch64", "top-test:aarch64",
    }  # fmt: skip
    assert nodes.parents(Node("user", "aarch64")) == [Node("low", "aarch64"), Node("low--top", "aarch64")]
    said = fault(tmp_path, DockerfileError, "user")
    assert said == (
        "user/Dockerfile:2: low--top is not built for amd64\n  add amd64 to platforms of top in stages.toml"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM base\nRUN x\n", "the test of image a does not use it\n  write ARG IMAGE, then FROM ${IMAGE}"),
        ("ARG IMAGE\nFROM ${IMAGE}\n", "the test of image a has no RUN, so it tests nothing"),
    ],
)
def test_a_test_that_does_not_use_its_image_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, {"test/Dockerfile": text})
    stages(tmp_path, {"a": "FROM base\n"}, more='[images.a]\ntest = "test"\n')
    assert said in fault(tmp_path, DockerfileError, "a-test")


def test_an_unknown_instruction_is_an_error(tmp_path: Path) -> None:
    stages(tmp_path, {"a": "FROM base\nCOPPY x /\n"})
    said = fault(tmp_path, DockerfileError, "a")
    assert said == "a/Dockerfile:2: unknown instruction COPPY\n  did you mean 'COPY'?"


def test_the_name_of_the_build_stage_counts_if_a_global_default_contains_it(tmp_path: Path) -> None:
    text = "ARG WHO=$TARGETSTAGE\nFROM scratch AS one\nARG WHO\nLABEL a=$WHO\n"
    one = keys(stages(tmp_path / "a", {"x": text}))
    assert one != keys(stages(tmp_path / "b", {"x": text.replace("one", "two")}))


def test_an_argument_may_be_declared_by_a_trigger_of_the_parent(tmp_path: Path) -> None:
    dockerfiles = {"a": "FROM scratch\nONBUILD ARG V\n", "b": "FROM a\n"}
    root = stages(tmp_path / "x", dockerfiles, more='args = { V = "1" }\n')
    other = stages(tmp_path / "y", dockerfiles, more='args = { V = "2" }\n')
    assert graph(root).spec(Node("b", "amd64")).analysis.args["V"] == "1"
    assert keys(root)["b:amd64"] != keys(other)["b:amd64"]
    slip = stages(tmp_path / "z", dockerfiles, more='args = { W = "1" }\n')
    assert "declares no argument W" in fault(slip, ProjectError, "b")
