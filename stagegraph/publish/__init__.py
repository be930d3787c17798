"""Final tags in a registry, with bill of materials and provenance."""
