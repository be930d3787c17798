"""Jobs -> ``.github/workflows/images.yml``
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import steps
from .steps import (
    Checkout,
    DownloadWorkspace,
    ForkReadsOnly,
    Restore,
    Run,
    Save,
    Show,
    UploadWorkspace,
    Wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import CIConfig, Executor, ImageTargets, Job, Pipeline
    from .steps import Step

FILE = ".github/workflows/images.yml"

# Dependabot's runs get no secrets either.
_FOREIGN = (
    "github.event_name == 'pull_request'"
    " && github.event.pull_request.head.repo.full_name != github.repository"
    " || github.actor == 'dependabot[bot]'"
)

# For a pull request, the branch that it is for; for a push, the commit before it.
_SINCE = "github.event_name == 'pull_request' && format('origin/{0}', github.base_ref) || github.event.before"

_ALL, _STATE = f"hashFiles('{steps.KEYS}/all')", f"hashFiles('{steps.STATE}')"


def static(pipeline: Pipeline, config: CIConfig, images: ImageTargets) -> dict[str, Any]:
    """A workflow with all jobs."""
    jobs: dict[str, Any] = {}
    first = config.services["github"][0]
    if config.check:
        jobs["check"] = _job(first, steps.check(config), config, push="")
    for job in pipeline.jobs:
        needs = {"needs": list(job.needs)} if job.needs else {}
        todo = steps.build(job, config, images if job is pipeline.jobs[0] else None)
        jobs[job.name] = {**needs, **_job(job.executor, todo, config)}
    return _with_end(jobs, images, config)


def dynamic(pipeline: Pipeline, config: CIConfig, images: ImageTargets) -> dict[str, Any]:
    """A workflow with jobs only for the nodes that must be built: one matrix for each level of jobs."""
    jobs: dict[str, Any] = {}
    if config.check:
        jobs["check"] = _job(config.services["github"][0], steps.check(config), config, push="")
    names = [f"level-{number + 1}" for number in range(len(levels(pipeline)))]
    jobs["plan"] = _plan_job(names, images, config)
    for number in range(len(names)):
        jobs[names[number]] = _level_job(names, number, config)
    workflow = _with_end(jobs, images, config)
    if config.publish:
        # a skipped job was not needed; it is not a failure
        jobs["publish"]["if"] = f"${{{{ !cancelled() && !failure() && {_on_branch(config)} }}}}"
    return workflow


def _plan_job(names: list[str], images: ImageTargets, config: CIConfig) -> dict[str, Any]:
    """The job that asks the registry; its outputs are the matrices of the levels."""
    ask = Run("See what must be built", f'{config.ci} --matrix >>"$GITHUB_OUTPUT"')
    told = steps.plan(images.targets, config, images.targets)
    job = {
        "outputs": {name: f"${{{{ steps.plan.outputs.{name} }}}}" for name in names},
        **_job(config.services["github"][0], [*steps.start(config, whole=True), told, ask], config),
    }
    job["steps"][-1]["id"] = "plan"
    return job


def _level_job(names: list[str], number: int, config: CIConfig) -> dict[str, Any]:
    """The matrix of jobs of one level.

    A matrix cannot be empty, so a level without jobs is skipped; the level after it still runs.
    """
    name, is_last = names[number], number == len(names) - 1
    matrix = {key: f"${{{{ matrix.{key} }}}}" for key in ("job", "words", "runs_on")}
    wanted = Wanted(matrix["job"], (matrix["words"],))
    todo = steps.build_targets(wanted, config, downloads=number > 0, uploads=not is_last)
    return {
        "name": matrix["job"],
        "needs": ["plan", *names[:number]],
        "if": f"${{{{ !cancelled() && !failure() && needs.plan.outputs.{name} != '[]' }}}}",
        "strategy": {
            "fail-fast": False,
            "matrix": {"include": f"${{{{ fromJSON(needs.plan.outputs.{name}) }}}}"},
        },
        **_job(config.services["github"][0], todo, config),
        "runs-on": matrix["runs_on"],
    }


def levels(pipeline: Pipeline) -> list[list[Job]]:
    """Jobs by level: the number of jobs that must run before, one after the other."""
    depth: dict[str, int] = {}
    for job in pipeline.jobs:
        depth[job.name] = 1 + max((depth[need] for need in job.needs), default=-1)
    return [[job for job in pipeline.jobs if depth[job.name] == d] for d in sorted({*depth.values()})]


def matrix(pipeline: Pipeline, count: int) -> str:
    """Lines for GITHUB_OUTPUT: ``level-1=[...]``. ``count`` is the number of levels that the workflow has."""
    own = levels(pipeline)
    rows = [
        [
            {
                "job": job.name,
                "runs_on": job.executor.options["runs_on"],
                "words": " ".join(job.targets),
            }
            for job in level
        ]
        for level in (*own, *[[]] * (count - len(own)))
    ]
    return "".join(f"level-{number}={json.dumps(row)}\n" for number, row in enumerate(rows, 1))


def _with_end(jobs: dict[str, Any], images: ImageTargets, config: CIConfig) -> dict[str, Any]:
    """The workflow with its last jobs: one that publishes, and one that a branch's rules can require.

    The names of the other jobs may change, so no rule can require them.
    """
    needs = list(jobs)
    if config.publish:
        jobs["publish"] = _publish(needs, images, config)
    bad = "contains(needs.*.result, 'failure') || contains(needs.*.result, 'cancelled')"
    jobs["all"] = {
        "needs": needs,
        "if": "always()",
        "runs-on": config.services["github"][0].options["runs_on"],
        "timeout-minutes": 5,
        "steps": [{"name": "A job has not ended well", "if": bad, "run": "exit 1"}],
    }
    return _workflow(jobs, config)


def _on_branch(config: CIConfig) -> str:
    return f"github.event_name == 'push' && github.ref_name == '{config.branch}' && !({_FOREIGN})"


def _publish(needs: list[str], images: ImageTargets, config: CIConfig) -> dict[str, Any]:
    """The job that publishes: on one branch, and never two at once."""
    return {
        "needs": needs,
        "if": f"${{{{ {_on_branch(config)} }}}}",
        "concurrency": {"group": "images-publish", "cancel-in-progress": False},
        **_job(config.services["github"][0], steps.publish(images, config), config, push="built"),
    }


def _workflow(jobs: dict[str, Any], config: CIConfig) -> dict[str, Any]:
    return {
        "name": "images",
        "on": {"push": {"branches": [config.branch]}, "pull_request": {}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        # a newer commit of a pull request cancels the run of an older one; a run for the branch continues,
        # and GitHub keeps only the newest of those that wait for it
        "concurrency": {
            "group": "images-${{ github.ref }}",
            "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
        },
        "jobs": jobs,
    }


def _environment(config: CIConfig, push: str) -> dict[str, str]:
    own = f"${{{{ ({_FOREIGN}) && 'never' || '{push}' }}}}"
    return steps.settings(config, own)


def _job(
    executor: Executor, todo: Iterable[Step], config: CIConfig, *, push: str = "nodes"
) -> dict[str, Any]:
    return {
        "runs-on": executor.options["runs_on"],
        "timeout-minutes": config.limit,
        **({"env": _environment(config, push)} if push else {}),
        "steps": [written for step in todo if (written := _step(step))],
    }


def _secrets(names: Iterable[str]) -> dict[str, str]:
    """Variables with their sources. GitHub removes the values of secrets from logs and outputs, and the name
    of a user may be a common word."""
    found = {}
    for name in names:
        source = f"vars.{name} || secrets.{name}" if name == steps.USER else f"secrets.{name}"
        found[name] = f"${{{{ {source} }}}}"
    return found


def _show(step: Show) -> dict[str, Any]:
    """Append to the summary of the job (GITHUB_STEP_SUMMARY)."""
    written: dict[str, Any] = {"name": step.name}
    if step.always:
        written["if"] = "always()"
    since = {"SINCE": f"${{{{ {_SINCE} }}}}"} if step.compares else {}
    if env := since | _secrets(step.secrets):
        written["env"] = env
    end = f'|| echo "{steps.NO_REPORT}"'
    return {**written, "run": f'{step.command} >>"$GITHUB_STEP_SUMMARY" {end}'}


def _step(step: Step) -> dict[str, Any] | None:  # noqa: PLR0911
    match step:
        case Checkout():
            # by default it fetches one commit, and no tag
            whole = {"with": {"fetch-depth": 0}} if step.whole else {}
            return {"uses": "actions/checkout@v4", **whole}
        case Run():
            more: dict[str, Any] = {"if": "always()"} if step.always else {}
            if step.secrets:
                more["env"] = _secrets(step.secrets)
            return {"name": step.name, **more, "run": step.command}
        case Show():
            return _show(step)
        case ForkReadsOnly():
            return None  # the environment of the workflow turns pushes off
        case Restore():
            prefix = f"images-{step.name}."  # no name of a job has a dot, so this is the prefix of one name
            keys = {"key": f"{prefix}${{{{ {_ALL} }}}}-", "restore-keys": prefix}
            return {"id": "restored", "uses": "actions/cache/restore@v4", "with": {"path": "cache", **keys}}
        case Save():
            key = f"format('images-{step.name}.{{0}}-{{1}}', {_ALL}, {_STATE})"
            new = f"steps.restored.outputs.cache-matched-key != {key}"
            # a job that ended before it restored its cache has nothing worth saving
            restored = f"steps.restored.outcome == 'success' && {_STATE} != ''"
            return {
                "if": f"always() && {restored} && !({_FOREIGN}) && {new}",
                "uses": "actions/cache/save@v4",
                "with": {"path": "cache", "key": f"${{{{ {key} }}}}"},
            }
        case DownloadWorkspace():
            return {
                "uses": "actions/download-artifact@v4",
                "with": {"pattern": "handover-*", "path": steps.HANDOVER},
            }
        case UploadWorkspace():
            only = {"if": "env.STAGEGRAPH_PUSH == 'never'"} if step.forks else {}
            artifact = {"name": f"handover-{step.name}", "path": f"{steps.HANDOVER}/{step.name}"}
            # a job that runs again uploads again
            again = {"overwrite": True, "include-hidden-files": True, "retention-days": 1}
            return {**only, "uses": "actions/upload-artifact@v4", "with": {**artifact, **again}}
