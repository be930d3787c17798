"""The schema of ``stages.toml`` and of the settings: tables, keys, types, and the form of values.

Data only; ``tables`` and the readers of each table check against it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .model import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = ("repo", "tag", "base", "registry", "builder", "locked", "push")

#: Settings that only the environment can set; other rooms and ``./run`` read them.
ENV_ONLY_SETTINGS = (
    "jobs", "trace", "patience", "signing-key", "no-engine", "engine-dir",
    "differential-cases", "differential-seed",
)  # fmt: skip

#: Platforms for Linux, as the OCI image specification writes them.
DOCKER_PLATFORMS = (
    "linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/arm64", "linux/arm/v5", "linux/arm/v6",
    "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x", "linux/riscv64", "linux/mips64le",
)  # fmt: skip

#: The commands of doit and of this program.
COMMANDS = (
    "challenge", "ci", "clean", "completion", "diff", "doctor", "dumpdb", "explain", "export", "forget",
    "graph", "help", "history", "ignore", "import", "info", "init", "keys", "lint", "list", "lock", "logs",
    "outdated", "plan", "prune", "publish", "rebuild", "report", "reset-dep", "run", "shell", "strace",
    "summary", "tabcompletion", "trust", "verify", "watch", "why",
)  # fmt: skip

#: Names that a stage or image cannot have, since Dockerfiles, settings or commands use them.
RESERVED = frozenset((BASE, "scratch", *SETTINGS, *ENV_ONLY_SETTINGS, *COMMANDS))

# A name becomes a part of a tag, of a doit task's name and of a named context, which must be a repository's
# name (https://github.com/distribution/reference). With platform and key a tag has at most 128 characters.
LONGEST_NAME = 54
NAME = re.compile(rf"(?=.{{1,{LONGEST_NAME}}}$)(?!\d+$)[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")

#: The name of an entry that stands for several stages or images: with a placeholder for a value of its
#: matrix, or with the ``*`` of a glob.
FAMILY = re.compile(r"(?=.*[{*])(?:[a-z0-9._*-]|\{[A-Za-z_][A-Za-z0-9_.-]*\})+")

VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)

SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

# https://github.com/distribution/reference/blob/main/regexp.go: a host, then words between slashes.
_LABEL_OF_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_WORD = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPO = re.compile(
    rf"(?=.{{1,255}}$)(?:{_LABEL_OF_HOST}(?:\.{_LABEL_OF_HOST})*(?::[0-9]+)?/)?{_WORD}(?:/{_WORD})*"
)

_ANY_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST, _PORT = rf"(?:{_ANY_LABEL}(?:\.{_ANY_LABEL})*|\[[0-9a-f:]+\])", r"(?::(?P<port>[0-9]{1,5}))?"

REGISTRY = re.compile(rf"{_HOST}{_PORT}(?:/{_WORD})*/?")

#: A version, as it may be in a tag.
VERSION = re.compile(r"[\w.-]{1,128}", re.ASCII)

BUILDER = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)

REFERENCE = re.compile(r"[A-Za-z0-9\[][\w.:/@\[\]-]*", re.ASCII)

SUITE = re.compile(r"[a-z0-9][a-z0-9.-]*")

#: The name of a label: printable ASCII without a space and "=", at which buildx ends the name.
LABEL = re.compile(r"[!-<>-~]+")

#: The ways to the SSH agents or keys of this machine: ``NAME`` or ``NAME=PATH[,PATH]``, as in ``--ssh``.
SSH = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)(?:=([^,\x00-\x1f]+(?:,[^,\x00-\x1f]+)*))?")

#: A host and its address: ``NAME:ADDRESS`` or ``NAME=ADDRESS``, as in ``--add-host``.
EXTRA_HOST = re.compile(
    r"([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?)[:=](host-gateway|[0-9A-Fa-f.:]+|\[[0-9A-Fa-f.:]+\])"
)

#: A number of bytes, as in ``--shm-size``; units are powers of 1024.
SIZE = re.compile(r"([1-9][0-9]{0,15})([kKmMgGtT]?)[iI]?[bB]?")

#: The limits that a builder knows (https://github.com/docker/go-units/blob/master/ulimit.go).
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip

#: A limit: ``NAME=SOFT`` or ``NAME=SOFT:HARD``, as in ``--ulimit``; -1 is no limit.
ULIMIT = re.compile(rf"({'|'.join(ULIMITS)})=(-1|[0-9]{{1,18}})(?::(-1|[0-9]{{1,18}}))?")

CGROUP = re.compile(r"[^\x00-\x20]+")

#: What a builder must grant before steps may do it, as in ``--allow``.
ENTITLEMENTS = ("network.host", "security.insecure")

#: Labels whose values differ from commit to commit, or from day to day.
CHANGING_LABELS = (
    "org.opencontainers.image.created", "org.opencontainers.image.revision", "org.label-schema.build-date",
    "org.label-schema.vcs-ref",
)  # fmt: skip

NETWORKS = ("default", "none", "host")

#: What a run does with a record that nobody signed whom the project trusts.
TRUST_LEVELS = ("none", "warn", "required")

#: A public key of ed25519: the text between the first and the last line of its PEM file (RFC 8410).
PUBLIC_KEY = re.compile(r"MCowBQYDK2VwAyEA[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")

#: The most signatures that one image may need.
MOST_SIGNATURES = 32

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*")

BRANCH = re.compile(r"[\w./+-]+", re.ASCII)

#: The name of an executor, as CircleCI's configuration has it.
EXECUTOR = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

#: The last second of the year 9999. Images have their dates as text, with four digits for the year.
LAST_EPOCH = 253_402_300_799

#: The most bytes of an argument or label. Linux takes 128 KiB as one word of a command (execve(2)).
LONGEST_VALUE = 130_000

#: The longest time limit, in seconds: a year.
LONGEST_TIMEOUT = 366 * 86400

#: The highest numbers of minutes, and of a price or speed, that make sense in ``[ci]``.
MOST_MINUTES, MOST_PRICE = 999_999, 10**9

#: The numbers of minutes in ``[ci]``, and the least value of each.
LEAST_MINUTES = {"limit": 1, "setup": 0, "unknown": 1}

#: The service's own settings for a machine; the first one is required.
SERVICES = {"circleci": ("resource_class", "image"), "github": ("runs_on",)}


def is_family(name: str, table: object) -> bool:
    """Return True if an entry may stand for several stages or images."""
    return bool({"{", "}", "*"} & {*name}) or (
        isinstance(table, dict) and not {"matrix", "exclude"}.isdisjoint(table)
    )


def repo_hint(name: str) -> str:
    """Return the hint for a name that is not a repository's."""
    lower = name.lower()
    fits = REPO.fullmatch(lower) and ":" not in lower
    return f"write {lower}" if fits else "lower case, without a tag: example/atom"


