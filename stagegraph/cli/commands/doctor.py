"""``doit doctor``: what this machine has of what the project needs. Works outside a project, too."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...errors import ProjectError
from ...host import docker, doctor, emulation
from ...host.advice import Advice
from ...host.doctor import Needs
from ...oci.platform import OciPlatform, family
from ...output import write_exact
from ...project.model import Bootstrap
from ..app import command_line_settings
from ..help import Example
from .base import Detached, JsonOption, print_json
from .errors import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...project.model import Platform, Project

_T = TypeVar("_T")

_OPTIONAL = {
    "skopeo": "needed with a registry",
    "mmdebstrap": "needed for a base that is bootstrapped",
    "arch-test": "needed for such a base of another processor",
}


class Doctor(Detached[JsonOption]):
    """It reads no ``dodo.py``, so that it also works where there is no project."""

    section = "maintain"
    place = Place.ANYWHERE
    doc_purpose = "show what this machine has, what is missing, and how to fix it"
    doc_usage = ""
    doc_description = (
        "Looks at Docker, buildx, builders, emulation of the project's platforms, tools, the registry "
        "and free space. It changes nothing. Without a stages.toml it looks at what every project "
        "needs.\n\n"
        "The exit status is 1 if something that the project needs is missing."
    )
    examples = (Example("doctor", "look at this machine"), Example("doctor --json", "the same for a program"))

    def answer(self, words: list[str], options: JsonOption) -> int:
        if words:
            raise ProjectError(
                "command line", f"doit doctor takes no goal: {words[0]!r}", "doit doctor --help"
            )
        checks = doctor.examine(_needs(_project(Path())), Advice())
        if not options.json:
            return doctor.report(checks)
        found = [*checks]
        print_json({"schema": 1, "checks": [one.to_json() for one in found]})
        return int(any(one.state == "missing" for one in found))


def _project(root: Path) -> Project | None:
    """The project in a folder, None if there is none. Raises ``ProjectError`` if it cannot be read."""
    from ...execution.hidden import hide_known
    from ...project import loader

    if not (root / loader.FILE).exists():
        return None
    project = loader.load(root, command_line_settings(), os.environ)
    hide_known(project)
    return project


def _needs(project: Project | None) -> Needs:
    if project is None:
        return Needs(Path.cwd(), optional=tuple(_OPTIONAL.items()))
    named = [p for p in project.platforms.values() if p.builders]
    current = [p.docker for p in project.platforms.values() if not p.builders]
    bootstrapped = [p.docker for p in project.platforms.values() if _bootstraps(project, p)]
    local = [] if docker.socket_path() is None else current
    tools = ["skopeo"] * bool(project.settings.registry)
    tools += ["mmdebstrap"] * bool(bootstrapped) + ["arch-test"] * bool(_foreign(bootstrapped))
    return Needs(
        project.root.absolute(),
        platforms=_unique(current),
        builders=_unique(name for p in named for name in p.builders),
        placed=_unique((p.docker, p.builders) for p in named),
        emulated=_unique(_foreign([*local, *bootstrapped])),
        bootstrapped=_unique(bootstrapped),
        tools=tuple(tools),
        optional=tuple((name, purpose) for name, purpose in _OPTIONAL.items() if name not in tools),
        registry=_url(project.settings.registry),
    )


def _bootstraps(project: Project, platform: Platform) -> bool:
    return isinstance(project.bases[platform.name], Bootstrap)


def _foreign(platforms: Iterable[str]) -> list[str]:
    """OCI platforms of other processors than this machine's."""
    own = family(emulation.host_platform())
    return [platform for platform in platforms if family(OciPlatform(platform)) != own]


def _unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))


def _url(registry: str) -> str:
    """The address of a registry, which is named as for docker: plain HTTP on this machine only."""
    if not registry:
        return ""
    from ...store.repository import insecure

    host = registry.partition("/")[0]
    scheme = "http" if insecure(f"{host}/") else "https"
    return f"{scheme}://{'registry-1.docker.io' if host == 'docker.io' else host}"


def print_builders(root: Path) -> None:
    """Print the builders that a project names, for ``./run doctor``."""
    project = _project(root)
    write_exact(sys.stdout, json.dumps(_needs(project).builders if project else []) + "\n")


if __name__ == "__main__":
    print_builders(Path(sys.argv[1]))
