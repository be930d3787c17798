"""Context sources: the paths of the build context that COPY, ADD and bind mounts read.

Pure. Where a path depends on something that only the build knows, the answer is the safe one: the whole
context. Rules are BuildKit's (https://docs.docker.com/reference/dockerfile/#copy).

A file that COPY names reaches the key this way: ``analysis`` passes each instruction that counts to this
module, which finds the sources. ``context.selection`` selects and hashes their files, ``graph.reader`` puts
them into the ``NodeSpec``, and ``keys.inputs`` adds one input for each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .pins import is_remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .expansion import Expander
    from .instructions import Instruction
    from .variables import Scope

#: A mode that replaces a file's own; others (``u+x``) may add to it.
_FULL_MODE = re.compile(r"[0-7]{1,4}")


class ContextSources:
    """The sources of one Dockerfile, collected instruction by instruction."""

    def __init__(self, expander: Expander) -> None:
        self._expander = expander
        self._paths: list[tuple[str, int]] = []
        self._chmod_paths: list[tuple[str, int]] = []
        self._all = False

    @property
    def paths(self) -> tuple[tuple[str, int], ...] | None:
        """Paths or patterns with their lines; None for the whole context."""
        return None if self._all else tuple(dict.fromkeys(self._paths))

    @property
    def chmod_paths(self) -> tuple[tuple[str, int], ...]:
        """Paths of instructions with ``--chmod=644`` and the like; these are not among ``paths``."""
        return () if self._all else tuple(dict.fromkeys(self._chmod_paths))

    def take_all(self) -> None:
        """Take the whole context, since only the build knows what is read."""
        self._all = True

    def add_copy(self, instruction: Instruction, scope: Scope) -> None:
        """Add the sources of a COPY or ADD from the context."""
        if any(flag.partition("=")[0] == "--parents" for flag in instruction.flags):
            self.take_all()  # its patterns are others: "**" is of any depth
        paths = self._chmod_paths if _FULL_MODE.fullmatch(instruction.flag("chmod") or "") else self._paths
        for raw in instruction.sources:
            source = self._expander.expand(raw, scope, instruction)
            if source is None:
                self.take_all()
            elif instruction.cmd == "COPY" or not is_remote(source):
                paths.append((source, instruction.line))

    def add_mount(self, mount: Mapping[str, str], instruction: Instruction, scope: Scope) -> None:
        """Add the source of a bind mount from the context."""
        source = self._expander.expand(mount.get("source") or ".", scope, instruction)
        if source is None:
            self.take_all()
        else:
            self._paths.append((source, instruction.line))
