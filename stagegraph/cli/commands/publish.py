"""``doit publish``: finished images for everybody, one index over all platforms of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError, nearest
from ...output import say, tell
from ...project.tags import check_setting
from ..help import Example
from .base import Command, JsonOption, flag, option, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...execution.workspace import Workspace
    from ...project.model import Project
    from ...publish.publication import Publication
    from ...publish.publisher import Publisher
    from ...publish.push import PushedTag
    from ..app import App


@dataclass(frozen=True)
class Options(JsonOption):
    dry_run: bool = flag("print what would be pushed")
    version: str = option("version of what is published, for tags and the index's annotations")


class Publish(Command[Options]):
    options_type = Options
    section = "ci"
    completes = ("@images",)
    doc_purpose = "push images with an index, bills of materials and provenance"
    doc_usage = "IMAGE|GROUP [IMAGE|GROUP ...] [registry=HOST] [tag=TAG]"
    doc_description = (
        "Pushes, for each image, REPO:IMAGE-PLATFORM for every platform that is built, and REPO:IMAGE, "
        "an index with one image for each Docker platform, or the tags that the image declares. With "
        "tag=TAG these are TAG-PLATFORM and TAG. "
        "All platforms of the index must be built and have passed their test. Boards that are not built "
        "are left out.\n\n"
        "Annotations of the index name source, revision (from git), version and time. Each image gets a "
        "bill of materials (CycloneDX) and provenance (in-toto, SLSA) as OCI referrers: 'oras discover' "
        "lists them. They are not signed.\n\n"
        "The index is pushed last, so it never names a missing image. Publishing again pushes only what "
        "changed. --dry-run reads from the registry and pushes nothing."
    )
    examples = (
        Example("publish {image} registry={registry} --dry-run", "what would be pushed", "registry"),
        Example(
            "publish {image} registry={registry} tag=edge", "push it under a tag of your own", "registry"
        ),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        from ...execution.final_tags import FinalTags
        from ...publish.publication import Release, RunState, prepare
        from ...publish.publisher import Publisher
        from ...publish.revision import read_revision
        from ...store.repository import keeps_types

        workspace = app.workspace
        images = wanted(workspace.project, words)
        _check_settings(workspace, options, images)
        graph, layout, registry = workspace.graph, workspace.layout, workspace.registry
        revision = read_revision(workspace.project.root, workspace.report.warn)
        tags = FinalTags(workspace.project, layout, options.version)
        tags.check((name, p) for name in images for p in workspace.project.images[name].platforms)
        release = Release(revision, options.version or tags.version)
        state = RunState(
            workspace.nodes.test_passed,
            lambda: registry.availability.read_error if registry else None,
            workspace.delivery.record_outputs,
        )
        # prepare all images before the first push
        publications = [prepare(graph, layout, state, tags, image, release) for image in images]
        remote = registry.remote if registry else None
        publisher = Publisher(graph, layout, workspace.lookup, remote, revision, dry=options.dry_run)
        pushed: list[tuple[Publication, PushedTag]] = []
        try:
            for publication in publications:
                _publish(publisher, publication, pushed, options)
        finally:  # after an error, list what was pushed before it
            if options.json:
                print_json(
                    {
                        "schema": 1,
                        "dry_run": options.dry_run,
                        "pushed": [to_json(publication, tag) for publication, tag in pushed],
                    }
                )
        if remote and not keeps_types():
            tell("warning: lists of referrers lack artifact types, which skopeo 1.15 keeps")
        return 0


def _check_settings(workspace: Workspace, options: Options, images: Iterable[str]) -> None:
    """Raise ``ProjectError`` if the settings do not allow a push of these images."""
    for name in images:
        check_setting(workspace.project, workspace.project.images[name], published=True)
    if options.dry_run:
        return
    if workspace.registry is None:
        hint = "registry=HOST here, STAGEGRAPH_REGISTRY, or registry under [project]"
        raise ProjectError("doit publish", "no registry is set", hint)
    if workspace.project.settings.push == "never":
        raise ProjectError(
            "doit publish",
            "push=never says that nothing is written to a registry",
            "push=built here, or --dry-run",
        )


def _publish(
    publisher: Publisher,
    publication: Publication,
    pushed: list[tuple[Publication, PushedTag]],
    options: Options,
) -> None:
    """Push one publication. Add each tag to ``pushed``, and print it."""
    for absent in publication.absent:
        tell(f"   {publication.image}:{absent.platform} {absent.why} and is left out")
    tell(f"   {publication.image}: comparing and pushing", flush=True)
    for tag in publisher.publish(publication):
        pushed.append((publication, tag))
        if not options.json:
            say(render_text(tag, dry=options.dry_run and tag.state != "same"), flush=True)


def wanted(project: Project, words: list[str]) -> list[str]:
    """Images for words of a command line: images or groups. Raises ``ProjectError`` with the nearest word."""
    images = project.images
    groups = project.groups
    words = [name for word in words for name in (groups[word].images if word in groups else [word])]
    if not words:
        raise ProjectError("command line", "doit publish needs an image", nearest("", images))
    for word in words:
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
