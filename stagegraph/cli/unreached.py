"""What a run did not reach, and because of which failure. Pure: names of tasks in, lines out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence


class TaskGraph(NamedTuple):
    """The tasks of a run: what each needs, what people call it, and the tasks that were requested.

    A task that only names other tasks has no entry in ``labels``.
    """

    needs: Mapping[str, Sequence[str]]
    labels: Mapping[str, str]
    goals: Sequence[str]


def lines(tasks: TaskGraph, failed: Mapping[str, str], done: Collection[str]) -> Iterator[str]:
    """Return a line for each set of failures, with all that was not built because of it.

    ``failed`` are the tasks that failed, each with what is the cause: itself, or a node that it needs. One
    more line has the goals that were not reached because the run ended at the first failure.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, causes in _waiting(tasks, failed, done).items():
        if name in tasks.labels and (causes or name in tasks.goals):
            groups.setdefault(causes, []).append(tasks.labels[name])
    ended = groups.pop((), [])
    for causes, labels in groups.items():
        if names := _joined(labels, without=causes):
            yield f"not built, as {' and '.join(causes)} failed: {names}"
    if ended and failed:
        yield f"not reached, as the run ended at the failure (doit --continue goes on): {_joined(ended)}"


def _waiting(
    tasks: TaskGraph, failed: Mapping[str, str], done: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the tasks that were needed and not done, parents first, each with the causes."""
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    # a stack of its own: graphs may be deeper than calls of Python
    waiting = [*reversed(tasks.goals)]
    while waiting:
        name = waiting.pop()
        needs = tasks.needs.get(name, ())
        if name in failed:
            found[name] = (failed[name],)
        elif name in done or name in found:
            continue
        elif name not in seen:
            seen.add(name)
            waiting += [name, *reversed(needs)]
        else:
            below = {cause for need in needs for cause in found.get(need, ())}
            found[name] = tuple(cause for cause in dict.fromkeys(failed.values()) if cause in below)
    return found


def _joined(labels: Sequence[str], without: Sequence[str] = ()) -> str:
    """Return the labels as a list; a node and its image of the same name are one."""
    return ", ".join(x for x in labels if f"image {x}" not in labels and x not in without)
