"""The SSH agents and keys that a Dockerfile mounts, as options of buildx.

A stage declares them by ``ssh`` in ``stages.toml``. They are part of no key, record or layer: a step talks to
the agent through a socket, which is mounted while the step runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.files import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..keys.spec import NodeSpec

#: The variable that names the socket of the user's agent.
AGENT = "SSH_AUTH_SOCK"


def lack(paths: tuple[str, ...], root: Path) -> str:
    """Why an agent or key cannot be used here; "" if it can. Without ``paths``, it is the user's agent."""
    if not paths:
        socket = os.environ.get(AGENT, "")
        if not socket:
            return f"the variable {AGENT} is not set: no SSH agent runs here"
        return "" if Path(socket).exists() else f"{AGENT} names {socket}, which does not exist"
    missing = [path for path in _absolute(paths, root) if not os.access(path, os.R_OK)]
    return f"{missing[0]} does not exist, or cannot be read" if missing else ""


def given(spec: NodeSpec) -> dict[str, tuple[str, ...]]:
    """The agents and keys that a build gets: those that steps mount, or all if only the build knows."""
    needed = spec.analysis.needed("ssh")
    agents = sorted(spec.config.run_options.ssh.items())
    return {name: paths for name, paths in agents if spec.analysis.needs_all or name in needed}


def ssh_options(spec: NodeSpec, root: Path, warn: Callable[[str], None]) -> Iterator[str]:
    """The options for the SSH agents of one node; paths are relative to ``root``.

    One that cannot be used here gets no option. Steps that require it fail (``requirements``).
    """
    for name, paths in given(spec).items():
        if why := lack(paths, root):
            warn(f"{spec.node}: ssh {name}: {why}; steps that do not require it run without it")
        else:
            yield f"--ssh={'='.join([name, *filter(None, [','.join(_absolute(paths, root))])])}"


def _absolute(paths: tuple[str, ...], root: Path) -> list[str]:
    return [str(root / expanded(path)) for path in paths]
