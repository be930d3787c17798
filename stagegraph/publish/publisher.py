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
        self.registry, self.revision = registry, revision
        self.repository = graph.project.settings.repo
        self._tags = TagPusher(registry, self.repository, dry=dry)

    def publish(self, publication: Publication) -> Iterator[PushedTag]:
        """Push what the registry lacks, the index last; yield each tag once it is there.

        Raises ``RegistryError`` or ``LoginError``: then everything that was pushed is complete, and the index
        is the old one. Raises ``StoreError`` for an image that is damaged.
        """
        records = [image.record for image in publication.platform_images]
        with overlay(self.layout, records) as layout:
            for image in publication.platform_images:
                yield self._tags.push(layout, image.record.descriptor, image.tag)
                yield self._push_referrers(layout, image)
            yield from self._kept_tags(publication)
            yield self._push_index(layout, publication)

    def _push_index(self, layout: LayoutStore, publication: Publication) -> PushedTag:
        details = [
            f"{name.removeprefix(OCI_ANNOTATION)} = {v}" for name, v in publication.annotations.items()
        ]
        details += [f"{image.record.docker}  {image.record.digest}" for image in publication.listed]
        entry = stored(layout, documents.INDEX, index_document(layout, publication))
        return self._tags.push(layout, entry, publication.tag, tuple(details))

    def _kept_tags(self, publication: Publication) -> Iterator[PushedTag]:
        """Tags of an earlier publication, of platforms that this one leaves out."""
        for platform, why in publication.absent:
            note = f"of an earlier publication; {platform} {why}"
            if kept := self._tags.kept(f"{publication.tag}-{platform}", note):
                yield kept

    def _push_referrers(self, layout: LayoutStore, image: PlatformImage) -> PushedTag:
        """Push the bill of materials and the provenance of an image, and the list that names them."""
        record, archives = image.record, materials.pinned_archives(self.graph, image.node)
        contents = read_inventory(layout, layout.blobs.json(record.digest))
        bill = sbom.bill_of_materials(record, self.repository, contents, archives)
        dependencies = materials.dependencies(self.graph, self.lookup, image, archives)
        parameters = materials.parameters(self.graph, image)
        origin = provenance(record, self.repository, parameters, dependencies, self.revision)
        statements = (
            Statement("sbom", sbom.CYCLONEDX, bill),
            Statement("provenance", IN_TOTO, origin),
        )
        commit, tag = self.revision.commit, referrers.list_tag(record.digest)
        own = {one.kind: referrers.artifact(layout, record, one, commit) for one in statements}
        published = referrers.download_published(self.registry, layout, tag) if self.registry else []
        entries = referrers.merged(own, published)
        details = (
            f"bill of materials: {len(contents.debian)} Debian packages,"
            f" {len(contents.python)} Python packages, {len(archives)} source archives",
            f"provenance: {len(dependencies)} dependencies",
        )
        listed = {item["digest"]: item.get("artifactType", "") for item in entries}
        document = stored(layout, documents.INDEX, documents.canonical(documents.index(entries)))
        return self._tags.push_list(layout, document, tag, details, listed)
