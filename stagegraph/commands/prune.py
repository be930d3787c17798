"""``doit prune``: remove from ``cache/``, or from the registry, what no current key needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError
from .base import OPT_JSON, Command, flag, print_json

if TYPE_CHECKING:
    from ..prune import Selection
    from ..session import Session


class Prune(Command):
    doc_purpose = "remove from cache/ what current keys do not need"
    doc_description = (
        "--keep-current keeps the images of all nodes that are asked for and of all that they are made of, "
        "as stages.toml and the Dockerfiles are now, and frees the rest: images of earlier keys, damaged "
        "blobs, logs. Without names: of every node. A cache that is pruned before it is saved does not grow. "
        "It is refused while a run uses cache/.\n\n"
        "Images in the engine are Docker's: see docker image prune."
    )
    cmd_options = (
        OPT_JSON,
        flag("keep-current", "keep in cache/ what current keys need, free the rest"),
        flag("dry-run", "say what would be freed, and free nothing"),
    )

    def _execute(
        self, json: bool, keep_current: bool, dry_run: bool, pos_args: list[str] | None = None
    ) -> int:
        return self.run(pos_args, json=json, keep_current=keep_current, dry_run=dry_run)

    def answer(self, session: Session, words: list[str], flags: set[str]) -> int:
        from .. import prune, tasks

        if "keep_current" not in flags:
            hint = "doit prune --keep-current, with --dry-run to look first"
            raise ProjectError("doit prune", "say what to keep", hint)
        goals = tasks.resolve_goals(words, tests=True)
        keys = [session.graph.key(node) for node in session.graph.order(goals)]
        dry = "dry_run" in flags
        if dry:
            selection = prune.select(session.layout, keys)
        else:
            with session.layout.unused():
                selection = prune.select(session.layout, keys)
                prune.remove(session.layout, selection)
        if "json" in flags:
            print_json(facts(selection, dry=dry))
        else:
            print(text(selection, dry=dry))
        return 0


def text(selection: Selection, *, dry: bool) -> str:
    from ..report import human_size

    images = {record.digest: record.node for record in selection.kept}
    lines = [f"keep   {node}" for node in sorted(set(images.values()))]
    would = "would be freed" if dry else "freed"
    lines.append(
        f"kept: {len(images)} images, {human_size(selection.kept_bytes)}; "
        f"{would}: {len(selection.doomed)} files, {human_size(selection.freed_bytes)}"
    )
    return "\n".join(lines)


def facts(selection: Selection, *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "kept": sorted({record.node for record in selection.kept}),
        "kept_bytes": selection.kept_bytes,
        "freed_files": len(selection.doomed),
        "freed_bytes": selection.freed_bytes,
    }
