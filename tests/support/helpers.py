"""Helpers for unit tests: projects, a fake registry, images, and output of buildx."""

from __future__ import annotations

import base64
import datetime
import io
import json
import subprocess
import tarfile
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from stagegraph.dockerfile.analysis import BuildOptions, analyse
from stagegraph.dockerfile.dependencies import DockerfileAnalysis
from stagegraph.errors import ResolveError, StagegraphError
from stagegraph.execution.events import NodeResult
from stagegraph.execution.history import LAST_RUN
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.keys.key import Key
from stagegraph.oci.digest import Digest, sha256
from stagegraph.oci.documents import MANIFEST
from stagegraph.oci.platform import OciPlatform
from stagegraph.oci.reference import ResolvedReference
from stagegraph.project import loader
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests
from stagegraph.system.files import write_atomically

#: The start of a stages.toml, without stages. The base is an external image and needs no package date.
HEAD = """\
[project]
repo = "example/atom"
[platforms.amd64]
docker = "linux/amd64"
[platforms.aarch64]
docker = "linux/arm64"
[base]
image = "debian:trixie"
"""


AMD64, ARM64 = OciPlatform("linux/amd64"), OciPlatform("linux/arm64")

ARM_V7 = OciPlatform("linux/arm/v7")


def git(folder: Path, *words: str) -> str:
    """Run git, which must succeed. Return what it prints."""
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write_last_run(root: Path, *nodes: Mapping[str, object], images: Mapping[str, object] = {}) -> None:
    """Write ``last-run.json`` of a run that began ten seconds ago. Facts that a node lacks get a value."""
    whole = NodeResult("a:amd64", "build", "", "", 0.0, "", 0.0, 0.0)._asdict()
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=10)
    run = {
        "schema": 1,
        "started": began.isoformat(),
        "goals": [],
        "outcome": "done",
        "nodes": [{**whole, **node} for node in nodes],
        "images": dict(images),
        "events": [],
        "seconds": 3.0,
    }
    write(root, {f"cache/{LAST_RUN}": json.dumps(run)})


def sha(text: str | bytes) -> Digest:
    """Return the digest of a word."""
    return sha256(text.encode() if isinstance(text, str) else text)


def key_of(word: str) -> Key:
    """Return a key that is the digest of a word."""
    return Key(sha(word))


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below ``root``, texts without their common indentation. Return ``root``."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(textwrap.dedent(content).encode() if isinstance(content, str) else content)
    return root


def stages(root: Path, dockerfiles: Mapping[str, str], *, head: str = HEAD, more: str = "") -> Path:
    """Write a project whose stages have these Dockerfiles. Return its folder."""
    tables = "".join(f'[stages."{name}"]\npath = "{name}"\n' for name in dockerfiles)
    files = {f"{name}/Dockerfile": text for name, text in dockerfiles.items()}
    return write(root, {"stages.toml": head + tables + more, **files})


class Registry:
    """A fake registry. ``asked`` has the requested references."""

    def __init__(
        self,
        images: Mapping[str, ResolvedReference] | None = None,
        kind: type[StagegraphError] = ResolveError,
    ) -> None:
        """Serve ``images``. Raise ``kind`` for any other image."""
        self.kind = kind
        self.images = {"debian:trixie": resolved("debian"), **(images or {})}
        self.asked: list[str] = []
        self.platforms: list[set[OciPlatform]] = []  # of each request
        self.triggers: dict[str, set[OciPlatform]] = {}  # platforms with triggers, if not all

    def __call__(self, reference: str, platforms: Collection[OciPlatform]) -> ResolvedReference:
        self.asked.append(reference)
        self.platforms.append(set(platforms))
        if reference not in self.images:
            raise self.kind(reference, "no such image")
        found = self.images[reference]
        looked_at = set(platforms) & self.triggers.get(reference, found.manifests.keys() | {*platforms})
        unread = {docker: why for docker, why in found.unread.items() if docker in platforms}
        onbuild = found.onbuild and bool(looked_at)
        return replace(found, onbuild=onbuild, onbuild_from=found.onbuild_from and onbuild, unread=unread)


