"""Builders that disagree: who has said that which image is that of a key, here and in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..oci.digest import Digest, from_encoded, is_digest
from ..store import record as records
from ..trust import bundle as bundles
from ..trust.statement import subject_of

if TYPE_CHECKING:
    from ..execution.workspace import Workspace
    from ..keys.key import Key
    from ..project.model import Node
    from ..store.record import Record


class Opinion(NamedTuple):
    """Everybody who says that this image is that of the key.

    ``signers`` are names of ``[trust.keys]``, or "this clone". ``stores`` have a record of the image.
    """

    digest: Digest
    signers: tuple[str, ...]
    stores: tuple[str, ...]


class Challenge(NamedTuple):
    """The opinions about the key of a node. Nobody's is looked at who is not in ``[trust.keys]``."""

    node: Node
    key: Key
    opinions: tuple[Opinion, ...]

    @property
    def is_disputed(self) -> bool:
        """Return whether there is more than one opinion."""
        return len(self.opinions) > 1


def challenge(workspace: Workspace, node: Node) -> Challenge:
    """Collect the opinions about the recipe key of a node. Raises ``StagegraphError``."""
    key = workspace.graph.key(node)
    found: dict[str, Record] = {}
    if record := workspace.layout.read(key):
        found["cache/"] = record
    if record := _in_registry(workspace, node, key):
        found["the registry"] = record
    texts = {text for record in found.values() for text in record.signatures}
    signers = dict[Digest, set[str]]()
    policy = workspace.signing.judge.policy
    for text in {*texts, *workspace.layout.signatures.of(key)}:
        bundle, name = bundles.parse(text), policy.signer(text)
        if bundle is not None and name is not None:
            digest = from_encoded(subject_of(bundle.payload))
            if is_digest(digest):
                signers.setdefault(digest, set()).add(name or "this clone")
    opinions = []
    for digest in sorted({*signers, *(record.digest for record in found.values())}):
        stores = tuple(store for store, record in found.items() if record.digest == digest)
        opinions.append(Opinion(digest, tuple(sorted(signers.get(digest, ()))), stores))
    return Challenge(node, key, tuple(opinions))


def _in_registry(workspace: Workspace, node: Node, key: Key) -> Record | None:
    """Return the record under the node's tag, whether or not anybody has signed it."""
    if workspace.registry is None:
        return None
    remote, docker = workspace.registry.remote, workspace.project.platforms[node.platform].docker
    data = remote.read_manifest(remote.reference(records.tag(node.stage, docker, key)))
    return records.parse(data, key) if data else None
