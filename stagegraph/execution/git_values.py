"""The values that git gives to tags: the version, the revision, and its date."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..system.git import DIRTY, ask, head

if TYPE_CHECKING:
    from pathlib import Path

#: The hexadecimal digits of a revision. A fixed number, so that every clone gives the same tag.
_DIGITS = 12

#: The tags of git that are versions.
_VERSIONS = ("v[0-9]*", "[0-9]*")


class GitValues(NamedTuple):
    """The values of placeholders, and for each placeholder that has none, why."""

    values: dict[str, str]
    missing: dict[str, str]


def read(root: Path, *, version: bool) -> GitValues:
    """Ask git about the commit of the project in ``root``. ``version``: ask for the version, too.

    ``revision`` and ``version`` end in ``-dirty`` if there are changes that are not committed, also in files
    that git does not track, as in the annotations of an index.
    """
    names = ("revision", "commit_date", *(("version",) if version else ()))
    commit = head(root)
    if commit.error:
        return GitValues({}, dict.fromkeys(names, commit.error))
    clean = commit.text.removesuffix(DIRTY)
    dirty = commit.text.removeprefix(clean)
    time = ask(root, "show", "--no-patch", "--format=%ct", clean)
    if time.error:
        return GitValues({}, dict.fromkeys(names, time.error))
    values = {
        "revision": clean[:_DIGITS] + dirty,
        "commit_date": datetime.datetime.fromtimestamp(int(time.text), datetime.UTC).date().isoformat(),
    }
    if not version:
        return GitValues(values, {})
    match = [f"--match={pattern}" for pattern in _VERSIONS]
    described = ask(root, "describe", "--tags", f"--abbrev={_DIGITS}", *match, clean)
    if described.error:
        return GitValues(values, {"version": described.error})
    return GitValues(values | {"version": described.text.removeprefix("v") + dirty}, {})
