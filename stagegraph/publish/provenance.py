"""The provenance of an image: the record of how it was built.

It is an in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) with the
predicate of SLSA (https://slsa.dev/spec/v1.0/provenance). Pure; the same image always gives the same
statement. It is not signed.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..store.record import Record
    from .revision import Revision

IN_TOTO = "application/vnd.in-toto+json"

#: docs/reference.md describes the fields of the provenance under this name.
BUILD_TYPE = "urn:stagegraph:build:v1"


#: The time of an image whose record has none: the same record must always give the same documents.
NEVER = datetime.datetime.fromtimestamp(0, datetime.UTC)


def provenance(
    record: Record,
    name: str,
    parameters: Mapping[str, str],
    dependencies: Sequence[Mapping[str, Any]],
    revision: Revision,
) -> bytes:
    """The statement as JSON. ``dependencies`` are resource descriptors (``dependency``)."""
    resolved = list(dependencies)
    if revision.commit:
        source = {"uri": f"git+{revision.repository}"} if revision.repository else {"name": "project"}
        commit = revision.clean_commit
        changed = {"annotations": {"dirty": True}} if commit != revision.commit else {}
        resolved.insert(0, {**source, "digest": {"gitCommit": commit}, **changed})
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
                "metadata": {"finishedOn": record.created.replace("+00:00", "Z")}
                if record.image_created
                else {},
            },
        },
    }
    return json.dumps(statement, indent=1).encode()


def _versions(record: Record) -> dict[str, str]:
    """The versions of the programs that built the image; old records have no ``builder``."""
    program, _, version = record.builder.partition(" ")
    return {**({program: version} if version else {}), "stagegraph": __version__}


def dependency(name: str, digest: str, uri: str = "") -> dict[str, Any]:
    """A resource descriptor of in-toto."""
    return {"name": name, **({"uri": uri} if uri else {}), "digest": _digest(digest)}


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.rpartition(":")
    return {algorithm or "sha256": value}
