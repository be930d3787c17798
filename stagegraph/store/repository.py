"""One repository of a registry, reached through skopeo: what is there, and putting it there.

``inspect`` and ``fetch`` answer whatever comes; for the others what is absent is None or nothing, and what
fails is an error. When to ask, and what becomes of failures, is for ``registry``.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import LoginError, RefusedError, RegistryError, StagegraphError
from ..oci import documents
from ..oci.digest import sha256
from ..system.files import near
from ..system.processes import run
from . import credentials, skopeo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .layout import LayoutStore

_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/")


def insecure(reference: str) -> bool:
    """Whether plain HTTP is allowed, as the Docker engine does: on loopback only."""
    return bool(_LOCAL.match(reference))


class Remote:
    """Calls of skopeo for a repository (``HOST/NAME``). Safe for threads.

    ``answered``: it has answered as it should since this object is. ``abandoned``: set by who does not want
    to wait for it any more.
    """

    def __init__(self, repository: str, folder: Path) -> None:
        """``folder`` is where a file for skopeo's login may be written."""
        self.repository, self._folder = repository, folder
        self.answered = self.abandoned = False

    def reference(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    # -- calls, and what they come to ------------------------------------------------------------

    def inspect(self, reference: str) -> skopeo.Answer:
        """What a reference names, as the registry has it: a manifest or an index."""
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        answer = skopeo.called(command, env=self._environment, patient=lambda: self.answered)
        self.answered = self.answered or answer.kind in ("ok", "absent")
        return answer

    def fetch(self, reference: str, layout: LayoutStore) -> skopeo.Answer:
        """Copy into a layout, an index with all it lists."""
        with layout.inlet() as inlet:
            return self._copy(f"docker://{reference}", f"oci:{near(inlet)}:it", _tls("src-", reference))

    def _copy(self, source: str, target: str, options: list[str], *, preserve: bool = True) -> skopeo.Answer:
        same = ["--preserve-digests"] if preserve else []
        command = ["copy", "--quiet", "--all", *same, *options, source, target]
        return skopeo.called(command, env=self._environment, alive=self._alive, patient=lambda: self.answered)

    def _alive(self) -> bool:
        """Whether the registry answers anything at all."""
        if self.abandoned:
            return False
        reference = self.reference("none")
        command = ["inspect", "--raw", *_tls("", reference), f"docker://{reference}"]
        return skopeo.called(command, env=self._environment).kind not in ("down", "silent")

    def error(self, answer: skopeo.Answer) -> StagegraphError:
        """The error that an answer which is none comes to."""
        last = last_line(answer.message)
        if answer.kind == "login":
            hint = (
                f"docker login {self.repository.partition('/')[0]}; with a login, see that the repository is "
                f"there and open to it\n  it said: {last}"
            )
            return LoginError(self.repository, "the registry wants a login", hint)
        kind = RefusedError if answer.kind == "refused" else RegistryError
        return kind(self.repository, "the registry does not answer as it should", f"it said: {last}")

    # -- reading ---------------------------------------------------------------------------------

    def raw(self, reference: str) -> bytes | None:
        """What a name holds, a manifest or an index; None where it is not there.

        Raises ``RegistryError`` or ``LoginError`` where there is no answer.
        """
        answer = self.inspect(reference)
        if answer.kind not in ("ok", "absent"):
            raise self.error(answer)
        return answer.output if answer.kind == "ok" else None

    def download(self, reference: str, layout: LayoutStore) -> None:
        """Copy into a layout, an index with all it lists. Raises ``RegistryError`` or ``LoginError``."""
        answer = self.fetch(reference, layout)
        if answer.kind != "ok":
            raise self.error(answer)

    def tags(self) -> list[str]:
        """All tags of the repository; none where there is no such repository.

        Raises ``RegistryError`` or ``LoginError``.
        """
        command = ["list-tags", *_tls("", self.reference("none")), f"docker://{self.repository}"]
        answer = skopeo.called(command, env=self._environment)
        if answer.kind == "absent":
            return []
        if answer.kind != "ok":
            raise self.error(answer)
        return list(json.loads(answer.output).get("Tags") or ())

    # -- writing ---------------------------------------------------------------------------------

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
            self.send(layout, entry, by_digest)
        self._confirm(by_digest, digest)
        self.send(layout, entry, reference)
        self._confirm(reference, digest)

    def _confirm(self, reference: str, digest: str) -> None:
        there = self.raw(reference)
        if there is None or sha256(there) != digest:
            what = f"was pushed as {digest}, but holds {sha256(there) if there else 'nothing'}"
            raise RegistryError(reference, what, "does somebody else push there?")

    def send(
        self, layout: LayoutStore, entry: Mapping[str, Any], reference: str, *, preserve: bool = True
    ) -> None:
        """Copy from a layout, an index with all it lists. ``preserve``: or fail if its digest would change.

        Raises ``RegistryError`` or ``LoginError``.
        """
        with layout.view([documents.named(entry, "it")]) as view:
            source = f"oci:{near(view)}:it"
            answer = self._copy(source, f"docker://{reference}", _tls("dest-", reference), preserve=preserve)
        if answer.kind != "ok":
            raise self.error(answer)

    def delete(self, digest: str) -> None:
        """Delete a manifest, and with it all of its tags. Raises ``RegistryError`` or ``LoginError``."""
        reference = f"{self.repository}@{digest}"
        answer = skopeo.called(
            ["delete", *_tls("", reference), f"docker://{reference}"], env=self._environment
        )
        if answer.kind == "refused" and re.search(r"\b405\b|unsupported", answer.message):
            hint = f"allow it in the registry's own settings\n  it said: {last_line(answer.message)}"
            raise RegistryError(self.repository, "the registry does not allow deletion", hint)
        if answer.kind not in ("ok", "absent"):
            raise self.error(answer)

    # -- skopeo itself ---------------------------------------------------------------------------

    @cached_property
    def _environment(self) -> dict[str, str]:
        return credentials.environment(self.repository.partition("/")[0], self._folder)


def keeps_types() -> bool:
    """Whether this skopeo keeps ``artifactType`` in an index that it writes anew; before 1.15 it is lost."""
    done = run(["skopeo", "--version"], timeout=30)
    return tuple(map(int, re.findall(rb"\d+", done.stdout)[:2])) >= (1, 15)


def _tls(prefix: str, reference: str) -> list[str]:
    return [f"--{prefix}tls-verify=false"] if insecure(reference) else []


def last_line(message: str) -> str:
    """The last line of what skopeo said, without its time and level."""
    lines = message.strip().splitlines() or ["no answer"]
    return re.sub(r'^time=\S+ level=\w+ msg="(.*)"$', r"\1", lines[-1])
