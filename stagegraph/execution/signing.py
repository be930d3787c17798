"""Signatures of one run: whom it trusts, what it says about records that it does not trust, and its own.

A run signs what it has built itself on images that it trusts, and no other image. So a good signature says
that somebody who is trusted built the image, and all below it.
"""

from __future__ import annotations

import datetime
import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import TrustError
from ..store.judge import SignatureJudge
from ..store.signatures import claim, details
from ..system.git import head
from ..system.text import counted, listed
from ..trust import keyring, statement
from ..trust.ed25519 import KeySigner, KeyVerifier
from ..trust.policy import Policy, may_sign, threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ..project.model import Project
    from ..store.judge import Rejection
    from ..store.record import Record

#: How many records the summary names.
_NAMED = 6


class Signing:
    """The signatures of one run of a project with ``[trust]``. Safe for threads."""

    def __init__(self, project: Project, warn: Callable[[str], None]) -> None:
        self._project, self._warn = project, warn
        self._lock = threading.RLock()
        self._own: KeySigner | None = None
        self._is_own_read = False
        self._untrusted: dict[str, None] = {}
        self._said: set[str] = set()
        self.is_required = project.trust.level == "required"

    # -- trust -----------------------------------------------------------------------------------

    @cached_property
    def judge(self) -> SignatureJudge:
        """The judge of the stores of this run."""
        return SignatureJudge(self._policy, self._tell)

    @cached_property
    def _policy(self) -> Policy:
        keys = {name: KeyVerifier(key.public) for name, key in self._project.trust.keys.items()}
        return Policy(self._project.trust, keys, self._own_verifier)

    def _own_verifier(self) -> KeyVerifier | None:
        """Return the verifier of this clone's own signatures; None before it has signed anything."""
        with self._lock:
            if not self._is_own_read:
                self._own, self._is_own_read = keyring.read(self._own_path), True
            return self._own.verifier if self._own else None

    def _tell(self, rejection: Rejection) -> None:
        """Warn of the first record that is not trusted; count the others for the summary."""
        with self._lock:
            is_first = not self._untrusted
            self._untrusted[f"{rejection.record.node} in {rejection.store}"] = None
        if is_first:
            done = "it is as if it were not there" if self.is_required else "it is used all the same"
            where = self._project.trust.declared_at
            self._warn(f"{rejection.record.node}: {rejection}; {done} ([trust], {where})")

    def summary(self) -> list[str]:
        """Return a line about all records that are not trusted; [] for none."""
        with self._lock:
            names = list(self._untrusted)
        if not names:
            return []
        used = "not used" if self.is_required else "used"
        return [f"untrusted, {used}: {counted(len(names), 'record')}: {listed(names, _NAMED)}"]

    # -- signatures ------------------------------------------------------------------------------

    def prepare(self, stage: str) -> None:
        """Make sure that a record of a stage can be signed, before it is built. Raises ``TrustError``.

        Only a project that requires signatures needs that.
        """
        try:
            self._signers(stage)
        except TrustError as error:
            if self.is_required:
                raise
            self._warn_once(f"records of this run are not signed: {error}")

    def sign(self, record: Record, used: Iterable[tuple[Record, str]]) -> Record:
        """Return a record that this run has made, with signatures, if it trusts everything that it ``used``.

        ``used`` are records, each with its stage. What others have said about the key of the record is kept.
        """
        kept = [text for old in self.judge.untrusted(record.key) for text in old.record.signatures]
        kept = [text for text in kept if self._policy.signer(text)]
        trusted = all(self.judge.verdict(each, stage).is_trusted for each, stage in used)
        mine = self.bundles(record) if trusted else []
        return record._replace(signatures=(*kept, *mine))

    def bundles(self, record: Record) -> list[str]:
        """Return this run's signatures of a record, [] if it has no key."""
        try:
            signers = self._signers(record.node.partition(":")[0])
        except TrustError:
            if self.is_required:
                raise
            return []
        more = {
            **details(record),
            "signed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "source": {"gitCommit": self._commit},
            "stagegraph": __version__,
        }
        return [signer.sign(statement.write(claim(record), more)) for signer in signers]

    @cached_property
    def _commit(self) -> str:
        return head(self._project.root).text

    def _signers(self, stage: str) -> list[KeySigner]:
        """Return the signers at hand of a stage. If they are too few, this clone signs for itself, too."""
        trust = self._project.trust
        found = [signer for name, signer in self.listed_signers.items() if may_sign(trust, name, stage)]
        return found if len(found) >= threshold(trust, stage) else [*found, self.own]

    @cached_property
    def listed_signers(self) -> dict[str, KeySigner]:
        """The private keys at hand, by their names in ``[trust.keys]``. Raises ``TrustError``."""
        given, found = keyring.from_environment(os.environ), dict[str, KeySigner]()
        keys = self._project.trust.keys
        for name, key in keys.items():
            is_given = given is not None and given.public == key.public
            signer = given if is_given else keyring.read(keyring.path_of(key.public, os.environ))
            if signer is not None:
                found[name] = signer
        if given is not None and given.public not in [key.public for key in keys.values()]:
            what = f"{keyring.VARIABLE}: its public key is not in [trust.keys], so nobody trusts it"
            self._warn_once(f"{what}; it is {given.public}")
        return found

    @property
    def own(self) -> KeySigner:
        """The signer of this clone; makes its key if there is none. Raises ``TrustError``."""
        with self._lock:
            if self._own is None:
                self._own, self._is_own_read = keyring.make(self._own_path), True
            return self._own

    @property
    def _own_path(self) -> Path:
        return keyring.path_of_clone(self._project.root, os.environ)

    def _warn_once(self, text: str) -> None:
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        self._warn(text)
