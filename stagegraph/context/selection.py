"""A stage's folder -> exactly the files that its Dockerfile reaches, and the tar that is sent.

One list of entries serves the key and the tar, so what is hashed is what is sent; if selection left a file
out, the build could not see it either. Rules are BuildKit's: ``.dockerignore`` by a port of
moby/patternmatcher, sources by Go's ``filepath.Match``, links followed inside the folder only
(https://docs.docker.com/reference/dockerfile/#copy, https://docs.docker.com/build/concepts/context/).
Where BuildKit quietly bends a path that leaves the folder, this is an error.
Not kept: owner, times, umask, hard links. Kept: path, kind, executable bit, content, link target.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ContextError
from .entry import READ_FLAGS, RUN_AGAIN, Entry, decode, encode
from .patterns import Ignore, crosses, has_wildcard, path_match

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .entry import Kind

#: Files up to this size, and of one folder up to this sum (bytes), are held in memory between hashing and
#: sending. Others are read again and must then have the digest that went into the key.
HELD = 4 << 20

HELD_IN_ALL = 64 << 20

#: More links than this in one path are a loop (as in Linux's own limit).
MAX_LINKS = 40


def ignore_file(folder: Path, dockerfile: str) -> Path | None:
    """The ignore file in force: ``<Dockerfile>.dockerignore`` before ``.dockerignore``.

    Links are followed as BuildKit does, inside the folder (the first file's: inside that of the Dockerfile),
    which is also what "/" means. One that leaves it is no ignore file for BuildKit, which then sends what
    people take for hidden. Raises ``ContextError`` for such a link.
    """
    own = folder / f"{dockerfile}.dockerignore"
    for root, name in ((own.parent, own.name), (folder, ".dockerignore")):
        path = _followed(root, name)
        if path is not None and (root / path).is_file():
            return root / path
    return None


def _followed(folder: Path, name: str) -> str | None:
    """Where a path leads below the folder; None for a loop of links."""
    done: list[str] = []
    rest = name.split("/")
    for _ in range(MAX_LINKS):
        while rest and not (folder / "/".join([*done, rest[0]])).is_symlink():
            done.append(rest.pop(0))
        if not rest:
            return "/".join(done)
        target = os.fsdecode((folder / "/".join([*done, rest.pop(0)])).readlink())
        led = _led(done, target)
        if led is None:
            what = f"the link leaves the stage's folder ({target}), so BuildKit takes no notice of it"
            raise ContextError(f"{folder.name}/{name}", what, "put a copy of the file here")
        done, rest = [], [*led, *rest]
    return None


def _led(folder: Iterable[str], target: str) -> list[str] | None:
    """Components of the path that a link in ``folder`` leads to; None where it leaves the context.

    As for BuildKit, an absolute target starts at the context.
    """
    path = [] if target.startswith("/") else list(folder)
    for part in target.split("/"):
        if part == "..":
            if not path:
                return None
            path.pop()
        elif part not in ("", "."):
            path.append(part)
    return path


class ContextSelection:
    """Walks one folder once and collects what sources reach. ``name`` is the Dockerfile's, for messages."""

    def __init__(self, folder: Path, name: str, ignore: Path | None = None) -> None:
        self.folder, self.name = folder, name
        self._root = os.fsencode(folder)
        self._entries: dict[str, Entry] = {}
        self._reached: set[str] = set()
        self._held = 0
        self._moded = False
        self._masked: set[str] = set()
        self._ignore = Ignore.read(ignore) if ignore else None

    def select(
        self, sources: Iterable[tuple[str, int]] | None, moded: Iterable[tuple[str, int]] = ()
    ) -> tuple[Entry, ...]:
        """Entries for ``(path or pattern, Dockerfile line)`` pairs, or for everything; sorted by path.

        A file that ``moded`` alone reach has no executable bit, whatever its mode: their instructions give it
        one (``--chmod=644``, which BuildKit takes for all nine bits: ``copyFileInfo`` of tonistiigi/fsutil).
        Raises ``ContextError`` for a literal source that is missing or hidden, for one that leaves the
        folder, for sockets, devices and FIFOs, and for what cannot be read or vanishes meanwhile.
        """
        others = [(".", 0)] if sources is None else sources
        for source, line, is_moded in [*((*x, True) for x in moded), *((*x, False) for x in others)]:
            self._moded = is_moded
            where = f"{self.name}:{line}" if line else self.name
            try:
                self._source(source, where)
            except FileNotFoundError as error:
                raise ContextError(where, f"{_shown(error)} vanished while it was read", RUN_AGAIN) from None
            except PermissionError as error:
                hint = "change its permissions, or hide it in .dockerignore"
                raise ContextError(where, f"{_shown(error)} may not be read", hint) from None
            except OSError as error:
                raise ContextError(where, f"{_shown(error)} cannot be read: {error.strerror}") from None
        return tuple(self._entries[path] for path in sorted(self._entries, key=encode))

    def reaches(self, path: str) -> bool:
        """Whether a source that was selected stands for ``path`` or a folder around it, hidden or not."""
        return any(not root or path == root or path.startswith(f"{root}/") for root in self._reached)

    # -- sources ---------------------------------------------------------------------------------

    def _source(self, source: str, where: str) -> None:
        found = shown = False
        parts = _components(source, where)
        if parts and parts[0].startswith("!"):
            # buildx sends what sources name as patterns, of which this one hides
            raise ContextError(where, f"{source}: BuildKit does not find what begins with !", "rename it")
        for path in self._meant(parts, where):
            found = True
            self._reached.add(path)
            shown |= self._tree(path, where)
        if shown or has_wildcard(source):
            return
        if found:
            raise ContextError(
                where, f"{source} is hidden by .dockerignore", "let it through with a line !PATH"
            )
        hint = "sources are relative to the stage's folder"
        raise ContextError(where, f"{source}: no such file in {self.folder.name}/", hint)

    def _meant(self, parts: list[str], where: str) -> Iterator[str]:
        """Paths that a source means, links resolved.

        As in BuildKit (tonistiigi/fsutil, ``copy.ResolveWildcards``): links are followed in what stands
        before the first pattern; from there on the folder is walked, which enters no link, and a path that
        matches is not entered; then what matches is followed to its end.
        """
        first = next((place for place, part in enumerate(parts) if has_wildcard(part)), len(parts))
        for base in self._resolve((), parts[:first], where):
            if first == len(parts):
                yield base
                continue
            deep = len(parts) - first
            pattern = "/".join(parts[first:])
            for path in self._matches(base, "", path_match(pattern), 0 if crosses(pattern) else deep):
                folder = tuple(filter(None, base.split("/")))
                yield from self._resolve(folder, path.split("/"), where)

    def _matches(self, base: str, below: str, pattern: re.Pattern[str], depth: int) -> Iterator[str]:
        """Paths relative to ``base`` that match, at most ``depth`` folders down; 0 for any depth."""
        for name in self._names("/".join(filter(None, (base, below)))):
            path = f"{below}/{name}" if below else name
            full = f"{base}/{path}" if base else path
            if pattern.fullmatch(path):
                yield path
            elif depth != 1 and self._is_folder(full) and self._may_show(full):
                yield from self._matches(base, path, pattern, depth and depth - 1)

    def _resolve(self, done: tuple[str, ...], rest: list[str], where: str, links: int = 0) -> Iterator[str]:
        """The path that ``rest`` means below ``done``, each link on the way recorded and followed."""
        if not rest:
            yield "/".join(done)
            return
        path = "/".join((*done, rest[0]))
        try:
            mode = os.lstat(self._full(path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if not stat.S_ISLNK(mode):
            yield from self._resolve((*done, rest[0]), rest[1:], where, links)
            return
        if links >= MAX_LINKS:
            raise ContextError(where, f"{path}: too many links, or a loop of links")
        if self._hidden(path):
            return
        self._add(path, where)
        target = self._entries[path].link
        led = _led(done, target)
        if led is None:
            what = f"{path} -> {target}: the link leaves the stage's folder"
            raise ContextError(where, what, "copy the file into the folder")
        yield from self._resolve((), [*led, *rest[1:]], where, links + 1)

    # -- files -----------------------------------------------------------------------------------

    def _tree(self, path: str, where: str) -> bool:
        """Add what is not ignored of ``path`` and all below; whether ``path`` or any of it is to be seen."""
        hidden = bool(path) and self._hidden(path)
        if not stat.S_ISDIR(os.lstat(self._full(path)).st_mode):
            if not hidden:
                self._add(path, where)
            return not hidden
        if hidden and not self._may_show(path):
            return False
        below = [self._tree(f"{path}/{name}" if path else name, where) for name in self._names(path)]
        if path and not hidden:
            self._add(path, where)
        return not hidden or any(below)

    def _add(self, path: str, where: str) -> None:
        if path in self._entries:
            if path in self._masked and not self._moded:
                self._masked.discard(path)
                self._entries[path] = replace(self._entries[path], kind="exec")
            return
        if parent := path.rpartition("/")[0]:
            self._add(parent, where)
        self._entries[path] = self._entry(path, where)

    def _entry(self, path: str, where: str) -> Entry:
        full = self._full(path)
        mode = os.lstat(full).st_mode
        if stat.S_ISDIR(mode):
            return Entry(path, "dir", "")
        if stat.S_ISLNK(mode):
            target = os.readlink(full)  # noqa: PTH115
            return Entry(path, "link", hashlib.sha256(target).hexdigest(), link=decode(target))
        if not stat.S_ISREG(mode):
            hint = "remove it, or hide it in .dockerignore"
            raise ContextError(where, f"{path} is a socket, device or FIFO", hint)
        with os.fdopen(os.open(full, READ_FLAGS), "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise ContextError(where, f"{path} was replaced while it was read", RUN_AGAIN)
            kind: Kind = "exec" if info.st_mode & stat.S_IXUSR else "file"
            if kind == "exec" and self._moded:
                kind = "file"
                self._masked.add(path)
            if info.st_size <= HELD and self._held + info.st_size <= HELD_IN_ALL:
                data = file.read()
                self._held += len(data)
                return Entry(path, kind, hashlib.sha256(data).hexdigest(), len(data), data)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Entry(path, kind, digest, file.tell())

    def _hidden(self, path: str) -> bool:
        return self._ignore is not None and self._ignore.hides(path)

    def _may_show(self, folder: str) -> bool:
        """Whether anything in a folder may be seen."""
        return self._ignore is None or not self._hidden(folder) or self._ignore.may_show_below(folder)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(self._full(path)).st_mode)
        except FileNotFoundError:
            return False

    def _names(self, path: str) -> list[str]:
        try:
            return sorted(map(decode, os.listdir(self._full(path))))  # noqa: PTH208
        except NotADirectoryError:
            return []

    def _full(self, path: str) -> bytes:
        return self._root + b"/" + encode(path) if path else self._root


def _components(source: str, where: str) -> list[str]:
    """Components of a source below the folder; leading '/' means the folder, as for BuildKit."""
    parts: list[str] = []
    for part in source.split("/"):
        if part == "..":
            if not parts:
                hint = "copy the file into the folder, or take it from a stage of its own"
                raise ContextError(where, f"{source} leaves the stage's folder", hint)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _shown(error: OSError) -> str:
    """The file that an error of the system is about, for a message."""
    name = error.filename
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name or "a file")
