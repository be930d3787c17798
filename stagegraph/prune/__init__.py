"""Delete what ``cache/`` and a registry no longer need."""
