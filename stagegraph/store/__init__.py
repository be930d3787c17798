"""Where records and blobs live: ``layout`` (``cache/``), ``registry``, ``engine``.

``layout`` is the store that builds read and write: records by key, which are found only if their images are
whole. ``registry`` exchanges whole images with it; a record is found there by node and key, since the tag
that holds it names both. ``engine`` takes finished images and gives none back. One contract test
(``tests/engine/test_stores.py``) holds layout and registry to the same answers.
"""
