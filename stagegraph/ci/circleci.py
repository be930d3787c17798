"""Jobs -> ``.circleci/config.yml`` (https://circleci.com/docs/configuration-reference/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import steps
from .steps import Checkout, DownloadWorkspace, ForkReadsOnly, Restore, Run, Save, Show, UploadWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import CIConfig, Executor, ImageTargets, Pipeline
    from .steps import Step

FILE = ".circleci/config.yml"

#: The configuration that the setup workflow writes and continues with.
CONTINUATION = "continue.yml"

_ORB = "circleci/continuation@1.0.0"

# All runs of a project share its caches, so the key tells who saved a cache. The variable is set for pull
# requests from forks only.
_WHOSE = f"""\
mkdir -p {steps.KEYS}
echo own >{steps.KEYS}/own
echo "${{CIRCLE_PR_NUMBER:-own}}" >{steps.KEYS}/whose"""


def static(pipeline: Pipeline, config: CIConfig, images: ImageTargets) -> dict[str, Any]:
    """A configuration with all jobs."""
    executors = config.services["circleci"]
    jobs: dict[str, Any] = {}
    flow: list[Any] = []
    if config.check:
        jobs["check"] = _job(executors[0], steps.check(config), config, push="")
        flow.append("check")
    for job in pipeline.jobs:
        # the setup workflow of a dynamic pipeline has shown the plan
        first = job is pipeline.jobs[0] and not config.dynamic
        todo = steps.build(job, config, images if first else None)
        jobs[job.name] = _job(job.executor, todo, config)
        flow.append(_entry(job.name, config, requires=list(job.needs)))
    if config.publish:
        serial = {"serial-group": "<< pipeline.project.slug >>/publish"}  # one after the other
        only = {"requires": list(jobs), "filters": {"branches": {"only": config.branch}}, **serial}
        jobs["publish"] = _job(executors[0], steps.publish(images, config), config, push="built")
        flow.append(_entry("publish", config, **only))
    return {
        "version": 2.1,
        "executors": {e.name: _executor(e) for e in executors},
        "jobs": jobs,
        "workflows": {"images": {"jobs": flow}},
    }


def dynamic(_: Pipeline, config: CIConfig, images: ImageTargets) -> dict[str, Any]:
    """A setup workflow: it asks the registry, and continues with jobs for the nodes that it lacks."""
    ask = f"{config.ci} --continuation {CONTINUATION}"
    first = config.services["circleci"][0]
    told = steps.plan(images.targets, config, images.targets)
    job = _job(first, [*steps.start(config), told, Run("See what must be built", ask)], config)
    job["steps"].append({"continuation/continue": {"configuration_path": CONTINUATION}})
    return {
        "version": 2.1,
        "setup": True,
        "orbs": {"continuation": _ORB},
        "executors": {first.name: _executor(first)},
        "jobs": {"plan": job},
        "workflows": {"setup": {"jobs": [_entry("plan", config)]}},
    }


def _entry(name: str, config: CIConfig, **options: Any) -> str | dict[str, Any]:
    """A job in a workflow, with the contexts whose variables it gets."""
    fields = {key: value for key, value in options.items() if value}
    fields |= {"context": list(config.contexts)} if config.contexts else {}
    return {name: fields} if fields else name


def _executor(executor: Executor) -> dict[str, Any]:
    image = executor.options.get("image", "ubuntu-2404:current")
    return {"machine": {"image": image}, "resource_class": executor.options["resource_class"]}


def _job(
    executor: Executor, todo: Iterable[Step], config: CIConfig, *, push: str = "nodes"
) -> dict[str, Any]:
    return {
        "executor": executor.name,
        **({"environment": steps.settings(config, push)} if push else {}),
        "steps": [written for step in todo for written in _step(step, config)],
    }


def _step(step: Step, config: CIConfig) -> list[Any]:  # noqa: PLR0911
    match step:
        case Checkout():
            return ["checkout"]
        case Run():
            return [_run(step, config)]
        case Show():
            return _show(step, config)
        case ForkReadsOnly():
            never = '[ -z "${CIRCLE_PR_NUMBER:-}" ] || echo \'export STAGEGRAPH_PUSH=never\' >>"$BASH_ENV"'
            return [_run(Run("Forks only read", never), config)]
        case Restore():
            prefixes = [f"images-{step.name}.{_checksum(whose)}-" for whose in ("whose", "own")]
            keys = [key for prefix in prefixes for key in (f"{prefix}{_checksum('all')}-", prefix)]
            return [_run(Run("Say whose cache it is", _WHOSE), config), {"restore_cache": {"keys": keys}}]
        case Save():
            # a cache with this key is never written again
            key = f"images-{step.name}." + "-".join(map(_checksum, ("whose", "all", "state")))
            return [{"save_cache": {"key": key, "paths": ["cache"], "when": "always"}}]
        case DownloadWorkspace():
            return [{"attach_workspace": {"at": steps.HANDOVER}}]
        case UploadWorkspace():
            return [{"persist_to_workspace": {"root": steps.HANDOVER, "paths": [step.name]}}]


def _show(step: Show, config: CIConfig) -> list[Any]:
    """Print, and store as an artifact. The file is outside the clone, which may be the context of a stage."""
    path = f"/tmp/{step.file}.md"  # noqa: S108
    begin = f"{_since(config)}\n" if step.compares else ""
    end = f'|| echo "{steps.NO_REPORT}"'
    shown = _run(Run(step.name, f"{begin}{step.command} | tee {path} {end}", step.always), config)
    if step.compares:
        shown["run"]["environment"] = {"BEFORE": "<< pipeline.git.base_revision >>"}
    return [shown, {"store_artifacts": {"path": path, "destination": f"{step.file}.md", "when": "always"}}]


def _since(config: CIConfig) -> str:
    """Set the revision to compare with: the commit before on the main branch, the main branch on others."""
    return f'SINCE=origin/{config.branch}\n[ "${{CIRCLE_BRANCH:-}}" != {config.branch} ] || SINCE=$BEFORE'


def _checksum(name: str) -> str:
    return f'{{{{ checksum "{steps.KEYS}/{name}" }}}}'


def _run(step: Run, config: CIConfig) -> dict[str, Any]:
    silent = {"no_output_timeout": f"{config.limit}m"} if step.silent else {}
    always = {"when": "always"} if step.always else {}
    # "<<" begins a parameter since version 2.1 (configuration reference, "Escaping heredocs")
    command = step.command.replace("<<", r"\<<")
    return {"run": {"name": step.name, "command": command, **silent, **always}}
