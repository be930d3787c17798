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
# Set for pull requests from forks only.
_FORK = '[ -z "${CIRCLE_PR_NUMBER:-}" ] ||'
_CHECKSUM = f'{{{{ checksum "{steps.KEYS}/all" }}}}'


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
        flow.append({job.name: {"requires": list(job.needs)}} if job.needs else job.name)
    if table.publish:
        one = {"serial-group": "<< pipeline.project.slug >>/publish"}  # one after the other
        only = {"requires": list(jobs), "filters": {"branches": {"only": table.branch}}, **one}
        jobs["publish"] = _job(executors[0], steps.publish(goals, table), table, push="built")
        flow.append({"publish": only})
    return {
        "version": 2.1,
        "executors": {e.name: _executor(e) for e in executors},
        "jobs": jobs,
        "workflows": {"images": {"jobs": flow}},
    }


def setup(table: Table) -> dict[str, Any]:
    """A setup workflow: it asks the registry, and goes on with jobs for what is not there."""
    ask = f"{table.command} ci --continuation {CONTINUATION}"
    first = table.services["circleci"][0]
    job = _job(first, [*steps.start(table), Run("See what must be built", ask)], table)
    job["steps"].append({"continuation/continue": {"configuration_path": CONTINUATION}})
    return {
        "version": 2.1,
        "setup": True,
        "orbs": {"continuation": _ORB},
        "executors": {first.name: _executor(first)},
        "jobs": {"plan": job},
        "workflows": {"setup": {"jobs": ["plan"]}},
    }


def _executor(executor: Executor) -> dict[str, Any]:
    image = executor.options.get("image", "ubuntu-2404:current")
    return {"machine": {"image": image}, "resource_class": executor.options["resource_class"]}


def _job(executor: Executor, todo: Iterable[Step], table: Table, *, push: str = "nodes") -> dict[str, Any]:
    return {
        "executor": executor.name,
        **({"environment": _environment(table, push)} if push else {}),
        "steps": [written for step in todo for written in _step(step, table)],
    }


def _environment(table: Table, push: str) -> dict[str, str]:
    """Settings of a job: nothing is pinned in passing; where the registry is, and what goes there."""
    registry = {"STAGEGRAPH_REGISTRY": table.registry, "STAGEGRAPH_PUSH": push} if table.registry else {}
    return {"STAGEGRAPH_LOCKED": "1", **registry}


def _step(step: Step, table: Table) -> list[Any]:  # noqa: PLR0911
    match step:
        case Checkout():
            return ["checkout"]
        case Run():
            return [_run(step, table)]
        case ForkReadsOnly():
            never = f"{_FORK} echo 'export STAGEGRAPH_PUSH=never' >>\"$BASH_ENV\""
            return [_run(Run("Forks only read", never), table)]
        case Restore():
            prefix = f"images-{step.name}-"
            return [{"restore_cache": {"keys": [f"{prefix}{_CHECKSUM}-", prefix]}}]
        case Save():
            # all caches of a project are one, whoever saves them
            halt = _run(Run("Forks save nothing", f"{_FORK} circleci-agent step halt", always=True), table)
            key = f"images-{step.name}-{_CHECKSUM}-{{{{ epoch }}}}"
            return [halt, {"save_cache": {"key": key, "paths": ["cache"], "when": "always"}}]
        case Receive():
            return [{"attach_workspace": {"at": steps.HANDOVER}}]
        case HandOn():
            return [{"persist_to_workspace": {"root": steps.HANDOVER, "paths": [step.name]}}]


def _run(step: Run, table: Table) -> dict[str, Any]:
    silent = {"no_output_timeout": f"{table.limit}m"} if step.silent else {}
    always = {"when": "always"} if step.always else {}
    return {"run": {"name": step.name, "command": step.command, **silent, **always}}
