"""A build has two records. A kill between the two loses neither an image nor the pass of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import image, stages

from stagegraph.build.builder import BuildResult
from stagegraph.errors import StoreError
from stagegraph.execution.nodes import NodeRunner
from stagegraph.execution.workspace import Workspace
from stagegraph.keys.key import digits
from stagegraph.keys.spec import NodeSpec
from stagegraph.project import loader
from stagegraph.project.model import Node
from stagegraph.store.folder import Folder
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit

APP, TEST = Node("app", "amd64"), Node("app-test", "amd64")


class Killed(BaseException):
    """The process ends here."""


class Builder:
    """A fake builder, which notes what it builds."""

    def __init__(self, store: LayoutStore, built: list[str]) -> None:
        self.store, self.built = store, built

    def build(self, spec: NodeSpec, parents: Mapping[Node, Record], *, no_cache: bool) -> BuildResult:
        assert not no_cache and set(parents) == {edge.node for edge in spec.parents}
        self.built.append(str(spec.node))
        made = image(self.store, spec.node.stage, (str(spec.node).encode(),))
        return BuildResult(made.digest, made.size, made.files, made.image, ())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    images = '[images.app]\nstage = "app"\ntest = "test"\n'
    stages(tmp_path, {"app": "FROM scratch\nENV A=1\n"}, more=images)
    (tmp_path / "test").mkdir()
    (tmp_path / "test/Dockerfile").write_text("ARG IMAGE\nFROM ${IMAGE}\nRUN true\n")
    return tmp_path


def run(root: Path, built: list[str] | None = None) -> list[str]:
    """Build what is not there, as doit would. Return the nodes that were built."""
    workspace, built = Workspace(loader.load(root, {}, {})), [] if built is None else built
    workspace.acquire_store()
    builder = Builder(workspace.layout, built)
    nodes = NodeRunner(workspace.lookup, None, lambda: builder, workspace.report)  # type: ignore[arg-type, return-value]
    try:
        for node, is_ready in ((APP, nodes.restore), (TEST, nodes.test_passed)):
            if not is_ready(node):
                nodes.build_or_reuse(node)
        assert nodes.test_passed(TEST)
    except Killed:
        pass
    return built


@pytest.mark.parametrize("before", range(1, 5))
@pytest.mark.parametrize("moment", ["before the write", "after the write"])
def test_a_kill_at_a_record_loses_no_image_and_no_pass_of_a_test(
    project: Path, monkeypatch: pytest.MonkeyPatch, before: int, moment: str
) -> None:
    """``before``: the record at which the process is killed, of two for each node."""
    write, count = Folder.write, 0

    def dying(folder: Folder, name: str, data: bytes) -> None:
        nonlocal count
        count += folder.names == ("records",)
        if (count, folder.names) == (before, ("records",)):
            if moment == "after the write":
                write(folder, name, data)
            raise Killed
        write(folder, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", dying)
        first = run(project)
    again = run(project)
    recorded = before - (moment == "before the write")  # records that are there
    done = [str(node) for node, needed in ((APP, 1), (TEST, 3)) if recorded >= needed]
    assert [node for node in first + again if node in done] == done  # each once
    assert run(project) == []
    layout = LayoutStore(project / "cache")
    assert not layout.index.faults()


@pytest.mark.parametrize("gone", ["", "recipe"])
def test_a_node_is_not_built_if_a_newer_version_has_recorded_it(project: Path, gone: str) -> None:
    """Its image could not be recorded. So nothing is built for nothing."""
    run(project)
    workspace = Workspace(loader.load(project, {}, {}))
    recipe = digits(workspace.graph.key(APP))
    kept = {}
    for record in (project / "cache/records").iterdir():
        kept[record] = record.read_bytes().replace(b'"stagegraph.schema":"1"', b'"stagegraph.schema":"2"')
        record.write_bytes(kept[record])
        if gone and record.name == recipe:
            record.unlink()
            del kept[record]
    built = list[str]()
    with pytest.raises(StoreError, match="update stagegraph"):
        run(project, built)
    assert built == []
    assert {record: record.read_bytes() for record in kept} == kept
