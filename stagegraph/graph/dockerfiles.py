"""The Dockerfiles of a project: each text is read once, each analysis computed once.

Knows nothing of keys, the lock or contexts. Safe for threads if the caller holds one lock.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..dockerfile.analysis import BuildOptions, analyse
from ..dockerfile.arguments import declared_args
from ..dockerfile.instructions import parse
from ..dockerfile.triggers import triggers
from ..errors import DockerfileError
from ..project import stacks
from ..system import bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from ..dockerfile.dependencies import DockerfileAnalysis
    from ..dockerfile.instructions import Instruction
    from ..oci.platform import OciPlatform
    from ..project.model import Node, Project, StageConfig

_STACK_HINT = "this stage is built only in a stack: list it in the stack of an image in stages.toml"


class Dockerfiles:
    """Texts, analyses and triggers of the Dockerfiles of a project.

    A node's key and the triggers of its children come from the same text. ``build_platform`` is the OCI
    platform that keys hold for BUILDPLATFORM.
    """

    def __init__(self, project: Project, build_platform: OciPlatform) -> None:
        self._project, self._build_platform = project, build_platform
        self._texts: dict[str, str] = {}
        self._analyses: dict[Node, DockerfileAnalysis] = {}

    def text(self, config: StageConfig) -> str:
        """Return the text of a Dockerfile. Raises ``DockerfileError``."""
        name = config.dockerfile_path
        if name not in self._texts:
            # as it is: with its own line ends
            try:
                self._texts[name] = bounded.read_path(self._project.root / name).decode("utf-8")
            except UnicodeDecodeError as error:
                raise DockerfileError(name, f"is not UTF-8: {error}") from None
            except OSError as error:
                raise DockerfileError(name, f"cannot be read: {error.strerror}") from None
        return self._texts[name]

    def analysis(self, node: Node, config: StageConfig) -> DockerfileAnalysis:
        """Return the analysis of a node's Dockerfile. Raises ``DockerfileError``."""
        if node not in self._analyses:
            text, name = self.text(config), config.dockerfile_path
            options = BuildOptions(
                docker=self._project.platforms[node.platform].docker,
                build_platform=self._build_platform,
                args=tuple(_nameable(config.args, _declared(text, name)).items()),
                target=config.target,
                allow_unpinned=config.unpinned,
                hints=((stacks.ARGUMENT, _STACK_HINT),),
            )
            self._analyses[node] = analyse(text, name, options)
        return self._analyses[node]

    def triggers(self, config: StageConfig) -> tuple[Instruction, ...]:
        """Return the triggers (ONBUILD) of a stage. Raises ``DockerfileError``.

        Reads the text alone: in a cycle, the analysis of a parent leads back to its child.
        """
        return _triggers(self.text(config), config.dockerfile_path, config.target)


_triggers = cache(triggers)


@cache
def _declared(text: str, name: str) -> Set[str] | None:
    """Return the arguments that a Dockerfile can name; None if that cannot be told."""
    return declared_args(parse(text, name)[0])


def _nameable(args: Mapping[str, str], declared: Set[str] | None) -> Mapping[str, str]:
    """Return the arguments that a Dockerfile can name. Platforms that differ in others share its analysis."""
    return args if declared is None else {arg: value for arg, value in args.items() if arg in declared}
