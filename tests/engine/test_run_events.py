"""The events of real runs: in ``last-run.json``, the trace, the history and the page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from derived import differences
from kit import Project, Registry, header

from stagegraph.execution.last_run import parse

pytestmark = pytest.mark.engine

STAGES = """
[stages.part]
path = "part"
[stages.whole]
path = "whole"
[images.whole]
test = "test"
"""


@pytest.fixture
def small(project: Project, repo: str, program: Path) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "part/Dockerfile": "FROM scratch\nCOPY program /\nCOPY new /\n",
            "part/new": repo,  # the builder's cache does not have it
            "whole/Dockerfile": 'FROM part\nRUN ["/program", "sleep", "0.4"]\nCOPY file /\n',
            "whole/file": "x\n",
            "test/Dockerfile": 'FROM whole\nRUN ["/program", "test"]\n',
        }
    )
    shutil.copytree(program, project.folder / "part/program")
    return project


def test_a_run_says_what_happened_and_when(small: Project, registry: Registry) -> None:
    small.env["STAGEGRAPH_REGISTRY"] = registry.host
    small.env["STAGEGRAPH_TRACE"] = "trace.json"
    run = small.built("whole:here")
    assert differences("cache/last-run.json", run.last) == set()
    last = parse(run.last)
    assert (last.goals, last.outcome) == (("whole:here",), "done")
    kinds = {event.kind for event in last.events}
    assert kinds == {"build", "test", "step", "look-up", "load", "push"}
    nodes = {node.node: node for node in last.nodes}
    for event in last.events:
        assert 0 <= event.start <= event.end <= last.seconds + 0.1
        if event.kind in ("build", "test", "step"):
            assert nodes[event.node].start <= event.start and event.end <= nodes[event.node].end
    (slept,) = (e for e in last.events if e.node == "whole:here" and "sleep" in e.name)
    assert slept.end - slept.start >= 0.4 and slept.state == "done"
    assert nodes["part:here"].end <= nodes["whole:here"].start
    assert all(node.image_bytes for node in last.nodes)
    trace = json.loads((small.folder / "trace.json").read_text())
    assert sum(event["ph"] == "X" for event in trace) == len(last.nodes) + len(last.events)

    shutil.rmtree(small.folder / "cache")
    pulled = parse(small.built("whole:here").last)
    assert {event.kind for event in pulled.events} == {"look-up", "pull", "push"}  # the tag is checked
    assert [(n.node, n.decision) for n in pulled.nodes if n.decision == "pull"] == [("whole:here", "pull")]
    small.write({"whole/Dockerfile": 'FROM part\nRUN ["/program", "fail", "3"]\n'})
    failed = small.doit("whole:here")
    assert failed.last["outcome"] == "failed"
    states = {e.name: e.state for e in parse(failed.last).events if e.kind == "step" and "fail" in e.name}
    assert [*states.values()] == ["failed"]
    assert small.built("report", "--output=page.html").output == "page.html\n"
    assert 'RUN [\\"/program\\", \\"fail\\", \\"3\\"]' in (small.folder / "page.html").read_text()
    _look_back(small)


def _look_back(small: Project) -> None:
    """After a pull and a failure."""
    runs = json.loads(small.doit("history", "--json").output)["runs"]
    assert [(run["outcome"], run["pulled"], run["failed"]) for run in runs] == [
        ("done", ["whole:here"], []),
        ("failed", ["part:here"], ["whole:here"]),
    ]


def test_a_run_without_work_is_a_short_line_of_the_history(small: Project) -> None:
    small.built("whole:here")
    first = (small.folder / "cache/history").stat().st_size
    run = small.built("whole:here")
    assert run.built == set() and parse(run.last).events == ()
    assert (small.folder / "cache/history").stat().st_size - first < 400
    small.built("prune", "--keep-current")
    text = small.doit("history").output
    assert text.splitlines()[-1].startswith("2 runs; saved: ")
    assert small.doit("history", "part").output.split()[-6:] == ["part:here", "0", "1", "0", *text_of(small)]


def text_of(project: Project) -> list[str]:
    """The mean build of ``part``, as it is shown."""
    (node,) = json.loads(project.doit("history", "part", "--json").output)["nodes"]
    return [f"{node['average_seconds']:.1f}", "s"]


def test_a_run_goes_on_if_the_history_cannot_be_written(small: Project) -> None:
    (small.folder / "cache/history").mkdir(parents=True)
    run = small.built("whole:here")
    assert "warning: " in run.output and "history: cannot be written" in run.output
    done = small.doit("history")
    assert (done.status, done.output) == (0, "no run of this folder is known\n")


def test_a_trace_that_cannot_be_written_does_not_fail_the_run(small: Project, tmp_path: Path) -> None:
    run = small.doit("--trace", "whole", "whole:here")
    assert run.status == 10 and "the trace whole: it is a folder" in run.output
