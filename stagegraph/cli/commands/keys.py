"""``doit keys``: the recipe key of every node, without building or an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..goals import resolve_goals
from .base import Command, KeepGoing, option, print_json

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Options(KeepGoing):
    write: str = option("write key files for a CI service into this folder")


class Keys(Command[Options]):
    options_type = Options
    doc_purpose = "print the key of every node, or of those asked for"
    doc_description = (
        "A key is the digest of all that determines a node; it changes exactly when a rebuild is due.\n\n"
        "--keep-going leaves out nodes whose Dockerfile or files are broken; without it these end it.\n\n"
        "--write FOLDER writes files that a CI service can take as a cache's key: one for each image and "
        "platform (stock-amd64), one for all of these (all). Each has the keys of the image and its test, "
        "which stand for all that they are made of. A file stays as it is for as long as they do."
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        project, graph, folder = app.workspace.project, app.workspace.graph, options.write
        if folder and not words:  # a file without its keys would name a cache
            words = [name for name, image in project.images.items() if image.default]
        goals = resolve_goals(graph, words, tests=bool(folder), keep_going=options.keep_going)
        keys = {str(node): graph.key(node) for node in goals.nodes}
        if folder:
            from ...ci.cache_keys import write

            for path in write(project, keys, Path(folder)):
                print(path)
        elif options.json:
            print_json({**keys, "left_out": goals.to_json()} if goals.left_out else keys)
        else:
            width = max(map(len, keys), default=0)
            print("\n".join(f"{node:<{width}}  {key}" for node, key in keys.items()))
        return goals.status
