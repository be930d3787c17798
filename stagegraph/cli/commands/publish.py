"""``doit publish``: finished images for everybody, one index over all platforms of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError, StagegraphError, nearest
from .base import Command, JsonOption, flag, option, print_json

if TYPE_CHECKING:
    from ...project.model import Project
    from ...publish.publication import Publication
    from ...publish.push import PushedTag
    from ..app import App


@dataclass(frozen=True)
class Options(JsonOption):
    dry_run: bool = flag("print what would be pushed")
    version: str = option("version of what is published, for the index's annotations")


class Publish(Command[Options]):
    options_type = Options
    doc_purpose = "push images with an index, bills of materials and provenance"
    doc_usage = "IMAGE [IMAGE ...] [registry=HOST] [tag=TAG]"
    doc_description = (
        "Pushes, for each image, REPO:IMAGE-PLATFORM for every platform that is built, and REPO:IMAGE, "
        "an index with one image for each Docker platform. With tag=TAG these are TAG-PLATFORM and TAG. "
        "All platforms of the index must be built and have passed their test. Boards that are not built "
        "are left out.\n\n"
        "Annotations of the index name source, revision (from git), version and time. Each image gets a "
        "bill of materials (CycloneDX) and provenance (in-toto, SLSA) as OCI referrers: 'oras discover' "
        "lists them. They are not signed.\n\n"
        "The index is pushed last, so it never names a missing image. Publishing again pushes only what "
        "changed. --dry-run reads from the registry and pushes nothing."
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...publish.publication import Release, RunState, prepare
        from ...publish.publisher import Publisher
        from ...publish.revision import read_revision
        from ...store.repository import keeps_types

        workspace, dry = app.workspace, options.dry_run
        images = wanted(workspace.project, words)
        if workspace.registry is None and not dry:
            hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
            raise ProjectError("doit publish", "no registry is set", hint)
        if workspace.project.settings.push == "never" and not dry:
            what = "push=never says that nothing is written to a registry"
            raise ProjectError("doit publish", what, "push=built here, or --dry-run")
        graph, layout, registry = workspace.graph, workspace.layout, workspace.registry
        revision = read_revision(workspace.project.root, workspace.report.warn)
        release = Release(revision, options.version)
        state = RunState(
            workspace.nodes.test_passed, lambda: registry.availability.read_error if registry else None
        )
        # all, or none
        publications = [prepare(graph, layout, state, image, release) for image in images]
        remote = registry.remote if registry else None
        publisher = Publisher(graph, layout, workspace.lookup, remote, revision, dry=dry)
        told: list[tuple[Publication, PushedTag]] = []
        for publication in publications:
            for platform, why in publication.absent:
                print(f"   {publication.image}:{platform} {why} and is left out", file=sys.stderr)
            print(f"   {publication.image}: comparing and pushing", file=sys.stderr, flush=True)
            try:
                for pushed in publisher.publish(publication):
                    told.append((publication, pushed))
                    if not options.json:
                        print(render_text(pushed, dry=dry and pushed.state != "same"), flush=True)
            except StagegraphError:
                _print_json(told, options)  # what was pushed until then is there
                raise
        _print_json(told, options)
        if remote and not keeps_types():
            print("warning: lists of referrers lack artifact types, which skopeo 1.15 keeps", file=sys.stderr)
        return 0


def _print_json(told: list[tuple[Publication, PushedTag]], options: Options) -> None:
    if options.json:
        done = [to_json(publication, pushed) for publication, pushed in told]
        print_json({"schema": 1, "dry_run": options.dry_run, "pushed": done})


def wanted(project: Project, words: list[str]) -> list[str]:
    """Images for words of a command line. Raises ``ProjectError`` with the nearest word."""
    images = project.images
    if not words:
        raise ProjectError("doit publish", "which image?", f"one or more of: {', '.join(images)}")
    for word in words:
        if word.startswith("-"):
            raise ProjectError("command line", f"{word}: no such option", "doit publish --help")
        if word not in images:
            hint = (
                "an index is over all platforms: name the image alone"
                if ":" in word
                else nearest(word, images)
            )
            raise ProjectError("command line", f"no image {word!r}", hint)
    if project.settings.tag and len(set(words)) > 1:
        raise ProjectError("command line", "tag= is for one image", "call it for each")
    return list(dict.fromkeys(words))


def render_text(pushed: PushedTag, *, dry: bool) -> str:
    """One line for the name, and what there is to say of it below."""
    state = f"would be {pushed.state}" if dry else pushed.state
    return "\n".join(
        [f"{state:<6} {pushed.reference}  {pushed.digest}", *(f"         {x}" for x in pushed.details)]
    )


def to_json(publication: Publication, pushed: PushedTag) -> dict[str, object]:
    return {
        "image": publication.image,
        "reference": pushed.reference,
        "digest": pushed.digest,
        "state": pushed.state,
        "details": list(pushed.details),
    }
