"""Pins of external images and the package date, kept in ``stages.lock``.

Like a lock file of a package manager: an entry is written when it is missing, and only ``doit lock`` changes
one. With ``locked`` a missing entry is an error. What is pinned is the digest of each platform's manifest, so
that an index that changes for another platform changes no key. All platforms of a reference are pinned from
one index.
"""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import UNRESOLVED, LockError, ResolveError, StagegraphError, nearest
from ..oci.digest import Digest, is_digest
from ..oci.platform import NO_PLATFORM, OciPlatform
from ..oci.reference import familiar, split
from . import lockfile
from .lockfile import FILE, FLAGS, platforms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from ..oci.reference import ResolvedReference


@dataclass(frozen=True)
class Pin:
    """A pinned image: the ``digest`` of its manifest for a platform.

    ``index`` is the digest of what the reference named when it was pinned: an index, or that manifest.
    """

    digest: Digest
    index: Digest


class Renewal(NamedTuple):
    """An entry of the file before and after its reference was resolved again."""

    reference: str
    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def moved(self) -> bool:
        return self.old != self.new


class Resolver(Protocol):
    """Resolves a reference by the registry or the engine. Raises one of ``UNRESOLVED``.

    The result has all platforms of the image. Triggers are looked up for ``platforms`` only.
    """

    def __call__(self, reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference: ...


class Lock:
    """The lock of the project in ``root``. Writes each new entry at once. Safe for threads and processes."""

    def __init__(
        self,
        root: Path,
        resolve: Resolver,
        *,
        locked: bool = False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        """``say`` is called with a message for each entry that is added."""
        self.path, self._resolve, self._locked, self._say = root / FILE, resolve, locked, say
        self._guard = threading.RLock()
        # each reference is resolved once a run, also if that fails, wholly or for some platforms
        self._unresolved: dict[str, StagegraphError] = {}
        self._unread: dict[tuple[str, frozenset[OciPlatform]], ResolvedReference] = {}
        self._data = lockfile.read(self.path)

    def package_date(self) -> str:
        """Return the package date; today's date is recorded if there is none yet.

        Raises ``LockError`` with ``locked``.
        """
        with self._guard:
            if "archive" not in self._data:
                today = _today()
                self._refuse_missing("the package date", FILE)
                self._change(lambda data: data.setdefault("archive", today))
                self._say(f"{FILE}: recorded package date {today}; commit this file")
            return str(self._data["archive"])

    def image(self, reference: str, docker: OciPlatform, where: str) -> Pin:
        """Return the pin of ``reference`` for an OCI platform; it is resolved and written if it is missing.

        A reference by digest is resolved too, since it may name an index. ``where`` is the line that names
        it, for messages. Raises one of ``UNRESOLVED``.
        """
        with self._guard:
            reference = self._name(reference)
            entry = self._images().get(reference, {})
            if docker not in entry:
                self._refuse_missing(f"{reference} for {docker}", where)
                new = self._look_up(reference, docker, where, entry)

                def add(data: dict[str, Any]) -> None:
                    # keep what another process has pinned meanwhile
                    images = data.setdefault("images", {})
                    current = images.get(reference, {})
                    if docker in current:
                        return
                    if current.get("index", new["index"]) != new["index"]:
                        what = f"{reference} moved while another process pinned it"
                        raise LockError(where, what, "run again to use what that process pinned")
                    images[reference] = current | new

                self._change(add)
                entry = self._images()[reference]
                self._say(
                    f"{FILE}: pinned {reference} for {docker} to {entry[docker][:19]}; commit this file"
                )
            return Pin(Digest(entry[docker]), Digest(entry.get("index", entry[docker])))

    def index(self, reference: str, docker: OciPlatform, where: str) -> Digest:
        """Return the digest of what ``reference`` named when it was pinned for any platform.

        If it is not pinned, it is pinned for ``docker``. Raises one of ``UNRESOLVED``.
        """
        with self._guard:
            index = self._images().get(self._name(reference), {}).get("index")
            return Digest(index) if index else self.image(reference, docker, where).index

    def has_onbuild(self, reference: str) -> bool:
        """Return True if the pinned image leaves triggers (ONBUILD) for images that start from it."""
        return bool(self._images().get(self._name(reference), {}).get("onbuild", False))

    def has_onbuild_from(self, reference: str) -> bool:
        """Return True if triggers of the pinned image take from elsewhere, which no key can hold."""
        return bool(self._images().get(self._name(reference), {}).get("onbuild_from", False))

    # -- renewing --------------------------------------------------------------------------------

    def renew_package_date(self) -> tuple[str, str]:
        """Set the package date to today. Return the old date, "" if there was none, and the new one.

        Raises ``LockError`` with ``locked``.
        """
        with self._guard:
            self._refuse_renewal()
            old, new = str(self._data.get("archive", "")), _today()
            if old != new:
                self._change(lambda data: data.update(archive=new))
            return old, new

    def renew_images(self, references: Iterable[str] = ()) -> list[Renewal]:
        """Resolve pinned references again, by default all, and pin what they name now.

        All are resolved before anything is written. An entry keeps its platforms. A reference by digest
        cannot move, but an earlier version may not have looked for its triggers. Raises ``LockError`` with
        ``locked`` or for a reference that is not pinned, and one of ``UNRESOLVED`` for one that cannot be
        resolved for each of its platforms.
        """
        with self._guard:
            self._refuse_renewal()
            images = self._images()
            wanted = list(dict.fromkeys(map(self._name, references))) or sorted(images)
            for reference in wanted:
                if reference not in images:
                    raise LockError(FILE, f"no image {reference!r} is pinned", nearest(reference, images))
            renewals = [Renewal(name, images[name], self._renewed(name, images[name])) for name in wanted]
            moved = {item.reference: item.new for item in renewals if item.moved}
            if moved:
                self._change(lambda data: data.setdefault("images", {}).update(moved))
            return renewals

    def _renewed(self, reference: str, old: dict[str, Any]) -> dict[str, Any]:
        """Return the entry of a reference as it resolves now."""
        pinned = platforms(old)
        if not pinned:
            return old
        resolved, new = self._resolve_once(reference, FILE, pinned), dict[str, Any]()
        for docker in pinned:
            new |= _entry(resolved, reference, docker, FILE)
        return new

    def _refuse_renewal(self) -> None:
        if self._locked:
            raise LockError(FILE, "locked=1 does not allow writing it", "run it without locked=1")

    def _name(self, reference: str) -> str:
        """Return a reference as the file already has it, in whichever form, else as it is."""
        if reference in self._images():
            return reference
        short = familiar(reference)
        return next((name for name in self._images() if familiar(name) == short), reference)

    def _images(self) -> dict[str, dict[str, Any]]:
        images: dict[str, dict[str, Any]] = self._data.get("images", {})
        return images

    # -- resolving -------------------------------------------------------------------------------

    def _look_up(
        self, reference: str, docker: OciPlatform, where: str, entry: dict[str, Any]
    ) -> dict[str, Any]:
        """Return new values for an entry, from its own index if other platforms are pinned already."""
        wanted, index = [docker, *platforms(entry)], entry.get("index")
        resolved = self._resolve_once(reference, where, wanted)
        if index and resolved.index != index:
            try:
                resolved = self._resolve_once(f"{split(reference).repository}@{index}", where, wanted)
            except ResolveError as error:
                what = f"{reference} has moved since it was pinned for other platforms, and its index is gone"
                hint = f"to pin it again: doit lock images {reference}\n  {error.what}"
                raise LockError(where, what, hint) from None
        return _entry(resolved, reference, docker, where)

    def _resolve_once(self, reference: str, where: str, wanted: Collection[OciPlatform]) -> ResolvedReference:
        question = reference, frozenset(wanted)
        try:
            if reference in self._unresolved:
                raise self._unresolved[reference]
            resolved = self._unread.get(question) or self._resolve(reference, wanted)
        except UNRESOLVED as error:
            self._unresolved[reference] = error
            raise type(error)(where, f"{reference}: {error.what}", error.hint) from None
        if resolved.unread:
            self._unread[question] = resolved
        return resolved

    # -- writing ---------------------------------------------------------------------------------

    def _refuse_missing(self, what: str, where: str) -> None:
        if self._locked:
            what = f"{FILE} has no entry for {what}, and locked=1 does not allow adding one"
            raise LockError(where, what, f"run once without locked=1 and commit {FILE}")

    def _change(self, apply: Callable[[dict[str, Any]], object]) -> None:
        self._data = lockfile.change(self.path, apply)


def _entry(resolved: ResolvedReference, reference: str, docker: OciPlatform, where: str) -> dict[str, Any]:
    """Return the entry of a reference for one platform. Raises one of ``UNRESOLVED``."""
    if error := resolved.unread.get(docker):
        raise type(error)(where, f"{reference}: {error.what}", error.hint)
    digest = resolved.manifests.get(docker) or resolved.manifests.get(NO_PLATFORM)
    if not digest:
        have = ", ".join(sorted(resolved.manifests)) or "none"
        raise ResolveError(where, f"{reference} has no image for {docker}", f"it has {have}")
    if not is_digest(digest) or not is_digest(resolved.index):
        raise ResolveError(where, f"{reference}: not a digest: {digest!r}, {resolved.index!r}")
    return {"index": resolved.index, docker: digest} | {
        name: True for name in FLAGS if getattr(resolved, name)
    }


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
