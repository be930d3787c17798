"""The entitlements that builders grant. Asked only for nodes whose steps need one.

No command of buildx lists them, so an empty build asks for one. BuildKit refuses a build for an entitlement
that it does not grant, before it reads anything (``WhiteList`` in
https://github.com/moby/buildkit/blob/master/util/entitlements/entitlements.go).
"""

from __future__ import annotations

import re
import tempfile
from typing import TYPE_CHECKING

from ..docker import buildx
from ..errors import BuilderError
from ..system.processes import run
from .causes import GRANT_ADVICE, NOT_GRANTED
from .command import entitlements
from .place import Placement

if TYPE_CHECKING:
    from ..keys.spec import NodeSpec

#: Seconds until no answer counts as none.
_TIMEOUT = 30


class Grants:
    """Asks builders which entitlements they grant, each once. Starts no builder."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], bool] = {}

    def refusals(self, spec: NodeSpec) -> list[BuilderError]:
        """Return the errors for entitlements that none of the node's builders grants.

        A builder that does not run, or does not answer, may grant all.
        """
        builders = spec.platform.builders or ("",)
        return [
            BuilderError(
                str(spec.node),
                f"{_names(builders)} does not grant the entitlement {name}, which {_step(spec, name)} needs",
                GRANT_ADVICE,
            )
            for name in sorted(entitlements(spec))
            if all(self._refuses(builder, name) for builder in builders)
        ]

    def _refuses(self, builder: str, name: str) -> bool:
        question = builder, name
        if question not in self._refused:
            self._refused[question] = _refuses(builder, name)
        return self._refused[question]


def _names(builders: tuple[str, ...]) -> str:
    """Return the names of builders for a message; "" is the current one."""
    return " and ".join(f"builder {name}" if name else "the current builder" for name in builders)


def _step(spec: NodeSpec, entitlement: str) -> str:
    """Return the step that needs an entitlement, with its line."""
    needs = [need for need in spec.analysis.needs if (need.kind, need.name) == ("entitlement", entitlement)]
    return f"{needs[0].step} ({needs[0].where})" if needs else f"the stage ({spec.config.declared_at})"


def _refuses(builder: str, entitlement: str) -> bool:
    found = buildx.inspect(builder)
    if found.error or not found.is_running:
        return False
    command = [*Placement(builder, found.driver).command(), f"--allow={entitlement}"]
    with tempfile.TemporaryFile() as dockerfile:
        dockerfile.write(b"FROM scratch\n")
        dockerfile.seek(0)
        # cacheonly: an engine would keep the result as an image without a name
        done = run([*command, "--output=type=cacheonly", "-"], stdin=dockerfile, timeout=_TIMEOUT)
    return done.returncode != 0 and re.search(NOT_GRANTED, done.stderr.decode(errors="replace")) is not None
