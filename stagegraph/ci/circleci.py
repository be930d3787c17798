"""Jobs -> ``.circleci/config.yml`` (https://circleci.com/docs/configuration-reference/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import steps
from .steps import Checkout, ForkReadsOnly, HandOn, Receive, Restore, Run, Save

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Executor, Goals, Pipeline, Table
    from .steps import Step

FILE = ".circleci/config.yml"

#: What the setup workflow writes and then goes on with.
CONTINUATION = "continue.yml"

_ORB = "circleci/continuation@1.0.0"

# All caches of a project can be one, whoever saves them: so the key says whose a cache is. The variable is
# set for pull requests from forks only.
_WHOSE = f"""\
mkdir -p {steps.KEYS}
echo own >{steps.KEYS}/own
echo "${{CIRCLE_PR_NUMBER:-own}}" >{steps.KEYS}/whose"""


def static(pipeline: Pipeline, table: Table, goals: Goals) -> dict[str, Any]:
    """A configuration with all jobs."""
    executors = table.services["circleci"]
    jobs: dict[str, Any] = {}
    flow: list[Any] = []
    if table.check:
        jobs["check"] = _job(executors[0], steps.check(table), table, push="")
        flow.append("check")
    for job in pipeline.jobs:
        jobs[job.name] = _job(job.executor, steps.build(job, table), table)
        flow.append(_entry(job.name, table, requires=list(job.needs)))
    if table.publish:
        one = {"serial-group": "<< pipeline.project.slug >>/publish"}  # one after the other
        only = {"requires": list(jobs), "filters": {"branches": {"only": table.branch}}, **one}
        jobs["publish"] = _job(executors[0], steps.publish(goals, table), table, push="built")
        flow.append(_entry("publish", table, **only))
    return {
        "version": 2.1,
        "executors": {e.name: _executor(e) for e in executors},
        "jobs": jobs,
        "workflows": {"images": {"jobs": flow}},
    }


def dynamic(pipeline: Pipeline, table: Table, goals: Goals) -> dict[str, Any]:  # noqa: ARG001
    """A setup workflow: it asks the registry, and goes on with jobs for what is not there."""
    ask = f"{table.ci} --continuation {CONTINUATION}"
    first = table.services["circleci"][0]
    job = _job(first, [*steps.start(table), Run("See what must be built", ask)], table)
    job["steps"].append({"continuation/continue": {"configuration_path": CONTINUATION}})
    return {
        "version": 2.1,
        "setup": True,
        "orbs": {"continuation": _ORB},
        "executors": {first.name: _executor(first)},
        "jobs": {"plan": job},
        "workflows": {"setup": {"jobs": [_entry("plan", table)]}},
    }


def _entry(name: str, table: Table, **options: Any) -> str | dict[str, Any]:
    """A job in a workflow, with the contexts that it gets variables from."""
    said = {key: value for key, value in options.items() if value}
    said |= {"context": list(table.contexts)} if table.contexts else {}
    return {name: said} if said else name


def _executor(executor: Executor) -> dict[str, Any]:
    image = executor.options.get("image", "ubuntu-2404:current")
    return {"machine": {"image": image}, "resource_class": executor.options["resource_class"]}


def _job(executor: Executor, todo: Iterable[Step], table: Table, *, push: str = "nodes") -> dict[str, Any]:
    return {
        "executor": executor.name,
        **({"environment": steps.settings(table, push)} if push else {}),
        "steps": [written for step in todo for written in _step(step, table)],
    }


def _step(step: Step, table: Table) -> list[Any]:  # noqa: PLR0911
    match step:
        case Checkout():
            return ["checkout"]
        case Run():
            return [_run(step, table)]
        case ForkReadsOnly():
            never = '[ -z "${CIRCLE_PR_NUMBER:-}" ] || echo \'export STAGEGRAPH_PUSH=never\' >>"$BASH_ENV"'
            return [_run(Run("Forks only read", never), table)]
        case Restore():
            prefixes = [f"images-{step.name}-{_checksum(whose)}-" for whose in ("whose", "own")]
            keys = [key for prefix in prefixes for key in (f"{prefix}{_checksum('all')}-", prefix)]
            return [_run(Run("Say whose cache it is", _WHOSE), table), {"restore_cache": {"keys": keys}}]
        case Save():
            # a key that is there already is not written again
            key = "-".join((f"images-{step.name}", *map(_checksum, ("whose", "all", "state"))))
            return [{"save_cache": {"key": key, "paths": ["cache"], "when": "always"}}]
        case Receive():
            return [{"attach_workspace": {"at": steps.HANDOVER}}]
        case HandOn():
            return [{"persist_to_workspace": {"root": steps.HANDOVER, "paths": [step.name]}}]


def _checksum(name: str) -> str:
    return f'{{{{ checksum "{steps.KEYS}/{name}" }}}}'


def _run(step: Run, table: Table) -> dict[str, Any]:
    silent = {"no_output_timeout": f"{table.limit}m"} if step.silent else {}
    always = {"when": "always"} if step.always else {}
    # "<<" begins a parameter since version 2.1 (configuration reference, "Escaping heredocs")
    command = step.command.replace("<<", r"\<<")
    return {"run": {"name": step.name, "command": command, **silent, **always}}
