"""The rules by which the CI of public families rebuilds images. Each push builds all images, or none.

The rules are those of the workflows at the newest commit. ``paths`` are pathspecs of git.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """A push that touches one of ``paths`` builds every image for ``platforms``. No paths: every push."""

    paths: tuple[str, ...]
    platforms: tuple[str, ...]


_BOTH = ("linux/amd64", "linux/arm64")

RULES = {
    # .github/workflows/ros_ci.yaml: each release is "make build" and "make ci_buildx", on amd64 alone
    "osrf": Rule(
        (
            *(f"ros/{release}" for release in ("humble", "jazzy", "kilted", "lyrical", "rolling")),
            ".ci",
            ".github/workflows/ros_ci.yaml",
        ),
        ("linux/amd64",),
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
