"""The effect of triggers (ONBUILD) of start images on a node's own build.

Pure. BuildKit runs them in the child's build, where they read its context, arguments and secrets
(https://docs.docker.com/reference/dockerfile/#onbuild).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..dockerfile.arguments import declared_args
from ..dockerfile.needs import needs_of_trigger
from ..oci.platform import build_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..dockerfile.dependencies import DockerfileAnalysis
    from ..dockerfile.instructions import Instruction
    from ..dockerfile.needs import Need
    from ..oci.platform import OciPlatform


class Triggers(NamedTuple):
    """Triggers that a node's start images leave for its build.

    ``args`` are the arguments that they declare; None if these are not known, as for an external image.
    ``needs`` are what they need of the machine that builds, as far as it is known.
    """

    args: frozenset[str] | None
    needs: tuple[Need, ...] = ()

    @classmethod
    def of(cls, instructions: Sequence[Instruction]) -> Triggers:
        declared = declared_args(instructions)
        needs = tuple(need for trigger in instructions for need in needs_of_trigger(trigger))
        return cls(None if declared is None else frozenset(declared), needs)

    def may_declare(self, arg: str) -> bool:
        """Return True if a trigger may declare this argument."""
        return self.args is None or arg in self.args

    def applied(
        self,
        analysis: DockerfileAnalysis,
        candidates: Mapping[str, str],
        build_platform: OciPlatform,
    ) -> DockerfileAnalysis:
        """Return the analysis with what the triggers may use: arguments (``candidates``), and all that
        is declared of secrets, SSH agents and entitlements.

        BUILDPLATFORM and the like are sent with the values that the key holds, so that the result does not
        depend on the builder. Raises ``DockerfileError`` where that would override a default.
        """
        of_builder = build_args("BUILD", build_platform)
        of_builder = {name: value for name, value in of_builder.items() if self.may_declare(name)}
        for arg in (i for i in analysis.instructions if i.cmd == "ARG"):
            defaults = {word.partition("=")[0] for word in arg.value if "=" in word}
            if both := of_builder.keys() & defaults:
                what = f"ARG {min(both)} has a default here, while a trigger may use BuildKit's own value"
                raise arg.error(what, "rename this argument")
        given = {name: value for name, value in candidates.items() if self.may_declare(name)}
        *others, last = analysis.build_stages
        return analysis._replace(
            args={**of_builder, **given, **analysis.args},
            sources=None,
            needs=(*analysis.needs, *self.needs),
            needs_all=True,
            build_stages=(*others, last._replace(has_run=True)),
            from_only_args=frozenset(),
            has_run=True,
            uses_target_name=True,
            installs_packages=True,
        )
