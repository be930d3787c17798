"""A glob of ``stages.toml``: one entry that stands for the stages in several folders, or for their images.

``[stages."*"]`` with ``path = "images/*"`` is a stage for each folder that has its Dockerfile. The stage is
called after the text that the ``*`` stands for. An entry of that name beside the glob is laid over it.
Pure: ``Disk`` answers the questions about files.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import nearest
from .matrix import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePosixPath

    from .folders import Disk
    from .tables import KeyPath, TableReader

    Members = Iterable[tuple[str, dict[str, Any]]]

#: Keys of a glob in which a ``*`` stands for the same text as in its name.
STARRED = ("path", "dockerfile", "target", "names", "stage", "stack", "needs", "test", "repo", "tags")


class Entry(NamedTuple):
    """One table below ``[stages]`` or ``[images]``. ``origins`` are the names that the file has for it."""

    table: Any
    origins: tuple[str, ...]


class Globs:
    """Writes out the globs. All methods raise ``ProjectError``."""

    def __init__(self, reader: TableReader, disk: Disk) -> None:
        self._reader, self._disk = reader, disk
        self._stars: dict[str, list[str]] = {}  # what the * of a glob of stages stands for, by its name

    def entries(self, section: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return plain entries. One that is written beside a glob is laid over it. Stages come first."""
        found: dict[str, Entry] = {}
        globs: dict[str, str] = {}  # by the name of an entry
        for name, entry in entries.items():
            if "*" not in name:
                found.setdefault(name, entry)
                continue
            path = (section, entry.origins[0])
            if name.count("*") > 1:
                raise self._reader.error(path, f"{written(path)} has more than one '*'", "keep one")
            members = self._of_folders if section == "stages" else self._of_stages
            stars = []
            for star, table in self._chosen(path, entry, members(path, name, entry, entries)):
                own = name.replace("*", star)
                single = entries.get(own)
                if own in globs or (single and single.origins != (own,)):
                    first = globs.get(own) or single.origins[0]  # type: ignore[union-attr]
                    what = f"{own!r} comes out of {written((section, first))} and of {written(path)}"
                    raise self._reader.error(path, what, f'leave it out of one: exclude = ["{star}"]')
                globs[own] = path[1]
                stars.append(star)
                found[own] = _laid_over(table, path[1], single)
            if section == "stages":
                self._stars[name] = stars
        return found

    def _chosen(self, path: KeyPath, entry: Entry, members: Members) -> Members:
        """The members of a glob that are not excluded, sorted, and without its own keys."""
        chosen = dict(sorted(members, key=lambda member: member[0]))
        for pattern in entry.table.get("exclude", ()):
            if not (excluded := [star for star in chosen if fnmatchcase(star, pattern)]):
                what = f"{written(path)} excludes {pattern!r}, which matches nothing"
                raise self._reader.error((*path, "exclude"), what, nearest(pattern, chosen))
            for star in excluded:
                del chosen[star]
        if not chosen:
            raise self._reader.error((*path, "exclude"), f"{written(path)} excludes all that it matches")
        for star, table in chosen.items():
            yield star, {key: value for key, value in table.items() if key != "exclude"}

    # -- members -------------------------------------------------------------------------------------

    def _of_folders(self, path: KeyPath, name: str, entry: Entry, entries: Mapping[str, Entry]) -> Members:
        """The tables of the folders that have their Dockerfile, each with what the ``*`` stands for."""
        patterns = entry.table.get("path", "")
        owners: dict[str, PurePosixPath] = {}
        for pattern in patterns if patterns and isinstance(patterns, list) else [patterns]:
            if not isinstance(pattern, str) or pattern.count("*") != 1:
                what = f"{written(path)}: the path {pattern!r} needs exactly one '*'"
                raise self._reader.error((*path, "path"), what, 'write the folders: path = "images/*"')
            for star, folder in self._with_dockerfile(path, pattern, name, entry, entries):
                if first := owners.get(star):
                    what = f"{written(path)}: {name.replace('*', star)!r} is {first} and {folder}"
                    raise self._reader.error((*path, "path"), what, "rename one of the folders")
                owners[star] = folder
                yield star, _starred(entry.table, star) | {"path": str(folder)}

    def _with_dockerfile(
        self, path: KeyPath, pattern: str, name: str, entry: Entry, entries: Mapping[str, Entry]
    ) -> list[tuple[str, PurePosixPath]]:
        """The folders that match one pattern and have their Dockerfile: at least one."""
        matches = self._matches(path, pattern)
        found = []
        for star, folder in matches:
            single = entries.get(name.replace("*", star))
            if self._has_dockerfile(_starred(entry.table, star), single.table if single else {}, folder):
                found.append((star, folder))
        if not found:
            what = f"{written(path)}: none of the {len(matches)} folders of {pattern!r} has the Dockerfile"
            hint = 'if it has another name, write dockerfile = "NAME"'
            raise self._reader.error((*path, "path"), what, hint)
        return found

    def _matches(self, path: KeyPath, pattern: str) -> list[tuple[str, PurePosixPath]]:
        try:
            matches = list(self._disk.matching(pattern))
        except OSError as fault:
            what = f"{written(path)}: {pattern!r} cannot be read: {fault.strerror}"
            raise self._reader.error((*path, "path"), what) from None
        if not matches:
            what = f"{written(path)}: no folder matches {pattern!r}"
            raise self._reader.error((*path, "path"), what, "paths are relative to stages.toml")
        return matches

    def _has_dockerfile(self, table: Mapping[str, Any], single: object, folder: PurePosixPath) -> bool:
        """Return True if a folder makes a stage. The entry beside the glob may name other files."""
        own = single if isinstance(single, dict) else {}
        if "path" in own:
            return True
        defaults = self._reader.tables.get("defaults")
        layers = [defaults if isinstance(defaults, dict) else {}, table, own]
        names = [layer["dockerfile"] for layer in layers if isinstance(layer.get("dockerfile"), str)]
        return self._disk.has_file(folder, [*["Dockerfile"], *names][-1])

    def _of_stages(self, path: KeyPath, name: str, entry: Entry, _: Mapping[str, Entry]) -> Members:
        """The tables of the images over the stages of a glob."""
        table = entry.table
        stack = table.get("stack") or [table.get("stage", name)]
        glob = stack[-1]
        if not isinstance(glob, str) or glob not in self._stars:
            what = f'{written(path)} is over the stages of [stages."{glob}"], which is no glob'
            key = next((key for key in ("stack", "stage") if key in table), "")
            raise self._reader.error((*path, key) if key else path, what, nearest(str(glob), self._stars))
        for star in self._stars[glob]:
            yield star, _starred(table, star)


