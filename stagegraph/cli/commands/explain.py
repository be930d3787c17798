"""``doit explain``: all inputs of a key, in order, as they are hashed; of two keys, what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...errors import ProjectError
from ...execution.against import by_key, earlier_of
from ...keys.explain import diff
from ...keys.inputs import digest
from ...output import printable, say
from ..goals import one_node
from ..help import Example
from .base import Command, JsonOption, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...execution.workspace import Workspace
    from ...keys.inputs import Input
    from ...keys.key import Key
    from ..app import App


class _Subject(NamedTuple):
    """What a word means: a node, now or at a commit, or a recorded build; with the inputs of its key."""

    node: str
    key: Key
    inputs: Sequence[Input]


class Explain(Command[JsonOption]):
    doc_purpose = "print all inputs of a key as they are hashed, or how two keys differ"
    doc_usage = "NODE | NODE@REVISION | KEY [NODE | NODE@REVISION | KEY]"
    doc_description = (
        "A key is the digest of a list of inputs: instructions, arguments, files, parents, images. This "
        "command prints the list of one key in its order. The text in brackets is for people; it is not "
        "hashed.\n\n"
        "NODE@REVISION is a node at a commit. KEY is the key of a build in cache/; some of its digits are "
        "enough. Of two keys it prints the inputs that differ."
    )
    examples = (
        Example("explain {goal}", "all that determines the key of a node"),
        Example("explain {goal}@HEAD~1 {goal}", "the difference to a commit"),
    )

    def answer(self, app: App, words: list[str], options: JsonOption) -> int:
        if not 1 <= len(words) <= 2:
            raise ProjectError("command line", "doit explain needs one or two keys", "doit explain NODE")
        subjects = [_subject(app.workspace, word) for word in words]
        if len(subjects) == 2:
            _print_difference(subjects[0], subjects[1], as_json=options.json)
        elif options.json:
            (one,) = subjects
            items = [{"role": i.role, "name": i.name, "value": i.value, "where": i.where} for i in one.inputs]
            print_json({"schema": 1, "node": one.node, "key": one.key, "inputs": items})
        else:
            _print_inputs(subjects[0])
        return 0


def _subject(workspace: Workspace, word: str) -> _Subject:
    """Raises ``ProjectError`` for a word that means nothing, or more than one node."""
    if record := by_key(workspace, word):
        return _Subject(record.node, record.key, record.inputs)
    name, at, revision = word.partition("@")
    node = one_node(workspace.graph, [name], "explain")
    if not at:
        return _Subject(str(node), workspace.graph.key(node), workspace.graph.inputs(node))
    past = earlier_of(workspace, node, revision)
    if past is None:
        raise ProjectError("command line", f"no earlier build of {node} is known", f"{node}@HEAD")
    return _Subject(f"{node}@{revision}", past.key, past.inputs)


def _print_inputs(subject: _Subject) -> None:
    assert digest(subject.inputs) == subject.key
    say(f"{subject.node}: {subject.key}")
    width = max(len(item.role) for item in subject.inputs)
    for item in subject.inputs:
        name = f"{item.name} " if item.name else ""
        notes = ", ".join(filter(None, (item.where, item.shown if item.role != "instruction" else "")))
        line = f"  {item.role:<{width}}  {name}{item.value}"
        say(printable(f"{line}   ({notes})" if notes else line))


def _print_difference(one: _Subject, other: _Subject, *, as_json: bool) -> None:
    changes = diff(one.inputs, other.inputs)
    if as_json:
        sides = {side: {"node": s.node, "key": s.key} for side, s in (("old", one), ("new", other))}
        print_json({"schema": 1, **sides, "changes": list(map(str, changes))})
        return
    say(f"from {one.node}: {one.key}")
    say(f"to   {other.node}: {other.key}")
    say("\n".join(f"  {change}" for change in changes) or "  nothing differs")
