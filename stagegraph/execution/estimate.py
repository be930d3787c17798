"""How long the builds of a plan take, from the times of earlier builds. Pure."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..project.model import Node


class Estimate(NamedTuple):
    """Times in seconds. ``unknown``: how many builds have no known time; they count as 0.

    ``one_by_one`` is the sum. ``at_once`` is the time with ``workers`` builds at once. ``longest`` are the
    builds of the longest chain, parents first: no number of workers is faster than their sum, ``chain``.
    """

    one_by_one: float
    at_once: float
    workers: int
    longest: tuple[Node, ...]
    chain: float
    unknown: int


def estimate(
    seconds: Mapping[Node, float | None], parents: Mapping[Node, Iterable[Node]], workers: int
) -> Estimate | None:
    """Return the times for nodes that are to be built; None if no time is known.

    ``seconds`` is by node, parents first, None where it is not known. ``parents`` that are not to be built do
    not count.
    """
    if not any(seconds.values()):
        return None
    times = {node: known or 0.0 for node, known in seconds.items()}
    waits = {node: [each for each in parents[node] if each in times] for node in times}
    ends: dict[Node, float] = {}
    for node, on in waits.items():
        ends[node] = times[node] + max((ends[each] for each in on), default=0.0)
    longest = [max(ends, key=lambda node: ends[node])]
    while on := waits[longest[-1]]:
        longest.append(max(on, key=lambda node: ends[node]))
    return Estimate(
        one_by_one=sum(times.values()),
        at_once=_scheduled(times, waits, workers),
        workers=workers,
        longest=tuple(reversed(longest)),
        chain=max(ends.values()),
        unknown=sum(known is None for known in seconds.values()),
    )


def _scheduled(times: Mapping[Node, float], waits: Mapping[Node, Sequence[Node]], workers: int) -> float:
    """Return when the last node ends if each of ``workers`` takes the first node that is ready."""
    open_parents = {node: set(on) for node, on in waits.items()}
    children: dict[Node, list[Node]] = {}
    for node, on in waits.items():
        for parent in on:
            children.setdefault(parent, []).append(node)
    nodes = list(times)
    place = {node: number for number, node in enumerate(nodes)}
    ready = [place[node] for node, on in open_parents.items() if not on]  # sorted, so it is a heap
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            first = heapq.heappop(ready)
            heapq.heappush(running, (now + times[nodes[first]], first))
        now, ended = heapq.heappop(running)
        for node in children.get(nodes[ended], ()):
            open_parents[node].discard(nodes[ended])
            if not open_parents[node]:
                heapq.heappush(ready, place[node])
    return now
