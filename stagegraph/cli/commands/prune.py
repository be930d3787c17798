"""``doit prune``: remove from ``cache/``, or from the registry, what no current key needs."""

from __future__ import annotations

import datetime
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import ProjectError
from .base import OPT_JSON, Command, flag, option, print_json

if TYPE_CHECKING:
    from ...execution.workspace import Workspace
    from ...prune.cache import CacheSelection
    from ...prune.registry import RetentionPlan

#: Days in which nothing is removed from a registry unless it is said otherwise.
DAYS = 30


class Prune(Command):
    doc_purpose = "remove from cache/, or from the registry, what no current key needs"
    doc_usage = "--keep-current [STAGE:PLATFORM | IMAGE:PLATFORM | STAGE | IMAGE ...] | --registry"
    doc_description = (
        "--keep-current keeps in cache/ the images of all nodes that are asked for and of all that they are "
        "made of, as stages.toml and the Dockerfiles are now, and frees the rest: images of earlier keys, "
        "damaged blobs, logs. Without names: of every node. A cache that is pruned before it is saved does "
        "not grow. It is refused while a run uses cache/.\n\n"
        "--registry removes tags of nodes (STAGE-ARCH-KEY) from the registry that no kept revision needs: by "
        "default the tips of all branches and tags that this clone knows, and where it stands. What was made "
        "in the last days stays whatever it is, and what another tag names too. The registry must allow "
        "deletion, and frees the space when it collects its garbage.\n\n"
        "Images in the engine are Docker's: see docker image prune."
    )
    cmd_options = (
        OPT_JSON,
        flag("keep-current", "keep in cache/ what current keys need, free the rest"),
        flag("registry", "remove from the registry what no kept revision needs"),
        option("days", f"with --registry: keep what was made in the last days, {DAYS} by default"),
        option("revisions", "with --registry: revisions to keep instead of all, with spaces between them"),
        flag("dry-run", "say what would be removed, and remove nothing"),
    )

    def _execute(
        self,
        json: bool,
        keep_current: bool,
        registry: bool,
        days: str,
        revisions: str,
        dry_run: bool,
        pos_args: list[str] | None = None,
    ) -> int:
        switches = {"json": json, "keep_current": keep_current, "registry": registry, "dry_run": dry_run}
        return self.run(pos_args, days=days, revisions=revisions, **switches)

    def answer(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        if len(flags & {"keep_current", "registry"}) != 1:
            hint = "doit prune --keep-current, or doit prune --registry; with --dry-run to look first"
            raise ProjectError("doit prune", "say where: in cache/ or in the registry", hint)
        if "registry" in flags:
            return self.registry(session, words, flags)
        if given := [f"--{name}" for name in ("days", "revisions") if self.values[name]]:
            raise ProjectError("command line", f"{given[0]} is for --registry", "doit prune --help")
        selection = _prune_cache(session, words, dry="dry_run" in flags)
        if "json" in flags:
            print_json(facts(selection, dry="dry_run" in flags))
        else:
            print(text(selection, dry="dry_run" in flags))
        return 0

    def registry(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        """``--registry``: choose, then delete one manifest after the other."""
        from ...prune import registry as retention
        from ...prune import revisions
        from .. import tasks

        if words:
            hint = "which tags go is a matter of revisions: --revisions"
            raise ProjectError("command line", f"--registry takes no {words[0]!r}", hint)
        root = session.project.root
        if session.registry is None:
            hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
            raise ProjectError("doit prune", "no registry is set", hint)
        remote, dry = session.registry.remote, "dry_run" in flags
        if not dry and session.project.settings.push == "never":
            raise ProjectError("doit prune", "push=never: the registry is only read", "or look: --dry-run")
        days = self.values["days"] or str(DAYS)
        if not (days.isascii() and days.isdecimal() and len(days) < 6):
            raise ProjectError("command line", f"--days {days} is no number of days", "--days 30")
        keys = {session.graph.key(node) for node in tasks.resolve_goals([]).nodes}
        keys |= revisions.declared_keys(root)
        commits = revisions.revisions(root, self.values["revisions"].split())
        for number, commit in enumerate(dict.fromkeys(commits.values()), 1):
            print(f"   keys of {commit[:12]}, {number} of {len({*commits.values()})}", file=sys.stderr)
            keys |= revisions.keys_at(root, commit, tasks.given(), session.report.warn)
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=int(days))
        print(f"   looking at the tags of {remote.repository}", file=sys.stderr)
        plan = retention.plan_retention(retention.list_tags(remote), keys, since)
        gone = set[str]()
        try:
            for digest in dict.fromkeys(tag.digest for tag in plan.to_delete):
                if not dry:
                    remote.delete(digest)
                gone.add(digest)
        finally:  # what was removed before one could not be is told
            plan = replace(plan, to_delete=tuple(tag for tag in plan.to_delete if tag.digest in gone))
            if "json" in flags:
                print_json(registry_facts(plan, dry=dry))
            else:
                print(registry_text(plan, list(commits), dry=dry))
        return 0


def _prune_cache(session: Workspace, words: list[str], *, dry: bool) -> CacheSelection:
    from ...prune import cache
    from .. import tasks

    goals = tasks.resolve_goals(words, tests=True).nodes
    keys = [session.graph.key(node) for node in session.graph.order(goals)]
    # what was left out of "all" for an image that cannot be asked for is needed when it can
    unkeyed = set[str]() if words else {*map(str, session.graph.nodes)} - {*map(str, goals)}
    if dry:
        return cache.select(session.layout, keys, unkeyed)
    with session.layout.locks.alone():
        selection = cache.select(session.layout, keys, unkeyed)
        cache.remove(session.layout, selection)
    return selection


def text(selection: CacheSelection, *, dry: bool) -> str:
    from ...system.text import human_size

    images = {record.digest: record.node for record in selection.kept}
    lines = [f"keep   {node}" for node in sorted(set(images.values()))]
    would = "would be freed" if dry else "freed"
    lines.append(
        f"kept: {len(images)} images, {human_size(selection.kept_bytes)}; "
        f"{would}: {len(selection.to_remove)} files, {human_size(selection.freed_bytes)}"
    )
    return "\n".join(lines)


def facts(selection: CacheSelection, *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "kept": sorted({record.node for record in selection.kept}),
        "kept_bytes": selection.kept_bytes,
        "freed_files": len(selection.to_remove),
        "freed_bytes": selection.freed_bytes,
    }


def registry_text(plan: RetentionPlan, revisions: list[str], *, dry: bool) -> str:
    dates = {tag.name: tag.record.dated for tag in plan.to_delete}
    lines = [f"remove {n}  made {d.isoformat() if d else 'at no known time'}" for n, d in dates.items()]
    would = "would be removed" if dry else "removed"
    named = ", ".join(revisions[:5]) + (f" and {len(revisions) - 5} more" if len(revisions) > 5 else "")
    lines.append(
        f"kept: {len(plan.needed)} tags that {named} need, {len(plan.recent)} made lately; "
        f"{would}: {len(plan.to_delete)} tags"
    )
    return "\n".join(lines)


def registry_facts(plan: RetentionPlan, *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "needed": sorted(tag.name for tag in plan.needed),
        "recent": sorted(tag.name for tag in plan.recent),
        "removed": sorted(tag.name for tag in plan.to_delete),
    }
