"""A stage's folder -> exactly the files that its Dockerfile reads.

The key and the tar use the same list of entries, so the build sees only files that were hashed. An entry has
path, kind, executable bit, content and link target; owner, times, umask and hard links are dropped.

Rules are BuildKit's: ``.dockerignore``, Go's ``filepath.Match`` for sources, links inside the folder only
(https://docs.docker.com/reference/dockerfile/#copy, https://docs.docker.com/build/concepts/context/). One
differs: BuildKit silently changes a path that leaves the folder; here it is an error.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from ..errors import ContextError
from .entry import READ_FLAGS, RUN_AGAIN, Entry, decode, encode
from .go_match import PathPattern
from .patterns import Ignore, has_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .entry import Kind

#: Files up to this size are held in memory between hashing and sending, up to this sum for a folder (bytes).
#: Others are read again for sending, and must then have the same digest.
MAX_HELD_FILE = 4 << 20

MAX_HELD = 64 << 20

#: More links than this in one path are a loop (the limit of Linux).
MAX_LINKS = 40


def ignore_file(folder: Path, dockerfile: str) -> Path | None:
    """Return the ignore file of a build: ``<Dockerfile>.dockerignore``, else ``.dockerignore``, else None.

    Links are followed inside the folder, as BuildKit does; "/" is the folder too. For the first file, that is
    the Dockerfile's folder. BuildKit silently ignores a link that leaves the folder and sends the files that
    it was to hide. Raises ``ContextError`` for such a link.
    """
    own = folder / f"{dockerfile}.dockerignore"
    for root, name in ((own.parent, own.name), (folder, ".dockerignore")):
        path = _followed(root, name)
        if path is not None and (root / path).is_file():
            return root / path
    return None


def _followed(folder: Path, name: str) -> str | None:
    """Return the path below the folder that ``name`` leads to; None for a loop of links."""
    done: list[str] = []
    rest = name.split("/")
    for _ in range(MAX_LINKS):
        while rest and not (folder / "/".join([*done, rest[0]])).is_symlink():
            done.append(rest.pop(0))
        if not rest:
            return "/".join(done)
        target = os.fsdecode((folder / "/".join([*done, rest.pop(0)])).readlink())
        path = _link_target(done, target)
        if path is None:
            what = f"the link leaves the stage's folder ({target}), so BuildKit ignores it"
            raise ContextError(f"{folder.name}/{name}", what, "put a copy of the file there")
        done, rest = [], [*path, *rest]
    return None


def _link_target(folder: Iterable[str], target: str) -> list[str] | None:
    """Return the components of the path that a link in ``folder`` leads to; None if it leaves the context.

    An absolute target starts at the context, as for BuildKit.
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
    """Collects the files that the sources of one Dockerfile reach in ``folder``.

    ``name`` is the Dockerfile's path, for messages; ``ignore`` its ignore file.
    """

    def __init__(self, folder: Path, name: str, ignore: Path | None = None) -> None:
        self.folder, self.name = folder, name
        self._root = os.fsencode(folder)
        self._entries: dict[str, Entry] = {}
        self._reached: set[str] = set()
        self._held = 0
        self._sets_mode = False
        self._masked: set[str] = set()
        self._ignore = Ignore.read(ignore) if ignore else None

    def select(
        self, sources: Iterable[tuple[str, int]] | None, chmod_sources: Iterable[tuple[str, int]] = ()
    ) -> tuple[Entry, ...]:
        """Return the entries for pairs of a path or pattern and its Dockerfile line, sorted by path.

        ``sources`` is None for the whole folder. The instructions of ``chmod_sources`` set the mode
        (``--chmod=644`` sets all nine bits: ``copyFileInfo`` of tonistiigi/fsutil). A file that only these
        reach has no executable bit here, whatever its mode.

        Raises ``ContextError`` for a source without wildcards that is missing or hidden, for a source that
        leaves the folder, for sockets, devices and FIFOs, and for files that cannot be read or vanish.
        """
        others = [(".", 0)] if sources is None else sources
        marked = [*((*pair, True) for pair in chmod_sources), *((*pair, False) for pair in others)]
        for source, line, sets_mode in marked:
            self._sets_mode = sets_mode
            where = f"{self.name}:{line}" if line else self.name
            try:
                self._source(source, where)
            except FileNotFoundError as error:
                raise ContextError(where, f"{_shown(error)} vanished while it was read", RUN_AGAIN) from None
            except PermissionError as error:
                hint = "change its permissions, or hide it in .dockerignore"
                raise ContextError(
                    where, f"{_shown(error)} cannot be read: permission denied", hint
                ) from None
            except OSError as error:
                raise ContextError(where, f"{_shown(error)} cannot be read: {error.strerror}") from None
        return tuple(self._entries[path] for path in sorted(self._entries, key=encode))

    def reaches(self, path: str) -> bool:
        """Return True if a selected source means ``path`` or a folder around it, hidden or not."""
        return any(not root or path == root or path.startswith(f"{root}/") for root in self._reached)

    # -- sources ---------------------------------------------------------------------------------

    def _source(self, source: str, where: str) -> None:
        exists = shown = False
        parts = _components(source, where)
        if parts and parts[0].startswith("!"):
            # buildx sends the sources as patterns, and a pattern with ! hides files
            raise ContextError(
                where, f"{source}: BuildKit does not find names that begin with !", "rename it"
            )
        for path in self._paths(parts, where):
            exists = True
            self._reached.add(path)
            shown |= self._tree(path, where)
        if shown or has_wildcard(source):
            return
        if exists:
            raise ContextError(where, f"{source} is hidden by .dockerignore", "allow it with a line !PATH")
        hint = "sources are relative to the stage's folder"
        raise ContextError(where, f"{source}: no such file in {self.folder.name}/", hint)

    def _paths(self, parts: list[str], where: str) -> Iterator[str]:
        """The paths that a source means, with links resolved.

        As in BuildKit (tonistiigi/fsutil, ``copy.ResolveWildcards``): first the components before the first
        pattern are resolved, links included. From there the folder is searched, without entering links or a
        path that matches. Then each match is resolved.
        """
        first = next((place for place, part in enumerate(parts) if has_wildcard(part)), len(parts))
        for base in self._resolve((), parts[:first], where):
            if first == len(parts):
                yield base
                continue
            deep = len(parts) - first
            pattern = PathPattern("/".join(parts[first:]))
            for path in self._matches(base, "", pattern, 0 if pattern.crosses() else deep):
                folder = tuple(filter(None, base.split("/")))
                yield from self._resolve(folder, path.split("/"), where)

    def _matches(self, base: str, below: str, pattern: PathPattern, depth: int) -> Iterator[str]:
        """The paths relative to ``base`` that match, at most ``depth`` folders down; 0 for any depth."""
        for name in self._names("/".join(filter(None, (base, below)))):
            path = f"{below}/{name}" if below else name
            full = f"{base}/{path}" if base else path
            if pattern.matches(path):
                yield path
            elif depth != 1 and self._is_folder(full) and self._may_show(full):
                yield from self._matches(base, path, pattern, depth and depth - 1)

    def _resolve(self, done: tuple[str, ...], rest: list[str], where: str, links: int = 0) -> Iterator[str]:
        """The path of ``rest`` below ``done``; each link on the way is recorded and followed."""
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
        linked = _link_target(done, target)
        if linked is None:
            what = f"{path} -> {target}: the link leaves the stage's folder"
            raise ContextError(where, what, "copy the file into the folder")
        yield from self._resolve((), [*linked, *rest[1:]], where, links + 1)

    # -- files -----------------------------------------------------------------------------------

    def _tree(self, path: str, where: str) -> bool:
        """Add ``path`` and everything below it that is not hidden. Return True if any of it is visible."""
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
            if path in self._masked and not self._sets_mode:
                self._masked.discard(path)
                self._entries[path] = self._entries[path]._replace(kind="exec")
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
            if kind == "exec" and self._sets_mode:
                kind = "file"
                self._masked.add(path)
            if info.st_size <= MAX_HELD_FILE and self._held + info.st_size <= MAX_HELD:
                data = file.read()
                self._held += len(data)
                return Entry(path, kind, hashlib.sha256(data).hexdigest(), len(data), data)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Entry(path, kind, digest, file.tell())

    def _hidden(self, path: str) -> bool:
        return self._ignore is not None and self._ignore.hides(path)

    def _may_show(self, folder: str) -> bool:
        """Return True if anything in a folder may be visible."""
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
    """Return the components of a source below the folder; a leading '/' is the folder, as for BuildKit.

    Raises ``ContextError`` if it leaves the folder.
    """
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
    """Return the file that a system error is about, for a message."""
    name = error.filename
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name or "a file")
