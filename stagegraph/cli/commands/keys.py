"""``doit keys``: the recipe key of every node, without building or an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .base import OPT_JSON, OPT_KEEP_GOING, Command, option, print_json

if TYPE_CHECKING:
    from ...execution.workspace import Workspace


class Keys(Command):
    doc_purpose = "print the key of every node, or of those asked for"
    doc_description = (
        "A key is the digest of all that determines a node; it changes exactly when a rebuild is due.\n\n"
        "--keep-going leaves out nodes whose Dockerfile or files are broken; without it these end it.\n\n"
        "--write FOLDER writes files that a CI service can take as a cache's key: one for each image and "
        "platform (stock-amd64), one for all of these (all). Each has the keys of the image and its test, "
        "which stand for all that they are made of. A file stays as it is for as long as they do."
    )
    cmd_options = (
        OPT_JSON,
        OPT_KEEP_GOING,
        option("write", "write key files for a CI service into this folder"),
    )

    def _execute(self, json: bool, keep_going: bool, write: str, pos_args: list[str] | None = None) -> int:
        return self.run(pos_args, json=json, keep_going=keep_going, write=write)

    def answer(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        from .. import tasks

        folder = self.values["write"]
        if folder and not words:  # a file without its keys would name a cache
            words = [name for name, image in session.project.images.items() if image.default]
        goals = tasks.resolve_goals(words, tests=bool(folder), keep_going="keep_going" in flags)
        keys = {str(node): session.graph.key(node) for node in goals.nodes}
        if folder:
            from ...ci.cache_keys import write

            for path in write(session.project, keys, Path(folder)):
                print(path)
        elif "json" in flags:
            print_json({**keys, "left_out": goals.to_json()} if goals.left_out else keys)
        else:
            width = max(map(len, keys), default=0)
            print("\n".join(f"{node:<{width}}  {key}" for node, key in keys.items()))
        return goals.status
