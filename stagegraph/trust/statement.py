"""The statement that a signature is about: this image is that of this key, made of these things.

It is an in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md). Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..oci.digest import encoded
from ..oci.documents import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.digest import Digest

STATEMENT = "https://in-toto.io/Statement/v1"

#: docs/reference/trust.md describes the fields of the predicate under this name.
PREDICATE = "urn:stagegraph:record:v1"


class Claim(NamedTuple):
    """What a record says: ``facts`` about the image with this manifest. ``name`` is for people."""

    name: str
    digest: Digest
    facts: Mapping[str, Any]


def write(claim: Claim, more: Mapping[str, Any]) -> bytes:
    """Return the statement of a claim. ``more`` are facts that nobody compares, such as the commit."""
    statement: dict[str, Any] = {
        "_type": STATEMENT,
        "subject": [{"name": claim.name, "digest": {"sha256": encoded(claim.digest)}}],
        "predicateType": PREDICATE,
        "predicate": {**more, **claim.facts},
    }
    return canonical(statement)


def parse(payload: bytes) -> dict[str, Any] | None:
    """Return a statement of this form; None for anything else."""
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        well_formed = (
            statement["_type"] == STATEMENT
            and statement["predicateType"] == PREDICATE
            and isinstance(statement["predicate"], dict)
            and isinstance(subject["digest"]["sha256"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return statement if well_formed else None


def subject_of(payload: bytes) -> str:
    """Return the encoded digest of the image that a statement is about; "" if it is no statement."""
    statement = parse(payload)
    return str(statement["subject"][0]["digest"]["sha256"]) if statement else ""


def fault(payload: bytes, claim: Claim) -> str:
    """Return in what a statement is not about this claim, for the end of a sentence; "" if it is."""
    statement = parse(payload)
    if statement is None:
        return "is for something else"
    if statement["subject"][0]["digest"]["sha256"] != encoded(claim.digest):
        return "is for another image"
    different = [name for name, value in claim.facts.items() if statement["predicate"].get(name) != value]
    return f"is for another {different[0]}" if different else ""
