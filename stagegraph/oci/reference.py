"""References of images, ``HOST/PATH:TAG@DIGEST``: their parts, their short form and their full form.

Pure. The rules are those of https://github.com/distribution/reference (``normalize.go``, ``reference.go``).
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
    """The image or the index that a reference names now: manifest digests by OCI platform.

    An entry for ``NO_PLATFORM`` is valid for every platform. ``index`` is the digest of the index, or of the
    only manifest. ``onbuild``: an image of a requested platform has ONBUILD triggers. ``onbuild_from``: some
    triggers take from another image, or from the network. ``unread``: why the image of a requested platform
    could not be read; a mirror may have an index without all of its images.
    """

    index: Digest
    manifests: dict[OciPlatform, Digest]
    onbuild: bool = False
    onbuild_from: bool = False
    unread: Mapping[OciPlatform, StagegraphError] = field(default_factory=dict)


class Reference(NamedTuple):
    """The parts of a reference. ``tag`` and ``digest`` are "" if the reference has none."""

    repository: str
    tag: str = ""
    digest: Digest = NO_DIGEST


def split(reference: str) -> Reference:
    """Split a reference into its parts. A colon before the last slash belongs to a port."""
    name, _, digest = reference.partition("@")
    head, slash, tail = name.rpartition("/")
    last, _, tag = tail.partition(":")
    return Reference(head + slash + last, tag, Digest(digest))


def host(reference: str) -> str:
    """The registry that a reference names; "" if it names none, which means Docker Hub."""
    first, slash, _ = reference.partition("/")
    return first if slash and (set(".:") & set(first) or first == "localhost") else ""


def full(reference: str) -> str:
    """The reference with the registry and the namespace that Docker adds to short names."""
    if host(reference):
        return reference
    return f"docker.io/{reference}" if "/" in reference else f"docker.io/library/{reference}"


def familiar(reference: str) -> str:
    """The reference in its short form: without ``docker.io/library/`` and ``:latest``.

    BuildKit finds a named context by this form (``reference.FamiliarString`` without ``:latest``).
    """
    for prefix in ("docker.io/", "index.docker.io/"):
        reference = reference.removeprefix(prefix)
    short = reference.removeprefix("library/")
    return (reference if "/" in short else short).removesuffix(":latest")


def is_bare(name: str) -> bool:
    """Return whether a name is one word: no host, no path, no tag, no digest."""
    return not set(name) & set("/:@")
