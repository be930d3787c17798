"""``doit plan``: what a run would reuse, pull and build, and why; changes nothing, needs no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import OPT_JSON, Command, print_json

if TYPE_CHECKING:
    from ..model import Node
    from ..plan import Step
    from ..session import Session


OPT_SIZES = {
    "name": "sizes",
    "short": "",
    "long": "sizes",
    "type": bool,
    "default": False,
    "help": "also the sizes of what is in cache/: a node's own layers, and the whole image",
}


class Plan(Command):
    with_tests = True
    cmd_options = (OPT_JSON, OPT_SIZES)
    doc_purpose = "show what would be reused, pulled and built, and why"
    doc_description = (
        "For every node in the order of work: reuse, pull or build, and the first input that differs "
        "from the node's last known build. Without arguments: for every node. Needs no engine."
    )

    def _execute(  # type: ignore[override]
        self, json: bool = False, sizes: bool = False, pos_args: list[str] | None = None
    ) -> int:
        words = list(pos_args or [])
        self._sizes = sizes or "--sizes" in words
        return super()._execute(json, [word for word in words if word != "--sizes"])

    def answer(self, session: Session, goals: list[Node], *, as_json: bool) -> None:
        steps = session.plan(goals)
        sizes = {str(node): size for node, size in session.sizes(goals).items()} if self._sizes else {}
        if as_json:
            facts: dict[str, Any] = {"schema": 1, "nodes": [_facts(step) for step in steps]}
            if self._sizes:
                facts["sizes"] = {node: {"own": own, "image": image} for node, (own, image) in sizes.items()}
            print_json(facts)
            return
        width = max((len(str(step.node)) for step in steps), default=0)
        for step in steps:
            usual = f" [about {step.seconds:.0f} s]" if step.decision == "build" and step.seconds else ""
            print(f"{step.decision:<5}  {step.node!s:<{width}}  {step.reason}{usual}")
            for change in step.changes[1:]:
                print(f"{'':<{width + 9}}also {change}")
        if self._sizes:
            print(f"\n{'MB, compressed':<{width + 7}}  own layers  whole image")
            for node, (own, image) in sizes.items():
                print(f"{node:<{width + 7}}  {own / 1e6:>10.1f}  {image / 1e6:>11.1f}")


def _facts(step: Step) -> dict[str, object]:
    return {
        "node": str(step.node),
        "key": step.key,
        "decision": step.decision,
        "reason": step.reason,
        "changes": [str(change) for change in step.changes],
        "seconds": step.seconds,
    }
