"""Tags in a registry: push a document under its tag, or tell what a push would change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RegistryError
from ..oci import documents
from ..oci.digest import sha256
from ..store.repository import keeps_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..oci.digest import Digest
    from ..store.layout import LayoutStore
    from ..store.repository import RemoteRepository

#: "kept": the tag stays as an earlier publication set it.
State = Literal["new", "same", "moved", "kept"]


@dataclass(frozen=True)
class PushedTag:
    """The state of one tag after a push. ``details`` are lines for people."""

    reference: str
    digest: Digest
    state: State
    details: tuple[str, ...] = ()


class TagPusher:
    """Pushes tags to one repository. Without a registry, or if ``dry``, it only tells what it would push."""

    def __init__(self, registry: RemoteRepository | None, repository: str, *, dry: bool = False) -> None:
        """``repository`` is the name of the repository without a registry."""
        self.registry, self.repository, self.dry = registry, repository, dry

    def push(
        self, layout: LayoutStore, entry: Mapping[str, Any], tag: str, details: tuple[str, ...] = ()
    ) -> PushedTag:
        """Push the document that ``entry`` describes, and check that its tag names it.

        Raises ``RegistryError`` or ``LoginError``.
        """
        digest = entry["digest"]
        if self.registry is None:
            return PushedTag(f"{self.repository}:{tag}", digest, "new", details)
        reference = self.registry.reference(tag)
        current = self.registry.read_manifest(reference)
        state = _state(current, same=current is not None and sha256(current) == digest)
        if state != "same" and not self.dry:
            self.registry.set_tag(layout, entry, reference)
        return PushedTag(reference, digest, state, details)

    def push_list(
        self,
        layout: LayoutStore,
        entry: Mapping[str, Any],
        tag: str,
        details: tuple[str, ...],
        listed: Mapping[Digest, str],
    ) -> PushedTag:
        """Push a list of referrers, and check that its tag names a list with the same entries.

        ``listed`` are the digests of the entries with their types. Nothing refers to the list by its own
        digest, so that may differ: skopeo before 1.15 writes the list anew, without the types. Raises
        ``RegistryError`` or ``LoginError``.
        """
        digest = entry["digest"]
        if self.registry is None:
            return PushedTag(f"{self.repository}:{tag}", digest, "new", details)
        if not keeps_types():
            listed = dict.fromkeys(listed, "")
        reference = self.registry.reference(tag)
        current = self.registry.read_manifest(reference)
        state = _state(current, same=lists(current, listed))
        if state != "same" and not self.dry:
            self.registry.send(layout, entry, reference, preserve=False)
            if not lists(self.registry.read_manifest(reference), listed):
                what = "does not name the list that was just pushed"
                raise RegistryError(reference, what, "does somebody else push there?")
        return PushedTag(reference, digest, state, details)

    def kept(self, tag: str, why: str) -> PushedTag | None:
        """The state of a tag that is left as it is; None if the registry has no such tag."""
        if self.registry is None:
            return None
        reference = self.registry.reference(tag)
        current = self.registry.read_manifest(reference)
        return None if current is None else PushedTag(reference, sha256(current), "kept", (why,))


def _state(current: bytes | None, *, same: bool) -> State:
    if current is None:
        return "new"
    return "same" if same else "moved"


def lists(document: bytes | None, listed: Mapping[Digest, str]) -> bool:
    """Return whether a document lists exactly these digests with these types; all types "" match any."""
    if document is None:
        return False
    try:
        entries = {item["digest"]: item.get("artifactType", "") for item in json.loads(document)["manifests"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return entries == listed if any(listed.values()) else set(entries) == set(listed)


def stored(layout: LayoutStore, media_type: str, data: bytes) -> dict[str, Any]:
    """Store a small document; return its descriptor."""
    digest, size = layout.blobs.add(data)
    return documents.descriptor(media_type, digest, size)
