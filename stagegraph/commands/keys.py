"""``doit keys``: the recipe key of every node, without building or an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Command, print_json

if TYPE_CHECKING:
    from ..model import Node
    from ..session import Session


class Keys(Command):
    doc_purpose = "print the key of every node, or of those asked for"
    doc_description = (
        "A key is the digest of all that determines a node; it changes exactly when a rebuild is due."
    )

    def answer(self, session: Session, goals: list[Node], *, as_json: bool) -> None:
        keys = {str(node): session.graph.key(node) for node in goals}
        if as_json:
            print_json(keys)
        else:
            width = max(map(len, keys), default=0)
            print("\n".join(f"{node:<{width}}  {key}" for node, key in keys.items()))
