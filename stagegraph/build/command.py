"""The command line of one build, and the named contexts that it passes to buildx.

Everything that decides the result is here or in the context that ``build_context`` writes. This module starts
no process.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from ..oci import documents
from ..oci.digest import sha256
from ..oci.platform import index_entry
from ..oci.reference import split
from ..system.files import relative_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..keys.spec import NodeSpec
    from ..oci.digest import Digest
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from .place import Placement

#: Layers are compressed once; every store keeps them so. zstd at its default level takes a fraction of gzip's
#: time. Engines read it since Docker 20.10 and containerd 1.5.
COMPRESSION = "zstd"

#: An address that leads nowhere (RFC 5737).
_NOWHERE = "192.0.2.1"


def metadata_file(view: Path) -> Path:
    """The file in which buildx reports the digest of what it built."""
    return view / "metadata.json"


def build_command(
    spec: NodeSpec,
    placement: Placement,
    view: Path,
    context: str,
    contexts: Mapping[str, str],
    session: Iterable[str],
    *,
    no_cache: bool,
) -> list[str]:
    """The command that builds a node into the layout ``view``.

    ``context`` is "-" for a tar on standard input, or a folder. ``contexts`` are the named contexts.
    ``session`` are the options of secrets and SSH agents. ``no_cache`` ignores the builder's own cache.
    """
    command = [*placement.command(), *(["--no-cache"] if no_cache else [])]
    file = "" if spec.bootstrap else spec.config.dockerfile if context == "-" else str(view / "Dockerfile")
    command += _options(spec, file, spec.config.target, contexts, session)
    return [*command, f"--output={_output(view)}", f"--metadata-file={metadata_file(view)}", context]


def partial_command(
    spec: NodeSpec,
    placement: Placement,
    context: Path,
    contexts: Mapping[str, str],
    session: Iterable[str],
    target: str,
    tag: str,
) -> list[str]:
    """The command that builds the Dockerfile beside the folder ``context`` and loads the image as ``tag``.

    All that BuildKit's own keys hold is as in ``build_command``.
    """
    file = str(context.parent / "Dockerfile")
    command = [*placement.command(), *_options(spec, file, target, contexts, session)]
    # Docker's own media types have none for zstd. An engine that has to unpack such layers refuses the image:
    # that of a platform which is not its own.
    output = option_value({"type": "docker", "oci-mediatypes": "true", "name": tag})
    return [*command, f"--output={output}", str(context)]


def _options(
    spec: NodeSpec, file: str, target: str, contexts: Mapping[str, str], session: Iterable[str]
) -> Iterator[str]:
    """The options that decide the result of a build; ``file`` is the path of its Dockerfile."""
    yield from ("--progress=rawjson", "--provenance=false", "--sbom=false")
    yield from (f"--platform={spec.platform.docker}", f"--network={network(spec)}")
    if file:
        yield f"--file={file}"
    yield from (f"--add-host={host}:{address}" for host, address in added_hosts(spec))
    yield from _run_options(spec)
    yield from (f"--allow={name}" for name in sorted(entitlements(spec)))
    yield from (f"--label={name}={value}" for name, value in sorted(spec.config.labels.items()))
    if target:
        yield f"--target={target}"
    yield from (f"--build-arg={name}={value}" for name, value in arguments(spec).items())
    yield from (f"--build-context={name}={source}" for name, source in contexts.items())
    yield from session


def _output(view: Path) -> str:
    fields = {
        "type": "oci",
        "dest": view,
        "tar": "false",
        "rewrite-timestamp": "true",
        "compression": COMPRESSION,
        # today's default; a default may change with BuildKit's version, and the digests with it
        "oci-mediatypes": "true",
        "name": "result",
    }
    return option_value(fields)


def option_value(fields: Mapping[str, object]) -> str:
    """The value of an option that buildx reads as one line of CSV: a path may hold a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{name}={value}" for name, value in fields.items())
    return line.getvalue()


def arguments(spec: NodeSpec) -> dict[str, str]:
    """The build arguments: the stage's own, the front end, and the time of files and image."""
    frontend = {"BUILDKIT_SYNTAX": spec.frontend.pinned} if spec.frontend else {}
    return {**spec.analysis.args, **frontend, "SOURCE_DATE_EPOCH": str(spec.epoch)}


def network(spec: NodeSpec) -> str:
    """The network of RUN instructions. It does not count where nothing runs."""
    return spec.config.network if spec.analysis.has_run else "default"


