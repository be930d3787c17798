"""What doit remembers of tasks, kept in memory: a backend that doit finds through its entry point.

Apart from ``tasks``, which reads the project when it is imported: doit loads every backend in every folder.
"""

from __future__ import annotations

from typing import Any

from doit.dependency import JsonDB


class MemoryDB(JsonDB):  # type: ignore[misc]
    """What doit remembers of tasks, forgotten at the end: every question here goes to the stores.

    A file would be torn by a kill in its writing, and by two calls at once.
    """

    desc = "nothing is kept"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:  # noqa: ARG002
        self.name, self.codec = name, codec
        self._db: dict[str, Any] = {}

    def dump(self) -> None:
        """Nothing is kept."""
