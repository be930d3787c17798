"""Whom a project trusts: the verdict on a claim with its signatures. Pure, apart from the verifiers.

A verifier or signer of another kind, such as for identities instead of keys, implements the same protocol.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple, Protocol

from . import bundle as bundles
from . import statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..project.model import Trust
    from .bundle import Bundle
    from .statement import Claim

#: How many signatures of one record are looked at. Who signs has one for each key.
MOST = 64


class Signer(Protocol):
    """Somebody who signs statements."""

    @property
    def public(self) -> str:
        """What others need to check the signatures, as ``stages.toml`` has it."""

    @property
    def hint(self) -> str:
        """The signer's name in bundles."""

    def sign(self, statement: bytes) -> str:
        """Return the bundle of a statement."""


class Verifier(Protocol):
    """Somebody whose signatures can be checked."""

    @property
    def hint(self) -> str:
        """The signer's name in bundles."""

    def has_signed(self, bundle: Bundle) -> bool:
        """Return whether the signature of the bundle is by this signer."""


class Verdict(NamedTuple):
    """``signers`` have signed the claim: names of ``[trust.keys]``. ``why`` says why it is not trusted."""

    is_trusted: bool
    why: str = ""
    signers: tuple[str, ...] = ()


class Policy:
    """The verdicts of one project. Safe for threads."""

    def __init__(
        self,
        trust: Trust,
        verifiers: Mapping[str, Verifier],
        own: Callable[[], Verifier | None] = lambda: None,
    ) -> None:
        """``verifiers`` are by name of ``[trust.keys]``. ``own`` returns that of this clone, if any."""
        self.trust, self._own = trust, own
        self._known = {verifier.hint: (name, verifier) for name, verifier in verifiers.items()}

    def judge(self, claim: Claim, signatures: Iterable[str], stage: str = "") -> Verdict:
        """Return whether the claim is trusted for an image of a stage.

        ``stage`` "" asks for any stage: the signers must be trusted for all, and be enough for each.
        """
        signers, faults = set[str](), list[str]()
        for text in list(signatures)[:MOST]:
            name, fault = self._look(claim, text)
            if fault:
                faults.append(fault)
            elif not name:
                return Verdict(True)
            else:
                signers.add(name)
        allowed = {name for name in signers if may_sign(self.trust, name, stage)}
        faults += [f"{name} may not sign it" for name in sorted(signers - allowed)]
        needed = threshold(self.trust, stage)
        if len(allowed) >= needed:
            return Verdict(True, signers=tuple(sorted(allowed)))
        if allowed:
            faults.insert(0, f"signed by {', '.join(sorted(allowed))} only, {needed} signatures are needed")
        return Verdict(False, faults[0] if faults else "not signed", tuple(sorted(allowed)))

    def _look(self, claim: Claim, text: str) -> tuple[str, str]:
        """Return the name of the signer, "" for this clone, and what is wrong with the signature."""
        bundle = bundles.parse(text)
        if bundle is None:
            return "", "its signature is damaged"
        name, verifier = self._find(bundle)
        if verifier is None:
            return "", "signed by somebody who is not in [trust.keys]"
        by = name or "this clone"
        if fault := statement.fault(bundle.payload, claim):
            return name, f"the signature of {by} {fault}"
        return name, "" if verifier.has_signed(bundle) else f"the signature of {by} is not valid"

    def signer(self, text: str) -> str | None:
        """Return who has validly signed a bundle, whatever it says: "" for this clone, None for others."""
        bundle = bundles.parse(text)
        if bundle is None:
            return None
        name, verifier = self._find(bundle)
        return name if verifier is not None and verifier.has_signed(bundle) else None

    def _find(self, bundle: Bundle) -> tuple[str, Verifier | None]:
        """Return the name of who says to have signed a bundle, "" for this clone; and the verifier."""
        if known := self._known.get(bundle.hint):
            return known
        own = self._own()
        return "", own if own is not None and own.hint == bundle.hint else None


def may_sign(trust: Trust, name: str, stage: str) -> bool:
    """Return whether a key of ``[trust.keys]`` may sign images of a stage; of all stages if it is ""."""
    return any(fnmatchcase(stage, pattern) for pattern in trust.keys[name].stages)


def threshold(trust: Trust, stage: str) -> int:
    """Return how many keys must sign an image of a stage; if it is "", enough for each stage."""
    fits = (need for glob, need in trust.thresholds.items() if not stage or fnmatchcase(stage, glob))
    return max([trust.threshold, *fits])
