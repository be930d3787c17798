"""doit's state of tasks, kept in memory: a backend that doit finds through its entry point.

It is a module of its own because doit loads every backend in every folder.
"""

from __future__ import annotations

from typing import Any

from doit.dependency import JsonDB


class MemoryDB(JsonDB):  # type: ignore[misc]
    """Forgets everything at the end of the process: the stores know what is built.

    A kill during a write, or two calls at once, would damage a file.
    """

    desc = "nothing is kept"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:  # noqa: ARG002
        self.name, self.codec = name, codec
        self._db: dict[str, Any] = {}

    def dump(self) -> None:
        """Write nothing."""
