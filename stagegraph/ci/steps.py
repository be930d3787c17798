"""The steps of a job, the same for every service; ``circleci`` and ``github`` write them in their formats.

With a registry, it passes nodes from job to job and from run to run. Without one, the service's cache keeps
``cache/`` between runs, and its workspace (artifacts) takes nodes to the jobs that need them. A pull request
from a fork writes neither to the registry nor to caches that others read, so it uses the workspace, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import CIConfig, ImageTargets, Job

#: The folder of key files, and the folder of nodes that jobs pass on.
KEYS, HANDOVER = "cache-keys", "handover"

#: A file that lists ``cache/``: a cache with the same list need not be saved again. Damaged blobs are listed,
#: since they were saved, too.
STATE = f"{KEYS}/state"

#: What the run of this job did; no other job may take it for its own.
RESULTS = "cache/last-run.json"

#: The variable with the user's name at the registry.
USER = "REGISTRY_USER"

#: A report that takes longer than this is left out.
_REPORT = "timeout 5m"

#: What a job prints if a report fails; the job goes on.
NO_REPORT = "there is no report: see the error above"

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
class Show:
    """Show the Markdown that a command prints: in the job's summary, or as an artifact called ``FILE.md``.

    The job goes on if the command fails. ``always``: it runs even if an earlier step failed. ``compares``:
    the variable ``SINCE`` is the revision of git to compare with, if the service knows one. ``secrets`` are
    variables that only this step gets.
    """

    name: str
    command: str
    file: str
    always: bool = False
    compares: bool = False
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


Step = Run | Show | Checkout | ForkReadsOnly | Restore | Save | DownloadWorkspace | UploadWorkspace


def build(job: Job, config: CIConfig, compared: ImageTargets | None = None) -> list[Step]:
    """The steps of a job that builds. With ``compared``, it also shows the plan of the whole pipeline."""
    # a registry has the nodes that later jobs need; for a workspace this job must get them, even if it
    # reuses the nodes that are based on them
    targets = job.targets if config.registry else tuple(dict.fromkeys((*job.targets, *job.exported)))
    downloads, uploads = bool(job.needs), bool(job.exported)
    wanted = Wanted(job.name, tuple(targets), job.stem, compared.targets if compared else ())
    return build_targets(wanted, config, downloads=downloads, uploads=uploads)


class Wanted(NamedTuple):
    """What a job builds. Name and targets may be expressions of the service.

    ``cache`` is the name of its saved caches. ``compared`` are the targets whose plan it shows, with the
    edits since an earlier commit; none for its own targets without the edits.
    """

    name: str
    targets: tuple[str, ...]
    cache: str = ""
    compared: tuple[str, ...] = ()


def build_targets(wanted: Wanted, config: CIConfig, *, downloads: bool, uploads: bool) -> list[Step]:
    """The steps of a job that builds targets."""
    targets, command, caches = wanted.targets, config.command, not config.registry
    steps: list[Step] = [*start(config, whole=bool(wanted.compared))]
    if downloads:
        steps.append(DownloadWorkspace())
    if caches:
        keys = Run("Write the keys", wrapped(f"{command} keys --write {KEYS}", targets))
        steps += [keys, Restore(wanted.cache)]
    if downloads:
        steps.append(Run("Take over what earlier jobs have made", _TAKE_OVER))
    steps.append(plan(targets, config, wanted.compared))
    build = f"timeout --kill-after=60 {config.stopped}m {command}"
    steps.append(Run("Build and test", wrapped(build, targets), silent=True, secrets=config.secrets))
    steps.append(_summary(wanted.name, config))
    if caches:
        prune = _with_state(wrapped(f"{command} prune --keep-current", targets))
        steps.append(Run("Leave out of cache/ what is not current", prune, always=True))
    if uploads:
        export = Run("Hand on", _export(wanted.name, forks=not caches))
        steps += [export, UploadWorkspace(wanted.name, forks=not caches)]
    if caches:
        steps.append(Save(wanted.cache))
    return steps


def plan(targets: Iterable[str], config: CIConfig, compared: Iterable[str] = ()) -> Step:
    """The step that shows the plan of some targets; for ``compared`` ones, since an earlier commit.

    It gets the build secrets, because a plan reports those that are missing.
    """
    command, compared = f"{_REPORT} {config.command} plan --markdown", tuple(compared)
    script = wrapped(command, targets)
    if compared:
        known = 'git rev-parse --quiet --verify "$SINCE^{commit}" >/dev/null'
        since = wrapped(f'{command} --since "$SINCE"', compared)
        script = f"if {known}; then\n{_indented(since)}\nelse\n{_indented(script)}\nfi"
    return Show("Show the plan", script, "plan", compares=bool(compared), secrets=config.secrets)


def _summary(name: str, config: CIConfig) -> Step:
    limit = f" --limit {config.limit}" if config.limit_overridden else ""
    command = f"{_REPORT} {config.command} summary --job {name}{limit}"
    return Show("Show what was built, and why", command, "summary", always=True)


def _indented(script: str) -> str:
    return "\n".join(f"  {line}" for line in script.splitlines())


def settings(config: CIConfig, push: str) -> dict[str, str]:
    """The environment of a job: nothing is pinned; the registry, and what is pushed to it."""
    registry = {"STAGEGRAPH_REGISTRY": config.registry, "STAGEGRAPH_PUSH": push} if config.registry else {}
    return {"STAGEGRAPH_LOCKED": "1", **registry}


def start(config: CIConfig, *, whole: bool = False) -> list[Step]:
    """The first steps of every job. ``whole``: with the history of git."""
    steps: list[Step] = [Checkout(whole or config.whole_history)]
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
    """``prune``, and a list of what is saved. The results of this run are no results of the next one."""
    listed, passing = "LC_ALL=C ls -R", "2>/dev/null || :"
    return (
        f"rm -f {RESULTS}\n{listed} cache/damaged >{STATE} {passing}\n{prune}\n"
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
    return f"{skip}  echo 'see the registry' >{folder}/where\n  exit\nfi\nrm -f {RESULTS}\n{copy}"


def wrapped(command: str, words: Iterable[str]) -> str:
    """A command and its arguments, in lines of some hundred characters."""
    lines = [command]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n ".join(lines)
