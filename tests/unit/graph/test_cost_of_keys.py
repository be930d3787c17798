"""What keys cost: files are read once, and work grows in step with the graph. Calls are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from helpers import HEAD, graph, stages, write

from stagegraph.context.selection import ContextSelection
from stagegraph.dockerfile.analysis import _Analysis
from stagegraph.errors import StagegraphError
from stagegraph.graph.graph import Graph
from stagegraph.graph.reader import NodeReader
from stagegraph.keys import inputs
from stagegraph.project.model import Node

pytestmark = pytest.mark.unit

ORDERS = pytest.mark.parametrize("order", [list, lambda nodes: [*nodes][::-1]], ids=["first", "last"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str], Counter[str]]:
    """A function that begins to count the calls of a method, by their first argument."""

    def counted(kind: type, name: str) -> Counter[str]:
        found, real = Counter[str](), getattr(kind, name)

        def call(self: Any, first: Any, *more: Any) -> Any:
            found[str(first)] += 1
            return real(self, first, *more)

        monkeypatch.setattr(kind, name, call)
        return found

    return counted


def mesh(root: Path, count: int, first: str = "FROM scratch\n") -> Graph:
    """A graph in which each stage has the two before it as parents."""
    files = {f"s{n:03}": f"FROM s{n - 1:03}\nCOPY --from=s{max(n - 2, 0):03} / /\n" for n in range(1, count)}
    return graph(stages(root, {"s000": first, **files}))


def errors(nodes_of: Graph, nodes: list[Node]) -> dict[Node, str]:
    found: dict[Node, str] = {}
    for node in nodes:
        try:
            found[node] = nodes_of.key(node)
        except StagegraphError as error:
            found[node] = f"{type(error).__name__} {error} {error.node}"
    return found


@ORDERS
@pytest.mark.parametrize("first", ["FROM scratch\n", "FROM nobody/has:it\n", "FROM nobody\n"])
def test_work_grows_with_the_number_of_stages(
    tmp_path: Path, first: str, order: Any, calls: Callable[[type, str], Counter[str]]
) -> None:
    """All is well; an image that nobody has; a Dockerfile that is broken."""
    steps = calls(Graph, "_parents_of")
    done = {}
    for count in (20, 40):
        nodes_of = mesh(tmp_path / str(count), count, first)
        steps.clear()
        errors(nodes_of, order([node for node in nodes_of.nodes if node.platform == "amd64"]))
        done[count] = steps.total()
    assert 20 < done[40] < 2.2 * done[20]


@ORDERS
def test_a_node_without_a_key_is_read_once(
    tmp_path: Path, order: Any, calls: Callable[[type, str], Counter[str]]
) -> None:
    nodes_of, read = mesh(tmp_path, 10, "FROM nobody/has:it\n"), calls(NodeReader, "_read")
    found = errors(nodes_of, order([node for node in nodes_of.nodes if node.platform == "amd64"]))
    assert read == {"s000:amd64": 1}
    assert len({*found.values()}) == 1 and "s000/Dockerfile:1" in found[Node("s009", "amd64")]


BROKEN = {
    "good": "FROM scratch\n",
    "image": "FROM good\nCOPY --from=nobody/has:it / /\n",
    "file": "FROM good\nCOPY missing /\n",
    "line": "FROM good\nCOPY --from=nobody / /\n",
    "both": "FROM file\nCOPY --from=image / /\n",
    "all": "FROM image\nCOPY --from=both / /\nCOPY --from=line / /\n",
}


def test_an_error_does_not_depend_on_who_asked_before(tmp_path: Path) -> None:
    root = stages(tmp_path, BROKEN)
    nodes = [Node(name, "amd64") for name in BROKEN]
    alone = {node: errors(graph(root), [node])[node] for node in nodes}
    assert len({*alone.values()}) == 4
    for order in [*permutations(nodes)][::23]:
        assert errors(graph(root), [*order]) == alone


def test_a_cycle_is_the_same_for_each_of_its_nodes(tmp_path: Path) -> None:
    root = stages(tmp_path, {"a": "FROM c\n", "b": "FROM a\n", "c": "FROM b\n", "d": "FROM b\n"})
    nodes = [Node(name, "amd64") for name in "abcd"]
    alone = {node: errors(graph(root), [node])[node] for node in nodes}
    assert len({*alone.values()}) == 1
    for order in permutations(nodes):
        assert errors(graph(root), [*order]) == alone


def test_a_deep_chain_has_keys(tmp_path: Path) -> None:
    nodes_of = mesh(tmp_path, 600)
    assert len(nodes_of.order([Node("s599", "amd64")])) == 600
    assert nodes_of.key(Node("s599", "amd64"))


def test_platforms_that_read_the_same_files_read_them_once(
    tmp_path: Path, calls: Callable[[type, str], Counter[str]]
) -> None:
    root = write(stages(tmp_path, {"one": "FROM scratch\nCOPY f /\n"}), {"one/f": "x"})
    nodes_of, selections = graph(root), calls(ContextSelection, "select")
    assert len({nodes_of.key(node) for node in nodes_of.nodes}) == len(nodes_of.nodes) == 2
    assert selections.total() == 1


def test_platforms_that_read_other_files_have_their_own(tmp_path: Path) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY f-${TARGETARCH} /\n"
    root = write(stages(tmp_path, {"one": text}), {"one/f-amd64": "x", "one/f-arm64": "y"})
    nodes_of = graph(root)
    paths = {node.platform: [entry.path for entry in nodes_of.spec(node).entries] for node in nodes_of.nodes}
    assert paths == {"amd64": ["f-amd64"], "aarch64": ["f-arm64"]}


def test_platforms_with_the_same_arguments_share_an_analysis(
    tmp_path: Path, calls: Callable[[type, str], Counter[str]]
) -> None:
    three = HEAD + '[platforms.rpi]\ndocker = "linux/arm64"\n'
    root = stages(tmp_path, {"only-here": "FROM scratch\nCMD only-here\n"}, head=three)
    runs = calls(_Analysis, "run")
    for _ in range(2):  # as a project and an earlier commit of it
        nodes_of = graph(root)
        assert len([nodes_of.key(node) for node in nodes_of.nodes]) == 3
    assert runs.total() == 2


def test_platforms_share_the_text_of_an_instruction(tmp_path: Path) -> None:
    nodes_of = graph(stages(tmp_path, {"one": "FROM scratch\nCMD shared\n"}))
    values = [[i.value for i in nodes_of.inputs(node) if "shared" in i.value] for node in nodes_of.nodes]
    assert values[0][0] is values[1][0]
    assert values[0][0] == inputs._json(nodes_of.spec(nodes_of.nodes[0]).analysis.instructions[1].canonical)
