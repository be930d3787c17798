"""One node and its parents' images -> one call of buildx -> one image in the layout.

buildx gets a tar of exactly the files that were hashed. Parents are named contexts from the layout, by
digest. Nothing assumes that the builder shares this machine's disk.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..docker import buildx, config
from ..docker.liveness import Liveness
from ..docker.progress import StepTime, Tracker
from ..errors import EngineError, LoginError, NetworkError, RegistryError, SilentError, StoreError
from ..host import docker
from ..inspection import dpkg
from ..oci.digest import Digest
from ..oci.platform import NO_PLATFORM, OciPlatform
from ..store import record as records
from ..store.views import shared_view
from ..system import bounded
from ..system.files import os_errors_on_write, relative_path
from ..system.processes import end_of, environment, managed_process, read_lines
from ..waits.waiting import waiting_for
from . import requirements
from .build_context import write_context, write_folder
from .command import build_command, metadata_file, named_contexts, partial_command
from .deadline import Deadline
from .external import EngineImages
from .failure import Failure, explain, timeout_error
from .log import Log
from .rootfs import write_bootstrap_context
from .secrets import secret_options
from .ssh import ssh_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..dockerfile.partial import Partial
    from ..keys.spec import NodeSpec
    from ..project.model import Node, Secret
    from ..store.folder import Folder
    from ..store.layout import LayoutStore
    from ..store.record import Record
    from .place import Placement
    from .placement import BuilderSelector


class Listener(Protocol):
    """Hears about the progress of builds."""

    def step(self, node: Node, step: str) -> None:
        """The build of a node has reached an instruction."""

    def output(self, node: Node, log: bytes, latest: str) -> None:
        """The builder has printed something.

        ``log`` is what is new in the log of the build, ``latest`` the last line of the current instruction.
        """

    def span(self, kind: str, node: Node, name: str) -> AbstractContextManager[None]:
        """Measure a block of the build."""

    def steps(self, node: Node, steps: Sequence[StepTime]) -> None:
        """A call of the builder has ended; these are all its steps."""

    def warn(self, message: str) -> None:
        """The user should know this."""


@dataclass(frozen=True)
class BuildResult:
    """A finished build. ``digest`` and ``size`` (bytes) are of the image's manifest.

    ``files`` and ``image`` are the digests of what a child can see (``record.content_digests``). ``packages``
    are the versions of the image's packages if the build installs any. ``cached``: a RUN instruction came
    from the builder's cache. ``machine`` and ``builder`` are those of ``Record``.
    """

    digest: Digest
    size: int
    files: Digest
    image: Digest
    packages: tuple[str, ...]
    cached: bool = False
    machine: OciPlatform = NO_PLATFORM
    builder: str = ""


class NodeBuilder:
    """Builds nodes of one project by buildx. Safe for threads."""

    def __init__(
        self,
        root: Path,
        layout: LayoutStore,
        builders: BuilderSelector,
        secrets: Mapping[str, Secret],
        listener: Listener,
        logs: Folder | None = None,
    ) -> None:
        """``logs`` is the folder for the output of builds; by default the layout's ``logs``."""
        self.root, self.layout, self.builders = root, layout, builders
        self.secrets, self.listener = secrets, listener
        self.logs = logs or layout.folder.below("logs")
        self._engine_images = EngineImages(builders)

    def build(self, spec: NodeSpec, parents: Mapping[Node, Record], *, no_cache: bool = False) -> BuildResult:
        """Build one node: afterwards its blobs are in the layout, but no record is.

        ``no_cache`` ignores the builder's own cache. Raises ``ProjectError`` if a secret or an SSH agent that
        a step requires is not here, ``BuildError`` if a step fails, or the error of what failed around the
        build.
        """
        requirements.check(spec, self.secrets, self.root)
        placement = self.builders.place(spec)
        with (
            shared_view(self.layout) as view,
            Log(self.logs, spec.history_name) as log,
            os_errors_on_write(view),
            tempfile.TemporaryFile(dir=view) as tar,
        ):
            context = self._write_context(spec, view, tar, log)
            self._engine_images.prime(spec, placement)
            contexts = named_contexts(spec, parents, self.layout)
            session = self._session(spec)
            command = build_command(spec, placement, view, context, contexts, session, no_cache=no_cache)
            tar.seek(0)
            cached = self._run(command, tar, spec, log, placement)
            digest = _image_digest(metadata_file(view))
        return self._result(spec, placement, digest, cached=cached)

    def load_partial(
        self, spec: NodeSpec, parents: Mapping[Node, Record], partial: Partial, tag: str
    ) -> None:
        """Build a node up to one of its steps, and load the image into the engine under a tag.

        Raises the errors of ``build``.
        """
        requirements.check(spec, self.secrets, self.root)
        placement = self.builders.place(spec)
        with (
            shared_view(self.layout) as view,
            Log(self.logs.below("shell"), spec.history_name) as log,
            os_errors_on_write(view),
            tempfile.TemporaryFile(dir=view) as tar,
        ):
            context = write_folder(spec, partial.text, self.root, view, tar)
            self._engine_images.prime(spec, placement)
            contexts = named_contexts(spec, parents, self.layout)
            target = partial.target if partial.target.lower() == spec.config.target.lower() else ""
            session = self._session(spec)
            command = partial_command(spec, placement, context, contexts, session, target, tag)
            self._run(command, tar, spec, log, placement)

    def _session(self, spec: NodeSpec) -> list[str]:
        return [
            *secret_options(spec, self.secrets, self.root, self.listener.warn),
            *ssh_options(spec, self.root, self.listener.warn),
        ]

    def _write_context(self, spec: NodeSpec, view: Path, tar: IO[bytes], log: Log) -> str:
        if spec.bootstrap is None:
            return write_context(spec, self.root, view, tar)
        step = f"mmdebstrap {spec.bootstrap.suite}"
        self.listener.step(spec.node, step)

        def hear(line: bytes) -> None:
            self.listener.output(spec.node, line, line.decode(errors="replace"))

        with self.listener.span("step", spec.node, step):
            write_bootstrap_context(spec, view, tar, log, hear)
        return "-"

    def _run(
        self, command: Sequence[str], stdin: IO[bytes], spec: NodeSpec, log: Log, placement: Placement
    ) -> bool:
        """Run a build; return whether a RUN instruction came from the builder's cache."""
        try:
            return self._call_buildx(command, stdin, spec, log, placement)
        except (RegistryError, LoginError, NetworkError) as error:
            raise self._engine_images.explain_invisible(spec, placement) or error from None
        except EngineError:
            self.builders.forget()
            raise

    def _call_buildx(
        self, command: Sequence[str], stdin: IO[bytes], spec: NodeSpec, log: Log, placement: Placement
    ) -> bool:
        tracker = Tracker(lambda step: self.listener.step(spec.node, step))
        pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        lively, builder = Liveness(lambda: _answers(placement)), _described(placement)
        with (
            managed_process(command, **pipes, env=environment()) as process,
            waiting_for(lambda: lively.what(builder)) as wait,
        ):
            deadline = Deadline(process, spec.config.timeout)
            for line in read_lines(process, lambda: deadline.is_over() or lively.is_lost(wait)):
                lively.heard()
                wait.heard()
                text = tracker.feed(line)
                log.write(text)
                self.listener.output(spec.node, text, tracker.latest)
            log.write(tracker.end())
            if lively.is_lost(wait):
                process.kill()  # no engine would hear that the build is cancelled
                raise _lost(spec, builder, lively)
            status = end_of(process)
        self.listener.steps(spec.node, tracker.times)
        if deadline.expired or status != 0:
            failure = Failure(spec, tracker, relative_path(log.path), placement)
            log.step_failed(failure.step)
            raise timeout_error(failure) if deadline.expired else explain(failure, status)
        return tracker.cached

    def _result(self, spec: NodeSpec, placement: Placement, digest: Digest, *, cached: bool) -> BuildResult:
        manifest = self.layout.blobs.json(digest)
        files, image = records.content_digests(self.layout.blobs.json(manifest["config"]["digest"]))
        # a node that installs no packages has those of its parent
        packages = dpkg.installed(self.layout, manifest) if spec.package_date else ()
        builder = self.builders.version(placement)
        size = self.layout.blobs.size(digest)
        return BuildResult(digest, size, files, image, packages, cached, placement.machine, builder)


def _answers(placement: Placement) -> bool:
    """Return whether the builder of a build that is silent still answers."""
    if placement.name or buildx.others_exist():
        return buildx.inspect(placement.name).is_running
    return docker.answers()


def _described(placement: Placement) -> str:
    return f"builder {placement.name}" if placement.name else f"the engine at {config.host()}"


def _lost(spec: NodeSpec, builder: str, lively: Liveness) -> SilentError:
    what = f"{builder} has not answered for {lively.silent:.0f} s, so the build was given up"
    hint = "is it stopped, or out of memory? restart it, and run again; STAGEGRAPH_PATIENCE=3 waits longer"
    return SilentError(str(spec.node), what, hint)


def _image_digest(metadata: Path) -> Digest:
    try:
        data: dict[str, Any] = json.loads(bounded.read_path(metadata))
        return Digest(data["containerimage.digest"])
    except (OSError, ValueError, KeyError) as error:
        what = f"did not report the digest of the image that it built ({error})"
        raise StoreError("docker buildx", what, "install docker buildx 0.13 or later") from None