def _starred(value: Any, star: str) -> Any:
    """Return the table of a glob with the text for its ``*``, also in its layers."""
    table = dict(value)
    for key, item in value.items():
        if key in STARRED:
            table[key] = [_put(word, star) for word in item] if isinstance(item, list) else _put(item, star)
        elif key in ("platforms", "alternatives") and isinstance(item, dict):
            table[key] = {
                name: _starred(layer, star) if isinstance(layer, dict) else layer
                for name, layer in item.items()
            }
    return table


def _put(word: Any, star: str) -> Any:
    return word.replace("*", star) if isinstance(word, str) else word


def _laid_over(table: dict[str, Any], glob: str, single: Entry | None) -> Entry:
    """Return the entry of a glob with the one that is written for this name laid over it."""
    if single is None:
        return Entry(table, (glob,))
    if not isinstance(single.table, dict):
        return single  # its reader reports it
    if {"stage", "stack"} & single.table.keys():
        table = {key: value for key, value in table.items() if key not in ("stage", "stack")}
    return Entry(_joined(table, single.table), (*single.origins, glob))


def _joined(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one. Values of ``high`` win; tables in them are joined in the same way."""
    joined = dict(low)
    for key, value in high.items():
        below = joined.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        joined[key] = _joined(below, value) if both else value  # type: ignore[arg-type]
    return joined