def resolved(word: str, *, onbuild: bool = False, onbuild_from: bool = False) -> ResolvedReference:
    """Return an index for both platforms, with digests of ``word``."""
    manifests = {AMD64: sha(f"{word} amd64"), ARM64: sha(f"{word} arm64")}
    return ResolvedReference(sha(f"{word} index"), manifests, onbuild, onbuild_from)


def graph(root: Path, registry: Registry | None = None, cli: Mapping[str, str] | None = None) -> Graph:
    """Return the graph of the project in ``root``, without the environment of this process."""
    return Graph(loader.load(root, cli, {}), Lock(root, registry or Registry()))


def facts(
    text: str,
    *,
    args: Mapping[str, str] | None = None,
    docker: OciPlatform = AMD64,
    target: str = "",
    unpinned: bool = False,
) -> DockerfileAnalysis:
    """Return the analysis of ``x/Dockerfile``, built on amd64."""
    given = tuple((args or {}).items())
    options = BuildOptions(docker, AMD64, given, target, unpinned)
    return analyse(textwrap.dedent(text), "x/Dockerfile", options)


def layer(layout: LayoutStore, files: dict[str, str]) -> dict[str, str]:
    """Add a layer of these files to a store. Return its entry in a manifest."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    digest, _ = layout.blobs.add(zstandard.compress(out.getvalue()))
    return {"digest": digest}


#: The default layers of ``image``.
LAYERS = (b"layer one", b"layer two")


def blob(store: LayoutStore, data: bytes) -> dict[str, Any]:
    """Write a blob as a builder would. Return its descriptor."""
    store.prepare()
    path = store.blobs.path(sha(data))
    if not path.exists():
        write_atomically(path, data)
    return {"digest": sha(data), "size": len(data)}


def image(
    store: LayoutStore, name: str = "blas", layers: tuple[bytes, ...] = LAYERS, **more: object
) -> Record:
    """Add an image to the layout. Return its record, which is not in the store yet.

    ``more`` are fields of its configuration.
    """
    what: dict[str, Any] = {"name": name, "rootfs": {"diff_ids": [sha(layer) for layer in layers]}, **more}
    config = blob(store, json.dumps(what).encode())
    files, whole = content_digests(what)
    manifest = json.dumps(
        {"mediaType": MANIFEST, "config": config, "layers": [blob(store, x) for x in layers]}
    ).encode()
    inputs = (Input("schema", "", name),)
    return Record(
        key=keys.digest(inputs),
        node=f"{name}:amd64",
        docker=AMD64,
        digest=blob(store, manifest)["digest"],
        size=len(manifest),
        files=files,
        image=whole,
        seconds=1.0,
        created="",
        inputs=inputs,
    )


# -- output of buildx with --progress=rawjson --------------------------------------------------------


def at(seconds: float) -> str:
    """Return a time as BuildKit writes it, with nanoseconds."""
    return f"2026-01-31T12:00:{seconds:012.9f}Z"


def vertex(name: str, **more: object) -> dict[str, Any]:
    """Return a step. Its name gives its digest; it starts at second 0, unless ``started`` is given."""
    return {"digest": sha(name), "name": name, "started": at(0), **more}


def printed(name: str, text: str | bytes, seconds: float = 0.1) -> dict[str, Any]:
    data = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
    return {"vertex": sha(name), "stream": 1, "data": data, "timestamp": at(seconds)}


def status(**kinds: object) -> bytes:
    """Return a document in the form of buildx 0.15 and later.

    ``kinds``: ``vertexes``, ``statuses``, ``warnings``, ``logs``.
    """
    return json.dumps(kinds).encode() + b"\n"


def ran(name: str, *lines: str, error: str = "") -> list[bytes]:
    """Return the documents of a step that runs, prints lines, and ends or fails with ``error``."""
    end = {"completed": at(2), **({"error": error} if error else {})}
    return [
        status(vertexes=[vertex(name)]),
        *(status(logs=[printed(name, f"{line}\n", 0.1)]) for line in lines),
        status(vertexes=[vertex(name, **end)]),
    ]
