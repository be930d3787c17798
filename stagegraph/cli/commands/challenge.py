"""``doit challenge``: builders that disagree about the image of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ProjectError, TrustError
from ...output import say
from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, print_json

if TYPE_CHECKING:
    from ...audit.challenge import Challenge as Answer
    from ..app import App


class Challenge(Command[JsonOption]):
    section = "look"
    doc_purpose = "show builders that disagree about an image"
    doc_usage = "GOAL ..."
    doc_description = (
        "Shows who says that which image is that of the node's key: the records in cache/ and in the "
        "registry, and what the signers of [trust.keys] have signed. Builds nothing.\n\n"
        "Two images of one key mean that the build is not reproducible, or that somebody lies. doit verify "
        "--rebuild shows which files differ. The exit status is 1 if there is more than one image."
    )
    examples = (Example("challenge {goal}", "who says what about an image", "trust"),)

    def answer(self, app: App, words: list[str], options: JsonOption) -> int:
        from ...audit.challenge import challenge

        workspace = app.workspace
        if not words:
            raise ProjectError("command line", "doit challenge needs a node", "name one: see doit list --all")
        if workspace.project.trust.level == "none":
            raise TrustError("stages.toml", "has no [trust], so nobody signs", "doit trust init makes a key")
        goals = resolve_goals(workspace.graph, words)
        found = [challenge(workspace, node) for node in goals.nodes]
        if options.json:
            print_json({"schema": 1, "nodes": [to_json(each) for each in found]})
        else:
            say("\n".join(line for each in found for line in lines(each)))
        return goals.status or int(any(each.is_disputed for each in found))


def lines(found: Answer) -> list[str]:
    """Return the opinions about one node, one line each."""
    count = len(found.opinions)
    said = "nobody knows an image of it" if not count else "one image" if count == 1 else f"{count} images"
    result = [f"{found.node}: {said}"]
    for each in found.opinions:
        signed = f"signed by {', '.join(each.signers)}" if each.signers else "not signed by anybody trusted"
        where = f"in {' and in '.join(each.stores)}" if each.stores else "in no store"
        result.append(f"  {each.digest}  {signed}; {where}")
    return result


def to_json(found: Answer) -> dict[str, object]:
    return {
        "node": str(found.node),
        "key": found.key,
        "disputed": found.is_disputed,
        "images": [
            {"digest": each.digest, "signers": list(each.signers), "stores": list(each.stores)}
            for each in found.opinions
        ],
    }
