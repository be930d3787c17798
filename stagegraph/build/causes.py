"""The causes of a failed build: what BuildKit, buildx, docker or a step says -> the error and its advice.

There are no codes to go by, so words count. Each row names where the words come from. The first row that
matches counts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import (
    AccessError,
    BuilderError,
    BuildError,
    DiskFullError,
    EmulationError,
    EngineError,
    LoginError,
    LostCacheError,
    NetworkError,
    OutOfMemoryError,
    ProjectError,
    RegistryError,
    ResolveError,
    StagegraphError,
    ToolError,
)
from ..system.messages import DENIED, UNAUTHORIZED

#: BuildKit's words for an entitlement that it does not grant.
NOT_GRANTED = r"granting entitlement (\S+) is not allowed"

#: What to do about an entitlement that a builder does not grant.
GRANT_ADVICE = (
    'the engine of this machine: write {"builder": {"entitlements": {"security-insecure": true}}}, or '
    '"network-host", into /etc/docker/daemon.json and restart it\n'
    "  another builder: docker buildx create --buildkitd-flags '--allow-insecure-entitlement NAME' ..., "
    "then builder=BUILDER"
)

_FIX = "fix the step and run again: finished nodes are kept"

_NETWORK_OF_PULL = "the builder could not reach the registry: run again; if it stays, check DNS and proxies"


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


#: The disk and the memory of the builder's machine, and its processor. A step may be the first to notice.
_MACHINE = (
    # Linux's own words for ENOSPC and EDQUOT, from any program
    Cause(
        DiskFullError,
        "free space where Docker keeps its data "
        "(docker info: Docker Root Dir; docker system df; docker builder prune)",
        r"no space left on device|disk quota exceeded",
        printed=True,
    ),
    # Linux's words for ENOEXEC, printed by runc and by shells
    Cause(
        EmulationError,
        "this machine cannot run programs of that platform: register QEMU (doit doctor has the command)",
        r"exec format error",
        printed=True,
    ),
    # 137 is 128 + SIGKILL. BuildKit since 0.22 says "cannot allocate memory" for a kill of the kernel's
    # (detectOOM in executor/runcexecutor). A shell prints "Killed", gcc "Killed signal", Go "signal: killed".
    Cause(
        OutOfMemoryError,
        "memory ran out, or something killed a process (status 137): give the engine more memory, or run "
        "fewer jobs at once (argument JOBS of the stage, doit -n 1)",
        r"exit code: 137|signal: killed|Killed signal terminated program|ResourceExhausted.*memory"
        r"|cannot allocate memory|heap out of memory|^(\S*sh: (line )?\d+: +\d+ )?Killed( {2,}|$)",
        printed=True,
    ),
)

#: The docker client and its plugin: the build did not start.
_CLIENT = (
    # moby, client/request.go; "Docker daemon socket" before 28, "docker API" from then on
    Cause(
        AccessError,
        "you may not use the engine's socket: sudo usermod -aG docker $USER, then log in again",
        r"permission denied while trying to connect to the docker",
    ),
    # docker/cli, opts/hosts.go and context/store; moby, client/client.go. A word without "://" is taken for a
    # host, so a slip in DOCKER_HOST is a name that no DNS knows.
    Cause(
        AccessError,
        "correct DOCKER_HOST or DOCKER_CONTEXT, or unset it (to list the contexts: docker context ls)",
        r"invalid bind address format|unable to parse docker host|unable to resolve docker endpoint"
        r"|context not found|error during connect:.* no such host|error during connect:.*command \[ssh",
    ),
    # moby, client/errors.go and client/request.go
    Cause(
        EngineError,
        "start Docker; doit doctor says how",
        r"cannot connect to the docker daemon|error during connect|connection refused.*docker\.sock",
    ),
    # docker/cli, cmd/docker/docker.go: without the plugin, docker reads the options of buildx as its own
    Cause(
        ToolError,
        "install docker buildx 0.13 or later; doit doctor has the command",
        r"unknown command: docker buildx|'buildx' is not a docker command|^unknown (shorthand )?flag: "
        r"|invalid progress mode",
        what="docker has no buildx, or an old one",
    ),
    # buildx, store/storeutil/storeutil.go
    Cause(EngineError, "list the builders: docker buildx ls", r"no builder .* found"),
)

#: What a builder refuses.
_REFUSED = (
    # BuildKit, util/entitlements
    Cause(
        BuilderError,
        f"the builder does not grant what a step needs (allow of the stage)\n  {GRANT_ADVICE}",
        NOT_GRANTED,
    ),
    # buildx, build/opt.go and util/buildflags
    Cause(
        BuilderError,
        "only the builder of an engine knows host-gateway: write an address into extra_hosts, or name the "
        "engine: builder=default",
        r"unable to derive the IP value for host-gateway",
    ),
    # golang.org/x/crypto/ssh, keys.go
    Cause(
        ProjectError,
        'nobody can type the passphrase here: ssh-add the key, and write ssh = ["default"] for the stage',
        r"private key is passphrase protected",
    ),
    # containerd, core/snapshots and core/metadata: BuildKit can reuse a step of a build that was just
    # cancelled, although its files are gone.
    Cause(
        LostCacheError,
        "the builder lost a layer of its own cache; empty the cache (docker builder prune) and run again",
        r"snapshot \S+ does not exist: not found|content digest sha256:[0-9a-f]+: not found",
    ),
)

#: A fault of the builder's own store of layers (containerd, plugins/snapshots/overlay), such as after a kill.
#: Another try takes other names.
_STORE = (
    Cause(
        EngineError,
        "the builder's store of layers has a fault: run again; if it stays, restart the engine",
        r"failed to (prepare|rename|create snapshot)\b.*: file exists|failed to mount .*snapshots/",
    ),
)

#: A pull of an external image, or of a parent. They come before the engine's own faults: a registry that
#: breaks a connection ("unexpected EOF") is no lost engine.
_REGISTRY = (
    # distribution-spec, "Error Codes"; containerd, core/remotes/docker/resolver.go
    Cause(LoginError, "docker login REGISTRY, then run again", f"{UNAUTHORIZED}|{DENIED}"),
    # containerd, core/remotes/docker/fetcher.go and core/remotes/errors: "unexpected status from GET request
    # to URL: 429 ..."; before 2.0 "unexpected status code URL: 429 ...". moby, registry: "failed with status
    # code [manifests TAG]: 429".
    Cause(
        RegistryError,
        "the registry limits how often you may pull: wait and run again, or docker login REGISTRY for a "
        "higher limit",
        r"status.*: 429 Too Many Requests|toomanyrequests",
    ),
    Cause(
        RegistryError,
        "the registry has a fault: run again",
        r"(unexpected status|with status code).*: 5\d\d\b",
    ),
    # Go, crypto/x509; containerd reads the authorities of a registry from /etc/docker/certs.d
    Cause(
        NetworkError,
        "the builder does not know the authority that signed this certificate. For a registry: put the "
        "authority into /etc/docker/certs.d/REGISTRY/ca.crt on the builder's machine. For ADD: into the "
        "machine's own bundle",
        r"x509: ",
    ),
    # Go, net/http/client.go
    Cause(
        RegistryError,
        "the registry has no TLS: add it to insecure-registries of /etc/docker/daemon.json",
        r"server gave HTTP response to HTTPS client",
    ),
    # Go, net; at the token server, too (BuildKit, util/resolver/authorizer.go)
    Cause(
        NetworkError,
        _NETWORK_OF_PULL,
        r"no such host|server misbehaving|network is unreachable|no route to host|i/o timeout"
        r"|TLS handshake timeout|Client\.Timeout exceeded|timeout awaiting response headers"
        r"|failed to (do request|authorize|copy: httpReadSeeker|fetch \w+ token)\b.*"
        r"(EOF|connection reset by peer|deadline exceeded)",
    ),
    # containerd, core/remotes/docker/resolver.go: a pin may outlive its image
    Cause(
        ResolveError,
        "the registry no longer has this image: pin it anew (doit lock), or name another",
        r"failed to resolve source metadata.*(: not found|does not exist)",
    ),
    # containerd, core/metadata/content.go
    Cause(
        RegistryError,
        "the download arrived damaged: run again",
        r"failed size validation|unexpected commit digest",
    ),
    # BuildKit, client/llb/sourceresolver/imageresolver.go; containerd, core/remotes/docker/resolver.go
    Cause(
        RegistryError,
        "check that the registry is up and the name is right",
        r"failed to resolve source metadata|failed to do request|unexpected status from"
        r"|unexpected status code https?:",
    ),
)

#: The engine or builder went away. grpc: internal/transport; BuildKit: session/manager.go, session/grpc.go,
#: client/build.go; buildx: build/build.go, builder/builder.go.
_LOST = (
    Cause(
        EngineError,
        "the engine or builder went away during the build; run again when it is up",
        r"code = Unavailable|transport is closing|error reading from server: |error reading server preface"
        r"|received prior goaway|graceful_stop|listing workers|unexpected EOF|no active sessions?\b"
        r"|session healthcheck failed|^context deadline exceeded|no valid drivers found"
        r"|make sure buildkitd is running|use of closed network connection|write: broken pipe",
    ),
)

#: An ADD of a URL (BuildKit, source/http/source.go).
_DOWNLOAD = (
    Cause(
        BuildError,
        "the file is not what the checksum says: look at the new file, then write its checksum",
        r"digest mismatch",
    ),
    Cause(
        NetworkError,
        "the server has a fault, or limits how often you may fetch: run again",
        r"invalid response status (429|5\d\d)",
    ),
    Cause(
        BuildError, "correct the URL: the server does not give this file", r"invalid response status 4\d\d"
    ),
    Cause(
        NetworkError,
        "the builder could not reach the server: run again; if it stays, check the URL, DNS and proxies",
        r"^(failed to load cache key: )?(Get|Head) \"https?:.*",
    ),
    # BuildKit, solver/llbsolver/ops/opsutils/contenthash.go; the second is of a snapshot that it had to mount
    # (snapshot/localmounter_linux.go)
    Cause(
        BuildError,
        "correct the path",
        r"failed to calculate checksum of ref .*: not found|lstat \S*/buildkit-mount\d+/",
    ),
)

#: What tools print in a step if the network fails: the step is right, and another try may do.
_NETWORK_OF_STEP = (
    Cause(
        BuildError,
        "the archive no longer has that file: if its version is pinned, pin the version that the archive has",
        # apt
        r"Failed to fetch.* 404 ",
        printed=True,
    ),
    # OpenSSL, curl, Python, Go, git
    Cause(
        NetworkError,
        "does a proxy use its own certificate authority? RUN --mount=type=secret,id=ca,target=/run/ca.crt "
        "gives this machine's bundle (SSL_CERT_FILE) to the step, and leaves it in no layer",
        r"certificate verify failed|x509: certificate|unable to get local issuer certificate"
        r"|self.signed certificate",
        printed=True,
    ),
    Cause(
        NetworkError,
        "this looks like a fault of the network, not of the step: run again; finished nodes are kept. If it "
        "stays, check DNS (docker run --rm IMAGE getent hosts NAME) and proxies",
        # glibc and apt; curl; Go; wget; busybox; dnf; npm; pip
        r"Temporary failure (in name resolution|resolving)|Could not resolve|no such host"
        r"|Name or service not known|Network is unreachable|i/o timeout|TLS handshake timeout"
        r"|Failed to fetch|Unable to connect to|unable to resolve host address|bad address '"
        r"|temporary error \(try again later\)|curl: \((28|35|52|56)\)|Curl error \((6|7|28|35|56)\)"
        r"|\b(EAI_AGAIN|ETIMEDOUT|ECONNRESET)\b|NewConnectionError|Read timed out"
        r"|returned error: (429|5\d\d)\b|50[234] (Bad Gateway|Service Unavailable|Gateway Time-?out)",
        printed=True,
    ),
)

CAUSES = (*_MACHINE, *_CLIENT, *_REFUSED, *_STORE, *_REGISTRY, *_DOWNLOAD, *_LOST, *_NETWORK_OF_STEP)

#: The cause of a step that simply fails.
OF_STEP = Cause(BuildError, _FIX)

#: The cause of an unknown fault where no step failed.
OF_BUILDER = Cause(
    EngineError, "no step failed, but the builder itself: run again; if it stays, restart the builder"
)

#: The cause of a build that ended without a reason.
UNKNOWN = Cause(BuildError, "look at what the builder says; finished nodes are kept")


def cause(printed: str, messages: str = "") -> Cause:
    """The cause for a step's output and the builder's messages."""
    for one in CAUSES:
        text = f"{messages}\n{printed}" if one.printed else messages
        if re.search(one.pattern, text, re.IGNORECASE | re.MULTILINE):
            return one
    return OF_STEP
