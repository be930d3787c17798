"""Where records and blobs live: ``layout`` (``cache/``), ``registry``, ``engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..record import Record


class Store(Protocol):
    """Records by key. What ``find`` gives is complete and intact, or it is not given.

    ``layout`` is the store that builds read and write; others exchange whole images with it.
    """

    def find(self, key: str) -> Record | None:
        """The record for a recipe or content key."""

    def put(self, record: Record) -> None:
        """Make a record findable; its blobs must be there already (layout) or are sent first (registry)."""

    def list(self) -> Iterator[Record]:
        """Every record that can be believed."""

    def delete(self, key: str) -> None:
        """Forget a record. Blobs stay until they are pruned."""
