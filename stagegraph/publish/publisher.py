"""Final images for everybody: each platform's under a tag of its own, and one index over them, pushed last.

An image keeps the digest that it has in ``cache/``: what is said of it stands in the index and in referrers,
not in the image. Bill of materials and provenance are artifacts whose ``subject`` is the image (image-spec,
"Guidelines for Artifact Usage"); they are found through the tag ``sha256-DIGEST``, which every registry can
hold (distribution-spec, "Referrers Tag Schema"), and through the referrers API where a registry has it.

All of it is the same when it is made again from the same records, so publishing twice pushes nothing.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ProjectError, RegistryError, ToolError
from ..inspection import inventory
from ..oci import documents
from ..oci.digest import Digest, is_digest, sha256
from ..oci.documents import EMPTY, INDEX, MANIFEST, canonical
from ..project.model import Node
from ..store.repository import keeps_types
from ..system.processes import run
from . import provenance, sbom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..execution.workspace import Workspace
    from ..oci.platform import OciPlatform
    from ..project.model import Project
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from ..store.repository import Remote
    from .provenance import Revision

#: Names of annotations (image-spec, "Pre-Defined Annotation Keys").
_OCI = "org.opencontainers.image."

#: Tells our own entries of a list of referrers from those that others added, such as signatures.
_OURS, _COMMIT = "stagegraph.statement", "stagegraph.commit"


@dataclass(frozen=True)
class Member:
    """An image on one platform. ``listed``: it is the index's image for its Docker platform."""

    node: Node
    record: Record
    tag: str
    listed: bool


@dataclass(frozen=True)
class Publication:
    """What one image comes to. ``absent`` are platforms that are left out, with the reason."""

    image: str
    tag: str
    members: tuple[Member, ...]
    annotations: dict[str, str]
    absent: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pushed:
    """One thing under its name; ``details`` are lines for people.

    ``state`` is "new", "same" or "moved", or "kept": the name stays with what an earlier publication gave it.
    """

    reference: str
    digest: Digest
    state: str
    details: tuple[str, ...] = ()


def revision(project: Project, warn: Callable[[str], None]) -> Revision:
    """Where the project's files come from, as git knows; a commit with changes on it ends in ``-dirty``."""
    commit, trouble = _git(project, "rev-parse", "HEAD")
    if not commit:
        warn(f"no revision is said of the images: {trouble or 'git knows none'}")
        return provenance.Revision("", "")
    if _git(project, "status", "--porcelain")[0]:
        commit += "-dirty"
        warn("the project has changes that are not committed")
    return provenance.Revision(uri(_git(project, "config", "--get", "remote.origin.url")[0]), commit)


def uri(remote: str) -> str:
    """A git remote as a URI without passwords; "" for a folder of this machine."""
    if "://" in remote:
        return "" if remote.startswith("file:") else re.sub(r"^(\w+://)[^/@]*@", r"\1", remote)
    short = re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!/)(.+)", remote)  # as for scp
    return f"ssh://{short[1]}/{short[2]}" if short else ""


def _git(project: Project, *words: str) -> tuple[str, str]:
    """What git prints, and what it says where it fails."""
    try:
        done = run(["git", "-C", str(project.root), *words], timeout=30)
    except ToolError as error:
        return "", str(error)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return (
        (done.stdout.decode(errors="replace").strip(), "")
        if done.returncode == 0
        else ("", " ".join(said[:1]))
    )


