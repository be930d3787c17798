"""``doit publish``: finished images for everybody, one index over all platforms of each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...errors import ProjectError, StagegraphError, nearest
from .base import OPT_JSON, Command, flag, option, print_json

if TYPE_CHECKING:
    from ...execution.workspace import Workspace
    from ...publish.publication import Publication
    from ...publish.push import PushedTag


class Publish(Command):
    doc_purpose = "push images with an index over their platforms, bills of materials and provenance"
    doc_usage = "IMAGE [IMAGE ...] [registry=HOST] [tag=TAG]"
    doc_description = (
        "For each image: REPO:IMAGE-PLATFORM for every platform that is built, and REPO:IMAGE, an index with "
        "one image for each Docker platform; with tag=TAG these are TAG-PLATFORM and TAG. All of the index's "
        "platforms must be built and have passed their test. Boards that are not built are left out.\n\n"
        "The index says source, revision (from git), version and time in annotations. "
        "To each image belong a bill of materials (CycloneDX) and provenance (in-toto, SLSA), attached as "
        "OCI referrers: 'oras discover' lists them. They are not signed.\n\n"
        "The index is pushed last, so it never names what is not there. Publishing again pushes what has "
        "changed, which is nothing if nothing has. --dry-run reads from the registry and pushes nothing."
    )
    cmd_options = (
        OPT_JSON,
        flag("dry-run", "print what would be pushed"),
        option("version", "version of what is published, for the index's annotations"),
    )

    def _execute(self, json: bool, dry_run: bool, version: str, pos_args: list[str] | None = None) -> int:
        return self.run(pos_args, json=json, dry_run=dry_run, version=version)

    def answer(self, session: Workspace, words: list[str], flags: set[str]) -> int:
        from ...publish.publication import Release, RunState, prepare
        from ...publish.publisher import Publisher
        from ...publish.revision import read_revision
        from ...store.repository import keeps_types

        images = wanted(session, words)
        dry = "dry_run" in flags
        if session.registry is None and not dry:
            hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
            raise ProjectError("doit publish", "no registry is set", hint)
        if session.project.settings.push == "never" and not dry:
            what = "push=never says that nothing is written to a registry"
            raise ProjectError("doit publish", what, "push=built here, or --dry-run")
        registry, graph, layout = session.registry, session.graph, session.layout
        revision = read_revision(session.project.root, session.report.warn)
        release = Release(revision, self.values["version"])
        state = RunState(session.passed, lambda: registry.trouble if registry else None)
        # all, or none
        publications = [prepare(graph, layout, state, image, release) for image in images]
        remote = registry.remote if registry else None
        publisher = Publisher(graph, layout, session.find, remote, revision, dry=dry)
        told: list[tuple[Publication, PushedTag]] = []
        for publication in publications:
            for platform, why in publication.absent:
                print(f"   {publication.image}:{platform} {why} and is left out", file=sys.stderr)
            print(f"   {publication.image}: comparing and pushing", file=sys.stderr, flush=True)
            try:
                for pushed in publisher.publish(publication):
                    told.append((publication, pushed))
                    if "json" not in flags:
                        print(text(pushed, dry=dry and pushed.state != "same"), flush=True)
            except StagegraphError:
                _print_json(told, flags, dry=dry)  # what was pushed until then is there
                raise
        _print_json(told, flags, dry=dry)
        if remote and not keeps_types():
            print("warning: lists of referrers lack artifact types, which skopeo 1.15 keeps", file=sys.stderr)
        return 0


def _print_json(told: list[tuple[Publication, PushedTag]], flags: set[str], *, dry: bool) -> None:
    if "json" in flags:
        print_json({"schema": 1, "dry_run": dry, "pushed": [facts(p, pushed) for p, pushed in told]})


def wanted(session: Workspace, words: list[str]) -> list[str]:
    """Images for words of a command line. Raises ``ProjectError`` with the nearest word."""
    images = session.project.images
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
    if session.project.settings.tag and len(set(words)) > 1:
        raise ProjectError("command line", "tag= is for one image", "call it for each")
    return list(dict.fromkeys(words))


def text(pushed: PushedTag, *, dry: bool) -> str:
    """One line for the name, and what there is to say of it below."""
    state = f"would be {pushed.state}" if dry else pushed.state
    return "\n".join(
        [f"{state:<6} {pushed.reference}  {pushed.digest}", *(f"         {x}" for x in pushed.details)]
    )


def facts(publication: Publication, pushed: PushedTag) -> dict[str, object]:
    return {
        "image": publication.image,
        "reference": pushed.reference,
        "digest": pushed.digest,
        "state": pushed.state,
        "details": list(pushed.details),
    }
