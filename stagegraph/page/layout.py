"""A drawing of a graph in layers, from left to right. Pure, and the same for the same input.

The steps are those of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (1981): layers, order within a layer, coordinates. A long edge has a place in each layer that it
crosses. Heights are found by least squares: each place is as near to its neighbours as the places above and
below it permit.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Sizes of the drawing, in pixels: a box, and the room between boxes, between lines, and between layers.
BOX_HEIGHT, BETWEEN_BOXES, BETWEEN_LINES, BETWEEN_LAYERS = 46.0, 16.0, 12.0, 52.0

#: The room around the drawing.
MARGIN = 12.0

#: How often the order and the heights are improved.
_SWEEPS, _ROUNDS = 12, 24


class Box(NamedTuple):
    """Where a node is drawn: its left upper corner, and its size. ``layer`` counts from 0."""

    x: float
    y: float
    width: float
    height: float
    layer: int


class Line(NamedTuple):
    """An edge, drawn by ``path`` (SVG's path data)."""

    parent: str
    child: str
    path: str


class Drawing(NamedTuple):
    width: float
    height: float
    boxes: dict[str, Box]
    lines: tuple[Line, ...]


class _Place(NamedTuple):
    """A place in a layer: of a node, or of the edge ``name`` -> ``child`` that crosses the layer."""

    name: str
    child: str
    layer: int


def draw(parents: Mapping[str, Sequence[str]], widths: Mapping[str, float]) -> Drawing:
    """Draw a graph without cycles.

    ``parents`` has all nodes with their parents, ``widths`` the width of each box. An edge that a longer way
    implies is left out.
    """
    edges = _reduced(parents)
    layers = _layers(parents, edges)
    chains = {edge: _chain(edge, layers) for edge in edges}
    order = _ordered(_columns(layers, chains), chains)
    heights = _heights(order, chains)
    left, width_of = _sides(order, widths)
    boxes = {
        place.name: Box(
            left[place.layer], heights[place] - BOX_HEIGHT / 2, width_of[place.layer], BOX_HEIGHT, place.layer
        )
        for column in order
        for place in column
        if not place.child
    }
    lines = tuple(
        Line(parent, child, _path([(left[p.layer], width_of[p.layer], heights[p]) for p in chain]))
        for (parent, child), chain in chains.items()
    )
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + MARGIN
    height = max((y for y in heights.values()), default=0.0) + BOX_HEIGHT / 2 + MARGIN
    return Drawing(round(width, 1), round(height, 1), boxes, lines)


def _reduced(parents: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """All edges (parent, child), without those that a longer way implies."""
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(sorted(parents))
    graph.add_edges_from((parent, child) for child in sorted(parents) for parent in parents[child])
    return sorted(networkx.transitive_reduction(graph).edges)


def _layers(parents: Mapping[str, Sequence[str]], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each node: right of its parents, and near its children if it has more of these."""
    into, out = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for parent, child in edges:
        into[child].append(parent)
        out[parent].append(child)
    layers, ready = dict[str, int](), sorted(node for node in parents if not into[node])
    waits = {node: len(into[node]) for node in parents}
    for node in ready:  # it grows
        layers[node] = max((layers[parent] + 1 for parent in into[node]), default=0)
        for child in out[node]:
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    for node in reversed(ready):
        if len(out[node]) > len(into[node]) > 0 or (out[node] and not into[node]):
            layers[node] = min(layers[child] for child in out[node]) - 1
    return layers


def _chain(edge: tuple[str, str], layers: Mapping[str, int]) -> list[_Place]:
    """The places of an edge, from its parent to its child."""
    parent, child = edge
    first, last = layers[parent], layers[child]
    between = [_Place(parent, child, layer) for layer in range(first + 1, last)]
    return [_Place(parent, "", first), *between, _Place(child, "", last)]


def _columns(
    layers: Mapping[str, int], chains: Mapping[tuple[str, str], Sequence[_Place]]
) -> list[list[_Place]]:
    """The places of each layer, platforms together."""
    columns: list[list[_Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name, layer in layers.items():
        columns[layer].append(_Place(name, "", layer))
    for chain in chains.values():
        for place in chain[1:-1]:
            columns[place.layer].append(place)

    def platform_first(place: _Place) -> tuple[str, ...]:
        return (place.name.partition(":")[2], place.name, place.child)

    return [sorted(column, key=platform_first) for column in columns]


# -- order ---------------------------------------------------------------------------------------


def _ordered(
    columns: list[list[_Place]], chains: Mapping[tuple[str, str], Sequence[_Place]]
) -> list[list[_Place]]:
    """Order the places of each layer so that few lines cross: by the mean of their neighbours."""
    before, after = _neighbours(chains)
    best, fewest = columns, _crossings(columns, after)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        columns = [list(column) for column in columns]
        for index in range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1):
            fixed = {place: row for row, place in enumerate(columns[index - 1 if forth else index + 1])}
            near = before if forth else after
            rows = {
                place: _mean([fixed[n] for n in near[place]], row) for row, place in enumerate(columns[index])
            }
            columns[index].sort(key=rows.__getitem__)
        if (crossings := _crossings(columns, after)) < fewest:
            best, fewest = columns, crossings
    return best


def _neighbours(
    chains: Mapping[tuple[str, str], Sequence[_Place]],
) -> tuple[dict[_Place, list[_Place]], dict[_Place, list[_Place]]]:
    """The places to the left and to the right of each place."""
    before, after = defaultdict[_Place, list[_Place]](list), defaultdict[_Place, list[_Place]](list)
    for chain in chains.values():
        for left, right in pairwise(chain):
            before[right].append(left)
            after[left].append(right)
    return before, after


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _crossings(columns: Sequence[Sequence[_Place]], after: Mapping[_Place, Sequence[_Place]]) -> int:
    """How often lines cross between neighbouring layers."""
    total = 0
    for left, right in pairwise(columns):
        row = {place: number for number, place in enumerate(right)}
        ends = [number for place in left for number in sorted(row[n] for n in after.get(place, ()))]
        above = list[int]()
        for end in ends:
            total += len(above) - bisect_right(above, end)
            insort(above, end)
    return total


# -- coordinates ---------------------------------------------------------------------------------


def _heights(
    order: Sequence[Sequence[_Place]], chains: Mapping[tuple[str, str], Sequence[_Place]]
) -> dict[_Place, float]:
    """The middle of each place: near those of its neighbours, without overlaps."""
    before, after = _neighbours(chains)
    heights = dict[_Place, float]()
    for column in order:
        for place, y in zip(column, _apart(column, [0.0] * len(column)), strict=True):
            heights[place] = y
    for number in range(_ROUNDS):
        near = (before, after)[number % 2]
        for column in order if number % 2 == 0 else reversed(order):
            wanted = [_mean([heights[n] for n in near.get(p, ())], heights[p]) for p in column]
            heights.update(zip(column, _apart(column, wanted), strict=True))
    top = min(heights.values(), default=0.0) - BOX_HEIGHT / 2 - MARGIN
    return {place: round(y - top, 1) for place, y in heights.items()}


def _apart(column: Sequence[_Place], wanted: Sequence[float]) -> list[float]:
    """The heights nearest to the wanted ones (least squares) at which no two places overlap.

    Pool adjacent violators, after the needed distances are subtracted.
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        lines = bool(above.child) + bool(below.child)
        gap = (BOX_HEIGHT + BETWEEN_BOXES, BOX_HEIGHT / 2 + BETWEEN_LINES * 1.5, BETWEEN_LINES)[lines]
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, int]] = []  # the sum and the number of heights that are one
    for want, offset in zip(wanted, offsets, strict=False):
        pools.append((want - offset, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            (one, few), (other, more) = pools.pop(), pools.pop()
            pools.append((one + other, few + more))
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _sides(order: Sequence[Sequence[_Place]], widths: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """The left side and the width of each layer."""
    width_of = [max((widths[p.name] for p in column if not p.child), default=0.0) for column in order]
    left, x = [], MARGIN
    for width in width_of:
        left.append(x)
        x += width + BETWEEN_LAYERS
    return left, width_of


def _path(places: Sequence[tuple[float, float, float]]) -> str:
    """Curves between layers, and straight lines through them. A place is (left side, width, middle)."""
    text = ""
    for (left, width, y), (next_left, _, next_y) in pairwise(places):
        start = left + width
        middle = (start + next_left) / 2
        text += f"H{start:g}" if text else f"M{start:g} {y:g}"
        text += f"C{middle:g} {y:g} {middle:g} {next_y:g} {next_left:g} {next_y:g}"
    return text
