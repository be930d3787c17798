"""OCI values: digests, platforms, references, media types. Pure."""
