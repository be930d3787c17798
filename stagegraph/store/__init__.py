"""Records and blobs: in ``cache/`` (``layout``, ``blobs``) and in a registry (``registry``).

Builds read and write the layout. It finds a record by its key, and only if the image is whole. The registry
exchanges whole images with the layout. It finds a record by node and key, since the tag names both. One
contract test (``tests/engine/test_stores.py``) requires the same answers of both.

They have no common interface. To add a store, write its class here. Then change ``execution``: ``decide``
(the names of stores in ``Store`` and ``Have``), ``lookup`` (``StoreLookup``), ``nodes`` (pull and push),
``delivery`` (final images), ``sharing`` (``push=all``) and ``workspace`` (wiring).
"""
