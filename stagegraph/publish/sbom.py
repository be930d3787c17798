"""The bill of materials of a published image (CycloneDX)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .. import __version__
from ..oci.platform import parts
from .provenance import NEVER, where

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..inspection.inventory import Inventory, PinnedArchive
    from ..store.record import Record

CYCLONEDX = "application/vnd.cyclonedx+json"


def bill_of_materials(record: Record, name: str, held: Inventory, sources: Iterable[PinnedArchive]) -> bytes:
    """CycloneDX 1.6 as JSON. ``name`` is the repository of the image."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    arch = parts(record.docker).architecture
    image = Component(
        name=name,
        version=record.digest,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        purl=PackageURL("oci", None, name.rpartition("/")[2], record.digest, {"arch": arch}),
    )
    components = [
        Component(
            name=p.name,
            version=p.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"deb:{p.name}:{p.arch}",
            purl=PackageURL("deb", held.distribution or "debian", p.name, p.version, where(held, p.arch)),
        )
        for p in held.debian
    ]
    components += [
        Component(
            name=p.name,
            version=p.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{p.name}:{p.version}",
            purl=PackageURL("pypi", None, p.name, p.version),
        )
        for p in held.python
    ]
    components += [
        Component(
            name=s.name,
            version=s.version or None,
            type=ComponentType.LIBRARY,
            bom_ref=f"file:{s.file}:{s.sha256}",
            description=f"compiled from {s.file}",
            purl=PackageURL("generic", None, s.name, s.version or None, {"checksum": f"sha256:{s.sha256}"}),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=s.sha256)],
        )
        for s in sources
    ]
    if held.distribution:  # by which scanners choose what to compare with
        system = Component(
            name=held.distribution,
            version=held.release or None,
            type=ComponentType.OPERATING_SYSTEM,
            bom_ref="system",
        )
        components.append(system)
    tool = Component(name="stagegraph", version=__version__, type=ComponentType.APPLICATION, bom_ref="tool")
    tools = ToolRepository(components=[tool])
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, record.digest),
        metadata=BomMetaData(component=image, timestamp=record.made or NEVER, tools=tools),
        components=components,
    )
    bom.register_dependency(image, components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode()
