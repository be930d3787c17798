"""``doit keys``: the recipe key of every node, without building or an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...output import say
from ..goals import resolve_goals
from ..help import Example
from .base import Command, KeepGoing, path_option, print_json

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Options(KeepGoing):
    write: str = path_option("write key files for a CI service into this folder")


class Keys(Command[Options]):
    options_type = Options
    section = "look"
    doc_purpose = "print the key of every node, or of the nodes you name"
    doc_description = (
        "A key is the digest of everything that determines a node. It changes exactly when the node "
        "must be rebuilt.\n\n"
        "--keep-going leaves out nodes with a broken Dockerfile or broken files. Without it, such a "
        "node ends the command.\n\n"
        "--write FOLDER writes small files that a CI service can use as keys of its cache: one for each "
        "image and platform (IMAGE-PLATFORM), and one for all of them (all). A file holds the keys of the "
        "image and of its test. These cover all ancestors. A file changes only when one of its keys "
        "does."
    )
    examples = (
        Example("keys", "the keys of all nodes"),
        Example("keys {goal} --json", "one key, for a program"),
        Example("keys --write build/keys", "files by which a CI service names its caches"),
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
                say(path)
        elif options.json:
            print_json({**keys, "left_out": goals.to_json()} if goals.left_out else keys)
        else:
            width = max(map(len, keys), default=0)
            say("\n".join(f"{node:<{width}}  {key}" for node, key in keys.items()))
        return goals.status
