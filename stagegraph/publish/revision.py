"""The revision of the project that images were built from, as git knows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..system.git import DIRTY, ask, head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Revision(NamedTuple):
    """The repository of the project and the commit; "" for what is unknown.

    ``commit`` ends in ``-dirty`` if the project has changes that are not committed.
    """

    repository: str
    commit: str

    @property
    def clean_commit(self) -> str:
        """The commit without its mark for changes."""
        return self.commit.removesuffix(DIRTY)


def is_clean(commit: str) -> bool:
    """Return whether this is a commit, and one without further changes."""
    return bool(commit) and not commit.endswith(DIRTY)


def read_revision(root: Path, warn: Callable[[str], None]) -> Revision:
    """The revision of the project in ``root``; warns if it is unknown or has changes."""
    commit = head(root)
    if commit.error:
        warn(f"no source revision will be recorded: {commit.error}")
        return Revision("", "")
    if not is_clean(commit.text):
        warn("the project has changes that are not committed")
    return Revision(public_uri(ask(root, "config", "--get", "remote.origin.url").text), commit.text)


def public_uri(remote: str) -> str:
    """A git remote as a URI without user and password; "" for a folder of this machine."""
    if "://" in remote:
        return "" if remote.startswith("file:") else re.sub(r"^(\w+://)[^/@]*@", r"\1", remote)
    short = re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!/)(.+)", remote)  # the form of scp
    return f"ssh://{short[1]}/{short[2]}" if short else ""
