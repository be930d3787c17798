"""Pipelines for CI services: graph, ``[ci]`` and recorded times -> work units -> jobs -> steps -> files.

All but ``durations``, ``cache_keys`` and ``pipelines`` is pure. The files depend neither on the machine nor
on ``cache/``.
"""
