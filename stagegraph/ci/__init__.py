"""Pipelines for CI services, made from the graph: table, times -> work -> jobs -> steps -> files.

All but ``times`` and the command is pure. What is written does not depend on the machine or on ``cache/``.
"""
