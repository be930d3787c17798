"""What ``cache/`` and a registry no longer need."""
