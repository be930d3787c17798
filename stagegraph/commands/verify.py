"""``doit verify``: whether ``cache/`` is intact, and whether building again gives the same images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import VerifyError
from .base import OPT_JSON, Command, print_json

if TYPE_CHECKING:
    from ..model import Node
    from ..session import Session

OPT_REBUILD = {
    "name": "rebuild",
    "short": "",
    "long": "rebuild",
    "type": bool,
    "default": False,
    "help": "build each node again and compare",
}

#: Lines of differences shown for a node; all of them stand in the JSON.
_SHOWN = 40


class Verify(Command):
    doc_purpose = "check the blobs of cache/; --rebuild: build again and compare, file by file"
    doc_description = (
        "For every node given, and all that it is made of: reads each blob of its image in cache/ and says "
        "whether it is what its record says. With --rebuild the node is built once more, on the parents in "
        "cache/ and without the builder's cache, and compared; cache/ stays as it is. To compare with "
        "another engine or builder, choose it: DOCKER_HOST=..., builder=NAME. Ends with status 16 if "
        "anything differs."
    )
    cmd_options = (OPT_JSON, OPT_REBUILD)

    def _execute(  # type: ignore[override]
        self, json: bool = False, rebuild: bool = False, pos_args: list[str] | None = None
    ) -> int:
        words = list(pos_args or [])
        self._rebuild = rebuild or "--rebuild" in words
        return super()._execute(json, [word for word in words if word != "--rebuild"])

    def answer(self, session: Session, goals: list[Node], *, as_json: bool) -> None:
        facts: list[dict[str, Any]] = []
        for node in session.graph.order(goals):
            fact = self._verify(session, node)
            facts.append({"node": str(node), **fact})
            if not as_json:
                print(f"{fact['result']:<8}  {node}", flush=True)
                for line in fact["differences"][:_SHOWN]:
                    print(f"{'':<10}{line}")
                if len(fact["differences"]) > _SHOWN:
                    print(f"{'':<10}and {len(fact['differences']) - _SHOWN} more; --json has them all")
        session.report.close()
        if as_json:
            print_json({"schema": 1, "nodes": facts})
        counts = {
            word: sum(fact["result"] == word for fact in facts) for word in ("same", "differs", "absent")
        }
        print(", ".join(f"{count} {word}" for word, count in counts.items()), file=sys.stderr)
        if bad := [fact["node"] for fact in facts if fact["result"] != "same"]:
            raise VerifyError(
                "verify",
                f"not the same, or not there: {', '.join(bad)}",
                "doit NODE makes what is absent; where a rebuilt node differs, mend its Dockerfile",
            )

    def _verify(self, session: Session, node: Node) -> dict[str, Any]:
        record = session.layout.read(session.graph.key(node))
        if record is None:
            return {"result": "absent", "differences": []}
        if not session.layout.check(record):
            return {"result": "differs", "differences": ["a blob of its image is missing or damaged"]}
        lines = session.rebuild(node, record) if self._rebuild else []
        return {"result": "differs" if lines else "same", "digest": record.digest, "differences": lines}
