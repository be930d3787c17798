"""Names in a Dockerfile -> places, so that renaming an image or build stage does not change a key.

Pure. A name of FROM, ``--from`` or a mount's ``from`` only selects an image or build stage. Neither that name
nor an alias is in the image or its history. So a key holds places: of an image among the edges, of a build
stage among those that the target needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..oci.platform import NO_PLATFORM
from ..oci.reference import familiar, is_bare
from .dependencies import Edge
from .instructions import mount_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..oci.platform import OciPlatform
    from .instructions import Instruction
    from .stages import BuildStage, BuildStages


class Edges:
    """The images and stages that a Dockerfile takes from, in the order in which it first names them."""

    def __init__(self, docker: OciPlatform) -> None:
        self._docker = docker
        self._edges: dict[tuple[str, OciPlatform, bool], Edge] = {}

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._edges.values())

    def add(self, name: str, platform: OciPlatform, line: int, *, is_from: bool) -> None:
        """Add a name, unless it is ``scratch``, which is no image."""
        if name == "scratch":
            return
        key = self._key(name, platform, is_from)
        known, bare = self._edges.get(key), is_bare(name)
        if known is None or (bare and not known.bare):
            self._edges[key] = Edge(key[0], key[1], line, is_from, bare)

    def place(self, name: str, platform: OciPlatform, *, is_from: bool) -> int:
        """Return the place of a name that was added."""
        return list(self._edges).index(self._key(name, platform, is_from))

    def _key(self, name: str, platform: OciPlatform, is_from: bool) -> tuple[str, OciPlatform, bool]:
        return familiar(name), NO_PLATFORM if platform == self._docker else platform, is_from


class Places:
    """The places of all names in one Dockerfile."""

    def __init__(self, edges: Edges, stages: BuildStages, reached: Sequence[BuildStage]) -> None:
        self._edges, self._stages = edges, stages
        self._numbers = {stage.index: number for number, stage in enumerate(reached)}

    def placed(self, stage: BuildStage) -> Iterator[Instruction]:
        """The instructions of a build stage, with places where they have names."""
        parent = self._stages.parent(stage)
        start = self._place(stage.base, parent, stage.platform, is_from=True)
        yield stage.start._replace(placed=("FROM", "", False, (), (start,), (), ""))
        for step in stage.body:
            flags = tuple(self._flag(step, flag, stage) for flag in step.flags)
            if flags == step.flags:
                yield step
                continue
            cmd, sub, as_json, _, *rest = step.canonical
            yield step._replace(placed=(cmd, sub, as_json, flags, *rest))

    def _flag(self, step: Instruction, flag: str, stage: BuildStage) -> object:
        name, _, value = flag.partition("=")
        if step.cmd in ("COPY", "ADD") and name == "--from" and value:
            return f"{name}={self._copied_from(value, step, stage)}"
        fields = mount_fields(value) if step.cmd == "RUN" and name == "--mount" else {}
        if not fields.get("from"):
            return flag
        return tuple(sorted({**fields, "from": self._copied_from(fields["from"], step, stage)}.items()))

    def _copied_from(self, name: str, step: Instruction, stage: BuildStage) -> str:
        return self._place(name, self._stages.copied_from(name, step, stage), NO_PLATFORM, is_from=False)

    def _place(self, name: str, stage: BuildStage | None, platform: OciPlatform, *, is_from: bool) -> str:
        """Return the place as keys hold it; keys call a build stage a part."""
        if stage is not None:
            return f"part {self._numbers[stage.index]}"
        return name if name == "scratch" else f"edge {self._edges.place(name, platform, is_from=is_from)}"
