"""The parts of one publication: an image's platforms with their tags, and the index over them.

``project.tags`` decides the tags. With ``tag=TAG``, a publication gives TAG to the index and TAG-PLATFORM to
the images, since an index needs a tag of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProjectError, StagegraphError
from ..oci import documents
from ..project import tags
from ..project.model import Node

if TYPE_CHECKING:
    from ..execution.final_tags import FinalTags
    from ..graph.graph import Graph
    from ..project.model import Image, Project
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from .revision import Revision

#: The names of annotations begin with this (image-spec, "Pre-Defined Annotation Keys").
OCI_ANNOTATION = "org.opencontainers.image."


@dataclass(frozen=True)
class PlatformImage:
    """An image on one platform. ``listed``: it is in the index, as the image of its OCI platform."""

    node: Node
    record: Record
    tags: tuple[str, ...]
    listed: bool


@dataclass(frozen=True)
class AbsentPlatform:
    """A platform that is left out, with the reason. ``tags`` are those that an earlier publication set."""

    platform: str
    why: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """Everything that is pushed for one image.

    ``repository`` has no registry. ``tags`` are those of the index. ``absent`` are the platforms left out.
    """

    image: str
    repository: str
    tags: tuple[str, ...]
    platform_images: tuple[PlatformImage, ...]
    annotations: dict[str, str]
    absent: tuple[AbsentPlatform, ...] = ()

    @property
    def listed(self) -> list[PlatformImage]:
        """The images in the index."""
        return [image for image in self.platform_images if image.listed]


class Release(NamedTuple):
    """The source revision of images, and the version that the user gives them; "" for none."""

    revision: Revision
    version: str = ""


class RunState(NamedTuple):
    """The state of the stores beyond ``cache/``.

    ``test_passed`` tells whether a test passed here or elsewhere. ``registry_error`` is the error of a
    registry that could not be asked, None if there is none. ``record_outputs`` runs the commands that the
    tags of an image need.
    """

    test_passed: Callable[[Node], bool]
    registry_error: Callable[[], StagegraphError | None]
    record_outputs: Callable[[str, Node, Record], None]


def prepare(
    graph: Graph, layout: LayoutStore, state: RunState, final: FinalTags, image: str, release: Release
) -> Publication:
    """The publication of an image, as it is in ``cache/``.

    The index has one image for each OCI platform: that of the first platform declared for it. Others, such as
    boards, only have their own tags, and are left out if they are not built or have not passed their test.

    Raises ``ProjectError`` if an image of the index is not built or has not passed its test, and for a tag
    that is not valid or that another image has.
    """
    project = graph.project
    declared = project.images[image]
    records, why = _finished(graph, layout, state, image)
    for platform, record in records.items():
        state.record_outputs(image, Node(declared.stage, platform), record)
    listed, platform_images = tags.listed_platforms(project, declared), []
    for platform, record in records.items():
        references = final.of_platform(image, platform, record.digest)
        final.claim(image, platform, references)
        node = Node(declared.stage, platform)
        platform_images.append(PlatformImage(node, record, _tags(references), platform in listed))
    index = final.of_index(image, {platform: record.digest for platform, record in records.items()})
    final.claim(image, "", index)
    kept = {platform: filter(tags.is_known, final.of_platform(image, platform)) for platform in why}
    return Publication(
        image,
        tags.repository(project, declared),
        _tags(index),
        tuple(platform_images),
        _annotations(project, declared, release),
        tuple(AbsentPlatform(platform, why[platform], _tags(kept[platform])) for platform in why),
    )


def _finished(
    graph: Graph, layout: LayoutStore, state: RunState, image: str
) -> tuple[dict[str, Record], dict[str, str]]:
    """The records of an image by platform; and why a platform has none, or has not passed its test."""
    project, absent = graph.project, dict[str, str]()
    records: dict[str, Record] = {}
    declared = project.images[image]
    for platform in declared.platforms:
        node, test = Node(declared.stage, platform), project.test(image, platform)
        record = layout.find(graph.key(node), node.stage)
        if record is not None and (test is None or state.test_passed(test)):
            records[platform] = record
            continue
        if error := state.registry_error():
            raise error  # the registry may have what is missing here
        absent[platform] = "is not in cache/" if record is None else "has not passed its test"
        if platform in tags.listed_platforms(project, declared):
            hint = f"build it: doit {image}:{platform}; an index needs all of its platforms"
            raise ProjectError(f"{image}:{platform}", absent[platform], hint)
    return records, absent


def _tags(references: Iterable[str]) -> tuple[str, ...]:
    return tuple(reference.rpartition(":")[2] for reference in references)


def _annotations(project: Project, image: Image, release: Release) -> dict[str, str]:
    created = datetime.datetime.fromtimestamp(project.epoch, datetime.UTC)
    values = {
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": image.name,
        "description": image.description,
        "source": release.revision.repository,
        "revision": release.revision.commit,
        "version": release.version,
    }
    return {OCI_ANNOTATION + name: value for name, value in values.items() if value}


def index_document(layout: LayoutStore, publication: Publication) -> bytes:
    """The index over the platforms of an image."""
    records = [image.record for image in publication.listed]
    manifests = [record.entry(layout.blobs.json(record.digest)) for record in records]
    return documents.canonical(documents.index(manifests, publication.annotations))
