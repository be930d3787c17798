"""What a job does, step by step, for every service alike; ``circleci`` and ``github`` write it their way.

With a registry, it hands nodes on: from job to job and from run to run. Without one, the service's cache
holds ``cache/`` between runs, and its workspace (artifacts) carries from job to job what later jobs stand on.
A pull request from a fork writes neither to the registry nor to what others read: it gets the workspace, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Goals, Job, Table

#: Where key files are written, and where a job finds what earlier ones hand on.
KEYS, HANDOVER = "cache-keys", "handover"

#: The file that says what is in ``cache/``: with the same in it, a cache needs no second saving. What was
#: found damaged counts, since that was saved.
STATE = f"{KEYS}/state"

#: The variable that holds the user's name at the registry.
USER = "REGISTRY_USER"

_WIDTH = 100


@dataclass(frozen=True)
class Run:
    """A command for a shell. ``always``: also when an earlier step has failed. ``silent``: it may say nothing
    for as long as a compiler does. ``secrets`` are variables that it alone should see."""

    name: str
    command: str
    always: bool = False
    silent: bool = False
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkout:
    """The project as it is at the commit."""


@dataclass(frozen=True)
class ForkReadsOnly:
    """From here on nothing is pushed if this run is for a pull request from a fork."""


@dataclass(frozen=True)
class Restore:
    """The newest saved ``cache/`` of a name, of these keys if there is one."""

    name: str


@dataclass(frozen=True)
class Save:
    """Save ``cache/`` under a name, these keys and what is in it; also when an earlier step has failed.

    What is saved already is not saved again. Nobody else may get what a fork's pull request has made.
    """

    name: str


@dataclass(frozen=True)
class Receive:
    """What earlier jobs have handed on, a folder each below ``handover/``."""


@dataclass(frozen=True)
class HandOn:
    """Give ``handover/NAME`` to later jobs. ``forks``: only where the run is for a fork's pull request."""

    name: str
    forks: bool


Step = Run | Checkout | ForkReadsOnly | Restore | Save | Receive | HandOn


def build(job: Job, table: Table) -> list[Step]:
    """The steps of a job that builds."""
    # a registry has what later jobs stand on; a workspace must be given it, also where its users were reused
    words = job.words if table.registry else tuple(dict.fromkeys((*job.words, *job.handed)))
    return build_words(job.name, words, table, receives=bool(job.needs), hands=bool(job.handed))


def build_words(name: str, asked: Iterable[str], table: Table, *, receives: bool, hands: bool) -> list[Step]:
    """The same for words, which may be the service's own expressions."""
    asked, command, caches = list(asked), table.command, not table.registry
    steps: list[Step] = [*start(table)]
    if receives:
        steps.append(Receive())
    if caches:
        steps += [Run("Write the keys", wrapped(f"{command} keys --write {KEYS}", asked)), Restore(name)]
    if receives:
        steps.append(Run("Take over what earlier jobs have made", _TAKE_OVER))
    build = f"timeout --kill-after=60 {table.stopped}m {command}"
    steps.append(Run("Build and test", wrapped(build, asked), silent=True, secrets=table.secrets))
    if caches:
        prune = _noting_state(wrapped(f"{command} prune --keep-current", asked))
        steps.append(Run("Leave out of cache/ what is not current", prune, always=True))
    if hands:
        steps += [Run("Hand on", _hand_on(name, forks=not caches)), HandOn(name, forks=not caches)]
    if caches:
        steps.append(Save(name))
    return steps


def settings(table: Table, push: str) -> dict[str, str]:
    """A job's environment: nothing is pinned in passing; where the registry is, and what goes there."""
    registry = {"STAGEGRAPH_REGISTRY": table.registry, "STAGEGRAPH_PUSH": push} if table.registry else {}
    return {"STAGEGRAPH_LOCKED": "1", **registry}


def start(table: Table) -> list[Step]:
    """What every job begins with."""
    steps: list[Step] = [Checkout()]
    if table.prepare:
        steps.append(Run("Prepare the machine", table.prepare))
    if table.registry:
        login = (
            '[ -z "${REGISTRY_PASSWORD:-}" ] ||\n'
            '  printf %s "$REGISTRY_PASSWORD" |\n'
            f'  docker login --username "${USER}" --password-stdin {table.registry.partition("/")[0]}'
        )
        steps += [ForkReadsOnly(), Run("Log in", login, secrets=(USER, "REGISTRY_PASSWORD"))]
    return steps


def publish(goals: Goals, table: Table) -> list[Step]:
    """The steps of the one job that publishes: images come out of the registry and get their tags."""
    return [
        *start(table),
        Run("Fetch the images", wrapped(table.command, goals.words), silent=True, secrets=table.secrets),
        Run("Publish", wrapped(f"{table.command} publish", goals.images)),
    ]


def check(table: Table) -> list[Step]:
    """The steps of the job that runs the project's own check."""
    prepare = [Run("Prepare the machine", table.prepare)] if table.prepare else []
    return [Checkout(), *prepare, Run("Check", table.check, silent=True)]


def _noting_state(prune: str) -> str:
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


def _hand_on(name: str, *, forks: bool) -> str:
    folder = f"{HANDOVER}/{name}"
    hand = f"rm -rf {folder}\nmkdir -p {HANDOVER}\ncp -al cache {folder}"
    if not forks:
        return hand
    skip = f'if [ "${{STAGEGRAPH_PUSH:-}}" != never ]; then\n  mkdir -p {folder}\n'
    return f"{skip}  echo 'see the registry' >{folder}/where\n  exit\nfi\n{hand}"


def wrapped(command: str, words: Iterable[str]) -> str:
    """A command and its words, in lines of some hundred characters."""
    lines = [command]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n ".join(lines)
