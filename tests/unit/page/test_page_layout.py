"""The drawing of a graph: layers, order, and room for everything."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest

from stagegraph.page.layout import BETWEEN_LAYERS, MARGIN, Drawing, draw

pytestmark = pytest.mark.unit

DIAMOND = {"base": [], "left": ["base"], "right": ["base"], "app": ["left", "right", "base"]}


def drawn(parents: Mapping[str, Sequence[str]]) -> Drawing:
    return draw(parents, {name: 60.0 + 8 * len(name) for name in parents})


def some_graph(seed: int, count: int) -> dict[str, list[str]]:
    chance = random.Random(seed)  # noqa: S311 - no secret
    names = [f"stage-{number}:{'ab'[number % 2]}" for number in range(count)]
    return {
        name: sorted(chance.sample(names[:number], min(number, chance.choice((0, 1, 1, 2, 3)))))
        for number, name in enumerate(names)
    }


def test_parents_are_left_of_their_children() -> None:
    drawing = drawn(DIAMOND)
    boxes = drawing.boxes
    assert [boxes[name].layer for name in DIAMOND] == [0, 1, 1, 2]
    assert boxes["base"].x + boxes["base"].width + BETWEEN_LAYERS == boxes["left"].x == boxes["right"].x
    assert (
        boxes["base"].y == boxes["app"].y == pytest.approx((boxes["left"].y + boxes["right"].y) / 2, abs=0.2)
    )


def test_an_edge_that_a_longer_way_implies_is_not_drawn() -> None:
    assert {(line.parent, line.child) for line in drawn(DIAMOND).lines} == {
        ("base", "left"),
        ("base", "right"),
        ("left", "app"),
        ("right", "app"),
    }


def test_a_stage_that_only_a_late_one_uses_is_beside_it() -> None:
    drawing = drawn({"a": [], "b": ["a"], "c": ["b"], "tool": [], "app": ["c", "tool"]})
    assert drawing.boxes["tool"].layer == drawing.boxes["c"].layer == 2


@pytest.mark.parametrize("seed", range(12))
def test_nothing_overlaps_and_all_is_inside(seed: int) -> None:
    parents = some_graph(seed, 40)
    drawing = drawn(parents)
    assert drawing.boxes.keys() == parents.keys()
    for one, other in combinations(drawing.boxes.values(), 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or abs(one.y - other.y) >= one.height, (one, other)
    for box in drawing.boxes.values():
        assert box.x >= MARGIN and box.x + box.width <= drawing.width
        assert box.y >= MARGIN and box.y + box.height <= drawing.height
    for line in drawing.lines:
        start, end = drawing.boxes[line.parent], drawing.boxes[line.child]
        assert start.layer < end.layer
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", line.path)]
        assert numbers[:2] == pytest.approx([start.x + start.width, start.y + start.height / 2], abs=0.2)
        assert numbers[-2:] == pytest.approx([end.x, end.y + end.height / 2], abs=0.2)


def test_lines_cross_only_where_they_must() -> None:
    """Two chains that begin in the wrong order."""
    drawing = drawn({"a1": [], "b1": [], "a2": ["b1"], "b2": ["a1"], "a3": ["a2"], "b3": ["b2"]})
    order = [
        sorted(column, key=lambda name: drawing.boxes[name].y) for column in (("a1", "b1"), ("a2", "b2"))
    ]
    assert order in ([["a1", "b1"], ["b2", "a2"]], [["b1", "a1"], ["a2", "b2"]])


def test_the_same_graph_gives_the_same_drawing() -> None:
    parents = some_graph(1, 30)
    shuffled = dict(sorted(parents.items(), key=lambda item: item[0][::-1], reverse=True))
    assert drawn(parents) == drawn(shuffled)


@pytest.mark.parametrize("parents", [{}, {"alone": []}])
def test_a_graph_without_edges(parents: dict[str, list[str]]) -> None:
    assert drawn(parents).boxes.keys() == parents.keys()
