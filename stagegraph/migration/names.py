"""Names for stages: from paths of Dockerfiles, or from the names that another tool has for them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ..project import schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

#: What a stage gets behind its name if that name is reserved, or means an external image.
SUFFIX = "-image"

#: Words for processors. ``Dockerfile.arm64`` is not an image called arm64.
_PROCESSORS = frozenset(("amd64", "x86_64", "arm64", "aarch64", "armhf", "arm", "armv7", "386", "i386"))

#: The longest name of a stage (``schema.NAME``).
_LONGEST = 54


def slug(text: str) -> str:
    """Return the text in the form of a stage's name: ``My App`` -> ``my-app``."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower())
    name = re.sub(r"([._-])[._-]*", lambda run: "__" if run[0] == "__" else run[1], name).strip("._-")
    if not name or name.isdigit():
        name = f"image-{name}".rstrip("-")
    return name[:_LONGEST].rstrip("._-")


def from_paths(paths: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return a name for each Dockerfile, by its path. The values are the words of its path, outermost first.

    A name is the last word. If two Dockerfiles have the same, or it is a version or a processor, the word
    before it is put in front, until they differ.
    """
    lengths = {path: _length(words, 1) for path, words in paths.items()}
    while True:
        names = {path: slug("-".join(words[-lengths[path] :])) for path, words in paths.items()}
        counts = Counter(names.values())
        longer = [p for p, words in paths.items() if counts[names[p]] > 1 and lengths[p] < len(words)]
        if not longer:
            return dict(zip(paths, unique(names.values()), strict=True))
        for path in longer:
            lengths[path] = _length(paths[path], lengths[path] + 1)


def _length(words: Sequence[str], least: int) -> int:
    """Return how many words of the path a name has, at least ``least``.

    It does not begin with a digit or with a processor.
    """
    good = (
        n for n in range(least, len(words)) if not words[-n][:1].isdigit() and words[-n] not in _PROCESSORS
    )
    return next(good, len(words))


def unique(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """Return the names; one that was there before gets a number: ``app``, ``app-2``."""
    seen: set[str] = set(taken)
    result: list[str] = []
    for name in names:
        numbered, count = name, 1
        while numbered in seen:
            count += 1
            numbered = f"{name[: _LONGEST - 4]}-{count}"
        seen.add(numbered)
        result.append(numbered)
    return result


def allowed(name: str, avoid: Collection[str] = ()) -> str:
    """Return the name, or with ``SUFFIX`` if it is reserved or one to avoid."""
    is_free = name not in schema.RESERVED and name not in avoid
    return name if is_free else f"{name[: _LONGEST - len(SUFFIX)]}{SUFFIX}"