def has_host(repo: str) -> bool:
    """Return True if a repository begins with the host of a registry."""
    return "/" in repo and re.fullmatch(r"localhost|.*[.:].*", repo.partition("/")[0]) is not None


def is_registry(text: str) -> bool:
    """Return True for ``HOST`` or ``HOST:PORT``, with or without a path."""
    match = REGISTRY.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 443) < 65536


#: The keys of ``RunOptions``; ``options`` reads them.
RUN_OPTIONS: dict[str, type] = {
    "ssh": list, "allow": list, "extra_hosts": list, "shm_size": str, "ulimits": list, "cgroup_parent": str,
}  # fmt: skip

#: The epoch that is the time of the last commit.
COMMIT = "commit"

_LAYER: dict[str, type] = {
    **RUN_OPTIONS, "labels": dict,
    "path": str, "dockerfile": str, "target": str, "network": str, "args": dict, "unpinned": str,
    "archive": bool, "timeout": int, "native": str, "contexts": dict, "frontend": str,
}  # fmt: skip

_BASE: dict[str, type] = {"bootstrap": str, "include": list, "image": str}

_EXECUTOR: dict[str, type] = {"docker": str, "price": float, "speed": float, "emulated": float}

#: A key's type, or types.
Kind = type | tuple[type, ...]

_STRING_OR_LIST: Kind = (str, list)

#: The epoch: seconds, or the word ``COMMIT``.
_NUMBER_OR_STRING: Kind = (int, str)

_STAGE: dict[str, Kind] = {
    **_LAYER, "description": str, "needs": list, "names": list, "only": list, "platforms": dict,
    "alternatives": dict,
}  # fmt: skip

_IMAGE: dict[str, Kind] = {
    "stage": str, "stack": list, "description": str, "platforms": list, "test": str, "test_timeout": int,
    "default": bool, "repo": str, "tags": list, "prints": dict,
}  # fmt: skip

_FAMILY: dict[str, Kind] = {"matrix": dict, "exclude": list}