def added_hosts(spec: NodeSpec) -> Iterator[tuple[str, str]]:
    """The hosts for ``--add-host`` with their addresses: the stage's own, and those that inform BuildKit."""
    if spec.package_date:
        yield _package_date_host(spec.package_date), _NOWHERE
    hosts = spec.config.run_options.extra_hosts if spec.analysis.has_run else ()
    if hosts:
        yield _addresses_host(hosts), _NOWHERE
    yield from hosts


def _package_date_host(date: str) -> str:
    """A host for ``--add-host`` whose name tells BuildKit the date of the package archive.

    A new date changes nothing else that BuildKit sees. Without this host it would take the RUN instruction
    from its own cache, with the packages of the old date. BuildKit's key of a RUN instruction has the names
    of additional hosts, but not their addresses (``CacheMap`` in
    https://github.com/moby/buildkit/blob/master/solver/llbsolver/ops/exec.go). ``/etc/hosts`` is mounted
    while a step runs, and is in no layer. A front end that ``# syntax=`` names passes the hosts on, too:
    docker/dockerfile does since 1.0. Name and address are reserved and lead nowhere (RFC 2606, RFC 5737).
    """
    return f"archive-{date}.stagegraph.invalid"


def entitlements(spec: NodeSpec) -> frozenset[str]:
    """The entitlements that a build asks for: those that the stage allows and its steps need.

    A builder refuses the whole build for one that it does not grant, even if no step needs it.
    """
    allowed, needed = spec.config.run_options.allow, spec.analysis.needed("entitlement")
    if spec.config.network == "host" and spec.analysis.has_run:
        needed |= {"network.host"}
    return allowed if spec.analysis.needs_all else allowed & needed


def _run_options(spec: NodeSpec) -> Iterator[str]:
    """The options for RUN instructions besides hosts: those that the key holds, and the control group."""
    options = spec.config.run_options
    if not spec.analysis.has_run:
        return
    if options.shm_size:
        yield f"--shm-size={options.shm_size}"
    yield from (f"--ulimit={name}={limits}" for name, limits in options.ulimits)
    if options.cgroup_parent:
        yield f"--cgroup-parent={options.cgroup_parent}"


def _addresses_host(hosts: Sequence[tuple[str, str]]) -> str:
    """A host for ``--add-host`` whose name tells BuildKit the addresses of all others.

    BuildKit's key of a RUN instruction does not have these addresses (``_package_date_host``). If only an
    address changed, BuildKit would take the instruction from its own cache, with what the old address gave.
    """
    digest = sha256(json.dumps(hosts, separators=(",", ":")).encode())
    return f"hosts-{digest.removeprefix('sha256:')[:32]}.stagegraph.invalid"


def named_contexts(spec: NodeSpec, parents: Mapping[Node, Record], layout: LayoutStore) -> dict[str, str]:
    """The sources of all images that a Dockerfile uses, by the names that it gives to them.

    Parents come from the layout by digest, external images from their registries by their pinned digests.
    """
    own = spec.platform.docker
    by_name: dict[str, dict[OciPlatform, Record]] = {}
    for parent in spec.parents:
        by_name.setdefault(parent.edge.name, {})[parent.edge.platform or own] = parents[parent.node]
    contexts = {}
    for name, records in by_name.items():
        # one name used for several platforms is an index, from which BuildKit takes the platform of FROM
        digest = records[own].digest if list(records) == [own] else _add_index(layout, records)
        contexts[name] = f"oci-layout://{relative_path(layout.root)}@{digest}"
    return contexts | image_contexts(spec)


def image_contexts(spec: NodeSpec) -> dict[str, str]:
    """The external images that a Dockerfile uses, by the names that it gives to them."""
    contexts: dict[str, str] = {}
    digests: dict[str, set[Digest]] = {}
    for image in spec.images:
        digests.setdefault(image.edge.name, set()).add(image.digest)
    for image in spec.images:
        digest = image.digest if len(digests[image.edge.name]) == 1 else image.index
        contexts[image.edge.name] = f"docker-image://{split(image.reference).repository}@{digest}"
    return contexts


def _add_index(layout: LayoutStore, records: Mapping[OciPlatform, Record]) -> Digest:
    """Store an index over the images of several platforms; return its digest."""
    manifests = [
        {**record.descriptor, "platform": index_entry(docker)} for docker, record in sorted(records.items())
    ]
    # with spaces, unlike the canonical form; without them its digest would change
    data = json.dumps(documents.index(manifests), sort_keys=True).encode()
    return layout.blobs.add(data)[0]
