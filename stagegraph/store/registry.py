"""Images in a registry: skopeo copies whole images between it and the layout, with their digests.

Tag of a node: ``<stage>-<docker arch>-<key>``, 64 hexadecimal digits of the key. It names the record, which
is an OCI index; what a tag holds is believed only if its record names the key (``record.parse``). Credentials
are those of ``docker login`` (skopeo reads them). A registry that does not answer is said once and then left
alone; the work goes on without it. One that wants a login for writing is read on; only the final image, which
was asked for, ends in ``LoginError``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import record as records
from ..errors import LoginError, RegistryError, StagegraphError, StoreError
from ..files import near
from ..tools import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from ..model import Node
    from ..record import Record
    from .layout import LayoutStore

#: Seconds for a look-up, and for moving an image.
LOOKUP_TIMEOUT, COPY_TIMEOUT = 30, 3600
_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/")
# Status codes as words of their own: what skopeo says also quotes the tag, which holds a key.
_ABSENT = re.compile(
    r"manifest unknown|not found|name unknown|\b404\b|repository name not known", re.IGNORECASE
)
_LOGIN = re.compile(r"unauthorized|authentication required|\b40[13]\b|denied", re.IGNORECASE)


def insecure(reference: str) -> bool:
    """Whether plain HTTP is allowed, as the Docker engine does: on loopback only."""
    return bool(_LOCAL.match(reference))


class RegistryStore:
    """One repository of a registry, reached through skopeo."""

    def __init__(self, repository: str, layout: LayoutStore, warn: Callable[[str], None]) -> None:
        self.repository, self.layout, self._warn = repository, layout, warn
        self._down: StagegraphError | None = None  # why it is not read
        self._closed: StagegraphError | None = None  # why it is not written
        self._said = threading.Lock()

    def tag(self, node: Node, docker: str, key: str) -> str:
        arch = docker.removeprefix("linux/").replace("/", "-")
        return f"{node.stage}-{arch}-{key.removeprefix('sha256:')}"

    def find(self, node: Node, docker: str, key: str) -> Record | None:
        """The record under the node's tag; one request. None where absent, not believed, or unreachable."""
        if self._down:
            return None
        reference = f"{self.repository}:{self.tag(node, docker, key)}"
        done = _raw(reference)
        if done.returncode == 0:
            return records.parse(done.stdout, key)
        message = done.stderr.decode(errors="replace")
        if _ABSENT.search(message):
            return None
        self._give_up(_error(self.repository, message))
        return None

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """The manifest of a record's image; one request. None where it is not there or not the one."""
        if self._down:
            return None
        reference = f"{self.repository}@{record.digest}"
        done = _raw(reference)
        if done.returncode != 0 or sha256(done.stdout) != record.digest:
            return None
        try:
            value = json.loads(done.stdout)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def pull(self, node: Node, record: Record) -> bool:
        """Copy an image into the layout and record it there. False where it does not arrive whole.

        skopeo takes a blob that is there for good; what the layout then finds bad it sets aside, so a
        second copy brings it.
        """
        reference = f"{self.repository}:{self.tag(node, record.docker, record.key)}"
        message = ""
        for _ in range(2):
            with self.layout.view() as view:
                failed = _copy(f"docker://{reference}", f"oci:{near(view)}:pulled", _tls("src-", reference))
            if failed is not None:
                message = failed
                break
            try:
                self.layout.put(record)
            except StoreError as error:
                message = error.what
            else:
                return True
        self._warn(f"{node}: {reference} could not be pulled: {message}")
        return False

    def push(self, node: Node, record: Record) -> None:
        """Copy an image and its record to the registry; the record's tag comes last, so it is never half."""
        if self._down or self._closed:
            return
        reference = f"{self.repository}:{self.tag(node, record.docker, record.key)}"
        data = record.to_bytes()
        digest, size = self.layout.add_blob(data)
        entry = {
            "mediaType": records.INDEX,
            "digest": digest,
            "size": size,
            "annotations": {"org.opencontainers.image.ref.name": "record"},
        }
        self._push([entry], "record", reference)

    def push_image(self, record: Record, reference: str) -> None:
        """Copy the image itself under its final name.

        Raises ``LoginError`` or ``RegistryError`` where that, or an earlier push, did not go through. A
        registry that was down from the start has been said and is no error: the work goes on without it.
        """
        if self._down and not isinstance(self._down, LoginError):
            return
        entry = {**record.descriptor, "annotations": {"org.opencontainers.image.ref.name": "image"}}
        if error := self._closed or self._down:
            raise error
        self._push([entry], "image", reference)
        if self._closed:
            raise self._closed

    # -- publishing: it was asked for in so many words, so what does not go through is an error ----

    def reference(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    @cached_property
    def _version(self) -> tuple[int, ...]:
        done = run(["skopeo", "--version"], timeout=LOOKUP_TIMEOUT)
        return tuple(map(int, re.findall(rb"\d+", done.stdout)[:2]))

    def keeps_types(self) -> bool:
        """Whether this skopeo keeps ``artifactType`` in an index that it copies; before 1.14 it is lost."""
        return self._version >= (1, 14)

    def raw(self, reference: str) -> bytes | None:
        """What a name holds, a manifest or an index; None where it is not there.

        Raises ``RegistryError`` or ``LoginError`` where there is no answer.
        """
        done = _raw(reference)
        if done.returncode == 0:
            return done.stdout
        message = done.stderr.decode(errors="replace")
        if _ABSENT.search(message):
            return None
        raise _error(self.repository, message)

    def upload(self, source: str, reference: str, *, preserve: bool = True) -> None:
        """Copy from a layout, an index with all it lists. ``preserve``: or fail if its digest would change.

        Raises ``RegistryError`` or ``LoginError``.
        """
        message = _copy(source, f"docker://{reference}", _tls("dest-", reference), preserve=preserve)
        if message is not None:
            raise _error(self.repository, message)

    def download(self, reference: str, target: str) -> None:
        """Copy into a layout, an index with all it lists. Raises ``RegistryError`` or ``LoginError``."""
        message = _copy(f"docker://{reference}", target, _tls("src-", reference))
        if message is not None:
            raise _error(self.repository, message)

    def has_image(self, record: Record, reference: str) -> bool:
        """Whether ``reference`` in the registry is this very image; True where the registry is down."""
        if self._down:
            return True
        done = _raw(reference)
        return done.returncode == 0 and sha256(done.stdout) == record.digest

    def _push(self, entries: list[dict[str, object]], name: str, reference: str) -> None:
        with self.layout.view(entries) as view:
            message = _copy(f"oci:{near(view)}:{name}", f"docker://{reference}", _tls("dest-", reference))
        if message is not None:
            self._give_up(_error(self.repository, message), reading=False)

    def _give_up(self, error: StagegraphError, *, reading: bool = True) -> None:
        """Say once why the registry is left alone; one that cannot be written is still read."""
        with self._said:
            if not reading:
                if self._closed is None:
                    self._closed = error
                    self._warn(f"going on without writing to the registry: {error}")
            elif self._down is None:
                self._down = error
                self._warn(f"going on without the registry: {error}")


def _raw(reference: str) -> subprocess.CompletedProcess[bytes]:
    """What a reference names, as the registry has it: a manifest or an index."""
    command = ["skopeo", "inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
    return run(command, timeout=LOOKUP_TIMEOUT)


def _copy(source: str, target: str, options: list[str], *, preserve: bool = True) -> str | None:
    """Run ``skopeo copy``; the message of a failure, or None."""
    same = ["--preserve-digests"] if preserve else []
    command = ["skopeo", "copy", "--quiet", "--all", *same, "--retry-times=3", *options, source, target]
    done = run(command, timeout=COPY_TIMEOUT)
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _tls(prefix: str, reference: str) -> list[str]:
    return [f"--{prefix}tls-verify=false"] if insecure(reference) else []


def _error(repository: str, message: str) -> StagegraphError:
    lines = message.strip().splitlines() or ["no answer"]
    last = re.sub(r'^time=\S+ level=\w+ msg="(.*)"$', r"\1", lines[-1])
    if _LOGIN.search(message):
        host = repository.partition("/")[0]
        return LoginError(repository, "the registry wants a login", f"docker login {host}\n  it said: {last}")
    return RegistryError(repository, "the registry does not answer as it should", f"it said: {last}")
