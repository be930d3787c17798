"""The causes of a failed build: what BuildKit, buildx, docker or a step says -> the error and its advice.

There are no codes to go by, so words count. Each row names where the words come from. The first row that
matches counts.
"""

from __future__ import annotations

from ..docker.client_faults import BEFORE, CLIENT, DAMAGED, FOLDERS, Cause, says
from ..errors import (
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

#: Empties the builder's own cache.
EMPTY = "docker buildx prune --all --force"

#: How an engine or a builder is restarted.
RESTART = (
    "sudo systemctl restart docker, or stop and start the engine as you do\n"
    "  a builder that is no engine: docker buildx stop NAME; the next build starts it"
)

_FIX = "fix the step and run again: finished nodes are kept"

_NETWORK_OF_PULL = "the builder could not reach the registry: run again; if it stays, check DNS and proxies"


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
)

#: What says that the builder lost something of its own: the disk was full, it was killed, or a build was
#: cancelled whose steps it then uses again.
_GONE = (
    # containerd, core/snapshots/storage/bolt.go and core/metadata/snapshot.go; before 2.0 snapshots/storage
    # and metadata, with the same words
    r"snapshot (\S+ )?does not exist|parent (snapshot \S+ )?does not exist: not found"
    r"|snapshot \S+: not found|snapshot \S+ is not active|snapshot \S+ not active or view"
    r"|failed to get active snapshot|missing parent.*: not found"
    r"|target snapshot \S+ in backend: not found|parent \S+ is not committed"
    r"|(snapshots )?bucket does not exist: not found",
    # containerd, core/metadata/content.go, plugins/content/local/store.go and readerat.go; "expected at"
    # before 1.5. BuildKit, util/contentutil/multiprovider.go
    r"content (digest )?sha256:[0-9a-f]+: not found|blob not found: not found"
    r"|blob sha256:[0-9a-f]+ expected at .*: not found|blob sha256:[0-9a-f]+( not found|: not found)"
    r"|ingest ref \S+: not found",
    # containerd, core/metadata/leases.go
    r"lease \S+: not found|lease does not exist",
    # BuildKit, solver/edge.go (loadCache), solver/combinedcache.go and solver/memorycachestorage.go;
    # worker/base/worker.go (LoadRef)
    r"failed to load cache: |failed to load deleted cache|failed to load ref: |no such key \S+: not found",
    # BuildKit, cache/manager.go, cache/refs.go, cache/opts.go and cache/blobs.go
    r"failed to get (dead|deleted) record|failed to get record \S+ by (blob)?chainid"
    r"|failed to restore missing snapshot|failed to remove mutable rec with missing snapshot"
    r"|missing descriptor handlers for lazy blobs|no blob set for cache record"
    r"|no (blob metadata|media type) is stored for|no blobs for snapshot|missing uncompressed annotation for",
    # BuildKit, snapshot/snapshotter.go and snapshot/diffapply_linux.go
    r"failed to stat (active key during commit|(lower |upper )?snapshot \S+): .*not found",
    # moby without containerd's store: daemon/internal/builder-next/adapters/snapshot and
    # daemon/internal/layer; builder/builder-next and layer before 29. No colon until 20.10.
    r"snapshot \S+ not found|key (sha256:)?[0-9a-z]+: not found|layer does not exist|layer not retained"
    r"|failed to get parent (layer|graphid) |couldn't access cacheID for|could not verify layer data for"
    r"|mount does not exist",
    # Linux's words for ENOENT, where the whole folder of a layer is gone: overlay2 of moby, and containerd's
    # snapshotters. A file inside of a layer may be a slip in COPY.
    r"/(snapshots/(new-)?\d+|overlay2/[0-9a-z]{25,}(-init)?)(/(fs|work|diff|merged|link|lower|committed))?"
    r'"?: no such file or directory'
    r"|failed to mount .*/(snapshots|overlay2)/.*no such file or directory"
    r"|/content/blobs/sha256/[0-9a-f]+: no such file or directory",
)

