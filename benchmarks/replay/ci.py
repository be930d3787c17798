"""The rules by which the CI of public families rebuilds images. Each push builds all images, or none.

The rules are those of the workflows at the newest commit.
"""

from __future__ import annotations

from typing import NamedTuple

import yaml


class Rule(NamedTuple):
    """A push that touches one of ``paths`` builds every image for ``platforms``. No paths: every push.

    ``paths`` are pathspecs of git. ``releases`` is a workflow that has a list of releases, "" for none: a
    commit builds the releases that this list has at that commit.
    """

    paths: tuple[str, ...]
    platforms: tuple[str, ...]
    releases: str = ""


#: Releases of ROS 1. They had other images, which nobody declares any more.
_ROS_1 = ("kinetic", "lunar", "melodic", "noetic")


def releases(workflow: str) -> list[dict[str, str]]:
    """Return the releases of ROS 2 in a workflow of osrf, as words of a matrix."""
    builds = yaml.safe_load(workflow)["jobs"]["check_images"]["strategy"]["matrix"]["env"]
    return [
        {"release": build["HUB_RELEASE"], "on": build["HUB_OS_CODE_NAME"]}
        for build in builds
        if (build["HUB_REPO"], build["HUB_OS_NAME"]) == ("ros", "ubuntu")
        and build["HUB_RELEASE"] not in _ROS_1
    ]


_BOTH = ("linux/amd64", "linux/arm64")

RULES = {
    # .github/workflows/ros_ci.yaml: each release is "make build" and "make ci_buildx", on amd64 alone
    "osrf": Rule(
        ("ros", ".ci", ".github/workflows/ros_ci.yaml"),
        ("linux/amd64",),
        releases=".github/workflows/ros_ci.yaml",
    ),
    # .github/workflows/docker.yml
    "jupyter": Rule(
        (
            ".github/workflows/docker.yml",
            ".github/workflows/contributed-recipes.yml",
            ".github/workflows/docker-build-test-upload.yml",
            ".github/workflows/docker-tag-merge.yml",
            ".github/workflows/docker-tag-push-merge.yml",
            ".github/workflows/docker-tag-push.yml",
            ".github/workflows/docker-wiki-update.yml",
            ".github/actions/apply-single-tags/action.yml",
            ".github/actions/create-dev-env/action.yml",
            ".github/actions/free-disk-space/action.yml",
            ".github/actions/load-image/action.yml",
            "images",
            "tagging",
            "tests",
            "wiki",
            "requirements-dev.txt",
            ":(exclude,glob)images/*/README.md",
            ":(exclude)tagging/README.md",
            ":(exclude)tests/README.md",
        ),
        _BOTH,
    ),
    # .github/workflows/builder.yml
    "home-assistant": Rule((), _BOTH),
}
