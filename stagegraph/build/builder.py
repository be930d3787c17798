"""A spec and its parents' images -> one buildx call -> an image in the layout.

The builder gets a tar on standard input made of exactly the entries that were hashed. Parents travel as
named contexts out of the layout, by digest. Nothing assumes that the builder shares this machine's disk.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from ..context.archive import write_tar
from ..docker import config, engine
from ..docker.progress import Tracker
from ..errors import (
    EngineError,
    LoginError,
    NetworkError,
    ProjectError,
    RegistryError,
    ResolveError,
    StagegraphError,
    StoreError,
    nearest,
)
from ..host.system import CA_BUNDLES
from ..inspection import dpkg
from ..oci import documents
from ..oci.digest import Digest
from ..oci.platform import NO_PLATFORM, index_entry
from ..oci.reference import split
from ..store import record as records
from ..store.views import shared_view
from ..system.files import os_errors_on_write, relative_path
from ..system.processes import environment, managed_process, read_lines, run
from .deadline import time_limit
from .failure import explain, too_late
from .log import Log
from .rootfs import bootstrap_context, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..keys.spec import NodeSpec
    from ..oci.platform import OciPlatform
    from ..project.model import Node, Secret
    from ..store.folder import Folder
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from .placement import BuilderSelector, Placement

#: Layers are compressed once and then kept as they are in every store. zstd at its default level costs a
#: fraction of gzip's time; engines read it since Docker 20.10 and containerd 1.5.
COMPRESSION = "zstd"


class Listener(Protocol):
    """Hears how a node's build goes on."""

    def step(self, node: Node, step: str) -> None:
        """The builder has come to an instruction."""

    def warn(self, message: str) -> None:
        """Something that people should know."""


@dataclass(frozen=True)
class Result:
    """A finished build: the manifest's digest and size (bytes), what a child can see of it, the versions of
    its packages where the build installs any, whether a RUN came out of the builder's cache, the machine and
    the builder (``Record.machine``, ``Record.builder``)."""

    digest: Digest
    size: int
    files: Digest
    image: Digest
    packages: tuple[str, ...]
    cached: bool = False
    machine: OciPlatform = NO_PLATFORM
    builder: str = ""


