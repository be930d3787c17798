"""The machine that builds run on: its Docker engine, its packages, its network, its emulators.

``./run`` sets up what is missing, ``doit doctor`` shows what is there. This package needs only the standard
library, ``errors`` and ``oci.platform``, so ``./run`` can use it before the virtual environment exists.
"""