TABLES: dict[str, Mapping[str, Kind]] = {
    "project": {
        "repo": str, "registry": str, "push": str, "builder": _STRING_OR_LIST,
        "source_date_epoch": _NUMBER_OR_STRING, "version": str,
    },
    "defaults": {key: kind for key, kind in _LAYER.items() if key != "contexts"},
    "platform": {"docker": str, "args": dict, "builder": _STRING_OR_LIST},
    "base": {**_BASE, "platforms": dict},
    "base on a platform": {**_BASE, **_LAYER},
    "stage": _STAGE,
    "stage on a platform": {**_LAYER, "alternative": str},
    "alternative": _LAYER,
    "family of stages": {**_STAGE, "path": _STRING_OR_LIST, **_FAMILY},
    "image": _IMAGE,
    "family of images": {**_IMAGE, **_FAMILY},
    "print": {"command": _STRING_OR_LIST, "match": str},
    "secret": {"file": str, "env": str},
    "ci": {
        "command": str, "prepare": str, "check": str, "images": list, "branch": str, "registry": str,
        "limit": int, "setup": int, "unknown": int, "waiting": float, "dynamic": bool, "publish": bool,
        "contexts": list, "circleci": dict, "github": dict,
    },
    "trust": {"level": str, "threshold": int, "thresholds": dict, "keys": dict},
    "trusted key": {"public": str, "stages": list},
    "circleci executor": {**_EXECUTOR, "image": str, "resource_class": str},
    "github executor": {**_EXECUTOR, "runs_on": _STRING_OR_LIST},
}  # fmt: skip

#: How a matrix is written.
MATRIX_EXAMPLE = 'write matrix = { distro = ["humble", "jazzy"] }'

#: Hints for keys that are elsewhere, or of another form; by the kind of table and the key.
HINTS = {
    ("defaults", "contexts"): "write [contexts], which is for all stages",
    **{
        ("defaults", key): f"{key} is different for each stage; write it there"
        for key in ("description", "needs", "names", "only", "platforms", "alternatives")
    },
    ("family of stages", "matrix"): MATRIX_EXAMPLE,
    ("family of images", "matrix"): MATRIX_EXAMPLE,
    ("stage", "platforms"): 'a stage that is not for all platforms has a list called only: only = ["NAME"]',
}

#: The meaning of each setting.
SETTING_MEANINGS = {
    "repo": "The repository of nodes, and of images without a `repo` of their own. Default: `repo` of "
    "`[project]`.",
    "tag": "The tag of the result. Default: the `tags` of the image, or `IMAGE-PLATFORM`.",
    "base": "An image to use in place of `[base]`; or `bootstrap:SUITE` for another Debian suite.",
    "registry": "The registry to pull from and to push to: `HOST`, `HOST:PORT` or `HOST/PATH`. It needs "
    "skopeo.",
    "builder": "A buildx builder for all platforms, or `PLATFORM:NAME` for one. Separate several by commas, "
    "the preferred one first.",
    "locked": "`1`, `true` or `yes`: the command fails where it would have to write `stages.lock`.",
    "push": "What a run pushes to the registry: `built`, `nodes`, `all` or `never`. Default: `built`.",
    "jobs": "How many nodes are built at the same time. `doit -n` overrides it. Default: `2`.",
    "trace": "The file for the trace of a run. `doit --trace` overrides it.",
    "patience": "A factor for time limits: 3 waits three times as long for engines, builders, registries and "
    "programs that are slow. Default: `1`.",
    "signing-key": "The private key that signs records, as a PEM file has it. For secrets of CI.",
    "no-engine": "`1`: `./run` sets up the virtual environment only, and no engine.",
    "engine-dir": "A folder in which `./run` runs an engine of its own.",
    "differential-cases": "How many random edits the differential test tries.",
    "differential-seed": "The seed of the differential test.",
}

TOP = (
    "project", "defaults", "platforms", "base", "contexts", "stages", "images", "groups", "secrets", "trust",
    "ci",
)  # fmt: skip

TYPE_NAMES: dict[Kind, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    _STRING_OR_LIST: "a string or a list",
    _NUMBER_OR_STRING: "a whole number or a string",
}

#: The reader of a Dockerfile: the image of its ``# syntax=`` line, or the builder's own front end.
FRONTENDS = ("syntax", "builder")

PUSH = ("never", "nodes", "built", "all")

BOOLEANS = {"1": True, "true": True, "yes": True, "": False, "0": False, "false": False, "no": False}
