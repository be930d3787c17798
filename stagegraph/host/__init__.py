"""The machine that builds run on: its Docker engine, its packages, its network, its emulators.

``./run`` sets up what is missing, ``doit doctor`` says what is there. This package needs the standard library
and ``stagegraph.errors`` alone, so ``./run`` can use it before the virtual environment exists.
"""
