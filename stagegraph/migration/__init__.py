"""Moving in: Dockerfiles, bake or Compose files -> ``stages.toml``. Moving out: a graph -> a bake file."""
