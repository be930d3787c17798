"""What is said of a published image: its bill of materials, and how it was made. Pure; the same every time.

The bill of materials is CycloneDX (https://cyclonedx.org/specification/overview/), by its own library. The
provenance is an in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)
with SLSA's predicate (https://slsa.dev/spec/v1.0/provenance). Neither is signed.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..inspection.inventory import Inventory
    from ..store.record import Record

IN_TOTO = "application/vnd.in-toto+json"

#: What the fields of the provenance mean is described in docs/reference.md under this name.
BUILD_TYPE = "urn:stagegraph:build:v1"


class Revision(NamedTuple):
    """Where the project's files come from; "" where that is not known."""

    source: str
    commit: str


#: For a record that does not say its time: what is made twice from it must be the same.
NEVER = datetime.datetime.fromtimestamp(0, datetime.UTC)


def where(held: Inventory, arch: str) -> dict[str, str]:
    release = {"distro": f"{held.distribution}-{held.release}"} if held.release else {}
    return {"arch": arch, **release}


def provenance(
    record: Record,
    name: str,
    parameters: Mapping[str, str],
    dependencies: Sequence[Mapping[str, Any]],
    revision: Revision,
) -> bytes:
    """An in-toto statement as JSON. ``dependencies`` are resource descriptors (``dependency``)."""
    resolved = list(dependencies)
    if revision.commit:
        named = {"uri": f"git+{revision.source}"} if revision.source else {"name": "project"}
        commit = revision.commit.removesuffix("-dirty")
        changed = {"annotations": {"dirty": True}} if commit != revision.commit else {}
        resolved.insert(0, {**named, "digest": {"gitCommit": commit}, **changed})
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": _digest(record.digest)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(parameters),
                "internalParameters": {"key": record.key},
                "resolvedDependencies": resolved,
            },
            "runDetails": {
                "builder": {"id": "urn:stagegraph:builder", "version": _versions(record)},
                "metadata": {"finishedOn": record.created.replace("+00:00", "Z")} if record.made else {},
            },
        },
    }
    return json.dumps(statement, indent=1).encode()


def _versions(record: Record) -> dict[str, str]:
    """Of what built the image; records of before have no ``builder``."""
    who, _, version = record.builder.partition(" ")
    return {**({who: version} if version else {}), "stagegraph": __version__}


def dependency(name: str, digest: str, uri: str = "") -> dict[str, Any]:
    """A resource descriptor of in-toto's."""
    return {"name": name, **({"uri": uri} if uri else {}), "digest": _digest(digest)}


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.rpartition(":")
    return {algorithm or "sha256": value}
