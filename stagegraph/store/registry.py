"""Images in a registry: skopeo copies whole images between it and the layout, with their digests.

Records are looked up by several threads (``lookups``), and images are pushed while other nodes are built
(``pushes``). Temporary failures are retried (``skopeo``). A registry that fails is reported once and then
left alone (``availability``); the run goes on without it. If it only refuses to be written, it is still read;
then the final image, which was requested, ends in ``LoginError``.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from ..errors import LoginError, StoreError
from ..oci.digest import sha256
from ..oci.reference import split
from ..system.timing import Span, untimed
from .availability import Availability
from .lookups import RecordLookups
from .pushes import PushQueue
from .repository import RemoteRepository, is_image, last_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..keys.key import Key
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from .layout import LayoutStore
    from .record import Record

#: How many pulls in a row may fail, all retries spent, before the registry is left alone.
MAX_FAILED_PULLS = 2


class RegistryStore:
    """One repository of a registry, as far as it answers. Safe for threads.

    ``remote`` is the repository itself, whose calls raise errors. ``pushes`` writes to it.
    """

    def __init__(
        self,
        repository: str,
        layout: LayoutStore,
        warn: Callable[[str], None],
        policy: str = "built",
        span: Span = untimed,
    ) -> None:
        """``policy`` is the setting ``push``: "never", "nodes", "built" or "all". ``span`` measures."""
        self.repository, self.policy = repository, policy
        self._span = span
        self._layout, self._warn = layout, warn
        self.availability = Availability(warn)
        # nobody waits long for a registry that is not written any more
        self.remote = RemoteRepository(
            repository, layout.root, lambda: self.availability.write_error is not None
        )
        self.lookups = RecordLookups(self.remote, self.availability, span, layout.judge)
        self.pushes = PushQueue(self.remote, layout, self.lookups, self.availability, policy, span)
        self._failed_pulls = 0  # in a row
        self._lock = threading.Lock()  # around _failed_pulls

    def find(self, node: Node, docker: OciPlatform, key: Key) -> Record | None:
        """The record under the node's tag. None where it is absent, not believed, or cannot be read.

        Raises ``ToolError`` where skopeo is missing.
        """
        return self.lookups.prefetch(node, docker, key).result()

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """The manifest of a record's image, by one request. None where it is absent or has another digest."""
        if self.availability.read_error:
            return None
        answer = self.remote.inspect(f"{self.repository}@{record.digest}")
        if answer.kind not in ("ok", "absent"):
            self.availability.read_failed(self.remote.error(answer))
        if answer.kind != "ok" or sha256(answer.output) != record.digest:
            return None
        try:
            value = json.loads(answer.output)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def has_image(self, record: Record, reference: str) -> bool:
        """Return True if nothing is left to push for this image.

        ``reference`` already names it (``is_image``), ``push`` excludes final images, or the registry is
        unreachable and the run goes on without it. A ``reference`` of another repository than that of nodes
        may want a login to be read: then only a push can tell more.
        """
        if self.policy in ("never", "nodes"):
            return True
        if self.availability.unreachable:
            return self.availability.is_tolerated
        if self.availability.unreadable:
            return False
        with self._span("look-up", record.node, reference):
            answer = self.remote.inspect(reference)
        if answer.kind in ("ok", "absent"):
            return answer.kind == "ok" and is_image(answer.output, record.digest)
        error = self.remote.error(answer, reference)
        if isinstance(error, LoginError) and split(reference).repository != self.repository:
            return False
        self.availability.read_failed(error)
        return self.availability.is_tolerated

    def pull(self, node: Node, record: Record) -> bool:
        """Copy an image into the layout and record it there. Return whether it arrived whole.

        The image is copied by its own digest, as its record is known. So skopeo never sees the index, which
        it refuses to copy where an earlier version of this program wrote it (``record``).

        skopeo does not read a blob that is there already. If the layout then finds the blob corrupt, it moves
        the blob to quarantine, and a second copy brings it.
        """
        reference = f"{self.repository}@{record.digest}"
        message = ""
        for _ in range(2):
            if self.availability.unreachable:
                return False
            answer = self.remote.fetch(reference, self._layout)
            if answer.kind != "ok":
                message = last_line(answer.message)
                failing = self._is_failing(temporary=answer.kind == "again")
                if failing or answer.kind in ("down", "silent", "later"):
                    self.availability.read_failed(self.remote.error(answer))
                break
            self._reset_failed_pulls()
            try:
                self._layout.commit(record)
            except StoreError as error:
                message = error.what
                self._layout.blobs.quarantine_corrupt()
                continue
            return True
        self._warn(f"{node}: {reference} could not be pulled: {message}")
        self.lookups.override(node, record, None)
        return False

    def _is_failing(self, *, temporary: bool) -> bool:
        """Count a pull that failed after all retries; return whether too many in a row did."""
        with self._lock:
            self._failed_pulls += temporary
            return self._failed_pulls >= MAX_FAILED_PULLS

    def _reset_failed_pulls(self) -> None:
        with self._lock:
            self._failed_pulls = 0
