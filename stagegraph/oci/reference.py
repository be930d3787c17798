"""References of images: ``HOST/PATH:TAG@DIGEST`` taken apart, and in the form that BuildKit compares.

Pure. Rules are those of https://github.com/distribution/reference (``normalize.go``, ``reference.go``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StagegraphError
from .digest import NO_DIGEST, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .platform import OciPlatform


@dataclass(frozen=True)
class ResolvedReference:
    """What a reference names now: manifest digests by OCI platform. One entry "" fits every platform.

    ``onbuild``: its image for a platform that was asked for leaves triggers for those that start from it;
    ``onbuild_from``: some of them take from another image, or from the network. ``unread``: why the image of
    a platform that was asked for could not be read; a mirror of an index may hold the others alone.
    """

    index: Digest
    manifests: dict[OciPlatform, Digest]
    onbuild: bool = False
    onbuild_from: bool = False
    unread: Mapping[OciPlatform, StagegraphError] = field(default_factory=dict)


class Reference(NamedTuple):
    """The parts of a reference. ``tag`` and ``digest`` are "" where the reference has none."""

    repository: str
    tag: str = ""
    digest: Digest = NO_DIGEST


def split(reference: str) -> Reference:
    """Take a reference apart. A colon before the last slash belongs to a port."""
    name, _, digest = reference.partition("@")
    head, slash, tail = name.rpartition("/")
    last, _, tag = tail.partition(":")
    return Reference(head + slash + last, tag, Digest(digest))


def familiar(reference: str) -> str:
    """The reference in its short form: without ``docker.io/library/`` and ``:latest``.

    BuildKit looks a named context up by this form (``reference.FamiliarString`` without ``:latest``).
    """
    for prefix in ("docker.io/", "index.docker.io/"):
        reference = reference.removeprefix(prefix)
    short = reference.removeprefix("library/")
    return (reference if "/" in short else short).removesuffix(":latest")


def is_bare(name: str) -> bool:
    """Whether a name is one word: no host, no path, no tag, no digest."""
    return not set(name) & set("/:@")
