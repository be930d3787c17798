"""``doit lock``: takes today's packages, or what tags of images name now. Nothing else changes the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ProjectError, nearest
from ...output import say
from ..help import Example
from .base import Command, JsonOption, print_json

if TYPE_CHECKING:
    from ...graph.lock import Renewal
    from ..app import App

_KINDS = ("archive", "images")


class Lock(Command[JsonOption]):
    section = "maintain"
    completes = ("archive", "images")
    doc_purpose = "renew stages.lock: the package date, or the pinned images"
    doc_usage = "archive | images [REFERENCE ...]"
    doc_description = (
        "archive: sets the package date to today (UTC). The next run installs today's packages in all "
        "stages that install packages.\n\n"
        "images: resolves the pinned references again, or only those you name, and pins what has moved. "
        "stages.lock is written when all of them are resolved.\n\n"
        "Prints the old and the new value. With locked=1 it is an error. Commit stages.lock afterwards."
    )
    examples = (
        Example("lock archive", "today's packages from the next run on"),
        Example("lock images", "pin what tags of external images name now"),
    )

    def answer(self, app: App, words: list[str], options: JsonOption) -> int:
        lock = app.workspace.graph.lock
        kind, references = (words[0], words[1:]) if words else ("", [])
        if kind not in _KINDS:
            what = f"doit lock: no kind of pin {kind!r}" if kind else "doit lock needs a kind of pin"
            raise ProjectError("command line", what, nearest(kind, _KINDS))
        if kind == "archive":
            if references:
                raise ProjectError(
                    "command line", f"doit lock archive takes no reference: {references[0]!r}", ""
                )
            old, new = lock.renew_package_date()
            if options.json:
                print_json({"schema": 1, "archive": {"old": old or None, "new": new}})
            else:
                say(f"same   archive  {new}" if old == new else f"moved  archive  {old or 'none'} -> {new}")
            return 0
        renewals = lock.renew_images(references)
        if options.json:
            print_json({"schema": 1, "images": [item._asdict() for item in renewals]})
        else:
            say("\n".join(map(render_text, renewals)) or "no image is pinned")
        return 0


def render_text(item: Renewal) -> str:
    """One line for an image that is what it was; for one that has moved, each digest that did."""
    if not item.moved:
        return f"same   {item.reference}  {item.new.get('index', '')}".rstrip()
    names = [name for name in {**item.old, **item.new} if item.old.get(name) != item.new.get(name)]
    width = max(map(len, names))
    lines = [
        f"       {name:<{width}}  {_shown(item.old.get(name))} -> {_shown(item.new.get(name))}"
        for name in names
    ]
    return "\n".join([f"moved  {item.reference}", *lines])


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
