"""Pushes to a registry, by a few threads while other nodes are built.

Nothing here raises: an error ends writing to the registry (``availability``), and ``flush`` returns the final
images that did not get there.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from ..errors import StagegraphError, StoreError
from ..oci import documents
from ..system.timing import Span, untimed
from ..system.workers import DaemonPool
from ..waits.waiting import waiting_for
from . import record as records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from ..project.model import Node
    from .availability import Availability
    from .layout import LayoutStore
    from .lookups import RecordLookups
    from .record import Record
    from .repository import RemoteRepository

#: How many pushes run at once, and how many may wait before a builder has to wait for one.
PUSHES, WAITING = 2, 16

#: Seconds of one wait for pushes; another follows.
_TURN = 30.0


class PushQueue:
    """The pushes of one run. Safe for threads."""

    def __init__(
        self,
        remote: RemoteRepository,
        layout: LayoutStore,
        lookups: RecordLookups,
        availability: Availability,
        policy: str,
        span: Span = untimed,
    ) -> None:
        """``policy`` is the setting ``push``: "never", "nodes", "built" or "all". ``span`` measures."""
        self._remote, self._layout, self._lookups, self._policy = remote, layout, lookups, policy
        self._availability, self._span = availability, span
        self._workers = DaemonPool(PUSHES, WAITING, "pushes")
        self._queued: dict[Node, Future[None]] = {}  # pushes of nodes that this run has built
        self._undelivered: list[tuple[Node, StagegraphError]] = []
        self._lock = threading.Lock()  # around _undelivered

    @property
    def pending(self) -> int:
        """How many pushes are not done."""
        return self._workers.pending

    def push_built(self, node: Node, *built: Record) -> None:
        """Queue an image that this run has built, with its records."""
        if not self._availability.write_error and self._policy != "never":
            for record in built:
                self._lookups.override(node, record, record)
            self._queued[node] = self._workers.submit(
                partial(self._attempt, partial(self._push, node, *built))
            )

    def push_existing(self, node: Node, record: Record, *, block: bool = True) -> None:
        """With the policy "all", queue an image that was here before this run.

        ``block``: wait while many pushes are queued.
        """
        if not self._availability.write_error and self._policy == "all":
            job = partial(self._attempt, partial(self._push_missing, node, record))
            self._workers.submit(job, block=block)

    def push_final(self, node: Node, record: Record, *references: str) -> None:
        """Queue the final names of an image, to be set after its record is there.

        ``flush`` returns what fails. An unreachable registry was reported at the start and is no error: the
        run goes on without it.
        """
        if self._policy not in ("never", "nodes"):
            self._workers.submit(partial(self._deliver, node, record, references))

    def flush(self, say: Callable[[str], None]) -> list[tuple[Node, StagegraphError]]:
        """Wait until all is pushed; return the final images that did not get there, and why."""
        if self._workers.pending:
            say(f"   waiting for {self._left()}")
        with waiting_for(self._left):
            while not self._workers.wait(_TURN):
                pass
        return self._undelivered

    def _left(self) -> str:
        left = self._workers.pending
        return f"{left} push{'es' if left > 1 else ''} to {self._remote.repository}"

    def _push(self, node: Node, *built: Record) -> None:
        """Push an image under each of its records. A record's tag is set last, so it never names half."""
        for record in built:
            if self._availability.write_error:
                return
            reference = self._remote.reference(records.tag(node.stage, record.docker, record.key))
            if self._lookups.has_newer(node, record):
                what = "was written by a newer version of stagegraph, and is not replaced"
                self._availability.warn(f"{reference} {what}")
                continue
            digest, size = self._layout.blobs.add(self._layout.pushed(record))
            entry = documents.descriptor(documents.INDEX, digest, size)
            with self._span("push", node, reference):
                self._remote.send(self._layout, entry, reference)

    def _push_missing(self, node: Node, record: Record) -> None:
        if self._lookups.prefetch(node, record.docker, record.key).result() is None:
            self._lookups.override(node, record, record)
            self._push(node, record)

    def _deliver(self, node: Node, record: Record, references: Sequence[str]) -> None:
        if node in self._queued:
            self._queued[node].result()  # it was queued before this, so it has been started
        self._attempt(partial(self._push_missing, node, record))
        for reference in references:
            if not self._availability.write_error:
                self._attempt(partial(self._set_tag, node, record, reference))
        error = self._availability.write_error
        if error and (self._availability.is_write_error_lasting or self._remote.answered):
            with self._lock:
                self._undelivered.append((node, error))

    def _set_tag(self, node: Node, record: Record, reference: str) -> None:
        with self._span("push", node, reference):
            self._remote.set_tag(self._layout, record.descriptor, reference, indexed=True)

    def _attempt(self, push: Callable[[], None]) -> None:
        try:
            push()
        except StagegraphError as error:
            self._availability.write_failed(error)
        except Exception as error:  # nobody else looks at the result of a push
            what = f"cannot be pushed to: {type(error).__name__}: {error}"
            self._availability.write_failed(StoreError(self._remote.repository, what))
