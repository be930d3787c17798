"""The rules for tags of images. There are four kinds, and this module decides the first.

- The final tag of an image in a run: ``REPO:TAG``, by default ``REPO:IMAGE-PLATFORM``.
- The tags of ``doit publish``: one for each platform, one for the index (``publish.publication``).
- The tag of a node's record in a registry: ``STAGE-ARCHITECTURE-DIGITS`` (``store.record.tag``).
- The tag of a list of referrers (``publish.referrers``).
"""

from __future__ import annotations


def default_tag(image: str, platform: str) -> str:
    """Return the tag of an image on a platform, if the setting ``tag`` is not given."""
    return f"{image}-{platform}"


def final_reference(repo: str, tag: str, image: str, platform: str) -> str:
    """Return the final reference of an image; ``tag`` is the setting, "" if it is not given."""
    return f"{repo}:{tag or default_tag(image, platform)}"
