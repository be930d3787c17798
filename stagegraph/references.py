"""References of images: ``HOST/PATH:TAG@DIGEST`` taken apart, and in the form that BuildKit compares.

Pure. Rules are those of https://github.com/distribution/reference (``normalize.go``, ``reference.go``).
"""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """The parts of a reference. ``tag`` and ``digest`` are "" where the reference has none."""

    repository: str
    tag: str = ""
    digest: str = ""


def split(reference: str) -> Reference:
    """Take a reference apart. A colon before the last slash belongs to a port."""
    name, _, digest = reference.partition("@")
    head, slash, tail = name.rpartition("/")
    last, _, tag = tail.partition(":")
    return Reference(head + slash + last, tag, digest)


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
