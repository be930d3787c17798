"""What the page shows, from the facts of a run or a plan. Pure, and the same for the same facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..drawing.colours import DONE, TO_DO
from ..execution.history import PastRun, of_nodes
from ..execution.last_run import lanes_of
from ..system.text import human_size, human_time
from . import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..execution.events import Event
    from ..execution.last_run import Lane, LastRun
    from .layout import Box, Drawing

#: What may become of a node: the word for a run, and the word for a plan.
WORDS = {state: (DONE[state], TO_DO[state]) for state in DONE} | {"idle": ("not needed", "not needed")}

#: How many runs and steps the page shows, the newest and the longest ones.
RUNS, STEPS = 60, 200

_NOT_LOOKED_AT = "what uses it was found, so nobody looked at it"


class Outcome(NamedTuple):
    """What became of a node, or would. ``state`` is one of ``WORDS``, ``took`` the seconds in this run."""

    state: str
    reason: str
    key: str = ""
    digest: str = ""
    took: float | None = None
    start: float | None = None
    changes: tuple[str, ...] = ()


class Facts(NamedTuple):
    """All that the page is made from.

    ``parents`` has all nodes with their parents. ``copies`` are the pairs (parent, child) of which the child
    only copies files. ``build_seconds`` and ``sizes`` (bytes of own layers, of all
    layers) are there for known images. ``run`` is None for a plan.
    """

    title: str
    goals: tuple[str, ...]
    parents: dict[str, list[str]]
    copies: frozenset[tuple[str, str]]
    outcomes: dict[str, Outcome]
    descriptions: dict[str, str]
    build_seconds: dict[str, float]
    sizes: dict[str, tuple[int | None, int]]
    run: LastRun | None
    history: Sequence[PastRun]


class Step(NamedTuple):
    """A step of a build, for the table of a node."""

    name: str
    start: str
    took: str
    state: str


class NodeView(NamedTuple):
    """A node, as texts for people. ``place`` is its number on the page; so are parents and children."""

    place: int
    name: str
    stage: str
    platform: str
    state: str
    word: str
    reason: str
    took: str
    description: str
    key: str
    digest: str
    times: str
    build_time: str
    size: str
    changes: tuple[str, ...]
    parents: tuple[int, ...]
    children: tuple[int, ...]
    steps: tuple[Step, ...]


class Bar(NamedTuple):
    """A bar of the timeline: its left side and its width in percent. ``node`` is a place, -1 for none."""

    left: float
    width: float
    state: str
    text: str
    label: str
    node: int


class Row(NamedTuple):
    """A lane of the timeline; ``thin`` for what is inside the lane above."""

    label: str
    thin: bool
    bars: tuple[Bar, ...]


class Cost(NamedTuple):
    """Time and size of a node as shares (percent) of the largest; ``own`` is the size of its own layers."""

    node: int
    platform: str
    seconds: float
    time: str
    own: float
    image: float
    size: str


class RunBar(NamedTuple):
    """An earlier run: shares (percent) of its nodes by state, and a text that says it all."""

    shares: tuple[tuple[str, float], ...]
    label: str
    time: str
    took: str
    counts: dict[str, int]
    saved: str
    goals: str
    outcome: str


class PageView(NamedTuple):
    """The page. ``first`` is the place of the node that is shown first, -1 without nodes."""

    title: str
    goals: tuple[str, ...]
    planned: bool
    started: str
    outcome: str
    took: str
    saved: str
    counts: tuple[tuple[str, str, int], ...]
    drawing: Drawing
    copies: frozenset[tuple[str, str]]
    boxes: tuple[tuple[NodeView, Box], ...]
    nodes: tuple[NodeView, ...]
    reasons: tuple[NodeView, ...]
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    costs: tuple[tuple[str, tuple[Cost, ...]], ...]
    runs: tuple[RunBar, ...]
    hits: tuple[tuple[str, float, str, str], ...]
    first: int


def view(facts: Facts) -> PageView:
    """Return what the page shows."""
    names = sorted(facts.parents)
    places = {name: place for place, name in enumerate(names)}
    children, steps = _children(facts, names), _steps_by_node(facts.run)
    nodes = tuple(_node(facts, name, places, children[name], _steps(steps.get(name, ()))) for name in names)
    drawing = layout.draw(facts.parents, {node.name: _width(node) for node in nodes})
    run = facts.run
    counts = {state: sum(node.state == state for node in nodes) for state in WORDS}
    return PageView(
        title=facts.title,
        goals=facts.goals,
        planned=run is None,
        started=run.started if run else "",
        outcome=run.outcome if run else "",
        took=human_time(run.seconds) if run else "",
        saved=_saved(facts),
        counts=tuple((state, _word(state, facts), counts[state]) for state in WORDS),
        drawing=drawing,
        copies=facts.copies,
        boxes=tuple((node, drawing.boxes[node.name]) for node in nodes),
        nodes=nodes,
        reasons=tuple(nodes[places[name]] for name in _in_turn(facts, places)),
        rows=tuple(_rows(run, places)) if run else (),
        ticks=_ticks(run.seconds) if run else (),
        costs=tuple(_costs(facts, names, places)),
        runs=tuple(_run(past) for past in facts.history[-RUNS:]),
        hits=tuple(_hits(facts.history)),
        first=_first(facts, names),
    )


def _word(state: str, facts: Facts) -> str:
    return WORDS[state][facts.run is None]


def _outcome(facts: Facts, name: str) -> Outcome:
    return facts.outcomes.get(name, Outcome("idle", _NOT_LOOKED_AT))


def _saved(facts: Facts) -> str:
    """The time that reuse saved, as ``doit history`` says it; "" for none."""
    saved = sum(
        facts.build_seconds.get(name, 0.0) - ((outcome.took or 0.0) if outcome.state == "pull" else 0.0)
        for name, outcome in facts.outcomes.items()
        if outcome.state in ("reuse", "pull")
    )
    return human_time(saved) if saved > 0 else ""


def _in_turn(facts: Facts, places: Mapping[str, int]) -> list[str]:
    """Return the nodes with an outcome in the order of the run; a plan has them in the order of work."""

    def turn(item: tuple[int, str]) -> tuple[float, int]:
        order, name = item
        start = facts.outcomes[name].start
        return (0.0, order) if start is None else (start, places[name])

    shown = [(order, name) for order, name in enumerate(facts.outcomes) if name in places]
    return [name for _, name in sorted(shown, key=turn)]


def _first(facts: Facts, names: Sequence[str]) -> int:
    """The node that somebody wants to see first: one that failed, else the longest build."""

    def interest(place: int) -> tuple[int, float, int]:
        outcome = _outcome(facts, names[place])
        seconds = facts.build_seconds.get(names[place], 0.0) if outcome.took is None else outcome.took
        return [*WORDS].index(outcome.state), -seconds, place

    return min(range(len(names)), key=interest, default=-1)


# -- nodes ---------------------------------------------------------------------------------------


def _node(
    facts: Facts, name: str, places: Mapping[str, int], children: Iterable[str], steps: tuple[Step, ...]
) -> NodeView:
    stage, _, platform = name.partition(":")
    outcome, usual = _outcome(facts, name), facts.build_seconds.get(name)
    own, image = facts.sizes.get(name, (None, None))
    times = ""
    if outcome.start is not None and outcome.took is not None and outcome.state != "reuse":
        times = f"from {human_time(outcome.start)} to {human_time(outcome.start + outcome.took)} of the run"
    return NodeView(
        place=places[name],
        name=name,
        stage=stage,
        platform=platform,
        state=outcome.state,
        word=_word(outcome.state, facts),
        reason=outcome.reason,
        took=_took(outcome, usual),
        description=facts.descriptions.get(name, ""),
        key=outcome.key,
        digest=outcome.digest,
        times=times,
        build_time="" if usual is None else human_time(usual),
        size=_size(own, image),
        changes=outcome.changes,
        parents=tuple(places[parent] for parent in facts.parents[name]),
        children=tuple(places[child] for child in children),
        steps=steps,
    )


def _children(facts: Facts, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the children of each node, by name."""
    children: dict[str, list[str]] = {name: [] for name in names}
    for child in names:
        for parent in dict.fromkeys(facts.parents[child]):
            children[parent].append(child)
    return children


