"""What docker and buildx say that end before they do anything -> the error and its advice.

There are no codes to go by, so words count. Each row names where the words come from. The first row that
matches counts. ``build.causes`` has what a build says.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import AccessError, BuilderError, DiskFullError, EngineError, StagegraphError, ToolError


class Cause(NamedTuple):
    """A kind of error, and what to do about it.

    ``pattern`` recognizes it. ``printed``: the pattern is also looked for in the output of the failing step,
    not only in the builder's messages. A step may print anything: an "unexpected EOF" of its shell does not
    mean a lost engine. ``what`` says it in words of this program, where the message does not.
    """

    error: type[StagegraphError]
    advice: str
    pattern: str = ""
    printed: bool = False
    what: str = ""


#: The docker client and its plugin, and their way to an engine.
CLIENT = (
    # moby, client/request.go; "Docker daemon socket" before 28, "docker API" from then on
    Cause(
        AccessError,
        "you may not use the engine's socket: sudo usermod -aG docker $USER, then log in again",
        r"permission denied while trying to connect to the docker",
    ),
    # docker/cli, opts/hosts.go, connhelper/ssh and context/store; moby, client/client.go; Go, net. A word
    # without "://" is taken for a host, so a slip in DOCKER_HOST is a name that no DNS knows.
    Cause(
        AccessError,
        "correct DOCKER_HOST or DOCKER_CONTEXT, or unset it (to list the contexts: docker context ls)",
        r"invalid bind address format|invalid proto, expected|unable to parse docker host"
        r"|unable to resolve docker endpoint|context not found|context name \S+ is invalid"
        r"|invalid ssh url|ssh host connection is not valid|cannot find docker endpoint in context"
        r"|docker endpoint for \S+ not found|conflicting options: cannot specify both --host and --context"
        r"|error during connect:.*( no such host|command \[ssh|: invalid port|protocol not available)"
        r"|failed to connect to the docker api at .* (no such host|invalid port)"
        r"|^(ERROR: )?protocol not available",
    ),
    # moby, client/errors.go and client/request.go
    Cause(
        AccessError,
        "the engine and this client do not agree about TLS: set DOCKER_TLS_VERIFY=1 for an engine with TLS, "
        "unset it for one without, and let DOCKER_CERT_PATH name the folder of ca.pem, cert.pem and key.pem",
        r"connect to a TLS-enabled daemon without TLS|client sent an HTTP request to an HTTPS server"
        r"|probably has client authentication \(--tlsverify\)|failed to (retrieve|read) (context )?TLS "
        r"|TLS data for \S+ does not exist|^(ERROR: )?open \S+\.pem: "
        r"|error during connect:.*(HTTP response to HTTPS client|x509: |tls: )",
    ),
    # moby, client/errors.go and client/request.go; "failed to connect to the docker API" from 28.1 on
    Cause(
        EngineError,
        "start Docker; doit doctor says how",
        r"cannot connect to the docker daemon|error during connect|failed to connect to the docker api at"
        r"|connection refused.*docker\.sock",
    ),
    # moby, daemon/server/middleware/version.go and client/client.go
    Cause(
        AccessError,
        "unset DOCKER_API_VERSION; if it is not set, install a docker client of the engine's age",
        r"client version \S+ is too (new|old)|API version \S+ is not supported by this client",
    ),
    # docker/cli, cmd/docker/docker.go: without the plugin, docker reads the options of buildx as its own
    Cause(
        ToolError,
        "install docker buildx 0.13 or later; doit doctor has the command",
        r"unknown command: docker buildx|'buildx' is not a docker command|^unknown (shorthand )?flag: "
        r"|invalid progress mode|buildx component is missing or broken",
        what="docker has no buildx, or an old one",
    ),
    # buildx, store/storeutil/storeutil.go and builder/builder.go
    Cause(
        BuilderError,
        "list the builders: docker buildx ls; choose one: docker buildx use NAME, and unset BUILDX_BUILDER",
        r"no builder .* found|use .docker --context=\S+ buildx. to switch to context",
    ),
)

#: A folder that docker or buildx must be able to use.
_FOLDER = (
    "docker and buildx keep their state there: let it belong to you (sudo chown -R $USER ~/.docker), or name "
    "another folder: export DOCKER_CONFIG=FOLDER, and BUILDX_CONFIG if it is set"
)

#: What docker and buildx say that end before a build begins. In a build, these words may be a mere warning.
BEFORE = (
    # docker/cli, cli/config/config.go: it then looks for no plugin either
    Cause(
        AccessError,
        _FOLDER,
        r"error loading config file: .*: (permission denied|not a directory|input/output error)",
        what="docker cannot read its configuration",
    ),
    *CLIENT,
    # docker/cli, cli-plugins/manager: the file of the plugin is there, but is no program for this machine
    Cause(
        ToolError,
        "install docker buildx 0.13 or later; doit doctor has the command",
        r"docker-buildx: (exec format error|permission denied|no such file or directory|text file busy)"
        r"|error while loading shared libraries",
        what="docker's plugin buildx does not start",
    ),
)

#: The client's files, before a build begins. In a build, these words may be those of a step.
FOLDERS = (
    # Linux's own words for ENOSPC and EDQUOT: here of the client's own disk
    Cause(
        DiskFullError,
        "free space in the home folder and in TMPDIR: docker and buildx write there",
        r"no space left on device|disk quota exceeded",
    ),
    # Go, os: buildx, util/confutil and store/store.go; docker/cli, cli/config
    Cause(
        AccessError,
        _FOLDER,
        r"\b(mkdir|open|stat|lstat|rename|chmod|remove|unlinkat|read|write|creating temp file:?|flock) .*"
        r": (permission denied|read-only file system|not a directory|is a directory|no such file or directory"
        r"|operation not permitted|input/output error)",
    ),
)

#: The configuration of the client. A registry may answer something that is no JSON, too: only for builds.
DAMAGED = (
    # Go, encoding/json: buildx, store/store.go; docker/cli, cli/context/store
    Cause(
        AccessError,
        "a file of docker's or buildx's configuration is damaged: move it away and choose the builder again: "
        "mv ~/.docker/buildx ~/.docker/buildx.damaged (below DOCKER_CONFIG, or BUILDX_CONFIG, if it is set)",
        r"invalid character .* (looking for|in literal|after|in string)|unexpected end of JSON input"
        r"|cannot unmarshal \w+ into Go ",
    ),
    # docker/cli, cmd/docker/builder.go
    Cause(
        AccessError,
        "correct this variable of the environment, or unset it",
        r"\w+ environment variable expects|strconv\.Parse\w+: parsing ",
    ),
)


def error(where: str, said: str) -> StagegraphError | None:
    """The error for what docker or buildx said, if they could not even begin; None for anything else."""
    found = next((one for one in (*BEFORE, *FOLDERS) if says(one, said)), None)
    if found is None:
        return None
    return found.error(where, f"{found.what}: {said}" if found.what else said, found.advice)


def says(one: Cause, text: str) -> bool:
    """Return whether a text has the words of a cause."""
    return re.search(one.pattern, text, re.IGNORECASE | re.MULTILINE) is not None
