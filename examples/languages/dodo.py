"""Tasks for every stage and image of stages.toml: `doit list`, `doit stock:aarch64`, `doit plan`."""

from stagegraph.tasks import *  # noqa: F403