def _steps_by_node(run: LastRun | None) -> dict[str, list[Event]]:
    """Return the steps of each node in the order of the events."""
    steps: dict[str, list[Event]] = {}
    for event in run.events if run else ():
        if event.kind == "step":
            steps.setdefault(event.node, []).append(event)
    return steps


def _took(outcome: Outcome, usual: float | None) -> str:
    """The time in the box of a node: of this run, or what its build would take."""
    if outcome.took is not None and outcome.state in ("build", "pull", "failed"):
        return human_time(outcome.took)
    return f"about {human_time(usual)}" if outcome.state == "build" and usual else ""


def _size(own: int | None, image: int | None) -> str:
    if image is None:
        return ""
    if own is None or own == image:
        return human_size(image)
    return f"{human_size(image)}, own layers {human_size(own)}"


def _steps(events: Iterable[Event]) -> tuple[Step, ...]:
    """The steps of a node; of very many, the longest ones."""
    longest = sorted(events, key=lambda event: event.start - event.end)[:STEPS]
    return tuple(
        Step(event.name, human_time(event.start), human_time(event.end - event.start), event.state)
        for event in sorted(longest, key=lambda event: (event.start, event.end))
    )


def _width(node: NodeView) -> float:
    """The width of a node's box in pixels, for the fonts that browsers have."""
    said = "" if node.state == "idle" else f"  {node.word} {node.took}"
    return round(max(len(node.stage) * 7.8, len(node.platform + said) * 6.2) + 52)


