"""``stages.lock``: external images pinned by digest, and the stamp of the package archive.

Behaves as cargo's lock: written when something is missing, never changed silently; ``locked`` refuses to
write. What is pinned per platform is the digest of that platform's manifest, so that an index that changes
for another platform moves no key. All platforms of a reference are pinned out of one index.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .errors import LockError, ResolveError, nearest
from .files import write_atomically
from .key import is_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

FILE = "stages.lock"
_HEADER = "# Written when something is missing, kept as it is otherwise; commit it.\n"
_ANEW = "restore it from version control, or delete it to pin anew"
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Pin:
    """``digest`` of the platform's manifest, ``index`` of what the reference named when it was pinned."""

    digest: str
    index: str


@dataclass(frozen=True)
class Resolved:
    """What a reference names now: manifest digests by OCI platform. One entry "" fits every platform."""

    index: str
    manifests: dict[str, str]
    onbuild: bool = False


class Resolver(Protocol):
    """Asks registry or engine what a reference names. Raises ``ResolveError``."""

    def __call__(self, reference: str) -> Resolved: ...


class Lock:
    """The lock of one project. Writes at once when an entry is added. Safe for threads and processes."""

    def __init__(self, root: Path, resolve: Resolver, *, locked: bool = False) -> None:
        self.path, self._resolve, self.locked = root / FILE, resolve, locked
        self._guard = threading.RLock()
        self._data = self._read()

    def archive(self) -> str:
        """The archive stamp, a date; today's is taken when there is none yet."""
        with self._guard:
            if "archive" not in self._data:
                today = datetime.datetime.now(datetime.UTC).date().isoformat()
                self._refuse("the archive stamp", FILE)
                self._add(lambda data: data.setdefault("archive", today))
            return str(self._data["archive"])

    def image(self, reference: str, docker: str, where: str, stages: Iterable[str] = ()) -> Pin:
        """The pin of ``reference`` for an OCI platform; resolved and written when missing.

        A reference that has a digest already is resolved like any other, since it may name an index.
        ``where`` and ``stages`` are for the message of ``LockError`` or ``ResolveError``.
        """
        with self._guard:
            entry = self._images().get(reference, {})
            if docker not in entry:
                self._refuse(f"{reference} for {docker}", where)
                found = self._look_up(reference, docker, where, stages, entry.get("index"))

                def add(data: dict[str, Any]) -> None:
                    # what another process has pinned meanwhile stays
                    images = data.setdefault("images", {})
                    other = images.get(reference, {})
                    if docker in other:
                        return
                    if other.get("index", found["index"]) != found["index"]:
                        what = f"{reference} moved while another process pinned it"
                        raise LockError(where, what, "run again; what that process pinned is taken")
                    images[reference] = found | other

                self._add(add)
                entry = self._images()[reference]
            return Pin(entry[docker], entry.get("index", entry[docker]))

    def has_onbuild(self, reference: str) -> bool:
        """Whether the image, once it is pinned, leaves triggers for those that start from it."""
        return bool(self._images().get(reference, {}).get("onbuild", False))

    # -- on purpose ------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """What is pinned, to be read."""
        pins = [
            f"{reference}  {docker}  {digest}"
            for reference, entry in self._images().items()
            for docker, digest in entry.items()
            if docker not in ("index", "onbuild")
        ]
        return [f"archive  {self._data.get('archive', 'not yet pinned')}", *pins]

    def renew_archive(self) -> list[str]:
        """Take today's date as the archive's stamp; says what was and is."""
        old, new = self._data.get("archive"), datetime.datetime.now(datetime.UTC).date().isoformat()
        self._add(lambda data: data.update(archive=new))
        return [f"archive  {old} -> {new}"]

    def renew_images(self, references: Sequence[str] = ()) -> list[str]:
        """Pin what references, by default all, name now; says what was and is. Raises ``ResolveError``."""
        for reference in references:
            if reference not in self._images():
                raise LockError(FILE, f"{reference} is not pinned", nearest(reference, self._images()))
        lines, new = list[str](), {}
        for reference in references or list(self._images()):
            entry = self._images()[reference]
            found = self._ask(reference, FILE, ())
            new[reference] = {"index": found.index} | ({"onbuild": True} if found.onbuild else {})
            for docker in sorted(entry.keys() - {"index", "onbuild"}):
                digest = found.manifests.get(docker) or found.manifests.get("")
                if not digest or not is_digest(digest):
                    raise ResolveError(FILE, f"{reference} has no image for {docker} any more")
                new[reference][docker] = digest
                change = f"{entry[docker]} -> {digest}" if digest != entry[docker] else f"{digest} as before"
                lines.append(f"{reference}  {docker}  {change}")
        if new:
            self._add(lambda data: data.setdefault("images", {}).update(new))
        return lines or ["no image is pinned"]

    def _images(self) -> dict[str, dict[str, Any]]:
        images: dict[str, dict[str, Any]] = self._data.get("images", {})
        return images

    # -- asking ----------------------------------------------------------------------------------

    def _look_up(
        self, reference: str, docker: str, where: str, stages: Iterable[str], index: str | None
    ) -> dict[str, Any]:
        """The entry's new values, out of ``index`` if other platforms are pinned already."""
        found = self._ask(reference, where, stages)
        if index and found.index != index:
            repository = _repository(reference)
            try:
                found = self._resolve(f"{repository}@{index}")
            except ResolveError as error:
                what = (
                    f"{reference} has moved since it was pinned for other platforms, and what it was is gone"
                )
                raise LockError(
                    where, what, f"delete its entry in {FILE} to pin it anew\n  {error.what}"
                ) from None
        digest = found.manifests.get(docker) or found.manifests.get("")
        if not digest:
            have = ", ".join(sorted(found.manifests)) or "none"
            raise ResolveError(where, f"{reference} has no image for {docker}", f"it has {have}")
        if not is_digest(digest) or not is_digest(found.index):
            raise ResolveError(where, f"{reference}: not a digest: {digest!r}, {found.index!r}")
        return {"index": found.index, docker: digest} | ({"onbuild": True} if found.onbuild else {})

    def _ask(self, reference: str, where: str, stages: Iterable[str]) -> Resolved:
        try:
            return self._resolve(reference)
        except ResolveError as error:
            hint = error.hint
            if re.fullmatch(r"[a-z0-9._-]+", reference):
                hint = f"no stage of this name either: {nearest(reference, stages)}\n  {hint}"
            raise ResolveError(where, f"{reference}: {error.what}", hint) from None

    # -- file ------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        import toml

        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise LockError(FILE, f"cannot be read: {error}") from None
        try:
            data = toml.loads(text)
        except (toml.TomlDecodeError, IndexError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LockError(FILE, f"not valid TOML: {error}", _ANEW) from None
        _check(data)
        return data

    def _refuse(self, what: str, where: str) -> None:
        if self.locked:
            what = f"{FILE} has no entry for {what}, and locked=1 forbids to write one"
            raise LockError(where, what, f"run once without locked=1 and commit {FILE}")

    def _add(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Apply ``change`` to what the file holds now and write it."""
        import toml

        with _folder_locked(self.path.parent):
            data = self._read()
            change(data)
            write_atomically(self.path, (_HEADER + toml.dumps(data)).encode())
        self._data = data


def _check(data: dict[str, Any]) -> None:
    if "archive" in data and not _STAMP.fullmatch(str(data["archive"])):
        raise LockError(FILE, f"archive is not a date: {data['archive']!r}", 'write it as "2025-01-31"')
    images = data.get("images", {})
    if not isinstance(images, dict) or not all(isinstance(entry, dict) for entry in images.values()):
        raise LockError(FILE, "images must be tables", _ANEW)
    for reference, entry in images.items():
        for key, value in entry.items():
            if not (isinstance(value, bool) if key == "onbuild" else is_digest(value)):
                kind = "true or false" if key == "onbuild" else "a digest"
                raise LockError(FILE, f"{reference}: {key} is not {kind}: {value!r}", _ANEW)


def _repository(reference: str) -> str:
    """A reference without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """One process at a time. A lock on the folder itself leaves no lock file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
