"""The signing of a project without ``[trust]``: there is none, and nothing of ``signing`` is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.record import Record


class Unsigned:
    """Has the methods of ``Signing`` that a build calls."""

    def prepare(self, stage: str) -> None:
        """Do nothing."""

    def sign(self, record: Record, used: Iterable[tuple[Record, str]]) -> Record:  # noqa: ARG002
        """Return the record as it is."""
        return record