# -- timeline ------------------------------------------------------------------------------------


def _rows(run: LastRun, places: Mapping[str, int]) -> Iterable[Row]:
    states = {node.node: node.decision for node in run.nodes}
    length = (
        max([run.seconds, *(event.end for event in run.events), *(node.end for node in run.nodes)]) or 1.0
    )
    for lane in _with_one_of_look_ups(lanes_of(run)):
        thin = lane.group != "worker"
        events = lane.events if thin else [e for e in lane.events if e.kind in ("node", "load")]
        bars = tuple(_bar(event, length, states, places) for event in events)
        yield Row(_lane_label(lane), thin, bars)


def _with_one_of_look_ups(lanes: Sequence[Lane]) -> list[Lane]:
    """Put all look-ups into one lane: there are many at once, and they are short."""
    asked = tuple(event for lane in lanes if lane.group == "look-ups" for event in lane.events)
    others = (lane for lane in lanes if lane.group != "look-ups" or lane.number == 1)
    return [lane._replace(events=asked) if lane.group == "look-ups" else lane for lane in others]


def _lane_label(lane: Lane) -> str:
    """Only the first lane of a group of thin ones has a label."""
    if lane.group == "worker":
        return f"worker {lane.number}"
    return "" if lane.number > 1 else "steps" if lane.group.endswith("steps") else lane.group


def _bar(event: Event, length: float, states: Mapping[str, str], places: Mapping[str, int]) -> Bar:
    took = human_time(event.end - event.start)
    state = event.state if event.kind == "node" else event.kind if event.state == "done" else event.state
    named = event.name or event.node
    what = WORDS[states[event.node]][0] if event.kind == "node" else event.kind
    return Bar(
        left=round(100 * event.start / length, 3),
        width=round(100 * (event.end - event.start) / length, 3),
        state=state,
        text=named,
        label=f"{named}: {what}, {took}, from {human_time(event.start)}",
        node=places.get(event.node, -1),
    )


def _ticks(length: float) -> tuple[tuple[float, str], ...]:
    """Marks of the time axis, at round times: the place in percent, and the text."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((step for step in steps if length / step <= 6), length / 6) or 1
    count = int(length / step) if length else 0
    return tuple((round(100 * n * step / length, 3), _tick(n * step)) for n in range(1, count + 1))


def _tick(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return human_time(seconds).removesuffix(" 00 s")


# -- time and size -------------------------------------------------------------------------------


def _costs(
    facts: Facts, names: Sequence[str], places: Mapping[str, int]
) -> Iterable[tuple[str, tuple[Cost, ...]]]:
    """Time and size of each stage on its platforms, the most expensive first."""
    slowest = max(facts.build_seconds.values(), default=0.0) or 1.0
    largest = max((image for _, image in facts.sizes.values()), default=0) or 1
    by_stage: dict[str, list[Cost]] = {}
    for name in names:
        if name not in facts.build_seconds and name not in facts.sizes:
            continue
        stage, _, platform = name.partition(":")
        seconds = facts.build_seconds.get(name, 0.0)
        own, image = facts.sizes.get(name, (None, 0))
        cost = Cost(
            node=places[name],
            platform=platform,
            seconds=round(100 * seconds / slowest, 2),
            time=human_time(seconds) if name in facts.build_seconds else "",
            own=round(100 * (image if own is None else own) / largest, 2),
            image=round(100 * image / largest, 2),
            size=_size(own, image) if name in facts.sizes else "",
        )
        by_stage.setdefault(stage, []).append(cost)
    yield from sorted(
        ((stage, tuple(costs)) for stage, costs in by_stage.items()),
        key=lambda item: (-max(cost.seconds for cost in item[1]), item[0]),
    )


# -- history -------------------------------------------------------------------------------------


def _run(past: PastRun) -> RunBar:
    counts = {
        "failed": len(past.failed),
        "build": len(past.built),
        "pull": len(past.pulled),
        "reuse": len(past.reused),
    }
    total = sum(counts.values()) or 1
    said = ", ".join(f"{count} {WORDS[state][0]}" for state, count in counts.items() if count)
    return RunBar(
        shares=tuple((state, round(100 * count / total, 2)) for state, count in counts.items() if count),
        label=f"{said or 'nothing'}, in {human_time(past.seconds)}",
        time=past.time,
        took=human_time(past.seconds),
        counts=counts,
        saved=human_time(past.saved) if past.saved > 0 else "",
        goals=" ".join(past.goals),
        outcome=past.outcome,
    )


def _hits(history: Sequence[PastRun]) -> Iterable[tuple[str, float, str, str]]:
    """For each node: its name, hits in percent of the runs that looked at it, both as text, a mean build."""
    for node in of_nodes(history):
        total = node.hits + node.builds + node.failures
        average = "" if node.average_seconds is None else human_time(node.average_seconds)
        yield node.node, round(100 * node.hits / total, 1), f"{node.hits} of {total}", average
