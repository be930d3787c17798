"""The steps of a job, the same for every service; ``circleci`` and ``github`` write them in their formats.

With a registry, it passes nodes from job to job and from run to run. Without one, the service's cache keeps
``cache/`` between runs, and its workspace (artifacts) takes nodes to the jobs that need them. A pull request
from a fork writes neither to the registry nor to caches that others read, so it uses the workspace, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import CIConfig, ImageTargets, Job

#: The folder of key files, and the folder of nodes that jobs pass on.
KEYS, HANDOVER = "cache-keys", "handover"

#: A file that lists ``cache/``: a cache with the same list need not be saved again. Damaged blobs are listed,
#: since they were saved, too.
STATE = f"{KEYS}/state"

#: The variable with the user's name at the registry.
USER = "REGISTRY_USER"

_WIDTH = 100


@dataclass(frozen=True)
class Run:
    """A shell command. ``always``: it runs even if an earlier step failed. ``silent``: it may print nothing
    for as long as a compiler does. ``secrets`` are variables that only this step gets."""

    name: str
    command: str
    always: bool = False
    silent: bool = False
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkout:
    """Check out the project at the commit. ``whole``: with its history and the tags of git."""

    whole: bool = False


@dataclass(frozen=True)
class ForkReadsOnly:
    """Turn off pushes from here on if this run is for a pull request from a fork."""


@dataclass(frozen=True)
class Restore:
    """Restore the newest saved ``cache/`` of a name, preferably one with the same keys."""

    name: str


@dataclass(frozen=True)
class Save:
    """Save ``cache/`` under a name, its keys and its contents, even if an earlier step failed.

    The same contents are not saved twice. Nobody else may get the nodes of a fork's pull request.
    """

    name: str


@dataclass(frozen=True)
class DownloadWorkspace:
    """Get the nodes of earlier jobs, in one folder each below ``handover/``."""


@dataclass(frozen=True)
class UploadWorkspace:
    """Give ``handover/NAME`` to later jobs. ``forks``: only if the run is for a fork's pull request."""

    name: str
    forks: bool


Step = Run | Checkout | ForkReadsOnly | Restore | Save | DownloadWorkspace | UploadWorkspace


def build(job: Job, config: CIConfig) -> list[Step]:
    """The steps of a job that builds."""
    # a registry has the nodes that later jobs need; for a workspace this job must get them, even if it
    # reuses the nodes that are based on them
    targets = job.targets if config.registry else tuple(dict.fromkeys((*job.targets, *job.exported)))
    return build_targets(job.name, targets, config, downloads=bool(job.needs), uploads=bool(job.exported))


def build_targets(
    name: str, targets: Iterable[str], config: CIConfig, *, downloads: bool, uploads: bool
) -> list[Step]:
    """The steps of a job that builds these targets, which may be expressions of the service."""
    targets, command, caches = list(targets), config.command, not config.registry
    steps: list[Step] = [*start(config)]
    if downloads:
        steps.append(DownloadWorkspace())
    if caches:
        steps += [Run("Write the keys", wrapped(f"{command} keys --write {KEYS}", targets)), Restore(name)]
    if downloads:
        steps.append(Run("Take over what earlier jobs have made", _TAKE_OVER))
    build = f"timeout --kill-after=60 {config.stopped}m {command}"
    steps.append(Run("Build and test", wrapped(build, targets), silent=True, secrets=config.secrets))
    if caches:
        prune = _with_state(wrapped(f"{command} prune --keep-current", targets))
        steps.append(Run("Leave out of cache/ what is not current", prune, always=True))
    if uploads:
        export = Run("Hand on", _export(name, forks=not caches))
        steps += [export, UploadWorkspace(name, forks=not caches)]
    if caches:
        steps.append(Save(name))
    return steps


def settings(config: CIConfig, push: str) -> dict[str, str]:
    """The environment of a job: nothing is pinned; the registry, and what is pushed to it."""
    registry = {"STAGEGRAPH_REGISTRY": config.registry, "STAGEGRAPH_PUSH": push} if config.registry else {}
    return {"STAGEGRAPH_LOCKED": "1", **registry}


def start(config: CIConfig) -> list[Step]:
    """The first steps of every job."""
    steps: list[Step] = [Checkout(config.whole_history)]
    if config.prepare:
        steps.append(Run("Prepare the machine", config.prepare))
    if config.registry:
        login = (
            '[ -z "${REGISTRY_PASSWORD:-}" ] ||\n'
            '  printf %s "$REGISTRY_PASSWORD" |\n'
            f'  docker login --username "${USER}" --password-stdin {config.registry.partition("/")[0]}'
        )
        steps += [ForkReadsOnly(), Run("Log in", login, secrets=(USER, "REGISTRY_PASSWORD"))]
    return steps


def publish(images: ImageTargets, config: CIConfig) -> list[Step]:
    """The steps of the one job that publishes: it pulls the images from the registry and sets their tags."""
    return [
        *start(config),
        Run("Fetch the images", wrapped(config.command, images.targets), silent=True, secrets=config.secrets),
        Run("Publish", wrapped(f"{config.command} publish", images.images)),
    ]


def check(config: CIConfig) -> list[Step]:
    """The steps of the job that runs the project's own check."""
    prepare = [Run("Prepare the machine", config.prepare)] if config.prepare else []
    return [Checkout(), *prepare, Run("Check", config.check, silent=True)]


def _with_state(prune: str) -> str:
    listed, passing = "LC_ALL=C ls -R", "2>/dev/null || :"
    return (
        f"{listed} cache/damaged >{STATE} {passing}\n{prune}\n"
        f"{listed} cache/records cache/blobs >>{STATE} {passing}"
    )


_TAKE_OVER = f"""\
mkdir -p cache
for folder in {HANDOVER}/*/; do
  [ ! -d "$folder/blobs" ] || tar -C "$folder" -c . | tar -C cache -x --skip-old-files
done"""


def _export(name: str, *, forks: bool) -> str:
    folder = f"{HANDOVER}/{name}"
    copy = f"rm -rf {folder}\nmkdir -p {HANDOVER}\ncp -al cache {folder}"
    if not forks:
        return copy
    skip = f'if [ "${{STAGEGRAPH_PUSH:-}}" != never ]; then\n  mkdir -p {folder}\n'
    return f"{skip}  echo 'see the registry' >{folder}/where\n  exit\nfi\n{copy}"


def wrapped(command: str, words: Iterable[str]) -> str:
    """A command and its arguments, in lines of some hundred characters."""
    lines = [command]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n ".join(lines)
