"""Final tags in a registry: an index over an image's platforms, bills of materials and provenance."""
