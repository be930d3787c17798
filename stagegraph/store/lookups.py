"""Look-ups of records in a registry: several at once, each key once a run.

A node's tag (``record.tag``) names its record. A tag is believed only if the record says the key itself
(``record.parse``), and if the project trusts it (``judge``): its signatures come with it.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from ..system.timing import Span, untimed
from ..system.workers import DaemonPool
from . import record as records
from .judge import Everybody

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..keys.key import Key
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from .availability import Availability
    from .judge import Judge
    from .record import Record
    from .repository import RemoteRepository

#: How many look-ups run at once.
LOOKUPS = 8


class RecordLookups:
    """The look-ups of one run. Safe for threads."""

    def __init__(
        self,
        remote: RemoteRepository,
        availability: Availability,
        span: Span = untimed,
        judge: Judge | None = None,
    ) -> None:
        """``judge`` says which records count; by default all."""
        self._remote, self._availability, self._span = remote, availability, span
        self._judge = judge or Everybody()
        self._workers = DaemonPool(LOOKUPS)
        self._results: dict[str, Future[Record | None]] = {}  # by tag
        self._newer = set[str]()  # tags of records that a newer version of this program wrote
        self._lock = threading.Lock()  # around _results and _newer

    def prefetch(
        self, node: Node, docker: OciPlatform, key: Key, then: Key | None = None
    ) -> Future[Record | None]:
        """Start to look a record up, unless this run has done so.

        ``then`` is another key of the node, to be looked up if this one is not there.
        """
        tag = records.tag(node.stage, docker, key)
        with self._lock:
            if tag not in self._results:
                self._results[tag] = self._workers.submit(partial(self._look_up, node, docker, key, then))
            return self._results[tag]

    def has_found(self, node: Node, docker: OciPlatform, key: Key) -> bool:
        """Return whether a look-up of this run has found the record by now; never waits."""
        with self._lock:
            found = self._results.get(records.tag(node.stage, docker, key))
        return found is not None and found.done() and found.exception() is None and found.result() is not None

    def _look_up(self, node: Node, docker: OciPlatform, key: Key, then: Key | None) -> Record | None:
        if self._availability.read_error:
            return None
        reference = self._remote.reference(records.tag(node.stage, docker, key))
        with self._span("look-up", node, reference):
            answer = self._remote.inspect(reference)
        if answer.kind not in ("ok", "absent"):
            self._availability.read_failed(self._remote.error(answer))
        record = records.parse(answer.output, key) if answer.kind == "ok" else None
        if answer.kind == "ok" and record is None and records.is_newer(answer.output):
            with self._lock:
                self._newer.add(records.tag(node.stage, docker, key))
        if record is not None and not self._judge.accepts(record, node.stage, "the registry"):
            record = None
        if record is None and then:
            self.prefetch(node, docker, then)
        return record

    def has_newer(self, node: Node, of: Record) -> bool:
        """Return whether a look-up of this run has found a record of a newer version of this program."""
        with self._lock:
            return records.tag(node.stage, of.docker, of.key) in self._newer

    def override(self, node: Node, of: Record, result: Record | None) -> None:
        """Set the result for the tag of a record: this run knows better than the look-up."""
        from concurrent.futures import Future

        known: Future[Record | None] = Future()
        known.set_result(result)
        with self._lock:
            self._results[records.tag(node.stage, of.docker, of.key)] = known
