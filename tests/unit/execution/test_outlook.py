"""What is left of a run: how many nodes, which wait, and the estimate."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import graph, image, stages

from stagegraph.execution.earlier import EarlierBuilds
from stagegraph.execution.lookup import Results, StoreLookup
from stagegraph.execution.outlook import Fact, Left, Outlook, facts
from stagegraph.graph.revision import Revisions
from stagegraph.keys.inputs import digest
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore
from stagegraph.store.registry import RegistryStore

pytestmark = pytest.mark.unit


def node(name: str) -> Node:
    return Node(name, "p")


def fact(*parents: str, stored: str = "", seconds: float | None = 60) -> Fact:
    return Fact(tuple(map(node, parents)), stored, seconds)  # type: ignore[arg-type]


#: app -> lib -> base, tool -> base
CHAIN = {"base": fact(), "lib": fact("base", seconds=120), "tool": fact("base"), "app": fact("lib", "tool")}


def left(
    facts: dict[str, Fact],
    outcomes: dict[str, str] | None = None,
    working: dict[str, float | None] | None = None,
    jobs: int = 1,
    goals: tuple[str, ...] = ("app",),
) -> Left:
    outlook = Outlook(lambda asked: facts.get(asked.stage), [node(goal) for goal in goals], jobs)
    done = {f"{name}:p": outcome for name, outcome in (outcomes or {}).items()}
    outlook.look(done)
    return outlook.left(done, {node(name): seconds for name, seconds in (working or {}).items()})


def test_all_nodes_of_a_cold_run_count() -> None:
    found = left(CHAIN)
    assert (found.done, found.total, found.more) == (0, 4, False)
    assert found.waiting == ("base:p", "lib:p", "tool:p", "app:p")


def test_what_is_done_or_in_work_does_not_wait() -> None:
    found = left(CHAIN, {"base": "build"}, {"lib": 20})
    assert (found.done, found.total, found.waiting) == (1, 4, ("tool:p", "app:p"))


def test_the_parents_of_a_node_that_a_store_has_do_not_count() -> None:
    found = left({**CHAIN, "lib": fact("other", stored="cache"), "tool": fact("base", stored="registry")})
    assert (found.done, found.total, found.waiting) == (1, 3, ("tool:p", "app:p"))


def test_a_node_that_was_reused_counts_as_done_and_its_parents_do_not_count() -> None:
    found = left(CHAIN, {"lib": "reuse", "tool": "pull"})
    assert (found.done, found.total, found.waiting) == (2, 3, ("app:p",))


def test_nodes_that_were_built_for_others_count() -> None:
    assert left(CHAIN, {"base": "build", "lib": "build", "app": "build", "stranger": "build"}).total == 4


def test_a_goal_that_the_run_has_not_looked_at_may_have_more_nodes() -> None:
    found = left(CHAIN, goals=("app", "late"))
    assert (found.total, found.more, found.at_least) == (5, True, True)
    assert str(found).startswith("0/5+ nodes, at least ")


def test_an_answer_of_the_registry_counts_when_it_is_there() -> None:
    facts = dict(CHAIN)
    outlook = Outlook(lambda asked: facts.get(asked.stage), [node("app")], 1)
    outlook.look({})
    assert outlook.left({}, {}).total == 4
    facts["app"] = fact("lib", "tool", stored="registry")
    outlook.look({})
    assert outlook.left({}, {}).total == 1


@pytest.mark.parametrize(
    ("jobs", "seconds"),
    [
        (1, 300),  # all work, one node after the other
        (2, 240),  # base, lib and app, one after the other: no order is faster
        (9, 240),
    ],
)
def test_the_estimate(jobs: int, seconds: float) -> None:
    assert left(CHAIN, jobs=jobs).seconds == seconds


def test_the_estimate_counts_the_rest_of_a_node_in_work() -> None:
    assert left(CHAIN, {"base": "build", "tool": "build"}, {"lib": 70}).seconds == 130
    assert left(CHAIN, {"base": "build", "tool": "build"}, {"lib": 0}).seconds == 60
    found = left(CHAIN, {"base": "build", "tool": "build"}, {"lib": None})
    assert (found.seconds, found.at_least) == (60, True)


def test_an_image_that_is_loaded_is_done() -> None:
    found = left(CHAIN, {"app": "build"}, {"app": None})
    assert (found.done, found.total, found.seconds, found.waiting) == (1, 1, 0, ())


def test_a_node_that_is_pulled_needs_no_parents() -> None:
    """Its record may be that of another node with the same key, which nobody knew before."""
    found = left(CHAIN, {"tool": "reuse"}, {"lib": None})
    assert (found.total, found.waiting) == (3, ("app:p",))


def test_without_some_times_the_estimate_is_the_least() -> None:
    assert left({**CHAIN, "tool": fact("base", seconds=None)}, jobs=2).at_least
    assert not left(CHAIN, jobs=2).at_least


@pytest.mark.parametrize(
    ("seconds", "at_least", "failed", "text"),
    [
        (170, False, 0, "7/23 nodes, about 3 min left"),
        (41, True, 0, "7/23 nodes, at least 50 s left"),
        (0, True, 0, "7/23 nodes"),
        (0, False, 2, "7/23 nodes, 2 failed"),
        (4100, False, 1, "7/23 nodes, 1 failed, about 1 h 09 min left"),
    ],
)
def test_text(seconds: float, at_least: bool, failed: int, text: str) -> None:
    assert str(Left(7, failed, 23, False, (), seconds, at_least)) == text


def test_a_failed_node_is_not_done() -> None:
    found = left(CHAIN, {"base": "build", "lib": "failed"})
    assert (found.done, found.failed, found.total) == (1, 1, 4)


def test_a_graph_in_which_many_ways_lead_to_a_node_is_walked_once() -> None:
    facts = {"n0": fact()} | {f"n{n}": fact(f"n{n - 1}", f"n{max(n - 2, 0)}") for n in range(1, 2000)}
    assert left(facts, goals=("n1999",)).total == 2000


# -- facts of a project ------------------------------------------------------------------------------


def test_the_outlook_learns_from_the_run_and_asks_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"low": "FROM scratch\n", "app": "FROM low\n", "late": "FROM low\nLABEL a=1\n"}
    nodes, layout = graph(stages(tmp_path, texts)), LayoutStore(tmp_path / "cache")
    low, app, late = (Node(name, "amd64") for name in ("low", "app", "late"))
    registry = RegistryStore("h/a", layout, pytest.fail)
    builds = EarlierBuilds(nodes, layout, None, Revisions(tmp_path, {}))
    tell = facts(StoreLookup(nodes, layout, registry, Results(), lambda: builds))
    nodes.key(app)
    assert tell(late) is None  # its turn has not come
    assert (tell(app), tell(low)) == (Fact((low,), "", None), Fact((), "", None))

    record = image(layout, "low")._replace(inputs=tuple(nodes.inputs(low)), key=nodes.key(low))
    monkeypatch.setattr(registry.lookups, "_look_up", lambda *_: record)
    registry.lookups.prefetch(low, record.docker, record.key).result(10)
    assert tell(low) == Fact((), "registry", None)

    layout.commit(record)
    layout.set_latest(nodes.spec(low).history_name, record.key)
    fresh = facts(StoreLookup(nodes, layout, None, Results(), lambda: builds))
    assert fresh(low) == Fact((), "cache", 1.0)
    assert digest(record.inputs) == record.key
