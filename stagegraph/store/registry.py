"""Images in a registry: skopeo copies whole images between it and the layout, with their digests.

Tag of a node: ``<stage>-<docker arch>-<key>``, 64 hexadecimal digits of the key. It names the record, which
is an OCI index; what a tag holds is believed only if its record names the key (``record.parse``).

Look-ups may be asked for ahead and go on side by side, each key once a run. Pushes go on while other nodes
are built; ``flush`` waits for them. What stumbles is tried again (``skopeo``). A registry that does not
answer is said once and then left alone; the work goes on without it. One that wants a login for writing is
read on; only the final image, which was asked for, ends in ``LoginError``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from .. import record as records
from ..errors import LoginError, RegistryError, StagegraphError, StoreError
from ..files import near
from ..tools import run
from . import login, skopeo
from .workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from ..model import Node
    from ..record import Record
    from .layout import LayoutStore

#: Look-ups and pushes at once, and pushes that may wait before who builds waits for one.
LOOKUPS, PUSHES, WAITING = 8, 2, 16
#: How many images in a row may fail to come, all tries spent, before the registry is left alone.
SPOILED = 2
#: Seconds between two words on pushes that are waited for.
QUIET = 30.0
_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/")


def insecure(reference: str) -> bool:
    """Whether plain HTTP is allowed, as the Docker engine does: on loopback only."""
    return bool(_LOCAL.match(reference))


class RegistryStore:
    """One repository of a registry, reached through skopeo."""

    def __init__(
        self, repository: str, layout: LayoutStore, warn: Callable[[str], None], policy: str = "built"
    ) -> None:
        """``policy`` is the setting ``push``: "never", "nodes", "built" or "all"."""
        self.repository, self.layout, self._warn, self.policy = repository, layout, warn, policy
        self._down: StagegraphError | None = None  # why it is not read
        self._closed: StagegraphError | None = None  # why it is not written
        self._answered = False  # whether it has answered as it should in this run
        self._spoiled = 0  # images in a row that all tries did not bring
        self._undelivered: list[tuple[Node, StagegraphError]] = []
        self._lock = threading.Lock()  # around all of these, and _asked
        self._asked: dict[str, Future[Record | None]] = {}
        self._sent: dict[Node, Future[None]] = {}  # pushes of nodes that this run has made
        self._lookups, self._pushes = Workers(LOOKUPS), Workers(PUSHES, WAITING)

    def tag(self, node: Node, docker: str, key: str) -> str:
        arch = docker.removeprefix("linux/").replace("/", "-")
        return f"{node.stage}-{arch}-{key.removeprefix('sha256:')}"

    def reference(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    # -- reading ---------------------------------------------------------------------------------

    def find(self, node: Node, docker: str, key: str) -> Record | None:
        """The record under the node's tag. None where absent, not believed, or unreachable."""
        return self.ask(node, docker, key).result()

    def ask(self, node: Node, docker: str, key: str, then: str = "") -> Future[Record | None]:
        """Begin to look for a record, if that was not done in this run.

        ``then`` is another key of the node, which is looked for if this one is not there.
        """
        with self._lock:
            if key not in self._asked:
                self._asked[key] = self._lookups.submit(partial(self._look_up, node, docker, key, then))
            return self._asked[key]

    def _look_up(self, node: Node, docker: str, key: str, then: str) -> Record | None:
        if self._down:
            return None
        answer = self._inspect(self.reference(self.tag(node, docker, key)))
        if answer.kind not in ("ok", "absent"):
            self._give_up(self._error(answer))
        found = records.parse(answer.output, key) if answer.kind == "ok" else None
        if found is None and then:
            self.ask(node, docker, then)
        return found

    def _now_holds(self, key: str, record: Record | None) -> None:
        """Note what this run knows better than the look-up."""
        from concurrent.futures import Future

        known: Future[Record | None] = Future()
        known.set_result(record)
        with self._lock:
            self._asked[key] = known

    def manifest(self, record: Record) -> dict[str, Any] | None:
        """The manifest of a record's image; one request. None where it is not there or not the one."""
        if self._down:
            return None
        answer = self._inspect(f"{self.repository}@{record.digest}")
        if answer.kind != "ok" or sha256(answer.output) != record.digest:
            return None
        try:
            value = json.loads(answer.output)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def has_image(self, record: Record, reference: str) -> bool:
        """Whether ``reference`` in the registry is this very image; True where it will not come to be."""
        if self._down or self.policy in ("never", "nodes"):
            return True
        answer = self._inspect(reference)
        if answer.kind in ("ok", "absent"):
            return answer.kind == "ok" and sha256(answer.output) == record.digest
        self._give_up(self._error(answer))
        return not isinstance(self._down, LoginError)

    def pull(self, node: Node, record: Record) -> bool:
        """Copy an image into the layout and record it there. False where it does not arrive whole.

        skopeo takes a blob that is there for good; what the layout then finds bad it sets aside, so a
        second copy brings it.
        """
        reference = self.reference(self.tag(node, record.docker, record.key))
        message = ""
        for _ in range(2):
            if self._down:
                return False
            with self.layout.view() as view:
                answer = self._copy(
                    f"docker://{reference}", f"oci:{near(view)}:pulled", _tls("src-", reference)
                )
            if answer.kind != "ok":
                message = _last(answer.message)
                self._spoiled += answer.kind == "again"
                if answer.kind in ("down", "silent", "later") or self._spoiled == SPOILED:
                    self._give_up(self._error(answer))
                break
            self._spoiled = 0
            try:
                self.layout.put(record)
            except StoreError as error:
                message = error.what
            else:
                return True
        self._warn(f"{node}: {reference} could not be pulled: {message}")
        self._now_holds(record.key, None)
        return False

    # -- writing, behind the work ----------------------------------------------------------------

    def push(self, node: Node, *made: Record) -> None:
        """Have an image that this run has made copied to the registry, with its records."""
        if not self._shut() and self.policy != "never":
            for record in made:
                self._now_holds(record.key, record)
            self._sent[node] = self._pushes.submit(partial(self._attempt, partial(self._push, node, *made)))

    def offer(self, node: Node, record: Record) -> None:
        """Have an image that was here before copied to the registry, if all is to be there."""
        if not self._shut() and self.policy == "all":
            self._pushes.submit(partial(self._attempt, partial(self._offer, node, record)))

    def push_image(self, node: Node, record: Record, reference: str) -> None:
        """Have the image itself get its final name in the registry, after its record.

        What does not go through is told by ``flush``. A registry that was down from the start has been said
        and is no error: the work goes on without it.
        """
        if self.policy not in ("never", "nodes"):
            self._pushes.submit(partial(self._deliver, node, record, reference))

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
            digest, size = self.layout.add_blob(record.to_bytes())
            entry = {"mediaType": records.INDEX, "digest": digest, "size": size}
            reference = self.reference(self.tag(node, record.docker, record.key))
            self._send(self.layout, entry, reference)

    def _offer(self, node: Node, record: Record) -> None:
        if self.find(node, record.docker, record.key) is None:
            self._now_holds(record.key, record)
            self._push(node, record)

    def _deliver(self, node: Node, record: Record, reference: str) -> None:
        if node in self._sent:
            self._sent[node].result()  # it came first, so it has been begun
        self._attempt(partial(self._offer, node, record))
        if not self._shut():
            self._attempt(partial(self.name, self.layout, record.descriptor, reference))
        error = self._shut()
        if error and (self._answered or isinstance(error, LoginError) or error is self._closed):
            with self._lock:
                self._undelivered.append((node, error))

    def _attempt(self, call: Callable[[], None]) -> None:
        try:
            call()
        except StagegraphError as error:
            self._give_up(error, reading=False)
        except OSError as error:  # nobody else looks at what a push comes to
            self._give_up(StoreError(self.repository, f"cannot be pushed to: {error}"), reading=False)

    # -- writing: what does not go through is an error -------------------------------------------

    def name(self, layout: LayoutStore, entry: Mapping[str, Any], reference: str) -> None:
        """Give something of the layout a name that people use: it is moved to what has been seen to be there.

        Manifest and blobs go in under the digest and the manifest is read back; only then is the tag set, and
        read back too. Raises ``RegistryError`` or ``LoginError``.
        """
        digest = entry["digest"]
        by_digest = f"{reference.rpartition(':')[0]}@{digest}"
        there = self.raw(reference)
        if there is not None and sha256(there) == digest:
            return
        if self.raw(by_digest) is None:
            self._send(layout, entry, by_digest)
        self._confirm(by_digest, digest)
        self._send(layout, entry, reference)
        self._confirm(reference, digest)

    def _confirm(self, reference: str, digest: str) -> None:
        there = self.raw(reference)
        if there is None or sha256(there) != digest:
            what = f"was pushed as {digest}, but holds {sha256(there) if there else 'nothing'}"
            raise RegistryError(reference, what, "does somebody else push there?")

    def _send(self, layout: LayoutStore, entry: Mapping[str, Any], reference: str) -> None:
        named = {**entry, "annotations": {"org.opencontainers.image.ref.name": "it"}}
        with layout.view([named]) as view:
            self.upload(f"oci:{near(view)}:it", reference)

    def upload(self, source: str, reference: str, *, preserve: bool = True) -> None:
        """Copy from a layout, an index with all it lists. ``preserve``: or fail if its digest would change.

        Raises ``RegistryError`` or ``LoginError``.
        """
        answer = self._copy(source, f"docker://{reference}", _tls("dest-", reference), preserve=preserve)
        if answer.kind != "ok":
            raise self._error(answer)

    def download(self, reference: str, target: str) -> None:
        """Copy into a layout, an index with all it lists. Raises ``RegistryError`` or ``LoginError``."""
        answer = self._copy(f"docker://{reference}", target, _tls("src-", reference))
        if answer.kind != "ok":
            raise self._error(answer)

    def raw(self, reference: str) -> bytes | None:
        """What a name holds, a manifest or an index; None where it is not there.

        Raises ``RegistryError`` or ``LoginError`` where there is no answer.
        """
        answer = self._inspect(reference)
        if answer.kind not in ("ok", "absent"):
            raise self._error(answer)
        return answer.output if answer.kind == "ok" else None

    # -- what is there, and its removal ------------------------------------------------------------

    def tags(self) -> list[str]:
        """All tags of the repository; none where there is no such repository.

        Raises ``RegistryError`` or ``LoginError``.
        """
        command = ["list-tags", *_tls("", self.reference("none")), f"docker://{self.repository}"]
        answer = skopeo.called(command, env=self._environment)
        if answer.kind == "absent":
            return []
        if answer.kind != "ok":
            raise self._error(answer)
        return list(json.loads(answer.output).get("Tags") or ())

    def holds(self, tags: Iterable[str]) -> dict[str, Future[bytes | None]]:
        """What tags hold, asked for side by side; see ``raw``."""
        return {tag: self._lookups.submit(partial(self.raw, self.reference(tag))) for tag in tags}

    def delete(self, digest: str) -> None:
        """Delete a manifest, and with it all of its tags. Raises ``RegistryError`` or ``LoginError``."""
        reference = f"{self.repository}@{digest}"
        answer = skopeo.called(
            ["delete", *_tls("", reference), f"docker://{reference}"], env=self._environment
        )
        if answer.kind not in ("ok", "absent"):
            raise self._error(answer)

    # -- skopeo ----------------------------------------------------------------------------------

    @cached_property
    def _version(self) -> tuple[int, ...]:
        done = run(["skopeo", "--version"], timeout=30)
        return tuple(map(int, re.findall(rb"\d+", done.stdout)[:2]))

    def keeps_types(self) -> bool:
        """Whether this skopeo keeps ``artifactType`` in an index that it copies; before 1.14 it is lost."""
        return self._version >= (1, 14)

    @cached_property
    def _environment(self) -> dict[str, str]:
        return login.environment(self.repository.partition("/")[0], self.layout.root)

    def _inspect(self, reference: str) -> skopeo.Answer:
        """What a reference names, as the registry has it: a manifest or an index."""
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        answer = skopeo.called(command, env=self._environment, patient=lambda: self._answered)
        self._answered = self._answered or answer.kind in ("ok", "absent")
        return answer

    def _copy(self, source: str, target: str, options: list[str], *, preserve: bool = True) -> skopeo.Answer:
        same = ["--preserve-digests"] if preserve else []
        command = ["copy", "--quiet", "--all", *same, *options, source, target]
        return skopeo.called(
            command, env=self._environment, alive=self._alive, patient=lambda: self._answered
        )

    def _alive(self) -> bool:
        """Whether the registry answers anything at all."""
        if self._shut():
            return False
        reference = self.reference("none")
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        return skopeo.called(command, env=self._environment).kind not in ("down", "silent")

    def _error(self, answer: skopeo.Answer) -> StagegraphError:
        last = _last(answer.message)
        if answer.kind == "login":
            hint = f"docker login {self.repository.partition('/')[0]}\n  it said: {last}"
            return LoginError(self.repository, "the registry wants a login", hint)
        return RegistryError(self.repository, "the registry does not answer as it should", f"it said: {last}")

    def _give_up(self, error: StagegraphError, *, reading: bool = True) -> None:
        """Say once why the registry is left alone; one that cannot be written is still read."""
        with self._lock:
            if not reading:
                if self._closed is None and self._down is None:
                    self._warn(f"going on without writing to the registry: {error}")
                self._closed = self._closed or error
            elif self._down is None:
                self._down = error
                if self._closed is None:
                    self._warn(f"going on without the registry: {error}")


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _tls(prefix: str, reference: str) -> list[str]:
    return [f"--{prefix}tls-verify=false"] if insecure(reference) else []


def _last(message: str) -> str:
    """The last line of what skopeo said, without its time and level."""
    lines = message.strip().splitlines() or ["no answer"]
    return re.sub(r'^time=\S+ level=\w+ msg="(.*)"$', r"\1", lines[-1])
