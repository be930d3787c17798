"""One doit command per file."""
