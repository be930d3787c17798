"""``doit prune``: delete from ``cache/``, or from the registry, what no current key needs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import ProjectError
from ...oci.digest import Digest
from ...output import say, tell
from ...system.text import listed
from ..app import command_line_settings
from ..goals import resolve_goals
from ..help import Example
from .base import Command, JsonOption, flag, option, print_json

if TYPE_CHECKING:
    from ...execution.workspace import Workspace
    from ...keys.key import Key
    from ...prune.cache import CacheSelection
    from ...prune.registry import RetentionPlan
    from ...store.repository import RemoteRepository
    from ..app import App

#: The default of ``--days``: younger tags stay in a registry.
DAYS = 30


@dataclass(frozen=True)
class Options(JsonOption):
    keep_current: bool = flag("keep in cache/ what current keys need, delete the rest")
    registry: bool = flag("delete from the registry what no kept revision needs")
    days: str = option(f"with --registry: keep tags of the last days, {DAYS} by default")
    revisions: str = option("with --registry: the revisions to keep, separated by spaces; all by default")
    dry_run: bool = flag("show what would be deleted, and delete nothing")


class Prune(Command[Options]):
    options_type = Options
    section = "maintain"
    doc_purpose = "delete from cache/, or from the registry, what no current key needs"
    doc_usage = "--keep-current [GOAL ...] | --registry"
    doc_description = (
        "--keep-current keeps in cache/ the images of the nodes you name and of all their ancestors, "
        "for stages.toml and the Dockerfiles as they are now. It deletes the rest: images of earlier "
        "keys, damaged blobs, logs. Without names: it keeps all nodes. It is refused while a run uses "
        "cache/.\n\n"
        "--registry deletes tags of nodes (STAGE-ARCH-KEY) from the registry that no kept revision "
        "needs. Kept revisions are by default the tips of all branches and tags of this clone, and the "
        "current commit. Tags younger than --days stay, and manifests that have another tag. The "
        "registry must allow deletion. It frees the space when it collects garbage.\n\n"
        "Images in the engine belong to Docker: see docker image prune."
    )
    examples = (
        Example("prune --keep-current --dry-run", "what would be deleted in cache/"),
        Example("prune --keep-current", "delete what current keys do not need"),
        Example(
            "prune --registry registry={registry} --dry-run", "the same for tags in a registry", "registry"
        ),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        if options.keep_current == options.registry:
            hint = "doit prune --keep-current, or doit prune --registry; with --dry-run to look first"
            raise ProjectError("command line", "doit prune needs a place: cache/ or the registry", hint)
        if options.registry:
            _prune_registry(app, words, options)
            return 0
        if given := [f"--{name}" for name in ("days", "revisions") if getattr(options, name)]:
            raise ProjectError("command line", f"{given[0]} is for --registry", "doit prune --help")
        selection = _prune_cache(app.workspace, words, dry=options.dry_run)
        if options.json:
            print_json(to_json(selection, dry=options.dry_run))
        else:
            say(render_text(selection, dry=options.dry_run))
        return 0


def _prune_cache(workspace: Workspace, words: list[str], *, dry: bool) -> CacheSelection:
    from ...prune import cache

    graph, layout = workspace.graph, workspace.layout
    goals = resolve_goals(graph, words, tests=True).nodes
    keys = [graph.key(node) for node in graph.order(goals)]
    # a node that "all" leaves out for an image that cannot be resolved now is needed when it can be
    unkeyed = set[str]() if words else {*map(str, graph.nodes)} - {*map(str, goals)}
    if dry:
        return cache.select(layout, keys, unkeyed)
    with layout.locks.exclusive():
        selection = cache.select(layout, keys, unkeyed)
        cache.remove(layout, selection)
    return selection


def _prune_registry(app: App, words: list[str], options: Options) -> None:
    """``--registry``: choose, then delete one manifest after the other."""
    from ...prune import registry

    remote, days = _checked(app.workspace, words, options)
    keys, commits = _kept_keys(app, options.revisions.split())
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    tell(f"   looking at the tags of {remote.repository}")
    plan = registry.plan_retention(registry.list_tags(remote), keys, since)
    deleted = set[Digest]()
    try:
        for digest in dict.fromkeys(tag.digest for tag in plan.to_delete):
            if not options.dry_run:
                remote.delete(digest)
            deleted.add(digest)
    finally:  # after an error, report what was deleted before it
        plan = replace(plan, to_delete=tuple(tag for tag in plan.to_delete if tag.digest in deleted))
        if options.json:
            print_json(registry_to_json(plan, dry=options.dry_run))
        else:
            say(registry_text(plan, list(commits), dry=options.dry_run))


def _checked(workspace: Workspace, words: list[str], options: Options) -> tuple[RemoteRepository, int]:
    """Return the registry's repository and the number of days. Raises ``ProjectError``."""
    if words:
        hint = "revisions decide which tags are deleted: --revisions"
        raise ProjectError("command line", f"--registry takes no {words[0]!r}", hint)
    if workspace.registry is None:
        hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
        raise ProjectError("doit prune", "no registry is set", hint)
    if not options.dry_run and workspace.project.settings.push == "never":
        raise ProjectError("doit prune", "push=never: the registry is only read", "or look: --dry-run")
    days = options.days or str(DAYS)
    if not (days.isascii() and days.isdecimal() and len(days) < 6):
        raise ProjectError("command line", f"--days {days} is not a number of days", "--days 30")
    return workspace.registry.remote, int(days)


