"""Which records count: those that the project trusts (``[trust]``), by the signatures beside them.

A store asks the judge before it gives a record to a run. Without ``[trust]`` everybody is trusted, and no
signature is read.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..keys.key import Key
    from ..trust.policy import Policy, Verdict
    from .record import Record


class Judge(Protocol):
    """Says which records a store may give. Safe for threads."""

    @property
    def reads_signatures(self) -> bool:
        """Return whether a record must come with its signatures."""

    def accepts(self, record: Record, stage: str, store: str) -> bool:
        """Return whether a record with its signatures may be used for a stage, "" for any stage.

        ``store`` is where it was found: ``cache/`` or ``the registry``.
        """

    def attributed(self, signatures: Sequence[str]) -> Sequence[str]:
        """Return the signatures that are by whom they name, as far as the project knows the signers.

        A store keeps one for each signer. So nobody can displace a signature by words in its signer's name.
        """

    def rejected(self, key: Key) -> Sequence[Rejection]:
        """Return the records of a key that this run has found and does not use."""

    def why_not(self, record: Record, stage: str) -> str:
        """Return why a record with its signatures is not trusted; "" if it is."""


class Rejection(NamedTuple):
    """A record that is not trusted: where it was found, and why not."""

    record: Record
    store: str
    why: str

    def __str__(self) -> str:
        return f"its record in {self.store} is untrusted: {self.why}"


class Everybody:
    """The judge of a project without ``[trust]``."""

    reads_signatures = False

    def accepts(self, record: Record, stage: str, store: str) -> bool:  # noqa: ARG002 - of the protocol
        """Return true."""
        return True

    def attributed(self, signatures: Sequence[str]) -> Sequence[str]:
        """Return all of them."""
        return signatures

    def rejected(self, key: Key) -> Sequence[Rejection]:  # noqa: ARG002 - of the protocol
        """Return nothing."""
        return ()

    def why_not(self, record: Record, stage: str) -> str:  # noqa: ARG002 - of the protocol
        """Return nothing."""
        return ""


class SignatureJudge:
    """The judge of a project with ``[trust]``."""

    reads_signatures = True

    def __init__(self, policy: Policy, tell: Callable[[Rejection], None]) -> None:
        """``tell`` is called once for each record that is not trusted."""
        self.policy, self._tell = policy, tell
        self._lock = threading.Lock()  # around _verdicts, _rejected and _told
        self._verdicts: dict[tuple[Record, str], Verdict] = {}
        self._rejected: dict[Key, list[Rejection]] = {}
        self._told: set[tuple[Key, str]] = set()

    def accepts(self, record: Record, stage: str, store: str) -> bool:
        """Return whether the record is trusted; with the level "warn" it is used all the same."""
        verdict = self.verdict(record, stage)
        if verdict.is_trusted:
            return True
        rejection = Rejection(record, store, verdict.why)
        with self._lock:
            known = self._rejected.setdefault(record.key, [])
            if rejection not in known:
                known.append(rejection)
            is_new = (record.key, store) not in self._told
            self._told.add((record.key, store))
        if is_new:
            self._tell(rejection)
        return self.policy.trust.level == "warn"

    def why_not(self, record: Record, stage: str) -> str:
        """Return why a record is not trusted; "" if it is."""
        return self.verdict(record, stage).why

    def verdict(self, record: Record, stage: str) -> Verdict:
        """Return whether the record is trusted, and why not. Tells nobody."""
        with self._lock:
            known = self._verdicts.get((record, stage))
        if known is None:
            from .signatures import claim

            known = self.policy.judge(claim(record), record.signatures, stage)
            with self._lock:
                self._verdicts[record, stage] = known
        return known

    def attributed(self, signatures: Sequence[str]) -> Sequence[str]:
        """Return those that somebody has validly signed whom the project trusts, or this clone."""
        return [text for text in signatures if self.policy.signer(text) is not None]

    def rejected(self, key: Key) -> tuple[Rejection, ...]:
        """Return the records of a key that this run has found and does not use."""
        return () if self.policy.trust.level == "warn" else self.untrusted(key)

    def untrusted(self, key: Key) -> tuple[Rejection, ...]:
        """Return the records of a key that this run has found and does not trust."""
        with self._lock:
            return tuple(self._rejected.get(key, ()))
