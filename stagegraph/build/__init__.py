"""One node -> one call of buildx -> one image in ``cache/``."""
