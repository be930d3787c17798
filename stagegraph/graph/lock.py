"""``stages.lock``: external images pinned by digest, and the stamp of the package archive.

Behaves as cargo's lock: written when something is missing, changed by ``doit lock`` alone; ``locked`` refuses
to write. What is pinned per platform is the digest of that platform's manifest, so that an index that changes
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
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import UNRESOLVED, LockError, ResolveError, StagegraphError, nearest
from ..oci.digest import Digest, is_digest
from ..oci.platform import NO_PLATFORM, OciPlatform
from ..oci.reference import familiar, split
from ..system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from ..oci.reference import ResolvedReference

FILE = "stages.lock"

_HEADER = "# Written when something is missing, kept as it is otherwise; commit it.\n"

_ANEW = "restore it from version control, or delete it to pin anew"

_TRUTHS = ("onbuild", "onbuild_from")

_NO_PLATFORM = ("index", *_TRUTHS)  # what an entry has besides platforms

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Pin:
    """``digest`` of the platform's manifest, ``index`` of what the reference named when it was pinned."""

    digest: Digest
    index: Digest


class Renewal(NamedTuple):
    """An entry before and after its reference was resolved again: digests by platform, and ``index``."""

    reference: str
    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def moved(self) -> bool:
        return self.old != self.new


