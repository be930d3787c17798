"""The values that git gives to tags: the version, the revision, and its date."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ToolError
from ..system.git import git

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT = 30

#: The hexadecimal digits of a revision. A fixed number, so that every clone gives the same tag.
_DIGITS = 12

#: The tags of git that are versions.
_VERSIONS = ("v[0-9]*", "[0-9]*")

_DIRTY = "-dirty"


class GitPlaces(NamedTuple):
    """The values of places, and for each place that has none, why."""

    values: dict[str, str]
    missing: dict[str, str]


def read(root: Path, *, version: bool) -> GitPlaces:
    """Ask git about the commit of the project in ``root``. ``version``: ask for the version, too.

    ``revision`` and ``version`` end in ``-dirty`` if there are changes that are not committed, also in files
    that git does not track, as in the annotations of an index.
    """
    names = ("revision", "commit_date", *(("version",) if version else ()))
    commit, error = _ask(root, "rev-parse", "HEAD")
    if not commit:
        return GitPlaces({}, dict.fromkeys(names, error))
    dirty = _DIRTY if _ask(root, "status", "--porcelain")[0] else ""
    seconds = int(_ask(root, "show", "--no-patch", "--format=%ct", "HEAD")[0])
    values = {
        "revision": commit[:_DIGITS] + dirty,
        "commit_date": datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat(),
    }
    if not version:
        return GitPlaces(values, {})
    match = [f"--match={pattern}" for pattern in _VERSIONS]
    described, error = _ask(root, "describe", "--tags", f"--abbrev={_DIGITS}", *match)
    if not described:
        return GitPlaces(values, {"version": error})
    return GitPlaces(values | {"version": described.removeprefix("v") + dirty}, {})


def _ask(root: Path, *words: str) -> tuple[str, str]:
    """Return the output of git, and the first line of its error message if it fails."""
    try:
        result = git(root, *words, timeout=_TIMEOUT)
    except ToolError as error:
        return "", str(error)
    return result.text, result.error.partition("\n")[0]
