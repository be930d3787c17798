"""``doit keys``: the recipe key of every node, without building or an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Command, print_json

if TYPE_CHECKING:
    from ..session import Session


class Keys(Command):
    doc_purpose = "print the key of every node, or of those asked for"
    doc_description = (
        "A key is the digest of all that determines a node; it changes exactly when a rebuild is due."
    )

    def _execute(self, json: bool, pos_args: list[str] | None = None) -> int:
        return self.run(pos_args, json=json)

    def answer(self, session: Session, words: list[str], flags: set[str]) -> int:
        from .. import tasks

        keys = {str(node): session.graph.key(node) for node in tasks.resolve_goals(words)}
        if "json" in flags:
            print_json(keys)
        else:
            width = max(map(len, keys), default=0)
            print("\n".join(f"{node:<{width}}  {key}" for node, key in keys.items()))
        return 0