class Resolver(Protocol):
    """Asks registry or engine what a reference names. Raises one of ``UNRESOLVED``.

    All platforms come back; triggers are those of ``platforms``, as far as there are images for them.
    """

    def __call__(self, reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference: ...


class Lock:
    """The lock of one project. Writes at once when an entry is added. Safe for threads and processes."""

    def __init__(
        self,
        root: Path,
        resolve: Resolver,
        *,
        locked: bool = False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        """``say`` is told of each entry that is added."""
        self.path, self._resolve, self._locked, self._say = root / FILE, resolve, locked, say
        self._guard = threading.RLock()
        self._unresolved: dict[str, StagegraphError] = {}  # one question a run
        self._unread: dict[tuple[str, frozenset[OciPlatform]], ResolvedReference] = {}  # the same
        self._data = self._read()

    def archive(self) -> str:
        """The archive stamp, a date; today's is taken when there is none yet."""
        with self._guard:
            if "archive" not in self._data:
                today = _today()
                self._refuse("the archive stamp", FILE)
                self._add(lambda data: data.setdefault("archive", today))
                self._say(f"{FILE}: the archive's date is {today} from now on; commit it")
            return str(self._data["archive"])

    def image(self, reference: str, docker: OciPlatform, where: str) -> Pin:
        """The pin of ``reference`` for an OCI platform; resolved and written when missing.

        A reference that has a digest already is resolved like any other, since it may name an index.
        ``where`` is for the message of the error, one of ``UNRESOLVED``.
        """
        with self._guard:
            reference = self._name(reference)
            entry = self._images().get(reference, {})
            if docker not in entry:
                self._refuse(f"{reference} for {docker}", where)
                found = self._look_up(reference, docker, where, entry)

                def add(data: dict[str, Any]) -> None:
                    # what another process has pinned meanwhile stays
                    images = data.setdefault("images", {})
                    other = images.get(reference, {})
                    if docker in other:
                        return
                    if other.get("index", found["index"]) != found["index"]:
                        what = f"{reference} moved while another process pinned it"
                        raise LockError(where, what, "run again; what that process pinned is taken")
                    images[reference] = other | found

                self._add(add)
                entry = self._images()[reference]
                self._say(f"{FILE}: {reference} is {entry[docker][:19]} for {docker} from now on; commit it")
            return Pin(Digest(entry[docker]), Digest(entry.get("index", entry[docker])))

    def index(self, reference: str, docker: OciPlatform, where: str) -> Digest:
        """What ``reference`` named when it was pinned, for whichever platform.

        Where it is not, it is pinned for ``docker``. Raises as ``image`` does.
        """
        with self._guard:
            known = self._images().get(self._name(reference), {}).get("index")
            return Digest(known) if known else self.image(reference, docker, where).index

    def has_onbuild(self, reference: str) -> bool:
        """Whether the image, once it is pinned, leaves triggers for those that start from it."""
        return bool(self._images().get(self._name(reference), {}).get("onbuild", False))

    def has_onbuild_from(self, reference: str) -> bool:
        """Whether triggers of the image, once it is pinned, take what no key can know."""
        return bool(self._images().get(self._name(reference), {}).get("onbuild_from", False))

    # -- renewing, when it is asked for ------------------------------------------------------------

    def renew_archive(self) -> tuple[str, str]:
        """Take today as the archive's stamp; the old one ("" if there was none) and the new.

        Raises ``LockError`` with ``locked``.
        """
        with self._guard:
            self._refuse_renewal()
            old, new = str(self._data.get("archive", "")), _today()
            if old != new:
                self._add(lambda data: data.update(archive=new))
            return old, new

    def renew_images(self, references: Iterable[str] = ()) -> list[Renewal]:
        """Resolve pinned references again, all of them by default, and pin what they name now.

        All are resolved before anything is written. An entry keeps its platforms. A reference by digest
        cannot move, but triggers that an earlier version did not look for can become known. Raises
        ``LockError`` with ``locked`` or for a reference that is not pinned; one of ``UNRESOLVED`` for one
        that cannot be resolved for each of its platforms.
        """
        with self._guard:
            self._refuse_renewal()
            known = self._images()
            wanted = list(dict.fromkeys(map(self._name, references))) or sorted(known)
            for reference in wanted:
                if reference not in known:
                    raise LockError(FILE, f"no image {reference!r} is pinned", nearest(reference, known))
            renewals = [Renewal(name, known[name], self._again(name, known[name])) for name in wanted]
            moved = {item.reference: item.new for item in renewals if item.moved}
            if moved:
                self._add(lambda data: data.setdefault("images", {}).update(moved))
            return renewals

    def _again(self, reference: str, old: dict[str, Any]) -> dict[str, Any]:
        """What an entry says when its reference is resolved now."""
        platforms = _platforms(old)
        if not platforms:
            return old
        found, new = self._ask(reference, FILE, platforms), dict[str, Any]()
        for docker in platforms:
            new |= _entry(found, reference, docker, FILE)
        return new

    def _refuse_renewal(self) -> None:
        if self._locked:
            raise LockError(FILE, "locked=1 forbids to write it", "run it without locked=1")

    def _name(self, reference: str) -> str:
        """What the file calls a reference: as it is there already, in whichever way it was written."""
        if reference in self._images():
            return reference
        short = familiar(reference)
        return next((name for name in self._images() if familiar(name) == short), reference)

    def _images(self) -> dict[str, dict[str, Any]]:
        images: dict[str, dict[str, Any]] = self._data.get("images", {})
        return images

    # -- asking ----------------------------------------------------------------------------------

    def _look_up(
        self, reference: str, docker: OciPlatform, where: str, entry: dict[str, Any]
    ) -> dict[str, Any]:
        """The entry's new values, out of its index if other platforms are pinned already."""
        platforms, index = [docker, *_platforms(entry)], entry.get("index")
        found = self._ask(reference, where, platforms)
        if index and found.index != index:
            try:
                found = self._ask(f"{split(reference).repository}@{index}", where, platforms)
            except ResolveError as error:
                what = (
                    f"{reference} has moved since it was pinned for other platforms, and what it was is gone"
                )
                raise LockError(
                    where, what, f"to pin it anew: doit lock images {reference}\n  {error.what}"
                ) from None
        return _entry(found, reference, docker, where)

    def _ask(self, reference: str, where: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
        question = reference, frozenset(platforms)
        try:
            if reference in self._unresolved:
                raise self._unresolved[reference]
            found = self._unread.get(question) or self._resolve(reference, platforms)
        except UNRESOLVED as error:
            self._unresolved[reference] = error
            raise type(error)(where, f"{reference}: {error.what}", error.hint) from None
        if found.unread:
            self._unread[question] = found
        return found

    # -- file ------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        import tomllib

        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise LockError(FILE, f"cannot be read: {error}") from None
        try:
            data = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise LockError(FILE, f"not valid TOML: {error}", _ANEW) from None
        _check(data)
        return data

    def _refuse(self, what: str, where: str) -> None:
        if self._locked:
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


def _platforms(entry: dict[str, Any]) -> list[OciPlatform]:
    return [OciPlatform(name) for name in entry if name not in _NO_PLATFORM]


def _entry(found: ResolvedReference, reference: str, docker: OciPlatform, where: str) -> dict[str, Any]:
    """What the file says of a reference for one platform. Raises one of ``UNRESOLVED``."""
    if error := found.unread.get(docker):
        raise type(error)(where, f"{reference}: {error.what}", error.hint)
    digest = found.manifests.get(docker) or found.manifests.get(NO_PLATFORM)
    if not digest:
        have = ", ".join(sorted(found.manifests)) or "none"
        raise ResolveError(where, f"{reference} has no image for {docker}", f"it has {have}")
    if not is_digest(digest) or not is_digest(found.index):
        raise ResolveError(where, f"{reference}: not a digest: {digest!r}, {found.index!r}")
    return {"index": found.index, docker: digest} | {name: True for name in _TRUTHS if getattr(found, name)}


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _is_date(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(_STAMP.fullmatch(text)) and bool(datetime.datetime.fromisoformat(text))
    return False


def _check(data: dict[str, Any]) -> None:
    if "archive" in data and not _is_date(str(data["archive"])):
        raise LockError(FILE, f"archive is not a date: {data['archive']!r}", 'write it as "2025-01-31"')
    images = data.get("images", {})
    if not isinstance(images, dict) or not all(isinstance(entry, dict) for entry in images.values()):
        raise LockError(FILE, "images must be tables", _ANEW)
    for reference, entry in images.items():
        for key, value in entry.items():
            if not (isinstance(value, bool) if key in _TRUTHS else is_digest(value)):
                kind = "true or false" if key in _TRUTHS else "a digest"
                raise LockError(FILE, f"{reference}: {key} is not {kind}: {value!r}", _ANEW)


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