class NodeBuilder:
    """Runs buildx for one project."""

    def __init__(
        self,
        root: Path,
        layout: LayoutStore,
        builders: BuilderSelector,
        secrets: Mapping[str, Secret],
        listener: Listener,
        logs: Folder | None = None,
    ) -> None:
        """``logs`` is the folder for what the builder prints; ``logs`` of the layout by default."""
        self.root, self.layout, self.builders, self.secrets, self.listener = (
            root,
            layout,
            builders,
            secrets,
            listener,
        )
        self.logs = logs or layout.folder.below("logs")
        self._introduced: set[str] = set()

    def build(self, spec: NodeSpec, parents: Mapping[Node, Record], *, afresh: bool = False) -> Result:
        """Build one node; its blobs are in the layout afterwards, its record is not yet written.

        ``afresh``: without the builder's own cache. Raises ``BuildError`` or an error that names what around
        the build failed.
        """
        place = self.builders.choose(spec)
        name = f"{spec.history_name.replace(':', '--')}.log"
        with (
            shared_view(self.layout) as view,
            Log(self.logs.path / name, self.logs.create(name)) as log,
            os_errors_on_write(view),
            tempfile.TemporaryFile(dir=view) as tar,
        ):
            if spec.bootstrap is not None:
                self.listener.step(spec.node, f"mmdebstrap {spec.bootstrap.suite}")
                root_archive = view / "rootfs.tar"
                rootfs(spec, root_archive, log)
                with root_archive.open("rb") as file:
                    bootstrap_context(file, root_archive.stat().st_size, spec.epoch, tar)
                root_archive.unlink()
            context: str | Path = self._context(spec, view, tar)
            metadata = view / "metadata.json"
            for outside in _from_outside(spec):
                self._introduce(outside, place)
            command = self._command(spec, parents, view, metadata, context, place)
            if afresh:
                command.insert(command.index("build") + 1, "--no-cache")
            tar.seek(0)
            try:
                cached = self._run(command, tar, spec, log, place)
            except (RegistryError, LoginError, NetworkError) as error:
                raise self._unseen(spec, place) or error from None
            except EngineError:
                self.builders.forget()
                raise
            digest = _digest(metadata)
        manifest = self.layout.blobs.json(digest)
        files, image = records.content_digests(self.layout.blobs.json(manifest["config"]["digest"]))
        size = self.layout.blobs.size(digest)
        # where no stamp of the archive counts, packages are the parent's
        versions = dpkg.installed(self.layout, manifest) if spec.package_date else ()
        who = self.builders.version(place)
        return Result(digest, size, files, image, versions, cached, place.machine, who)

    # -- the call --------------------------------------------------------------------------------

    def _context(self, spec: NodeSpec, view: Path, tar: IO[bytes]) -> str | Path:
        """Write what is sent: "-" for the tar on standard input, or a folder.

        BuildKit does not let COPY see a Dockerfile that ``.dockerignore`` hides, yet in a tar it must lie
        in the context. Only if the whole context is copied and hides it, a folder is sent instead, under a
        name never used before: BuildKit compares a folder with the one it last had from the same path by
        size and time alone, and would take an edited file for the old one.

        A front end that the Dockerfile names gets a folder, too: the builder's own has read the tar before
        it, and buildx hands a tar out once (BuildKit, session/upload/uploadprovider/provider.go).
        """
        if spec.bootstrap is not None:
            return "-"
        folder = self.root / spec.config.context
        selected = any(entry.path == spec.config.dockerfile for entry in spec.entries)
        # the builder reads another text than COPY may see
        apart = spec.exposed or (selected and spec.sent_text != spec.text) or spec.frontend is not None
        extra = {} if selected or apart else {spec.config.dockerfile: spec.sent_text.encode()}
        write_tar(spec.entries, folder, extra, spec.epoch, tar)
        if not apart:
            return "-"
        tar.seek(0)
        return _unpack(tar, view, spec)

    def _command(
        self,
        spec: NodeSpec,
        parents: Mapping[Node, Record],
        view: Path,
        metadata: Path,
        context: str | Path,
        place: Placement,
    ) -> list[str]:
        output = _fields(
            type="oci",
            dest=view,
            tar="false",
            **{"rewrite-timestamp": "true"},
            compression=COMPRESSION,
            # the default today; what is not said may change with BuildKit's version, and digests with it
            **{"oci-mediatypes": "true"},
            name="result",
        )
        command = [*place.command(), "--progress=rawjson", "--provenance=false", "--sbom=false"]
        command += [f"--platform={spec.platform.docker}", f"--network={spec.config.network}"]
        if context != "-":
            command.append(f"--file={view / 'Dockerfile'}")
        elif spec.bootstrap is None:
            command.append(f"--file={spec.config.dockerfile}")
        if spec.package_date:
            command.append(f"--add-host={_dated(spec.package_date)}")
        if spec.config.target:
            command.append(f"--target={spec.config.target}")
        frontend = {"BUILDKIT_SYNTAX": spec.frontend.pinned} if spec.frontend else {}
        for name, value in {**spec.analysis.args, **frontend, "SOURCE_DATE_EPOCH": str(spec.epoch)}.items():
            command.append(f"--build-arg={name}={value}")
        for name, source in self._named_contexts(spec, parents).items():
            command.append(f"--build-context={name}={source}")
        for name in sorted(spec.analysis.secrets):
            command += self._secret(name, spec.node)
        return [*command, f"--output={output}", f"--metadata-file={metadata}", str(context)]

    def _named_contexts(self, spec: NodeSpec, parents: Mapping[Node, Record]) -> dict[str, str]:
        """Parents out of the layout and pinned external images, by the names that the Dockerfile uses."""
        own = spec.platform.docker
        used: dict[str, dict[OciPlatform, Record]] = {}
        for parent in spec.parents:
            used.setdefault(parent.edge.name, {})[parent.edge.platform or own] = parents[parent.node]
        contexts = {}
        for name, by_platform in used.items():
            # one name for several platforms is an index, of which BuildKit takes the one that FROM asks for
            single = list(by_platform) == [own]
            digest = by_platform[own].digest if single else self._index(by_platform)
            contexts[name] = f"oci-layout://{relative_path(self.layout.root)}@{digest}"
        references: dict[str, set[Digest]] = {}
        for image in spec.images:
            references.setdefault(image.edge.name, set()).add(image.digest)
        for image in spec.images:
            one = len(references[image.edge.name]) == 1
            repository = split(image.reference).repository
            contexts[image.edge.name] = f"docker-image://{repository}@{image.digest if one else image.index}"
        return contexts

    def _introduce(self, image: _Outside, place: Placement) -> None:
        """Let the engine's own builder find by its digest an image that only the engine has.

        BuildKit looks for ``name@digest`` in the registry unless it has met the name before (seen with 0.12).
        So it is shown the name once, in a build that makes nothing; the build itself asks for the digest.
        """
        reference = image.reference
        if not place.own or "@" in reference or reference in self._introduced:
            return
        self._introduced.add(reference)
        if engine.image_id(reference) in image.digests:
            command = [*place.command(), *([f"--platform={image.docker}"] if image.docker else [])]
            command += [f"--build-context=base=docker-image://{reference}", "--output=type=cacheonly", "-"]
            with tempfile.TemporaryFile() as dockerfile:
                dockerfile.write(b"FROM base\n")
                dockerfile.seek(0)
                run(command, stdin=dockerfile)  # if it fails, so will the build, which says why

    def _unseen(self, spec: NodeSpec, place: Placement) -> StagegraphError | None:
        """The error for an image that this machine's engine has and a builder elsewhere could not get."""
        with suppress(EngineError):
            for image in _from_outside(spec):
                here = engine.image_id(image.reference) in image.digests
                if here and self.builders.elsewhere(place):
                    name = f"builder {place.name}" if place.name else "the current builder of buildx"
                    what = f"{image.reference} is in this machine's engine, which {name} cannot see"
                    hint = "push it to a registry that the builder reaches, or build on the engine: "
                    return ResolveError(
                        str(spec.node), what, f"{hint}builder={spec.platform.name}:{config.context()}"
                    )
        return None

    def _index(self, by_platform: Mapping[OciPlatform, Record]) -> Digest:
        manifests = [
            {**record.descriptor, "platform": index_entry(docker)}
            for docker, record in sorted(by_platform.items())
        ]
        data = json.dumps(documents.index(manifests), sort_keys=True).encode()
        return self.layout.blobs.add(data)[0]

    def _secret(self, name: str, node: Node) -> list[str]:
        """The secret as declared; ``ca`` is the machine's own certificate bundle unless declared."""
        secret = self.secrets.get(name)
        if secret is None:
            bundles = (os.environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES)
            bundle = next((path for path in bundles if path and Path(path).exists()), "")
            if name != "ca":
                raise ProjectError(
                    str(node),
                    f"its Dockerfile mounts a secret {name!r}, which is not declared",
                    f"stages.toml: [secrets.{name}], with file or env; {nearest(name, self.secrets)}",
                )
            return [f"--secret={_fields(id='ca', src=bundle)}"] if bundle else []
        if secret.env:
            if not os.environ.get(secret.env):
                # buildx would make it an empty file, and a mount that is required would pass
                what = f"secret {name}: the variable {secret.env} is not set, or empty"
                self.listener.warn(f"{node}: {what}; what does not require it is built without it")
                return []
            return [f"--secret={_fields(id=name, env=secret.env)}"]
        return [f"--secret={_fields(id=name, src=self.root / Path(secret.file).expanduser())}"]

    def _run(
        self, command: Sequence[str], stdin: IO[bytes], spec: NodeSpec, log: Log, place: Placement
    ) -> bool:
        """Call buildx; whether a RUN came out of the builder's cache."""
        tracker = Tracker(lambda step: self.listener.step(spec.node, step))
        pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with (
            managed_process(command, **pipes, env=environment()) as process,
            time_limit(process, spec.config.timeout) as late,
        ):
            for line in read_lines(process, late.is_over):
                log.file.write(tracker.feed(line))
            log.file.write(tracker.end())
            status = process.wait()
        if late.begun:
            raise too_late(spec, tracker, log.path)
        if status != 0:
            raise explain(spec, tracker, log.path, status, place.name)
        return tracker.cached


