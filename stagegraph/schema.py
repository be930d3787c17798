"""What may stand in ``stages.toml`` and among the settings: tables, keys, types and the forms of words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .model import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = ("repo", "tag", "base", "registry", "builder", "locked", "push")

#: Settings that only the environment has, read by other parts and by ``./run``.
ELSEWHERE = ("jobs", "no-engine", "engine-dir", "differential-cases", "differential-seed")

#: What the OCI image specification's platforms come down to for Linux.
DOCKER_PLATFORMS = (
    "linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/arm64", "linux/arm/v5", "linux/arm/v6",
    "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x", "linux/riscv64", "linux/mips64le",
)  # fmt: skip

#: Words that doit, with this project's commands, takes for a command.
COMMANDS = (
    "ci", "clean", "dumpdb", "forget", "help", "ignore", "info", "keys", "list", "lock", "outdated", "plan",
    "prune", "publish", "reset-dep", "run", "shell", "strace", "tabcompletion", "verify",
)  # fmt: skip

#: Names that a stage or image cannot have: Dockerfiles, settings or commands mean something else by them.
RESERVED = frozenset((BASE, "scratch", *SETTINGS, *ELSEWHERE, *COMMANDS))

# A name becomes a part of a tag, of a doit task's name and of a named context, which must be a repository's
# name (https://github.com/distribution/reference). With platform and key a tag has at most 128 characters.
NAME = re.compile(r"(?=.{1,54}$)(?!\d+$)[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
REPO = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_HOST, _PORT = r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:]+\])", r"(?::(?P<port>[0-9]{1,5}))?"
_REGISTRY = re.compile(rf"{_HOST}{_PORT}(?:/[a-z0-9._-]+)*/?")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
BUILDER = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
REFERENCE = re.compile(r"[A-Za-z0-9\[][\w.:/@\[\]-]*", re.ASCII)
SUITE = re.compile(r"[a-z0-9][a-z0-9.-]*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*")


def is_registry(text: str) -> bool:
    """Whether this is ``HOST``, ``HOST:PORT`` or one of these with a path."""
    match = _REGISTRY.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 443) < 65536


_RECIPE: dict[str, type] = {
    "path": str, "dockerfile": str, "target": str, "network": str, "args": dict, "unpinned": str,
    "archive": bool, "timeout": int, "native": str, "contexts": dict, "frontend": str,
}  # fmt: skip
_BASE: dict[str, type] = {"bootstrap": str, "include": list, "image": str}
_EXECUTOR: dict[str, type] = {"docker": str, "price": float, "speed": float, "emulated": float}
#: A key's type, or types.
Kind = type | tuple[type, ...]
_STRING_OR_LIST: Kind = (str, list)
TABLES: dict[str, Mapping[str, Kind]] = {
    "project": {
        "repo": str, "registry": str, "push": str, "builder": _STRING_OR_LIST, "source_date_epoch": int,
    },
    "defaults": {"args": dict, "network": str, "frontend": str},
    "platform": {"docker": str, "args": dict, "builder": _STRING_OR_LIST},
    "base": {**_BASE, "platforms": dict},
    "base on a platform": {**_BASE, **_RECIPE},
    "stage": {
        **_RECIPE, "description": str, "needs": list, "names": list, "platforms": dict, "alternatives": dict,
    },
    "stage on a platform": {**_RECIPE, "alternative": str},
    "alternative": _RECIPE,
    "image": {
        "stage": str, "stack": list, "description": str, "platforms": list, "test": str, "test_timeout": int,
        "default": bool,
    },
    "secret": {"file": str, "env": str},
    "ci": {
        "command": str, "prepare": str, "check": str, "images": list, "branch": str, "registry": str,
        "limit": int, "setup": int, "unknown": int, "waiting": float, "dynamic": bool, "publish": bool,
        "contexts": list, "circleci": dict, "github": dict,
    },
    "circleci executor": {**_EXECUTOR, "image": str, "resource_class": str},
    "github executor": {**_EXECUTOR, "runs_on": _STRING_OR_LIST},
}  # fmt: skip
#: The meaning of each key of a recipe, in Markdown, for the reference page and for editors.
_RECIPE_MEANINGS = {
    "path": "The folder of the stage, relative to the project. It is the context of the build. Required.",
    "dockerfile": "The name of the Dockerfile in the folder. Default: `Dockerfile`.",
    "target": "The build stage of the Dockerfile to build. Default: the last one.",
    "network": "The network of `RUN`: `default` or `none`. Default: `network` of `[defaults]`, else "
    "`default`.",
    "args": "Build arguments. The Dockerfile, or a trigger (`ONBUILD`) of its parent, must declare each of "
    "them.",
    "unpinned": "`allow` lets `ADD` take a URL without `--checksum`. New content at the URL causes no build.",
    "archive": "`true`: the node depends on the package date of `stages.lock`, although no `RUN` calls a "
    "package manager. Default: `false`.",
    "timeout": "Seconds that a build may take. Default: no limit.",
    "native": "The Docker platform whose programs the image of the stage holds, such as a cross compiler. "
    "`doit ci` and the choice of a builder use it. It is not part of a key.",
    "contexts": "Stand-ins for this stage only: external image = replacement. Keys and values as in "
    "`[contexts]`.",
    "frontend": "`syntax`: the image that the `# syntax=` line names reads the Dockerfile. `builder`: the "
    "builder's own front end reads it. Default: `frontend` of `[defaults]`, else `syntax`.",
}
_BASE_MEANINGS = {
    "bootstrap": "A Debian suite, such as `trixie`. mmdebstrap builds the base from it.",
    "include": "Packages that a bootstrapped base gets in addition to the smallest set.",
    "image": "An external image as the base. `stages.lock` pins it by digest.",
}
_EXECUTOR_MEANINGS = {
    "docker": "The Docker platform of the machine. Required.",
    "price": "The price of one minute, in any unit that all executors share. Required.",
    "speed": "The speed of the machine, relative to the machine of `stages.times`. Default: `1.0`.",
    "emulated": "The speed of emulated programs, relative to the machine's own. Default: `0`, which means "
    "that the machine runs no programs of other processors.",
}
#: The meaning of each key, by the name of its table in ``TABLES``.
MEANINGS: dict[str, Mapping[str, str]] = {
    "project": {
        "repo": "The repository of all images. Required, here or as the setting `repo`.",
        "registry": "The registry to pull from and to push to: `HOST`, `HOST:PORT` or `HOST/PATH`. Default: "
        "none.",
        "push": "What a run pushes to the registry: `built`, `nodes`, `all` or `never`. Default: `built`.",
        "builder": "One buildx builder or several, the preferred one first. Default: buildx's current "
        "builder.",
        "source_date_epoch": "The time that files and images get, in seconds since 1970. Default: "
        "`1735689600` "
        "(2025-01-01).",
    },
    "defaults": {
        "args": "Build arguments for all stages. Only stages whose Dockerfile declares an argument get it.",
        "network": "The network of `RUN` for all stages: `default` or `none`. Default: `default`.",
        "frontend": "Who reads Dockerfiles: `syntax` or `builder`, as for a stage. Default: `syntax`.",
    },
    "platform": {
        "docker": "The Docker platform, such as `linux/arm64`. Required.",
        "args": "Build arguments for this platform. Only stages whose Dockerfile declares an argument get "
        "it.",
        "builder": "One buildx builder or several for this platform, the preferred one first. `default` is "
        "the "
        "engine of this machine. Default: `builder` of `[project]`.",
    },
    "base": {**_BASE_MEANINGS, "platforms": "Another base for one platform: `[base.platforms.NAME]`."},
    "base on a platform": {
        **_BASE_MEANINGS,
        **_RECIPE_MEANINGS,
        "path": "The folder of a stage that is the base. It may be based on the base of another platform.",
    },
    "stage": {
        **_RECIPE_MEANINGS,
        "description": "One line for `doit list`.",
        "needs": "Stages that must come before this one in every stack that has it.",
        "names": "Image references that also mean this stage, such as `ros:jazzy-ros-core`.",
        "platforms": "Other values for one platform: `[stages.NAME.platforms.NAME]`.",
        "alternatives": "Other ways to build the stage: `[stages.NAME.alternatives.NAME]`.",
    },
    "stage on a platform": {
        **_RECIPE_MEANINGS,
        "path": "The folder of the stage on this platform. Default: that of the stage.",
        "alternative": "The alternative of the stage to use on this platform.",
    },
    "alternative": {
        **_RECIPE_MEANINGS,
        "path": "The folder of the alternative. Default: that of the stage.",
        "args": "Build arguments of the alternative. Its Dockerfile need not declare all of them.",
    },
    "image": {
        "stage": "The stage that the image is. Default: the stage of the same name.",
        "stack": "Stages on top of each other instead of one stage, the lowest first.",
        "description": "One line for `doit list` and for the published index. Default: that of the top "
        "stage.",
        "platforms": "The platforms of the image. Default: all.",
        "test": "A folder with a Dockerfile. It must build before the image gets its tag.",
        "test_timeout": "Seconds that the test may take. Default: `1800`.",
        "default": "`false`: the image is built only if you name it. Default: `true`.",
    },
    "secret": {
        "file": "The file that holds the secret. Write this or `env`.",
        "env": "The environment variable that holds the secret. Write this or `file`.",
    },
    "ci": {
        "command": "The command that jobs call in place of `doit`. Default: `doit`.",
        "prepare": "A command that every job runs first. Default: none.",
        "check": "A command that gets a job of its own. Default: none.",
        "images": "The images to build, as `IMAGE` or `IMAGE:PLATFORM`. Default: all that are built by "
        "default, "
        "on all platforms.",
        "branch": "The branch whose pushes start the workflow on GitHub, and whose images are published. "
        "Default: "
        "`main`.",
        "registry": "The registry that passes nodes from job to job. Default: `registry` of `[project]`; an "
        "empty "
        "string: none.",
        "limit": "Minutes after which the service stops a job. `--limit` overrides it. Default: `300`.",
        "setup": "Minutes that a job needs before it builds. Default: `3`.",
        "unknown": "Minutes to assume for a node without a time in `stages.times`. Default: `60`.",
        "waiting": "The price of one minute until all jobs are done. `0`: waiting costs nothing. Default: "
        "the "
        "lowest price of an executor.",
        "dynamic": "`true`: jobs exist only for nodes that the registry lacks. Needs `publish`. Default: "
        "`false`.",
        "publish": "`true`: one more job on the branch runs `doit publish` for all images. Needs a registry. "
        "Default: `false`.",
        "contexts": "CircleCI's contexts. All jobs except the check get their variables. Default: none.",
        "circleci": "Executors of CircleCI: `[ci.circleci.NAME]`.",
        "github": "Executors of GitHub Actions: `[ci.github.NAME]`.",
    },
    "circleci executor": {
        **_EXECUTOR_MEANINGS,
        "resource_class": "CircleCI's resource class, such as `medium`. Required.",
        "image": "CircleCI's machine image, such as `ubuntu-2404:current`.",
    },
    "github executor": {
        **_EXECUTOR_MEANINGS,
        "runs_on": "GitHub's label of the runner, or a list of labels. Required.",
    },
}

#: The meaning of each setting.
SETTING_MEANINGS = {
    "repo": "The repository of all images. Default: `repo` of `[project]`.",
    "tag": "The tag of the result. Default: `IMAGE-PLATFORM`.",
    "base": "An image to use in place of `[base]`; or `bootstrap:SUITE` for another Debian suite.",
    "registry": "The registry to pull from and to push to: `HOST`, `HOST:PORT` or `HOST/PATH`. It needs "
    "skopeo.",
    "builder": "A buildx builder for all platforms, or `PLATFORM:NAME` for one. Separate several by commas, "
    "the "
    "preferred one first.",
    "locked": "`1`, `true` or `yes`: the command fails where it would have to write `stages.lock`.",
    "push": "What a run pushes to the registry: `built`, `nodes`, `all` or `never`. Default: `built`.",
    "jobs": "How many nodes are built at the same time. `doit -n` overrides it. Default: `2`.",
    "no-engine": "`1`: `./run` sets up the virtual environment only, and no engine.",
    "engine-dir": "A folder in which `./run` runs an engine of its own.",
    "differential-cases": "How many random edits the differential test tries.",
    "differential-seed": "The seed of the differential test.",
}
TOP = ("project", "defaults", "platforms", "base", "contexts", "stages", "images", "secrets", "ci")
TYPE_NAMES: dict[Kind, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    _STRING_OR_LIST: "a string or a list",
}
#: Who reads a Dockerfile: the image that its ``# syntax=`` line names, or the builder's own front end.
FRONTENDS = ("syntax", "builder")
PUSH = ("never", "nodes", "built", "all")
TRUTH = {"1": True, "true": True, "yes": True, "": False, "0": False, "false": False, "no": False}
