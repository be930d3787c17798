"""``doit plan``: what a run would reuse, pull and build, and why; changes nothing, needs no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Command, print_json

if TYPE_CHECKING:
    from ..plan import Step
    from ..session import Session


class Plan(Command):
    doc_purpose = "show what would be reused, pulled and built, and why"
    doc_description = (
        "For every node in the order of work: reuse, pull or build, and the first input that differs "
        "from the node's last known build. Without arguments: for every node. Needs no engine."
    )

    def _execute(self, json: bool, pos_args: list[str] | None = None) -> int:
        return self.run(pos_args, json=json)

    def answer(self, session: Session, words: list[str], flags: set[str]) -> int:
        from .. import tasks

        steps = session.plan(tasks.resolve_goals(words))
        if "json" in flags:
            print_json({"schema": 1, "nodes": [_facts(step) for step in steps]})
            return 0
        width = max((len(str(step.node)) for step in steps), default=0)
        for step in steps:
            usual = f" [about {step.seconds:.0f} s]" if step.decision == "build" and step.seconds else ""
            print(f"{step.decision:<5}  {step.node!s:<{width}}  {step.reason}{usual}")
            for change in step.changes[1:]:
                print(f"{'':<{width + 9}}also {change}")
        return 0


def _facts(step: Step) -> dict[str, object]:
    return {
        "node": str(step.node),
        "key": step.key,
        "decision": step.decision,
        "reason": step.reason,
        "changes": [str(change) for change in step.changes],
        "seconds": step.seconds,
    }
