"""What steps need beside files and images, and what is wrong with it before anything is built.

``doit plan`` reports it for each node that a run would build. A run reports what the project's files lack
before it builds the parents of a node, and what this machine lacks before it builds the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProjectError, nearest
from . import ssh
from .secrets import AUTHORITIES, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..dockerfile.needs import Need
    from ..keys.spec import NodeSpec
    from ..project.model import Secret


def check(spec: NodeSpec, secrets: Mapping[str, Secret], root: Path) -> None:
    """Raise ``ProjectError`` for the first thing that is not declared, or that this machine lacks."""
    for error in (*undeclared(spec, secrets), *missing(spec, secrets, root)):
        raise error


def undeclared(spec: NodeSpec, secrets: Mapping[str, Secret]) -> Iterator[ProjectError]:
    """The errors for what steps need and ``stages.toml`` does not declare. The project's files decide this.

    A secret that is mounted must be declared, also if no step requires it: otherwise a slip in its name would
    go unnoticed. An SSH agent only if a step requires it: ``--mount=type=ssh`` alone has no name.
    """
    options = spec.config.run_options
    for need in spec.analysis.needs:
        if need.kind == "secret" and need.name not in (*secrets, AUTHORITIES):
            what = f"mounts a secret {need.name!r}, which is not declared"
            hint = f"declare it in stages.toml: [secrets.{need.name}] with file or env"
            yield _error(spec, need, what, f"{hint}; {nearest(need.name, secrets)}")
        elif need.kind == "ssh" and need.required and need.name not in options.ssh:
            what = f"{need.step} requires the SSH agent {need.name!r}, which the stage does not declare"
            near = f"; it declares {', '.join(sorted(options.ssh))}" if options.ssh else ""
            yield _error(spec, need, what, f"{_write('ssh', need.name, spec)}{near}")
        elif need.kind == "entitlement" and need.name not in options.allow:
            what = f"{need.step} needs the entitlement {need.name}, which the stage does not declare"
            yield _error(spec, need, what, _write("allow", need.name, spec))
    if spec.config.network == "host" and spec.analysis.has_run and "network.host" not in options.allow:
        what = f'{spec.node}: network = "host" needs the entitlement network.host'
        yield ProjectError(spec.config.declared_at, what, _write("allow", "network.host", spec))


def missing(spec: NodeSpec, secrets: Mapping[str, Secret], root: Path) -> Iterator[ProjectError]:
    """The errors for what steps require and this machine does not have."""
    agents = spec.config.run_options.ssh
    for need in spec.analysis.needs:
        known = (*secrets, AUTHORITIES) if need.kind == "secret" else agents
        if not need.required or need.kind == "entitlement" or need.name not in known:
            continue
        if need.kind == "secret":
            lack = source(secrets.get(need.name), root).lack
            noun, hint = "secret", f"give it a value, or change [secrets.{need.name}] in stages.toml"
        else:
            lack = ssh.lack(agents[need.name], root)
            noun, hint = (
                "SSH agent",
                'start one: eval "$(ssh-agent)" && ssh-add; or name a key: ssh = ["NAME=PATH"]',
            )
        if lack:
            yield _error(spec, need, f"{need.step} requires the {noun} {need.name!r}: {lack}", hint)


def _error(spec: NodeSpec, need: Need, what: str, hint: str) -> ProjectError:
    return ProjectError(need.where, f"{spec.node}: {what}", hint)


def _write(key: str, value: str, spec: NodeSpec) -> str:
    where = f"for the stage ({spec.config.declared_at})" if spec.config.declared_at else "for the stage"
    return f'write {key} = ["{value}"] {where}, or in [defaults]'
