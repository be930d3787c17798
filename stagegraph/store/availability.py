"""The state of one registry during a run: which errors have ended its use, and for what.

A run goes on without a registry that fails. The first error is reported, once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..errors import LoginError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import StagegraphError


class Availability:
    """The errors that ended the use of a registry; each is None while there was none. Safe for threads.

    ``unreachable``: the registry is neither read nor written any more. ``unwritable``: it is still read.
    ``unreadable``: it wants a login for reading, but may be written. Registries answer so for a repository
    that its first push will create (Docker Hub: "requested access to the resource is denied").
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self._lock = threading.Lock()
        self.unreachable: StagegraphError | None = None
        self.unreadable: StagegraphError | None = None
        self.unwritable: StagegraphError | None = None

    @property
    def read_error(self) -> StagegraphError | None:
        """Why the registry is not read any more; None while it is."""
        return self.unreachable or self.unreadable

    @property
    def write_error(self) -> StagegraphError | None:
        """Why the registry is not written any more; None while it is."""
        return self.unwritable or self.unreachable

    @property
    def is_tolerated(self) -> bool:
        """Return whether the registry is unreachable, and not for a setting that the user can fix."""
        return self.unreachable is not None and not isinstance(self.unreachable, RefusedError)

    @property
    def is_write_error_lasting(self) -> bool:
        """Return whether writing failed for another reason than a registry that does not answer."""
        error = self.write_error
        return error is not None and (
            isinstance(error, LoginError | RefusedError) or error is self.unwritable
        )

    def read_failed(self, error: StagegraphError) -> None:
        """Stop reading; also stop writing, unless the registry only wants a login."""
        login = isinstance(error, LoginError)
        with self._lock:
            first = self._is_first()
            if login:
                self.unreadable = self.unreadable or error
            else:
                self.unreachable = self.unreachable or error
            if first:
                self.warn(f"continuing without {'reading ' if login else ''}the registry: {error}")

    def write_failed(self, error: StagegraphError) -> None:
        """Stop writing."""
        with self._lock:
            if self._is_first():
                self.warn(f"continuing without writing to the registry: {error}")
            self.unwritable = self.unwritable or error

    def _is_first(self) -> bool:
        return not (self.unreachable or self.unreadable or self.unwritable)
