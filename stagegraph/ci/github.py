"""Jobs -> ``.github/workflows/images.yml``
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import steps
from .steps import Checkout, ForkReadsOnly, HandOn, Receive, Restore, Run, Save

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Executor, Goals, Job, Pipeline, Table
    from .steps import Step

FILE = ".github/workflows/images.yml"

# Dependabot's runs get no secrets either.
_FOREIGN = (
    "github.event_name == 'pull_request'"
    " && github.event.pull_request.head.repo.full_name != github.repository"
    " || github.actor == 'dependabot[bot]'"
)

_ALL, _STATE = f"hashFiles('{steps.KEYS}/all')", f"hashFiles('{steps.STATE}')"


def static(pipeline: Pipeline, table: Table, goals: Goals) -> dict[str, Any]:
    """A workflow with all jobs."""
    jobs: dict[str, Any] = {}
    first = table.services["github"][0]
    if table.check:
        jobs["check"] = _job(first, steps.check(table), table, push="")
    for job in pipeline.jobs:
        needs = {"needs": list(job.needs)} if job.needs else {}
        jobs[job.name] = {**needs, **_job(job.executor, steps.build(job, table), table)}
    return _ended(jobs, goals, table)


def dynamic(pipeline: Pipeline, table: Table, goals: Goals) -> dict[str, Any]:
    """A workflow whose jobs exist for what must be built only: a matrix for each level of jobs.

    A matrix cannot be empty, so a level without jobs is skipped, and a level after a skipped one is not.
    """
    first = table.services["github"][0]
    jobs: dict[str, Any] = {}
    if table.check:
        jobs["check"] = _job(first, steps.check(table), table, push="")
    ask = Run("See what must be built", f'{table.ci} --matrix >>"$GITHUB_OUTPUT"')
    names = [f"level-{number + 1}" for number in range(len(levels(pipeline)))]
    jobs["plan"] = {
        "outputs": {name: f"${{{{ steps.plan.outputs.{name} }}}}" for name in names},
        **_job(first, [*steps.start(table), ask], table),
    }
    jobs["plan"]["steps"][-1]["id"] = "plan"
    matrix = {word: f"${{{{ matrix.{word} }}}}" for word in ("job", "words", "runs_on")}
    for number, name in enumerate(names):
        last = number == len(names) - 1
        todo = steps.build_words(matrix["job"], [matrix["words"]], table, receives=number > 0, hands=not last)
        jobs[name] = {
            "name": matrix["job"],
            "needs": ["plan", *names[:number]],
            "if": f"${{{{ !cancelled() && !failure() && needs.plan.outputs.{name} != '[]' }}}}",
            "strategy": {
                "fail-fast": False,
                "matrix": {"include": f"${{{{ fromJSON(needs.plan.outputs.{name}) }}}}"},
            },
            **_job(first, todo, table),
            "runs-on": matrix["runs_on"],
        }
    made = _ended(jobs, goals, table)
    if table.publish:
        # jobs that were not needed are skipped, which is no failure
        jobs["publish"]["if"] = f"${{{{ !cancelled() && !failure() && {_on_branch(table)} }}}}"
    return made


def levels(pipeline: Pipeline) -> list[list[Job]]:
    """Jobs by how many others must be done before, one after the other."""
    depth: dict[str, int] = {}
    for job in pipeline.jobs:
        depth[job.name] = 1 + max((depth[need] for need in job.needs), default=-1)
    return [[job for job in pipeline.jobs if depth[job.name] == d] for d in sorted({*depth.values()})]


def matrix(pipeline: Pipeline, count: int) -> str:
    """Lines for GITHUB_OUTPUT: ``level-1=[...]``; ``count`` is how many levels the workflow has."""
    found = levels(pipeline)
    rows = [
        [
            {
                "job": job.name,
                "runs_on": job.executor.options["runs_on"],
                "words": " ".join(job.words),
            }
            for job in level
        ]
        for level in (*found, *[[]] * (count - len(found)))
    ]
    return "".join(f"level-{number}={json.dumps(row)}\n" for number, row in enumerate(rows, 1))


def _ended(jobs: dict[str, Any], goals: Goals, table: Table) -> dict[str, Any]:
    """The workflow, with what comes last: one job that a branch's rules can require, whatever the others are
    called this time, and one that publishes."""
    needs = list(jobs)
    if table.publish:
        jobs["publish"] = _publish(needs, goals, table)
    bad = "contains(needs.*.result, 'failure') || contains(needs.*.result, 'cancelled')"
    jobs["all"] = {
        "needs": needs,
        "if": "always()",
        "runs-on": table.services["github"][0].options["runs_on"],
        "timeout-minutes": 5,
        "steps": [{"name": "A job has not ended well", "if": bad, "run": "exit 1"}],
    }
    return _workflow(jobs, table)


def _on_branch(table: Table) -> str:
    return f"github.event_name == 'push' && github.ref_name == '{table.branch}' && !({_FOREIGN})"


def _publish(needs: list[str], goals: Goals, table: Table) -> dict[str, Any]:
    """One job publishes, on one branch, one after the other."""
    return {
        "needs": needs,
        "if": f"${{{{ {_on_branch(table)} }}}}",
        "concurrency": {"group": "images-publish", "cancel-in-progress": False},
        **_job(table.services["github"][0], steps.publish(goals, table), table, push="built"),
    }


def _workflow(jobs: dict[str, Any], table: Table) -> dict[str, Any]:
    return {
        "name": "images",
        "on": {"push": {"branches": [table.branch]}, "pull_request": {}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        # a newer commit of a pull request ends what runs for an older one; what runs for the branch goes on,
        # and of those that wait for it GitHub keeps the newest
        "concurrency": {
            "group": "images-${{ github.ref }}",
            "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
        },
        "jobs": jobs,
    }


def _environment(table: Table, push: str) -> dict[str, str]:
    own = f"${{{{ ({_FOREIGN}) && 'never' || '{push}' }}}}"
    return steps.settings(table, own)


def _job(executor: Executor, todo: Iterable[Step], table: Table, *, push: str = "nodes") -> dict[str, Any]:
    return {
        "runs-on": executor.options["runs_on"],
        "timeout-minutes": table.limit,
        **({"env": _environment(table, push)} if push else {}),
        "steps": [written for step in todo if (written := _step(step))],
    }


def _variable(name: str) -> str:
    """Where a variable comes from. GitHub takes secrets' values out of all that is printed or handed on, and
    the name of a user may be a common word."""
    return f"vars.{name} || secrets.{name}" if name == steps.USER else f"secrets.{name}"


def _step(step: Step) -> dict[str, Any] | None:  # noqa: PLR0911
    match step:
        case Checkout():
            return {"uses": "actions/checkout@v4"}
        case Run():
            more: dict[str, Any] = {"if": "always()"} if step.always else {}
            if step.secrets:
                more["env"] = {name: f"${{{{ {_variable(name)} }}}}" for name in step.secrets}
            return {"name": step.name, **more, "run": step.command}
        case ForkReadsOnly():
            return None  # the environment of the workflow says it
        case Restore():
            prefix = f"images-{step.name}-"
            keys = {"key": f"{prefix}${{{{ {_ALL} }}}}-", "restore-keys": prefix}
            return {"id": "restored", "uses": "actions/cache/restore@v4", "with": {"path": "cache", **keys}}
        case Save():
            key = f"format('images-{step.name}-{{0}}-{{1}}', {_ALL}, {_STATE})"
            new = f"steps.restored.outputs.cache-matched-key != {key}"
            # a job that ended before it had its cache has nothing that another should begin with
            begun = f"steps.restored.outcome == 'success' && {_STATE} != ''"
            return {
                "if": f"always() && {begun} && !({_FOREIGN}) && {new}",
                "uses": "actions/cache/save@v4",
                "with": {"path": "cache", "key": f"${{{{ {key} }}}}"},
            }
        case Receive():
            return {
                "uses": "actions/download-artifact@v4",
                "with": {"pattern": "handover-*", "path": steps.HANDOVER},
            }
        case HandOn():
            only = {"if": "env.STAGEGRAPH_PUSH == 'never'"} if step.forks else {}
            what = {"name": f"handover-{step.name}", "path": f"{steps.HANDOVER}/{step.name}"}
            # a job that is run again hands on again
            again = {"overwrite": True, "include-hidden-files": True, "retention-days": 1}
            return {**only, "uses": "actions/upload-artifact@v4", "with": {**what, **again}}
