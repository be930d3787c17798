"""Pipelines for CI services: graph, ``[ci]`` and recorded times -> work units -> jobs -> steps -> files.

All modules but ``durations``, ``cache_keys`` and ``pipelines`` are pure. The files depend neither on the
machine nor on ``cache/``.
"""
