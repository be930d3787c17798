"""A Sigstore bundle: a signed statement as one JSON document that the field's own tools check.

Sources: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (envelope, what is signed);
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto (the bundle). Pure.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_PAYLOAD_TYPE = "application/vnd.in-toto+json"

#: The most bytes of a bundle. One of ours has two thousand.
LARGEST = 64 * 1024


class Bundle(NamedTuple):
    """A statement with its signature. ``hint`` names the key, as its owner says; nothing vouches for it."""

    hint: str
    payload: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over (DSSE, "PAE")."""
        return to_sign(self.payload)


def to_sign(payload: bytes) -> bytes:
    """Return the bytes to sign for a statement."""
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def write(bundle: Bundle) -> str:
    """Return a bundle as it is stored."""
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": bundle.hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(bundle.payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            # no keyid: cosign 2.5 takes another one than its own for a signature by another key
            "signatures": [{"sig": base64.b64encode(bundle.signature).decode()}],
        },
    }
    return json.dumps(document, separators=(",", ":"))


def parse(text: str) -> Bundle | None:
    """Return a bundle with one signature by a plain key; None for anything else."""
    if len(text) > LARGEST:
        return None
    try:
        document = json.loads(text)
        envelope, hint = document["dsseEnvelope"], document["verificationMaterial"]["publicKey"]["hint"]
        if (document["mediaType"], envelope["payloadType"]) != (MEDIA_TYPE, _PAYLOAD_TYPE):
            return None
        (signature,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        found = Bundle(hint, payload, base64.b64decode(signature["sig"], validate=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(hint, str) else None
