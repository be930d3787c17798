"""The bill of materials of an image: CycloneDX (https://cyclonedx.org/specification/overview/).

Pure; the same image always gives the same document. It is not signed.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .. import __version__
from ..oci.platform import parts
from .provenance import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cyclonedx.model.bom import BomMetaData
    from cyclonedx.model.component import Component

    from ..inspection.inventory import Inventory, PinnedArchive
    from ..store.record import Record

CYCLONEDX = "application/vnd.cyclonedx+json"


def bill_of_materials(
    record: Record, name: str, contents: Inventory, archives: Iterable[PinnedArchive]
) -> bytes:
    """The bill of materials as JSON, CycloneDX 1.6. ``name`` is the repository of the image."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    image = _image(record, name)
    components = [*_packages(contents), *map(_archive, archives), *_distribution(contents)]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, record.digest),
        metadata=_metadata(record, image),
        components=components,
    )
    bom.register_dependency(image, components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode()


def _image(record: Record, name: str) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    arch = parts(record.docker).architecture
    return Component(
        name=name,
        version=record.digest,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        purl=PackageURL("oci", None, name.rpartition("/")[2], record.digest, {"arch": arch}),
    )


def _packages(contents: Inventory) -> Iterator[Component]:
    """The packages of the distribution, then those of Python."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    distribution = contents.distribution or "debian"
    release = {"distro": f"{contents.distribution}-{contents.release}"} if contents.release else {}
    for package in contents.debian:
        qualifiers = {"arch": package.arch, **release}
        yield Component(
            name=package.name,
            version=package.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"deb:{package.name}:{package.arch}",
            purl=PackageURL("deb", distribution, package.name, package.version, qualifiers),
        )
    for python in contents.python:
        yield Component(
            name=python.name,
            version=python.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{python.name}:{python.version}",
            purl=PackageURL("pypi", None, python.name, python.version),
        )


def _archive(archive: PinnedArchive) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    version, checksum = archive.version or None, {"checksum": f"sha256:{archive.sha256}"}
    return Component(
        name=archive.name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"file:{archive.file}:{archive.sha256}",
        description=f"compiled from {archive.file}",
        purl=PackageURL("generic", None, archive.name, version, checksum),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=archive.sha256)],
    )


def _distribution(contents: Inventory) -> Iterator[Component]:
    """The distribution, by which scanners choose the advisories to compare with."""
    from cyclonedx.model.component import Component, ComponentType

    if contents.distribution:
        yield Component(
            name=contents.distribution,
            version=contents.release or None,
            type=ComponentType.OPERATING_SYSTEM,
            bom_ref="system",
        )


def _metadata(record: Record, image: Component) -> BomMetaData:
    from cyclonedx.model.bom import BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    tool = Component(name="stagegraph", version=__version__, type=ComponentType.APPLICATION, bom_ref="tool")
    tools = ToolRepository(components=[tool])
    return BomMetaData(component=image, timestamp=record.image_created or NEVER, tools=tools)