def prepare(session: Workspace, image: str, origin: Revision, version: str) -> Publication:
    """What would be published of an image. Raises ``ProjectError`` where that is not here or not tested.

    The index has one image for each Docker platform, that of the first platform declared for it; others, such
    as boards, have their own tags only.
    """
    project = session.project
    declared = project.images[image]
    tag = project.settings.tag or image
    first: dict[OciPlatform, str] = {}
    for platform in declared.platforms:
        first.setdefault(project.platforms[platform].docker, platform)
    members, absent = [], []
    for platform in declared.platforms:
        node = Node(declared.stage, platform)
        test = project.test(image, platform)
        record = session.layout.find(session.graph.key(node))
        listed = platform in first.values()
        if record is None or (test and not session.passed(test)):
            if session.registry and (trouble := session.registry.trouble):
                raise trouble  # it may have what is missing here
            why = "is not in cache/" if record is None else "has not passed its test"
            if listed:
                hint = f"make it: doit {image}:{platform}; an index is over all platforms or not at all"
                raise ProjectError(f"{image}:{platform}", why, hint)
            absent.append((platform, why))
            continue
        members.append(Member(node, record, f"{tag}-{platform}", listed))
    annotations = {
        "created": datetime.datetime.fromtimestamp(project.epoch, datetime.UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
        "title": image,
        "description": declared.description,
        "source": origin.source,
        "revision": origin.commit,
        "version": version,
    }
    return Publication(
        image,
        tag,
        tuple(members),
        {_OCI + name: value for name, value in annotations.items() if value},
        tuple(absent),
    )


class Publisher:
    """Pushes publications to a registry. Without one, or with ``dry``, it tells what it would push."""

    def __init__(
        self, session: Workspace, registry: Remote | None, origin: Revision, *, dry: bool = False
    ) -> None:
        self.session, self.registry, self.origin, self.dry = session, registry, origin, dry
        self.repository = session.project.settings.repo

    def push(self, publication: Publication) -> Iterator[Pushed]:
        """Push what the registry lacks, the index last; each thing is told when it is there.

        Raises ``RegistryError`` or ``LoginError``; what was pushed until then is whole, and the index is the
        old one. Raises ``StoreError`` for an image that is damaged.
        """
        with self.session.layout.scratch(member.record for member in publication.members) as layout:
            for member in publication.members:
                yield self._put(layout, member.record.descriptor, member.tag)
                yield self._put_statements(layout, member)
            yield from self._left(publication)
            lines = [
                f"{name.removeprefix(_OCI)} = {value}" for name, value in publication.annotations.items()
            ]
            lines += [f"{m.record.docker}  {m.record.digest}" for m in publication.members if m.listed]
            index = _stored(layout, INDEX, _index(layout, publication))
            yield self._put(layout, index, publication.tag, tuple(lines))

    def _put(
        self,
        layout: LayoutStore,
        entry: Mapping[str, Any],
        tag: str,
        details: tuple[str, ...] = (),
        listed: Mapping[Digest, str] | None = None,
    ) -> Pushed:
        """Give something its name in the registry, and see that the name means it.

        ``listed``: of a list of referrers counts what it lists, digests with their types. Nothing refers to
        the list by its own digest, and skopeo before 1.15 writes it anew, without the types.
        """
        digest = entry["digest"]
        if self.registry is None:
            return Pushed(f"{self.repository}:{tag}", digest, "new", details)
        reference = self.registry.reference(tag)
        there = self.registry.raw(reference)
        if listed and not keeps_types():
            listed = dict.fromkeys(listed, "")
        state = "same" if _means(there, digest, listed) else "new" if there is None else "moved"
        if state != "same" and not self.dry:
            if listed is None:
                self.registry.name(layout, entry, reference)
            else:
                self._put_list(self.registry, layout, entry, reference, listed)
        return Pushed(reference, digest, state, details)

    def _put_list(
        self,
        registry: Remote,
        layout: LayoutStore,
        entry: Mapping[str, Any],
        reference: str,
        listed: Mapping[Digest, str],
    ) -> None:
        registry.send(layout, entry, reference, preserve=False)
        if not _means(registry.raw(reference), entry["digest"], listed):
            what = "names something else than was pushed"
            raise RegistryError(reference, what, "does somebody else push there?")

    def _left(self, publication: Publication) -> Iterator[Pushed]:
        """Names of platforms that are left out this time and were not another time."""
        for platform, why in publication.absent:
            if self.registry:
                reference = self.registry.reference(f"{publication.tag}-{platform}")
                if (there := self.registry.raw(reference)) is not None:
                    yield Pushed(
                        reference, sha256(there), "kept", (f"of an earlier publication; {platform} {why}",)
                    )

    def _put_statements(self, layout: LayoutStore, member: Member) -> Pushed:
        """The statements about an image, and the list of what refers to it, under the list's tag.

        What was said once of an image stays: it was made once, and registries that find referrers by subject
        would show every later word beside the first. But a commit is better than none, or than changed files.
        """
        record, pinned = member.record, sources(self.session, member.node)
        held = inventory.read_inventory(layout, layout.json(record.digest))
        bill = sbom.bill_of_materials(record, self.repository, held, pinned)
        below = dependencies(self.session, member, pinned)
        made = provenance.provenance(
            record, self.repository, parameters(self.session, member), below, self.origin
        )
        tag = record.digest.replace(":", "-")
        entries = {
            kind: self._artifact(layout, record, kind, media_type, document)
            for kind, media_type, document in (
                ("sbom", sbom.CYCLONEDX, bill),
                ("provenance", provenance.IN_TOTO, made),
            )
        }
        others = []
        for entry in self._listed(layout, tag):
            notes = entry.get("annotations") or {}
            if (kind := notes.get(_OURS)) not in entries:
                others.append(entry)
            elif (said := notes.get(_COMMIT, "")) and not said.endswith("-dirty"):
                entries[kind] = {**entry, "artifactType": entries[kind]["artifactType"]}
        manifests = [*entries.values(), *others]
        listing = canonical(documents.index(manifests))
        lines = (
            f"bill of materials: {len(held.debian)} Debian packages, {len(held.python)} Python packages,"
            f" {len(pinned)} source archives",
            f"provenance: {len(below)} dependencies",
        )
        listed = {item["digest"]: item.get("artifactType", "") for item in manifests}
        return self._put(layout, _stored(layout, INDEX, listing), tag, lines, listed)

    def _listed(self, layout: LayoutStore, tag: str) -> list[dict[str, Any]]:
        """What the registry lists as referring to an image, each thing with its blobs in the layout.

        What others have attached, such as signatures, is kept. An entry whose manifest is gone is not.
        """
        if self.registry is None or (data := self.registry.raw(self.registry.reference(tag))) is None:
            return []
        try:
            found = [item for item in json.loads(data)["manifests"] if is_digest(item["digest"])]
        except (ValueError, KeyError, TypeError):
            return []  # somebody uses such a tag for something else; it will be said to have moved
        kept = []
        for item in found:
            reference = f"{self.registry.repository}@{item['digest']}"
            if self.registry.raw(reference) is not None:
                self.registry.download(reference, layout)
                kept.append(item)
        return kept

    def _artifact(
        self, layout: LayoutStore, record: Record, kind: str, media_type: str, document: bytes
    ) -> dict[str, Any]:
        """Store a document as an artifact about an image; its entry for a list of referrers."""
        annotations = {_OCI + "created": record.created, _OURS: kind}
        annotations |= {_COMMIT: self.origin.commit} if self.origin.commit else {}
        config, content = _stored(layout, EMPTY, b"{}"), _stored(layout, media_type, document)
        manifest = documents.artifact(media_type, config, content, record.descriptor, annotations)
        entry = _stored(layout, MANIFEST, canonical(manifest))
        return {**entry, "artifactType": media_type, "annotations": annotations}


def _means(there: bytes | None, digest: Digest, listed: Mapping[Digest, str] | None) -> bool:
    """Whether what a name in the registry holds is this; of a list, whether it lists just these."""
    if there is None:
        return False
    if listed is None:
        return sha256(there) == digest
    try:
        found = {item["digest"]: item.get("artifactType", "") for item in json.loads(there)["manifests"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return found == listed if any(listed.values()) else set(found) == set(listed)


def _index(layout: LayoutStore, publication: Publication) -> bytes:
    listed = [member.record for member in publication.members if member.listed]
    manifests = [record.entry(layout.json(record.digest)) for record in listed]
    return canonical(documents.index(manifests, publication.annotations))


def sources(session: Workspace, node: Node) -> list[inventory.PinnedArchive]:
    """Archives that an image's stages and their parents take by name and digest."""
    nodes = session.graph.order([node])
    return inventory.pinned_archives(i for n in nodes for i in session.graph.spec(n).facts.instructions)


def parameters(session: Workspace, member: Member) -> dict[str, str]:
    spec = session.graph.spec(member.node)
    return {"stage": member.node.stage, "platform": member.node.platform, "docker": member.record.docker} | {
        f"arg:{name}": value for name, value in spec.facts.args.items()
    }


def dependencies(
    session: Workspace, member: Member, pinned: list[inventory.PinnedArchive]
) -> list[dict[str, Any]]:
    """Images of all nodes below, images from outside, those that read Dockerfiles, and source archives.

    The record knows what its image was made from; of one that was written before records did, the graph does.
    """
    below = dict(word.split("=", 1) for word in member.record.below)
    found = []
    for node in session.graph.order([member.node]):
        if node != member.node and str(node) not in below:
            known = session.find(node, session.graph.key(node))
            if known:
                below[str(node)] = known.record.digest
        spec = session.graph.spec(node)
        images = [(image.reference, image.digest) for image in spec.images]
        images += [(spec.frontend.reference, spec.frontend.digest)] if spec.frontend else []
        found += [provenance.dependency(name, digest, f"docker://{name}") for name, digest in images]
    found += [provenance.dependency(name, digest) for name, digest in sorted(below.items())]
    found += [provenance.dependency(source.file, source.sha256) for source in pinned]
    return list({json.dumps(item): item for item in found}.values())


def _stored(layout: LayoutStore, media_type: str, data: bytes) -> dict[str, Any]:
    """Put a small document into the layout; its descriptor."""
    digest, size = layout.add_blob(data)
    return documents.descriptor(media_type, digest, size)
