"""Media types of the OCI documents that this program reads and writes."""

from __future__ import annotations

INDEX = "application/vnd.oci.image.index.v1+json"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
