"""``doit summary``: what the last run did and why, as Markdown for the summary of a CI job."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProjectError
from ...execution import last_run
from ...output import say
from .. import summary_text
from ..help import Example
from .base import Command, option

if TYPE_CHECKING:
    from ...ci.pipelines import Plans
    from ...execution.last_run import LastRun
    from ...execution.workspace import Workspace
    from ..app import App

#: The variables by which the services tell that a job runs there.
_SERVICES = {"CIRCLECI": "circleci", "GITHUB_ACTIONS": "github"}


@dataclass(frozen=True)
class Options:
    job: str = option("the name of this job; the summary says how long the jobs behind it take")
    limit: str = option("the limit of doit ci, if it was called with one")


class Summary(Command[Options]):
    options_type = Options
    section = "ci"
    completes = ()
    doc_purpose = "print what the last run did and why, as Markdown for the summary of a CI job"
    doc_usage = "[--job NAME]"
    doc_description = (
        "Reads cache/last-run.json. Prints the nodes that failed, were built, pulled and reused, with "
        "reasons, times and compressed sizes, and the final images.\n\n"
        "--job NAME adds the jobs of the pipeline that wait for this one, and how long they take. NAME is a "
        "job of doit ci. With a registry, nodes that it has do not count."
    )
    examples = (
        Example("summary", "what the last run did"),
        Example("summary --job {image}-{platform}", "also how long the jobs behind this one take"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        if words:
            hint = "it shows all of the last run"
            raise ProjectError("command line", f"doit summary takes no goal: {words[0]!r}", hint)
        workspace = app.workspace
        run = last_run.read(workspace.layout)
        say(summary_text.markdown(run))
        if options.job:
            say(f"\n{_rest(workspace, options, run)}")
        return 0


def _rest(workspace: Workspace, options: Options, run: LastRun | None) -> str:
    """Return the sentence about the rest of the pipeline."""
    from ...ci.outlook import behind
    from ...ci.pipelines import Plans
    from .ci import needed_nodes

    plans = Plans(workspace.graph, limit=options.limit)
    service = _service(plans)
    needed = needed_nodes(workspace, plans) if workspace.registry else None
    if plans.config.dynamic and needed:
        pipeline = plans.pipeline(service, needed)
        nodes = [node for job in pipeline.jobs for unit in job.units for node in unit.nodes if needed(node)]
        return summary_text.missing(len(nodes), pipeline.minutes * 60)
    found = behind(plans.pipeline(service), options.job, plans.config, needed)
    if found is None:  # a pipeline may be older than stages.toml
        return summary_text.unplanned(options.job)
    return summary_text.outlook(found, failed=run is None or run.outcome != "done")


def _service(plans: Plans) -> str:
    """Return the CI service of this machine; elsewhere the first one that is declared."""
    declared = [*plans.config.services]
    here = [service for variable, service in _SERVICES.items() if os.environ.get(variable)]
    return next((service for service in here if service in declared), declared[0])
