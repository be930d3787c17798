"""Removal of what ``cache/`` and a registry no longer need."""
