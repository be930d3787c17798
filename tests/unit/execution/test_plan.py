"""A plan of a project whose images are in ``cache/``, or nowhere."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import HEAD, graph, image, stages, write

from stagegraph.cli.commands.plan import WORK_TO_DO
from stagegraph.cli.plan_text import cost_of_epoch
from stagegraph.errors import DockerfileError, ProjectError
from stagegraph.execution.earlier import EarlierBuilds
from stagegraph.execution.lookup import Results, StoreLookup
from stagegraph.execution.plan import Step, plan
from stagegraph.graph.revision import Revisions
from stagegraph.keys.inputs import digest
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

RPI = HEAD + '[platforms.rpi]\ndocker = "linux/arm64"\n'
APP = "FROM scratch\nARG A=1\nARG B=2\nWORKDIR /\nLABEL a=$A b=$B\n"


def steps(root: Path, *nodes: Node) -> list[Step]:
    nodes_of, store = graph(root), LayoutStore(root / "cache")
    builds = EarlierBuilds(nodes_of, store, None, Revisions(root, {}))
    return plan(nodes_of, nodes, StoreLookup(nodes_of, store, None, Results(), lambda: builds))


def built(root: Path, node: Node) -> None:
    """Put an image of a node into ``cache/``, as if a run had built it."""
    store, nodes = LayoutStore(root / "cache"), graph(root)
    inputs = tuple(nodes.inputs(node))
    spec = nodes.spec(node)
    record = image(store, str(node))._replace(node=str(node), inputs=inputs, key=digest(inputs))
    store.commit(record)
    store.set_latest(spec.history_name, record.key)


def test_nodes_that_share_a_key_are_built_once(tmp_path: Path) -> None:
    stages(tmp_path, {"low": "FROM scratch\n", "app": "FROM low\n"}, head=RPI)
    found = steps(tmp_path, Node("app", "aarch64"), Node("app", "rpi"))
    assert [(str(step.node), step.decision, step.reason) for step in found] == [
        ("low:aarch64", "build", "no earlier build of it is known here"),
        ("app:aarch64", "build", "no earlier build of it is known here"),
        ("app:rpi", "reuse", "it shares its key with app:aarch64"),
    ]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (APP.replace("=1", "=5"), "app/Dockerfile:2: instruction changed: ARG A=1 -> ARG A=5"),
        (
            APP.replace("=1", "=5").replace("=2", "=6"),
            "app/Dockerfile:2: instruction changed: ARG A=1 -> ARG A=5; "
            "app/Dockerfile:3: instruction changed: ARG B=2 -> ARG B=6",
        ),
        (
            APP.replace("=1", "=5").replace("=2", "=6").replace("/\n", "/h\n"),
            "app/Dockerfile:2: instruction changed: ARG A=1 -> ARG A=5 (and 2 more)",
        ),
    ],
)
def test_a_reason_names_both_of_two_changes(tmp_path: Path, edit: str, reason: str) -> None:
    app = Node("app", "amd64")
    stages(tmp_path, {"app": APP})
    built(tmp_path, app)
    write(tmp_path, {"app/Dockerfile": edit})
    (step,) = steps(tmp_path, app)
    assert (step.decision, step.reason) == ("build", reason)


def test_the_cost_of_a_new_epoch(tmp_path: Path) -> None:
    both = Node("one", "amd64"), Node("two", "amd64")
    stages(tmp_path, {"one": APP, "two": APP + "LABEL c=d\n"})
    for node in both:
        built(tmp_path, node)
    assert cost_of_epoch(steps(tmp_path, *both)) == ""
    write(
        tmp_path,
        {
            "stages.toml": (tmp_path / "stages.toml")
            .read_text()
            .replace('m"\n', 'm"\nsource_date_epoch = 1\n', 1),
            "two/Dockerfile": APP + "LABEL c=e\n",
        },
    )
    assert cost_of_epoch(steps(tmp_path, *both)) == (
        "source_date_epoch changed, which is part of every key; changed nodes: 2; by this alone: 1"
    )


def test_the_exit_code_tells_whether_there_is_work(tmp_path: Path) -> None:
    def status(*options: str) -> int:
        command = [sys.executable, "-m", "doit", "plan", "one:amd64", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    stages(tmp_path, {"one": APP})
    write(tmp_path, {"dodo.py": "from stagegraph.tasks import *\n"})
    assert (status(), status("--exit-code")) == (0, WORK_TO_DO)
    built(tmp_path, Node("one", "amd64"))
    assert status("--exit-code") == 0
    write(tmp_path, {"one/Dockerfile": "RUM\n"})
    assert status("--exit-code") == DockerfileError.exit_status


def test_a_plan_fails_if_a_run_would_have_no_version(tmp_path: Path) -> None:
    stages(tmp_path, {"one": APP}, more='[images.one]\ntags = ["{version}"]\n')
    declared = (tmp_path / "stages.toml").read_text().replace("[project]\n", '[project]\nversion = "git"\n')
    write(tmp_path, {"stages.toml": declared, "dodo.py": "from stagegraph.tasks import *\n"})
    command = [sys.executable, "-m", "doit", "plan"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == ProjectError.exit_status
    assert "build  one:amd64" in done.stdout
    assert "image one: git has no version for the tag '{version}'" in done.stderr


def test_a_chain_of_stages_has_any_length(tmp_path: Path) -> None:
    length = 400
    files = {f"s{place}": f"FROM {f's{place - 1}' if place else 'scratch'}\n" for place in range(length)}
    stages(tmp_path, files)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(200 + len(inspect.stack()))
    try:
        found = steps(tmp_path, Node(f"s{length - 1}", "amd64"))
    finally:
        sys.setrecursionlimit(before)
    assert [step.node.stage for step in found] == list(files)
