"""The order of a publication: each platform's image and its referrers, then the index over all platforms.

An image keeps the digest that it has in ``cache/``: everything about it is in the index and in its referrers.
The same records always give the same documents, so a second publication pushes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..inspection.inventory import read_inventory
from ..oci import documents
from ..store.views import overlay
from . import materials, referrers, sbom
from .provenance import IN_TOTO, provenance
from .publication import OCI_ANNOTATION, index_document
from .push import TagPusher, stored
from .referrers import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..graph.graph import Graph
    from ..store.layout import LayoutStore
    from ..store.repository import RemoteRepository
    from .materials import Lookup
    from .publication import PlatformImage, Publication
    from .push import PushedTag
    from .revision import Revision


class Publisher:
    """Publishes images of ``cache/``. Without a registry, or if ``dry``, it only tells what it would push."""

    def __init__(
        self,
        graph: Graph,
        layout: LayoutStore,
        lookup: Lookup,
        registry: RemoteRepository | None,
        revision: Revision,
        *,
        dry: bool = False,
    ) -> None:
        self.graph, self.layout, self.lookup = graph, layout, lookup
        self._registry, self.revision, self._dry = registry, revision, dry

    def publish(self, publication: Publication) -> Iterator[PushedTag]:
        """Push what the registry lacks, the index last; yield each tag once it is there.

        Raises ``RegistryError`` or ``LoginError``: then everything that was pushed is complete, and the index
        is the old one. Raises ``StoreError`` for an image that is damaged.
        """
        records, pusher = [image.record for image in publication.platform_images], self._pusher(publication)
        with overlay(self.layout, records) as layout:
            for image in publication.platform_images:
                for tag in image.tags:
                    yield pusher.push(layout, image.record.descriptor, tag)
                yield self._push_referrers(pusher, layout, image)
            yield from _kept_tags(pusher, publication)
            yield from _push_index(pusher, layout, publication)

    def _pusher(self, publication: Publication) -> TagPusher:
        """Return what pushes to the repository of an image, in the registry of the project's own."""
        repository, registry, settings = publication.repository, self._registry, self.graph.project.settings
        if registry is not None and repository != settings.repo:
            registry = registry.sibling(f"{settings.registry}/{repository}")
        return TagPusher(registry, repository, dry=self._dry)

    def _push_referrers(self, pusher: TagPusher, layout: LayoutStore, image: PlatformImage) -> PushedTag:
        """Push the bill of materials and the provenance of an image, and the list that names them."""
        record, archives = image.record, materials.pinned_archives(self.graph, image.node)
        contents = read_inventory(layout, layout.blobs.json(record.digest))
        bill = sbom.bill_of_materials(record, pusher.repository, contents, archives)
        dependencies = materials.dependencies(self.graph, self.lookup, image, archives)
        parameters = materials.parameters(self.graph, image)
        origin = provenance(record, pusher.repository, parameters, dependencies, self.revision)
        statements = (
            Statement("sbom", sbom.CYCLONEDX, bill),
            Statement("provenance", IN_TOTO, origin),
        )
        commit, tag = self.revision.commit, referrers.list_tag(record.digest)
        own = {one.kind: referrers.artifact(layout, record, one, commit) for one in statements}
        registry = pusher.registry
        published = referrers.download_published(registry, layout, tag) if registry else []
        entries = referrers.merged(own, published)
        details = (
            f"bill of materials: {len(contents.debian)} Debian packages,"
            f" {len(contents.python)} Python packages, {len(archives)} source archives",
            f"provenance: {len(dependencies)} dependencies",
        )
        listed = {item["digest"]: item.get("artifactType", "") for item in entries}
        document = stored(layout, documents.INDEX, documents.canonical(documents.index(entries)))
        return pusher.push_list(layout, document, tag, details, listed)


def _push_index(pusher: TagPusher, layout: LayoutStore, publication: Publication) -> Iterator[PushedTag]:
    details = [f"{name.removeprefix(OCI_ANNOTATION)} = {v}" for name, v in publication.annotations.items()]
    details += [f"{image.record.docker}  {image.record.digest}" for image in publication.listed]
    entry = stored(layout, documents.INDEX, index_document(layout, publication))
    for tag in publication.tags:
        yield pusher.push(layout, entry, tag, tuple(details))


def _kept_tags(pusher: TagPusher, publication: Publication) -> Iterator[PushedTag]:
    """Tags of an earlier publication, of platforms that this one leaves out."""
    for absent in publication.absent:
        note = f"of an earlier publication; {absent.platform} {absent.why}"
        for tag in absent.tags:
            if kept := pusher.kept(tag, note):
                yield kept
