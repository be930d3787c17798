"""Clones of a small project with ``[trust]``, whose builder makes images of text; and a registry for them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import AMD64, HEAD, sha, stages

from stagegraph.build.builder import BuildResult
from stagegraph.execution.display import Detail
from stagegraph.execution.plan import plan
from stagegraph.execution.report import Report
from stagegraph.execution.workspace import Workspace
from stagegraph.keys.key import digits
from stagegraph.keys.spec import NodeSpec
from stagegraph.oci.digest import Digest
from stagegraph.project import loader
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests
from stagegraph.store.skopeo import SkopeoResult
from stagegraph.trust import ed25519, keyring
from stagegraph.trust.ed25519 import KeySigner

LOW, HIGH = Node("low", "amd64"), Node("high", "amd64")
RAW = {name: sha(name).encode()[:32] for name in ("ci", "bob", "stranger")}
CI, BOB = KeySigner(RAW["ci"]), KeySigner(RAW["bob"])
TRUST = f'[trust]\nlevel = "required"\n[trust.keys.ci]\npublic = "{CI.public}"\n'
TWO = TRUST.replace("[trust]", "[trust]\nthreshold = 2") + f'[trust.keys.bob]\npublic = "{BOB.public}"\n'


class Builder:
    """Makes an image with one layer, of the node's name and its parents; counts the builds."""

    def __init__(self, workspace: Workspace, layer: str) -> None:
        self.layout, self.layer, self.built = workspace.layout, layer, list[str]()

    def build(self, spec: NodeSpec, parents: Mapping[Node, Record], **_: object) -> BuildResult:
        self.built.append(str(spec.node))
        text = "|".join([self.layer, str(spec.node), *(record.digest for record in parents.values())])
        return BuildResult(*store(self.layout, text), (), False, AMD64, "fake 1")


def store(layout: LayoutStore, text: str) -> tuple[Digest, int, Digest, Digest]:
    """Store an image with one layer; return its digest, its size and its content digests."""
    blobs = layout.blobs
    with io.BytesIO() as out, tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("text")
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))
        archive.close()
        layer, layer_size = blobs.add(out.getvalue())
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [layer]}}
    config_digest, config_size = blobs.add(json.dumps(config).encode())
    manifest = {
        "config": {"digest": config_digest, "size": config_size},
        "layers": [{"digest": layer, "size": layer_size}],
    }
    return *blobs.add(json.dumps(manifest).encode()), *content_digests(config)


class Clone:
    """A clone of the project with a state folder of its own, as on another machine."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, trust: str, more: str = "") -> None:
        head = HEAD.replace('repo = "example/atom"', f'repo = "atom"\n{more}')
        stages(root, {"low": "FROM scratch\nENV A=1\n", "high": "FROM low\nENV B=1\n"}, head=head, more=trust)
        (root / "stages.lock").touch()
        self.root, self._patch, self.said, self.built = root, monkeypatch, "", list[str]()

    def opened(self, key: str = "", output: io.StringIO | None = None) -> Workspace:
        self._patch.setenv("XDG_STATE_HOME", str(self.root.parent / f"{self.root.name}-state"))
        self._patch.setenv("XDG_CONFIG_HOME", str(self.root.parent / f"{self.root.name}-config"))
        self._patch.setenv(keyring.VARIABLE, ed25519.private_pem(RAW[key]) if key else "")
        return Workspace(loader.load(self.root, {}, {}), Report(Detail.PROGRESS, output))

    def run(self, key: str = "", layer: str = "good", goal: Node = HIGH) -> Record:
        """Build what the goal needs, as doit would. ``said`` and ``built`` are those of this run."""
        output = io.StringIO()
        workspace = self.opened(key, output)
        builder = Builder(workspace, layer)
        nodes = workspace.nodes
        nodes.builder = lambda: builder  # type: ignore[assignment, return-value]

        def want(node: Node) -> None:
            if not nodes.restore(node):
                for parent in workspace.graph.parents(node):
                    want(parent)
                nodes.build_or_reuse(node)

        try:
            want(goal)
            if workspace.registry:
                workspace.registry.pushes.flush(print)
        finally:
            workspace.report.close()  # else its thread lives on, which other tests would see
        self.said, self.built = output.getvalue() + workspace.report.summary(), builder.built
        return workspace.results.record(goal)

    def plan(self, goal: Node = HIGH) -> list[tuple[str, str, str]]:
        workspace = self.opened()
        steps = plan(workspace.graph, [goal], workspace.lookup)
        return [(str(step.node), step.decision, step.reason) for step in steps]

    def poison(self, node: Node, *, lost: Node | None = None) -> Record:
        """Let the records of a node name another image that is whole. Everything else stays.

        The records of another node are ``lost``. Return the record of the node's recipe key.
        """
        workspace = self.opened()
        for good in list(workspace.layout.list()):
            path = workspace.layout.records.path / digits(good.key)
            if good.node == str(node):
                path.write_bytes(workspace.layout.document(poisoned(workspace, good)))
            elif good.node == str(lost):
                path.unlink()
        found = workspace.layout.read(workspace.graph.key(node))
        assert found
        return found


def poisoned(workspace: Workspace, good: Record) -> Record:
    """Return the record of an image with other files under the key of a good one."""
    digest, size, files, image = store(workspace.layout, "evil")
    return good._replace(digest=digest, size=size, files=files, image=image)


def handed(source: Clone, target: Clone) -> None:
    """Copy ``cache/`` to another clone, as a colleague or a CI service does."""
    shutil.copytree(source.root / "cache", target.root / "cache")


class FakeRegistry:
    """Holds manifests by reference; images come with their records, as all clones here share a machine."""

    def __init__(self) -> None:
        self.tags: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def run(self, command: list[str], **_: object) -> SkopeoResult:
        words = [word for word in command if not word.startswith("--")]
        if words[0] == "inspect":
            name, __, digest = words[-1].removeprefix("docker://").partition("@sha256:")
            data = self.blobs.get(digest) if digest else self.tags.get(name)
            return SkopeoResult("ok" if data else "absent", data or b"", "")
        source, target = words[-2:]
        if target.startswith("docker://"):
            folder = Path(source.removeprefix("oci:").removesuffix(":it"))
            index = json.loads((folder / "index.json").read_bytes())
            whole = (folder / "blobs" / "sha256").glob("?" * 64)  # others are being written
            blobs = {path.name: path.read_bytes() for path in whole}
            self.blobs |= blobs
            self.tags[target.removeprefix("docker://")] = blobs[index["manifests"][0]["digest"][7:]]
        else:
            folder = Path(target.removeprefix("oci:").removesuffix(":it"))
            for name, data in self.blobs.items():
                if not (folder / "blobs" / "sha256" / name).exists():
                    (folder / "blobs" / "sha256" / name).write_bytes(data)
        return SkopeoResult("ok", b"", "")
