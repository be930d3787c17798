"""Images in a registry: skopeo copies whole images between it and the layout, with their digests.

A node's tag (``record.tag``) names its record, which is an OCI index; what a tag holds is believed only if
its record names the key (``record.parse``).

Look-ups may be asked for ahead and go on side by side, each key once a run. Pushes go on while other nodes
are built; ``flush`` waits for them. What stumbles is tried again (``skopeo``). A registry that does not
answer is said once and then left alone; the work goes on without it. One that wants a login for writing is
read on; only the final image, which was asked for, ends in ``LoginError``.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import LoginError, RefusedError, StagegraphError, StoreError
from ..oci import documents
from ..oci.digest import sha256
from ..system.workers import Workers
from . import record as records
from .repository import Remote, last_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..keys.key import Key
    from ..oci.platform import OciPlatform
    from ..project.model import Node
    from .layout import LayoutStore
    from .record import Record

#: Look-ups and pushes at once, and pushes that may wait before who builds waits for one.
LOOKUPS, PUSHES, WAITING = 8, 2, 16

#: How many images in a row may fail to come, all tries spent, before the registry is left alone.
SPOILED = 2

#: Seconds between two words on pushes that are waited for.
QUIET = 30.0


class RegistryStore:
    """One repository of a registry, as far as it answers. Safe for threads."""

    def __init__(
        self, repository: str, layout: LayoutStore, warn: Callable[[str], None], policy: str = "built"
    ) -> None:
        """``policy`` is the setting ``push``: "never", "nodes", "built" or "all"."""
        self.repository, self.layout, self._warn, self.policy = repository, layout, warn, policy
        self.remote = Remote(repository, layout.root)
        self._down: StagegraphError | None = None  # why it is left alone
        self._hidden: StagegraphError | None = None  # why it is not read, though it may be written
        self._closed: StagegraphError | None = None  # why it is not written
        self._spoiled = 0  # images in a row that all tries did not bring
        self._undelivered: list[tuple[Node, StagegraphError]] = []
        self._lock = threading.Lock()  # around all of these, and _asked
        self._asked: dict[str, Future[Record | None]] = {}  # by tag
        self._sent: dict[Node, Future[None]] = {}  # pushes of nodes that this run has made
        self._lookups, self._pushes = Workers(LOOKUPS), Workers(PUSHES, WAITING)

    # -- reading ---------------------------------------------------------------------------------

    def find(self, node: Node, docker: OciPlatform, key: Key) -> Record | None:
        """The record under the node's tag. None where absent, not believed, or unreachable.

        Raises ``ToolError`` where skopeo is missing.
        """
        return self.ask(node, docker, key).result()

    def ask(
        self, node: Node, docker: OciPlatform, key: Key, then: Key | None = None
    ) -> Future[Record | None]:
        """Begin to look for a record, if that was not done in this run.

        ``then`` is another key of the node, which is looked for if this one is not there.
        """
        tag = records.tag(node.stage, docker, key)
        with self._lock:
            if tag not in self._asked:
                self._asked[tag] = self._lookups.submit(partial(self._look_up, node, docker, key, then))
            return self._asked[tag]

    def _look_up(self, node: Node, docker: OciPlatform, key: Key, then: Key | None) -> Record | None:
        if self._down or self._hidden:
            return None
        answer = self.remote.inspect(self.remote.reference(records.tag(node.stage, docker, key)))
        if answer.kind not in ("ok", "absent"):
            self._give_up(self.remote.error(answer))
        found = records.parse(answer.output, key) if answer.kind == "ok" else None
        if found is None and then:
            self.ask(node, docker, then)
        return found

    def _now_holds(self, tag: str, record: Record | None) -> None:
        """Note what this run knows better than the look-up."""
        from concurrent.futures import Future

        known: Future[Record | None] = Future()
        known.set_result(record)
        with self._lock:
            self._asked[tag] = known

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """The manifest of a record's image; one request. None where it is not there or not the one."""
        if self._down or self._hidden:
            return None
        answer = self.remote.inspect(f"{self.repository}@{record.digest}")
        if answer.kind not in ("ok", "absent"):
            self._give_up(self.remote.error(answer))
        if answer.kind != "ok" or sha256(answer.output) != record.digest:
            return None
        try:
            value = json.loads(answer.output)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def has_image(self, record: Record, reference: str) -> bool:
        """Whether ``reference`` in the registry is this very image; True where it will not come to be."""
        if self.policy in ("never", "nodes"):
            return True
        if self._down:
            return not isinstance(self._down, RefusedError)
        if self._hidden:
            return False
        answer = self.remote.inspect(reference)
        if answer.kind in ("ok", "absent"):
            return answer.kind == "ok" and sha256(answer.output) == record.digest
        self._give_up(self.remote.error(answer))
        return self._down is not None and not isinstance(self._down, RefusedError)

    def pull(self, node: Node, record: Record) -> bool:
        """Copy an image into the layout and record it there. False where it does not arrive whole.

        The image comes by its own digest; its record is known. So skopeo never sees the index, which it
        would refuse to copy where an earlier version of this program wrote it (``record``).

        skopeo takes a blob that is there for good; what the layout then finds bad it sets aside, so a
        second copy brings it.
        """
        reference = f"{self.repository}@{record.digest}"
        message = ""
        for _ in range(2):
            if self._down:
                return False
            answer = self.remote.fetch(reference, self.layout)
            if answer.kind == "ok":
                with self._lock:
                    self._spoiled = 0
                try:
                    self.layout.put(record)
                except StoreError as error:
                    message = error.what
                    self.layout.sweep()
                    continue
                return True
            message = last_line(answer.message)
            with self._lock:
                self._spoiled += answer.kind == "again"
                spoiled = self._spoiled >= SPOILED
            if answer.kind in ("down", "silent", "later") or spoiled:
                self._give_up(self.remote.error(answer))
            break
        self._warn(f"{node}: {reference} could not be pulled: {message}")
        self._now_holds(records.tag(node.stage, record.docker, record.key), None)
        return False

    # -- writing, behind the work ----------------------------------------------------------------

    def push(self, node: Node, *made: Record) -> None:
        """Have an image that this run has made copied to the registry, with its records."""
        if not self._shut() and self.policy != "never":
            for record in made:
                self._now_holds(records.tag(node.stage, record.docker, record.key), record)
            self._sent[node] = self._pushes.submit(partial(self._attempt, partial(self._push, node, *made)))

    def offer(self, node: Node, record: Record, *, patient: bool = True) -> None:
        """Have an image that was here before copied to the registry, if all is to be there.

        ``patient``: who calls waits while many pushes do.
        """
        if not self._shut() and self.policy == "all":
            job = partial(self._attempt, partial(self._offer, node, record))
            self._pushes.submit(job, patient=patient)

    def push_image(self, node: Node, record: Record, reference: str) -> None:
        """Have the image itself get its final name in the registry, after its record.

        What does not go through is told by ``flush``. A registry that was down from the start has been said
        and is no error: the work goes on without it.
        """
        if self.policy not in ("never", "nodes"):
            self._pushes.submit(partial(self._deliver, node, record, reference))

    @property
    def writable(self) -> bool:
        """Whether it has not refused what was pushed, and has answered when it was asked."""
        return self._shut() is None

    @property
    def trouble(self) -> StagegraphError | None:
        """Why it is not read any more, if it is not."""
        return self._down or self._hidden

    @property
    def owed(self) -> int:
        """Pushes that are not done."""
        return self._pushes.left

    def flush(self, say: Callable[[str], None]) -> list[tuple[Node, StagegraphError]]:
        """Wait until all is pushed; final images that did not get there, and why."""
        while left := self._pushes.left:
            say(f"   waiting for {left} push{'es' if left > 1 else ''} to {self.repository}")
            self._pushes.wait(QUIET)
        return self._undelivered

    def _shut(self) -> StagegraphError | None:
        """Why nothing is written any more."""
        return self._closed or self._down

    def _push(self, node: Node, *made: Record) -> None:
        """A record's tag comes last, so it is never half."""
        for record in made:
            if self._shut():
                return
            digest, size = self.layout.add_blob(self.layout.document(record))
            entry = documents.descriptor(documents.INDEX, digest, size)
            reference = self.remote.reference(records.tag(node.stage, record.docker, record.key))
            self.remote.send(self.layout, entry, reference)

    def _offer(self, node: Node, record: Record) -> None:
        if self.find(node, record.docker, record.key) is None:
            self._now_holds(records.tag(node.stage, record.docker, record.key), record)
            self._push(node, record)

    def _deliver(self, node: Node, record: Record, reference: str) -> None:
        if node in self._sent:
            self._sent[node].result()  # it came first, so it has been begun
        self._attempt(partial(self._offer, node, record))
        if not self._shut():
            self._attempt(partial(self.remote.name, self.layout, record.descriptor, reference))
        error = self._shut()
        lasting = isinstance(error, LoginError | RefusedError) or error is self._closed
        if error and (lasting or self.remote.answered):
            with self._lock:
                self._undelivered.append((node, error))

    def _attempt(self, call: Callable[[], None]) -> None:
        try:
            call()
        except StagegraphError as error:
            self._give_up(error, reading=False)
        except Exception as error:  # nobody else looks at what a push comes to
            what = f"cannot be pushed to: {type(error).__name__}: {error}"
            self._give_up(StoreError(self.repository, what), reading=False)

    def _give_up(self, error: StagegraphError, *, reading: bool = True) -> None:
        """Say once why the registry is left alone; one that cannot be written is still read.

        One that wants a login for reading may be written all the same: registries say so of a repository that
        its first push will make (Docker Hub: "requested access to the resource is denied").
        """
        login = isinstance(error, LoginError)
        with self._lock:
            known = self._down or self._hidden or self._closed
            if not reading:
                if known is None:
                    self._warn(f"going on without writing to the registry: {error}")
                self._closed = self._closed or error
            elif login:
                self._hidden = self._hidden or error
            else:
                self._down = self._down or error
            self.remote.abandoned = self._shut() is not None
            if reading and known is None:
                self._warn(f"going on without {'what is in ' if login else ''}the registry: {error}")