class _Outside(NamedTuple):
    """An image from outside that the builder asks for by digest. ``docker`` is "" for the builder's own."""

    reference: str
    digests: tuple[Digest, ...]
    docker: OciPlatform


def _from_outside(spec: NodeSpec) -> Iterator[_Outside]:
    """All that a build takes from outside, the image that reads its Dockerfile included."""
    for image in spec.images:
        yield _Outside(
            image.reference, (image.digest, image.index), image.edge.platform or spec.platform.docker
        )
    if spec.frontend:
        yield _Outside(spec.frontend.reference, (spec.frontend.digest,), NO_PLATFORM)


def _dated(stamp: str) -> str:
    """A host for ``--add-host`` that makes BuildKit look at the archive's stamp.

    A new stamp changes nothing else that BuildKit sees: it would take the RUN out of its own cache, with the
    packages of the old one. A RUN's cache key there has the names of additional hosts, not their addresses
    (``CacheMap`` in https://github.com/moby/buildkit/blob/master/solver/llbsolver/ops/exec.go). So what was
    run under this stamp is reused, and nothing else. ``/etc/hosts`` is mounted while a step runs, and in no
    layer. A front end that ``# syntax=`` names passes hosts on, too: docker/dockerfile does since 1.0. Name
    and address are reserved and lead nowhere (RFC 2606, RFC 5737).
    """
    return f"archive-{stamp}.stagegraph.invalid:192.0.2.1"


def _fields(**fields: object) -> str:
    """The value of one of buildx's options that are read as a line of CSV: a path may hold a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{name}={value}" for name, value in fields.items())
    return line.getvalue()


def _unpack(tar: IO[bytes], view: Path, spec: NodeSpec) -> Path:
    import tarfile

    folder = view / uuid.uuid4().hex
    folder.mkdir()
    with tarfile.open(fileobj=tar) as archive:
        # the tar is this program's own, of files the user asked to send; links may point anywhere
        archive.extractall(folder, filter="fully_trusted", numeric_owner=True)  # noqa: S202
    (view / "Dockerfile").write_text(spec.sent_text, encoding="utf-8")
    # one beside the Dockerfile comes before .dockerignore, which has been applied, or was not in force
    (view / "Dockerfile.dockerignore").write_text("")
    return folder


def _digest(metadata: Path) -> Digest:
    try:
        data: dict[str, Any] = json.loads(metadata.read_bytes())
        return Digest(data["containerimage.digest"])
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            "docker buildx",
            f"gave no digest for what it built ({error})",
            "docker buildx 0.13 or later is needed",
        ) from None
