"""A plan as text for a terminal, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..execution.decide import Why
from ..system.text import counted, human_size, human_time, listed
from .markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..audit.sizes import Size
    from ..errors import StagegraphError
    from ..execution.decide import Action
    from ..execution.edits import Edit, Since
    from ..execution.estimate import Estimate
    from ..execution.plan import Step
    from ..project.model import Node

#: In the order in which a plan counts them.
_ACTIONS: tuple[Action, ...] = ("build", "pull", "reuse")

#: How many nodes of an edit are named; JSON has all.
_MOST_NODES = 8


class Facts(NamedTuple):
    """Everything that a plan shows. ``left_out`` are nodes that cannot be looked at.

    ``fetch`` is how many bytes the pulls bring, None where a size is not known. ``sizes`` and ``since`` are
    None where they were not asked for.
    """

    steps: list[Step]
    left_out: list[dict[str, object]]
    estimate: Estimate | None = None
    fetch: int | None = None
    sizes: Mapping[Node, Size] | None = None
    since: Since | None = None


# -- text --------------------------------------------------------------------------------------------


def text(facts: Facts) -> str:
    """Return the lines for a terminal."""
    lines = list(_since_lines(facts.since)) if facts.since else []
    width = max((len(str(step.node)) for step in facts.steps), default=0)
    for step in facts.steps:
        usual = f" [about {step.seconds:.0f} s]" if step.decision == "build" and step.seconds else ""
        size = _size(step, facts.sizes)
        lines.append(f"{step.decision:<5}  {step.node!s:<{width}}  {step.reason}{usual}{size}")
        more = step.changes[1:] if step.why is Why.CHANGED and len(step.changes) > 2 else ()
        lines += [f"{'':<{width + 9}}also {change}" for change in more]
    lines.append(total(facts))
    lines += filter(None, (longest(facts.estimate), cost_of_epoch(facts.steps)))
    return "\n".join(lines)


def total(facts: Facts) -> str:
    """Return how many nodes there are to build, pull and reuse, what the pulls bring, and the time."""
    actions = [step.decision for step in facts.steps]
    counts = {decision: actions.count(decision) for decision in _ACTIONS}
    said = ", ".join(f"{count} to {decision}" for decision, count in counts.items())
    if facts.fetch:
        said = said.replace(" to pull", f" to pull ({human_size(facts.fetch)})")
    said += f", {len(facts.left_out)} left out" if facts.left_out else ""
    times = facts.estimate
    if times is None:
        return said
    rest = f", {times.unknown} of unknown duration" if times.unknown else ""
    said += f"; {human_time(times.one_by_one)} one by one"
    if times.workers > 1 and counts["build"] > 1:
        said += f", {human_time(times.at_once)} with {times.workers} at once"
    return f"{said}, as long as the last builds took{rest}"


def longest(times: Estimate | None) -> str:
    """Return the longest chain of builds; "" for none of two or more."""
    if times is None or len(times.longest) < 2:
        return ""
    nodes = list(map(str, times.longest))
    names = " > ".join(nodes if len(nodes) <= _MOST_NODES else [*nodes[:3], "…", *nodes[-3:]])
    return f"longest chain, {human_time(times.chain)}: {names}"


def cost_of_epoch(steps: list[Step]) -> str:
    """Say how many nodes a new ``source_date_epoch`` changes; "" for none."""
    own = [{change.name for change in step.changes if change.role != "parent"} for step in steps]
    moved = [names for names in own if "epoch" in names]
    if not moved:
        return ""
    alone = sum(names == {"epoch"} for names in moved)
    count = f"changed nodes: {len(moved)}; by this alone: {alone}"
    return f"source_date_epoch changed, which is part of every key; {count}"


def _since_lines(since: Since) -> Iterator[str]:
    yield _since_head(since)
    for edit in since.edits:
        yield f"  {edit.change}"
        yield f"      {_affected(edit)}"
    if since.new:
        yield f"  new: {listed(list(map(str, since.new)), _MOST_NODES)}"


def _since_head(since: Since) -> str:
    name = since.name if since.commit.startswith(since.name) else f"{since.name}, commit {since.commit[:12]}"
    everything = len(since.changed) + len(since.new) + since.same
    edits = counted(len(since.edits), "edit")
    return f"since {name}: {edits}, {len(since.changed) + len(since.new)} of {everything} nodes changed"


def _affected(edit: Edit) -> str:
    return f"{counted(len(edit.nodes), 'node')}: {listed(list(map(str, edit.nodes)), _MOST_NODES)}"


def _size(step: Step, sizes: Mapping[Node, Size] | None) -> str:
    if sizes is None or step.node not in sizes:
        return ""
    size = sizes[step.node]
    own = "an unknown part" if size.own is None else human_size(size.own)
    return f" [own layers {own}, image {human_size(size.image)}]"


# -- Markdown ----------------------------------------------------------------------------------------


def markdown(facts: Facts) -> str:
    """Return a plan for a pull request or the summary of a CI job (GitHub Flavored Markdown)."""
    lines = [f"**{total(facts)}**", ""]
    if facts.since:
        lines += [_since_head(facts.since) + ":" * bool(facts.since.edits), ""]
        for edit in facts.since.edits:
            lines += [f"- {code(str(edit.change))}", f"  changes {_affected(edit)}"]
        lines += [f"- new: {listed(list(map(str, facts.since.new)), _MOST_NODES)}"] if facts.since.new else []
        lines.append("")
    work = [step for step in facts.steps if step.decision != "reuse"]
    lines += table(("", "node", "why", "last time"), list(map(_row, work)))
    lines += [f"{note}\n" for note in (longest(facts.estimate), cost_of_epoch(facts.steps)) if note]
    return "\n".join(lines).rstrip()


def _row(step: Step) -> tuple[str, str, str, str]:
    time = human_time(step.seconds) if step.decision == "build" and step.seconds else ""
    return step.decision, f"`{step.node}`", code(step.reason, in_table=True), time


# -- JSON --------------------------------------------------------------------------------------------


def to_json(facts: Facts, problems: Mapping[Node, Iterable[StagegraphError]]) -> dict[str, object]:
    """Return the plan as JSON has it; ``problems`` are the errors that a run would end with, by node."""
    times = facts.estimate
    found: dict[str, object] = {
        "schema": 1,
        "nodes": [_step_to_json(step, facts.sizes, problems.get(step.node, ())) for step in facts.steps],
        "left_out": facts.left_out,
        "fetch_bytes": facts.fetch,
        "estimate": times and {**times._asdict(), "longest": list(map(str, times.longest))},
    }
    if facts.since:
        since = facts.since
        found["since"] = {
            "name": since.name,
            "commit": since.commit,
            "edits": [
                {"change": str(edit.change), "nodes": list(map(str, edit.nodes))} for edit in since.edits
            ],
            "changed": list(map(str, since.changed)),
            "new": list(map(str, since.new)),
            "same": since.same,
        }
    return found


def _step_to_json(
    step: Step, sizes: Mapping[Node, Size] | None, problems: Iterable[StagegraphError]
) -> dict[str, object]:
    facts: dict[str, object] = {
        "node": str(step.node),
        "key": step.key,
        "decision": step.decision,
        "reason": step.reason,
        "changes": [str(change) for change in step.changes],
        "seconds": step.seconds,
        "problems": list(map(str, problems)),
    }
    if sizes is not None:
        size = sizes.get(step.node)
        facts |= {"own_bytes": size.own if size else None, "image_bytes": size.image if size else None}
    return facts