#: The builder's own store of layers.
_STORE = (
    Cause(
        LostCacheError,
        f"the builder lost a layer of its own cache; empty the cache and run again: {EMPTY}",
        "|".join(_GONE),
    ),
    # containerd, plugins/snapshots/overlay, such as after a kill. Another try takes other names.
    Cause(
        EngineError,
        "the builder's store of layers has a fault: run again; if it stays, restart the engine",
        r"failed to (prepare|rename|create snapshot)\b.*: file exists"
        r"|failed to mount .*/(snapshots|overlay2)/",
    ),
    # Linux's words for EIO, EROFS, EUCLEAN and ESTALE below the folders of docker, containerd and buildkit;
    # bbolt's for a damaged database
    Cause(
        EngineError,
        "the disk where the builder keeps its data has a fault: dmesg says more; mend it, and restart the "
        "engine",
        r"/(docker|containerd|buildkit)/\S*: (input/output error|read-only file system"
        r"|structure needs cleaning|stale (NFS )?file handle)"
        r"|database not open|invalid database|unexpected page type|freelist .* (invalid|corrupt)",
    ),
    # BuildKit, solver/scheduler.go
    Cause(
        EngineError,
        "the builder lost track of its steps: run again; if it stays, restart the builder",
        r"inconsistent graph state|buildkit scheduler error|return leaving (incoming|outgoing) open",
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

#: Why a process did not run, if that is the fault of the Dockerfile: its exit status, and a user, a folder, a
#: program or a mount that it names. BuildKit, executor/oci and executor/runcexecutor; moby/sys, user; runc.
_OF_PROCESS = (
    r"exit code: \d|unable to find (user|group)|unable to convert|uids and gids|no (users|groups) found"
    r"|.*no matching entries|working dir \S+ points to|failed to create working dir|mkdir |lstat |secret "
    r"|.*executable file not found|.*exec: |.*argument list too long|mount \S+ has no source|no SSH key"
    r"|.*is not a regular file|.*unable to safely resolve subpath|.*not a directory|.*: not found$"
    r"|signal: |context cancell?ed|(open|stat) \S*/(buildkit|containerd)(-mount)?\d+/"
)

#: The builder could not start the process of a step: its network, its cgroups, its runtime.
_EXECUTOR = (
    # moby, daemon/libnetwork/drivers/bridge and libnetwork/controller.go; BuildKit, util/network/cniprovider
    Cause(
        EngineError,
        f"the network of the engine is gone or broken; a restart makes it anew: {RESTART}",
        r"failed to create endpoint .* on network|adding interface \S+ to bridge \S+ failed"
        r"|could not find bridge|failed to set up container networking|CNI setup error"
        r"|network \S+ (does not exist|not found)|failed to (add the host|create new network sandbox)"
        r"|could not find an available.*IP|no available IPv4 addresses"
        r"|failed to (attach|add) .* to bridge|unable to (configure|enable).* (NAT|DNAT|SKIP DNAT) rule",
    ),
    # runc: libcontainer (process_linux.go, rootfs_linux.go, cgroups), which prints in the place of the step;
    # "container_linux.go:380: starting container process caused" before 1.1
    Cause(
        EngineError,
        "the engine cannot start a process; docker run IMAGE shows the same. A restart may mend it: "
        + RESTART,
        r"^(runc run failed|.*container_linux\.go:\d+): .*(cgroup|systemd|dbus|seccomp|apparmor|selinux|bpf"
        r'|keyring|sysctl|hook|unshare|setns|nsexec|pivot_root|mounting "(proc|sysfs|devpts|mqueue|shm)"'
        r"|fork/exec /proc/self/exe|resource temporarily unavailable)",
        printed=True,
    ),
    # BuildKit, solver/llbsolver/ops/exec.go: all other reasons come from the executor
    Cause(
        EngineError,
        f"the builder could not run this step: run again; if it stays, restart it: {RESTART}",
        rf"^(.*: )?process failed: (?!{_OF_PROCESS})\S",
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

CAUSES = (
    *(*_MACHINE, *CLIENT, *_REFUSED, *_STORE, *_REGISTRY, *_DOWNLOAD, *_LOST, *_NETWORK_OF_STEP),
    *_EXECUTOR,
)

#: The causes of a build that ended before it began: nothing of the Dockerfile was looked at.
CLIENT_CAUSES = (
    *(*BEFORE, *_REFUSED, *_LOST, *FOLDERS, *DAMAGED),
    *(one for one in CAUSES if one.error not in (BuildError, EmulationError)),
)

#: The cause of a step that simply fails.
OF_STEP = Cause(BuildError, _FIX)

#: The cause of an unknown fault where no step failed. Another try leaves out the builder's own cache: newer
#: builders may have new words for what they lost.
OF_BUILDER = Cause(
    LostCacheError,
    f"no step failed, but the builder itself: run again; if it stays, empty its cache: {EMPTY}\n"
    f"  or restart it: {RESTART}",
)

#: The cause of an unknown fault before the build began.
OF_CLIENT = Cause(
    EngineError,
    "docker or buildx ended before the build began: run again; if it stays, docker buildx inspect and "
    "doit doctor say more",
)

#: The cause of a build that ended without a reason, or whose Dockerfile the builder's front end refuses.
UNKNOWN = Cause(BuildError, "look at what the builder says; finished nodes are kept")


def cause(printed: str, messages: str = "") -> Cause:
    """The cause for a step's output and the builder's messages."""
    return next(
        (one for one in CAUSES if says(one, f"{messages}\n{printed}" if one.printed else messages)), OF_STEP
    )


def client_cause(messages: str) -> Cause:
    """The cause for the messages of docker and buildx that ended before a build began."""
    return next((one for one in CLIENT_CAUSES if says(one, messages)), OF_CLIENT)
