"""The parts of one publication: an image's platforms with their tags, and the index over them.

``Project.tag`` (``project.model``) decides the tag of an image in a run. With ``tag=TAG``, a publication
gives TAG to the index and TAG-PLATFORM to the images, since an index needs a tag of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProjectError, StagegraphError
from ..oci import documents
from ..project.model import Node

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..oci.platform import OciPlatform
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
    tag: str
    listed: bool


@dataclass(frozen=True)
class Publication:
    """Everything that is pushed for one image. ``absent`` are the platforms left out, with the reason."""

    image: str
    tag: str
    platform_images: tuple[PlatformImage, ...]
    annotations: dict[str, str]
    absent: tuple[tuple[str, str], ...] = ()

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
    registry that could not be asked, None if there is none.
    """

    test_passed: Callable[[Node], bool]
    registry_error: Callable[[], StagegraphError | None]


def prepare(graph: Graph, layout: LayoutStore, state: RunState, image: str, release: Release) -> Publication:
    """The publication of an image, as it is in ``cache/``.

    The index has one image for each OCI platform: that of the first platform declared for it. Others, such as
    boards, only have their own tags, and are left out if they are not built or have not passed their test.

    Raises ``ProjectError`` if an image of the index is not built or has not passed its test.
    """
    project = graph.project
    declared = project.images[image]
    tag = project.settings.tag or image
    platform_images: list[PlatformImage] = []
    absent: list[tuple[str, str]] = []
    listed = _listed_platforms(project, declared)
    for platform in declared.platforms:
        node, test = Node(declared.stage, platform), project.test(image, platform)
        record = layout.find(graph.key(node))
        if record is not None and (test is None or state.test_passed(test)):
            platform_images.append(PlatformImage(node, record, f"{tag}-{platform}", platform in listed))
            continue
        if error := state.registry_error():
            raise error  # the registry may have what is missing here
        why = "is not in cache/" if record is None else "has not passed its test"
        if platform in listed:
            hint = f"build it: doit {image}:{platform}; an index needs all of its platforms"
            raise ProjectError(f"{image}:{platform}", why, hint)
        absent.append((platform, why))
    annotations = _annotations(project, declared, release)
    return Publication(image, tag, tuple(platform_images), annotations, tuple(absent))


def _listed_platforms(project: Project, image: Image) -> set[str]:
    """The platforms of an image that are in its index: the first declared one for each OCI platform."""
    first: dict[OciPlatform, str] = {}
    for platform in image.platforms:
        first.setdefault(project.platforms[platform].docker, platform)
    return {*first.values()}


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
