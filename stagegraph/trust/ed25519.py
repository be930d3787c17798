"""Signatures by plain ed25519 keys (RFC 8032), with ``cryptography``, which is imported where it is used.

A public key is the text between the first and the last line of its PEM file. A private key is a PEM file that
``openssl genpkey -algorithm ed25519`` could have written, without a passphrase (RFC 8410).
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from . import bundle as bundles
from .bundle import Bundle

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: What comes before the 32 bytes of a key in its DER form (RFC 8410, section 10).
_PUBLIC = bytes.fromhex("302a300506032b6570032100")
_PRIVATE = bytes.fromhex("302e020100300506032b657004220420")

_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----(.*)-----END PRIVATE KEY-----", re.DOTALL)


def hint(public: str) -> str:
    """Return the name of a public key in bundles: a hash of its DER form, as cosign has it."""
    return base64.b64encode(hashlib.sha256(base64.b64decode(public)).digest()).decode()


def public_pem(public: str) -> str:
    """Return the PEM file of a public key."""
    return f"-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n"


class KeyVerifier:
    """Checks signatures by one public key; implements ``policy.Verifier``."""

    def __init__(self, public: str) -> None:
        """``public`` has the form that ``project.schema.PUBLIC_KEY`` describes."""
        self.public, self.hint = public, hint(public)
        self._raw = base64.b64decode(public)[len(_PUBLIC) :]

    def has_signed(self, bundle: Bundle) -> bool:
        """Return whether the signature of the bundle is by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self._raw).verify(bundle.signature, bundle.signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class KeySigner:
    """Signs by one private key; implements ``policy.Signer``. Its ``repr`` does not show the key."""

    def __init__(self, raw: bytes) -> None:
        """``raw`` are the 32 bytes of the private key."""
        self.public = base64.b64encode(_PUBLIC + _private(raw).public_key().public_bytes_raw()).decode()
        self.hint, self._raw = hint(self.public), raw

    def sign(self, statement: bytes) -> str:
        """Return the bundle of a statement."""
        signature = _private(self._raw).sign(bundles.to_sign(statement))
        return bundles.write(Bundle(self.hint, statement, signature))

    @property
    def verifier(self) -> KeyVerifier:
        """The other half of the key."""
        return KeyVerifier(self.public)


def _private(raw: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(raw)


def generate() -> bytes:
    """Return the bytes of a new private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def private_pem(raw: bytes) -> str:
    """Return the PEM file of a private key. It is a secret."""
    body = base64.b64encode(_PRIVATE + raw).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def parse_private(text: str) -> bytes | None:
    """Return the bytes of a private key: a PEM file, or the text in its middle; else None."""
    match = _PEM.search(text)
    try:
        der = base64.b64decode("".join((match[1] if match else text).split()), validate=True)
    except ValueError:
        return None
    return der[len(_PRIVATE) :] if der.startswith(_PRIVATE) and len(der) == len(_PRIVATE) + 32 else None
