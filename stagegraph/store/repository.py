"""One repository of a registry, read and written by skopeo.

``inspect`` and ``fetch`` return skopeo's result, whatever it is. The other methods raise errors. This module
does not know when to use the registry and what to do after errors: ``registry`` does.
"""

from __future__ import annotations

import json
import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ..errors import LoginError, RefusedError, RegistryError, StagegraphError
from ..oci import documents
from ..oci.digest import Digest, sha256
from ..oci.reference import split
from ..system.files import relative_path
from ..system.messages import NO_AUTHORITY, UNKNOWN_AUTHORITY
from ..system.processes import run
from . import blob_sizes, credentials, skopeo
from .views import shared_view, staging_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from .layout import LayoutStore

_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/")


def insecure(reference: str) -> bool:
    """Return whether plain HTTP is allowed: on loopback only, as the Docker engine does."""
    return bool(_LOCAL.match(reference))


class RemoteRepository:
    """The repository ``HOST/NAME``. Safe for threads.

    ``answered``: the registry has given a usable answer since this object was made.
    """

    def __init__(
        self, repository: str, folder: Path, is_abandoned: Callable[[], bool] = lambda: False
    ) -> None:
        """``folder`` is where a file for skopeo's login may be written.

        ``is_abandoned`` tells whether nobody wants to wait for the registry any more.
        """
        self.repository, self._folder, self._is_abandoned = repository, folder, is_abandoned
        self.answered = False

    def reference(self, tag: str) -> str:
        """The reference of a tag of this repository."""
        return f"{self.repository}:{tag}"

    # -- calls with any result -------------------------------------------------------------------

    def inspect(self, reference: str) -> skopeo.SkopeoResult:
        """Read the manifest or the index of a reference, byte for byte."""
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        answer = skopeo.run(command, env=self._environment, patient=lambda: self.answered)
        self.answered = self.answered or answer.kind in ("ok", "absent")
        return answer

    def fetch(self, reference: str, layout: LayoutStore) -> skopeo.SkopeoResult:
        """Copy an image into a layout, or an index with everything that it lists.

        No blob may be larger than its manifest says, so the manifest is read first. ``reference`` has a
        digest.
        """
        largest = 0
        for answer, size in self._documents(reference):
            if answer.kind != "ok":
                return answer
            largest = max(largest, size)
        with staging_layout(layout) as staging:
            target = f"oci:{relative_path(staging)}:it"
            excess = partial(blob_sizes.excess, staging, largest)
            return self._copy(f"docker://{reference}", target, _tls("src-", reference), excess=excess)

    def _documents(self, reference: str) -> Iterator[tuple[skopeo.SkopeoResult, int]]:
        """Read a manifest, or an index and its manifests; with each the size of its largest blob."""
        repository, open_ = split(reference).repository, [Digest(split(reference).digest)]
        for _ in range(blob_sizes.MAX_DOCUMENTS):
            digest = open_.pop()
            answer = self.inspect(f"{repository}@{digest}")
            size = 0
            if answer.kind == "ok":
                answer, size, listed = blob_sizes.checked(answer, digest)
                open_ += listed
            yield answer, size
            if not open_:
                return
        yield skopeo.SkopeoResult("refused", message="the index lists too many manifests"), 0

    def _copy(
        self,
        source: str,
        target: str,
        options: list[str],
        *,
        preserve: bool = True,
        excess: Callable[[], str] = lambda: "",
    ) -> skopeo.SkopeoResult:
        same = ["--preserve-digests"] if preserve else []
        command = ["copy", "--quiet", "--all", *same, *options, source, target]
        return skopeo.run(
            command, env=self._environment, alive=self._alive, patient=lambda: self.answered, excess=excess
        )

    def _alive(self) -> bool:
        """Return whether the registry answers any request."""
        if self._is_abandoned():
            return False
        reference = self.reference("none")
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        return skopeo.run(command, env=self._environment).kind not in ("down", "silent")

    def sibling(self, repository: str) -> RemoteRepository:
        """Return another repository of the same registry: ``HOST/OTHER``."""
        return RemoteRepository(repository, self._folder, self._is_abandoned)

    def error(self, answer: skopeo.SkopeoResult, reference: str = "") -> StagegraphError:
        """The error for a call that failed. ``reference`` may be of another repository of the registry."""
        last, repository = last_line(answer.message), split(reference).repository or self.repository
        if answer.kind == "login":
            hint = (
                f"docker login {repository.partition('/')[0]}; if you are logged in, check that the "
                f"repository exists and that your login may use it\n  the registry said: {last}"
            )
            return LoginError(repository, "the registry requires a login", hint)
        if answer.kind == "refused" and re.search(UNKNOWN_AUTHORITY, last):
            hint = (
                f"put the authority's certificate into /etc/docker/certs.d/{repository.partition('/')[0]}/"
                f"ca.crt, which skopeo and Docker read; or name it in SSL_CERT_FILE\n  skopeo said: {last}"
            )
            return RefusedError(repository, NO_AUTHORITY, hint)
        kind = RefusedError if answer.kind == "refused" else RegistryError
        silent = answer.kind in ("down", "silent")
        what = "the registry does not answer" if silent else "unexpected response from the registry"
        return kind(repository, what, f"skopeo said: {last}")

    # -- reading ---------------------------------------------------------------------------------

    def read_manifest(self, reference: str) -> bytes | None:
        """Read the manifest or the index of a reference; None where it is absent.

        Raises ``RegistryError`` or ``LoginError``.
        """
        answer = self.inspect(reference)
        if answer.kind not in ("ok", "absent"):
            raise self.error(answer, reference)
        return answer.output if answer.kind == "ok" else None

    def download(self, reference: str, layout: LayoutStore) -> None:
        """Copy an image into a layout, or an index with everything that it lists.

        Raises ``RegistryError`` or ``LoginError``.
        """
        answer = self.fetch(reference, layout)
        if answer.kind != "ok":
            raise self.error(answer, reference)

    def tags(self) -> list[str]:
        """All tags of the repository; none where the repository is absent.

        Raises ``RegistryError`` or ``LoginError``.
        """
        command = ["list-tags", *_tls("", self.reference("none")), f"docker://{self.repository}"]
        answer = skopeo.run(command, env=self._environment)
        if answer.kind == "absent":
            return []
        if answer.kind != "ok":
            raise self.error(answer)
        return list(json.loads(answer.output).get("Tags") or ())

    # -- writing ---------------------------------------------------------------------------------

    def set_tag(
        self, layout: LayoutStore, entry: Mapping[str, Any], reference: str, *, indexed: bool = False
    ) -> None:
        """Push an image or an index of the layout, and let the tag of ``reference`` name it.

        Pushes it by digest first and reads the manifest back. Then sets the tag, and reads that back, too. So
        the tag never names something incomplete. ``indexed``: leave the tag if it names an index of this
        image alone (``is_image``). Raises ``RegistryError`` or ``LoginError``.
        """
        digest = entry["digest"]
        by_digest = f"{reference.rpartition(':')[0]}@{digest}"
        there = self.read_manifest(reference)
        if there is not None and (sha256(there) == digest or (indexed and is_image(there, digest))):
            return
        if self.read_manifest(by_digest) is None:
            self.send(layout, entry, by_digest)
        self._confirm(by_digest, digest)
        self.send(layout, entry, reference)
        self._confirm(reference, digest)

    def _confirm(self, reference: str, digest: Digest) -> None:
        there = self.read_manifest(reference)
        if there is None or sha256(there) != digest:
            what = f"was pushed as {digest}, but holds {sha256(there) if there else 'nothing'}"
            raise RegistryError(reference, what, "does somebody else push to this tag?")

    def send(
        self, layout: LayoutStore, entry: Mapping[str, Any], reference: str, *, preserve: bool = True
    ) -> None:
        """Push an image of a layout, or an index with everything that it lists.

        ``preserve``: fail if its digest would change. Raises ``RegistryError`` or ``LoginError``.
        """
        with shared_view(layout, [documents.named(entry, "it")]) as view:
            source = f"oci:{relative_path(view)}:it"
            answer = self._copy(source, f"docker://{reference}", _tls("dest-", reference), preserve=preserve)
        if answer.kind != "ok":
            raise self.error(answer, reference)

    def delete(self, digest: Digest) -> None:
        """Delete a manifest with all of its tags. Raises ``RegistryError`` or ``LoginError``."""
        reference = f"{self.repository}@{digest}"
        answer = skopeo.run(["delete", *_tls("", reference), f"docker://{reference}"], env=self._environment)
        if answer.kind == "refused" and re.search(r"\b405\b|unsupported", answer.message):
            hint = f"allow it in the registry's own settings\n  it said: {last_line(answer.message)}"
            raise RegistryError(self.repository, "the registry does not allow deletion", hint)
        if answer.kind not in ("ok", "absent"):
            raise self.error(answer)

    # -- skopeo ----------------------------------------------------------------------------------

    @cached_property
    def _environment(self) -> dict[str, str]:
        return credentials.environment(self.repository.partition("/")[0], self._folder)


def is_image(document: bytes, digest: Digest) -> bool:
    """Return whether a document is the manifest of an image, or an index of this image alone.

    ``doit publish`` gives such an index the tags of an image with one platform.
    """
    if sha256(document) == digest:
        return True
    try:
        return [entry["digest"] for entry in json.loads(document)["manifests"]] == [digest]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def keeps_types() -> bool:
    """Return whether skopeo keeps ``artifactType`` in an index that it rewrites: it does since 1.15."""
    done = run(["skopeo", "--version"], timeout=30)
    return tuple(map(int, re.findall(rb"\d+", done.stdout)[:2])) >= (1, 15)


def _tls(prefix: str, reference: str) -> list[str]:
    return [f"--{prefix}tls-verify=false"] if insecure(reference) else []


def last_line(message: str) -> str:
    """The last line of skopeo's message, without time and level."""
    lines = message.strip().splitlines() or ["no answer"]
    return re.sub(r'^time=\S+ level=\w+ msg="(.*)"$', r"\1", lines[-1])
