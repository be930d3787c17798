"""The tasks of doit: one for each stage and image of stages.toml. See `doit list`."""

from stagegraph.tasks import *  # noqa: F403