def _kept_keys(app: App, names: list[str]) -> tuple[set[Key], dict[str, str]]:
    """Return the keys that the project needs now or at a kept revision, and these revisions with commits."""
    from ...prune import revisions

    workspace = app.workspace
    root, graph = workspace.project.root, workspace.graph
    keys = {graph.key(node) for node in resolve_goals(graph, []).nodes}
    keys |= revisions.declared_keys(root)
    commits = revisions.revisions(root, names)
    distinct = dict.fromkeys(commits.values())
    for number, commit in enumerate(distinct, 1):
        tell(f"   keys of {commit[:12]}, {number} of {len(distinct)}")
        keys |= revisions.keys_at(root, commit, command_line_settings(), workspace.report.warn)
    return keys, commits


def render_text(selection: CacheSelection, *, dry: bool) -> str:
    from ...system.text import human_size

    images = {record.digest: record.node for record in selection.kept}
    lines = [f"keep   {node}" for node in sorted(set(images.values()))]
    would = "would be freed" if dry else "freed"
    lines.append(
        f"kept: {len(images)} images, {human_size(selection.kept_bytes)}; "
        f"{would}: {len(selection.to_remove)} files, {human_size(selection.freed_bytes)}"
    )
    return "\n".join(lines)


def to_json(selection: CacheSelection, *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "kept": sorted({record.node for record in selection.kept}),
        "kept_bytes": selection.kept_bytes,
        "freed_files": len(selection.to_remove),
        "freed_bytes": selection.freed_bytes,
    }


def registry_text(plan: RetentionPlan, revisions: list[str], *, dry: bool) -> str:
    dates = {tag.name: tag.record.recorded_or_created for tag in plan.to_delete}
    lines = [f"remove {n}  made {d.isoformat() if d else 'at no known time'}" for n, d in dates.items()]
    would = "would be removed" if dry else "removed"
    named = listed([*revisions], 5)
    lines.append(
        f"kept: {len(plan.needed)} tags that {named} need, {len(plan.recent)} made lately; "
        f"{would}: {len(plan.to_delete)} tags"
    )
    return "\n".join(lines)


def registry_to_json(plan: RetentionPlan, *, dry: bool) -> dict[str, object]:
    return {
        "schema": 1,
        "dry_run": dry,
        "needed": sorted(tag.name for tag in plan.needed),
        "recent": sorted(tag.name for tag in plan.recent),
        "removed": sorted(tag.name for tag in plan.to_delete),
    }
