"""One real message for each row of the table of causes: the class of its error, and what the advice says."""

# ruff: noqa: E501 - real messages are long

from __future__ import annotations

import pytest

from stagegraph.build.causes import CAUSES, CLIENT_CAUSES, EMPTY, OF_CLIENT, OF_STEP, cause, client_cause
from stagegraph.errors import (
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

pytestmark = pytest.mark.unit

HUB = "https://registry-1.docker.io/v2/library/debian/manifests/sha256:1"
PULL = "debian:12: failed to resolve source metadata for docker.io/library/debian:12: "
COPY = "failed to compute cache key: failed to calculate checksum of ref a::b: "

#: What docker, buildx and BuildKit say; the class; a part of the advice.
MESSAGES = [
    # the docker client, without a build
    (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        EngineError,
        "start Docker",
    ),
    (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
        'Head "http://%2Fvar%2Frun%2Fdocker.sock/_ping": dial unix /var/run/docker.sock: connect: permission '
        "denied",
        AccessError,
        "usermod -aG docker",
    ),
    (
        "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
        AccessError,
        "usermod -aG docker",
    ),
    ("invalid bind address format: foo://bar", AccessError, "DOCKER_HOST"),
    ("unable to parse docker host `foo`", AccessError, "DOCKER_HOST"),
    (
        'error during connect: Head "http://foo:2375/_ping": dial tcp: lookup foo on 192.0.2.1:53: no such host',
        AccessError,
        "DOCKER_HOST",
    ),
    ('context "nothere": context not found: open /root/.docker/meta.json: no', AccessError, "context ls"),
    ("unknown flag: --builder\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]", ToolError, "buildx 0.13"),
    ("docker: unknown command: docker buildx", ToolError, "buildx 0.13"),
    ("docker: 'buildx' is not a docker command.", ToolError, "buildx 0.13"),
    ("invalid progress mode rawjson", ToolError, "buildx 0.13"),
    ('no builder "farm" found', BuilderError, "buildx ls"),
    # the engine or builder went away
    (
        "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
        EngineError,
        "went away",
    ),
    (
        "failed to receive status: rpc error: code = Unavailable desc = closing transport due to: connection "
        'error: desc = "error reading from server: EOF", received prior goaway: code: NO_ERROR, debug data: '
        '"graceful_stop"',
        EngineError,
        "went away",
    ),
    ("rpc error: code = Unavailable desc = transport is closing", EngineError, "went away"),
    ("listing workers for Build: failed to list workers: Unavailable: connection error", EngineError, "up"),
    ("no active session for abc: context deadline exceeded", EngineError, "went away"),
    ("failed to receive status: rpc error: code = Unknown desc = unexpected EOF", EngineError, "went away"),
    ("context deadline exceeded", EngineError, "went away"),
    # the machine
    ("failed to copy: write /var/lib/docker/x: no space left on device", DiskFullError, "docker system df"),
    ("process failed: exit code: 137", OutOfMemoryError, "memory ran out"),
    ("process failed: cannot allocate memory", OutOfMemoryError, "memory ran out"),
    ("process failed: exec /bin/sh: exec format error", EmulationError, "QEMU"),
    # what a builder refuses or lost
    ("granting entitlement network.host is not allowed by build daemon configuration", BuilderError, "allow"),
    ("unable to derive the IP value for host-gateway: not supported", BuilderError, "extra_hosts"),
    ("failed to parse /id: ssh: this private key is passphrase protected", ProjectError, "ssh-add"),
    (
        "failed to read downloaded context: failed to prepare  as zwj: failed to rename: rename "
        "/var/lib/containerd/snapshots/new-4 /var/lib/containerd/snapshots/8: file exists: unknown",
        EngineError,
        "run again",
    ),
    (
        "open /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db: read-only file system",
        EngineError,
        "dmesg",
    ),
    # BuildKit, solver/scheduler.go (getEdge)
    ("failed to get edge: inconsistent graph state in edge x", EngineError, "run again"),
    # a registry
    (
        f"{PULL}pull access denied, repository does not exist or may require authorization",
        LoginError,
        "login",
    ),
    (
        "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
        LoginError,
        "login",
    ),
    (
        f"{PULL}failed to copy: httpReadSeeker: failed open: unexpected status code {HUB}: 429 Too Many Requests "
        "- Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.",
        RegistryError,
        "limits",
    ),
    (
        f"{PULL}failed to copy: httpReadSeeker: failed open: unexpected status from GET request to {HUB}: 429 Too "
        "Many Requests",
        RegistryError,
        "limits",
    ),
    ("pulling from host registry-1.docker.io failed with status code [manifests 1]: 429 Too Many Requests",)
    * 1
    + (RegistryError, "limits"),
    (
        f"{PULL}unexpected status from HEAD request to {HUB}: 503 Service Unavailable",
        RegistryError,
        "run again",
    ),
    (f'{PULL}failed to do request: Head "{HUB}": EOF', NetworkError, "run again"),
    (f'{PULL}failed to do request: Head "{HUB}": net/http: TLS handshake timeout', NetworkError, "run again"),
    (f'{PULL}failed to do request: Head "{HUB}": dial tcp 192.0.2.1:443: i/o timeout', NetworkError, "again"),
    (f'{PULL}failed to do request: Head "{HUB}": dial tcp: lookup x: no such host', NetworkError, "DNS"),
    (
        f"{PULL}failed to authorize: failed to fetch anonymous token: Get "
        '"https://auth.docker.io/token?scope=x": dial tcp [2001:db8::1]:443: connect: network is unreachable',
        NetworkError,
        "run again",
    ),
    (
        f'{PULL}failed to do request: Head "{HUB}": tls: failed to verify certificate: x509: certificate signed '
        "by unknown authority",
        NetworkError,
        "certs.d",
    ),
    (
        f'{PULL}failed to do request: Head "{HUB}": http: server gave HTTP response to HTTPS client',
        RegistryError,
        "insecure-registries",
    ),
    (
        f'{PULL}failed to do request: Head "https://127.0.0.1:1/v2/none/manifests/1": dial tcp 127.0.0.1:1: '
        "connect: connection refused",
        RegistryError,
        "the registry is up",
    ),
    (f"{PULL}docker.io/library/debian:12: not found", ResolveError, "doit lock"),
    (
        'failed to copy: "layer-sha256:1" failed size validation: 12 != 13: failed precondition',
        RegistryError,
        "damaged",
    ),
    # ADD and COPY
    ("failed to load cache key: invalid response status 404", BuildError, "correct the URL"),
    ("failed to load cache key: invalid response status 503", NetworkError, "run again"),
    ("digest mismatch for http://x/y: sha256:1 (expected: sha256:2)", BuildError, "checksum"),
    (
        'failed to load cache key: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
        NetworkError,
        "run again",
    ),
    (f'{COPY}"/missing": not found', BuildError, "correct the path"),
    # the process of a step could not be started: moby, drivers/bridge/bridge_linux.go (CreateEndpoint), seen
    # with 26.1 whose bridge was gone
    (
        "process failed: failed to create endpoint wg7evfb9eom1 on network bridge: adding interface vethbd0016c "
        "to bridge docker0 failed: Device does not exist",
        EngineError,
        "systemctl restart docker",
    ),
    # libnetwork, drivers/bridge, before 25
    (
        "process failed: failed to create endpoint x on network bridge: adding interface veth1 to bridge docker0 "
        "failed: could not find bridge docker0: route ip+net: no such network interface",
        EngineError,
        "systemctl restart docker",
    ),
    # BuildKit, util/network/cniprovider/cni.go
    ('process failed: CNI setup error: plugin type="bridge" failed (add)', EngineError, "restart"),
    # BuildKit, executor/runcexecutor/executor.go
    ("process failed: failed to read pidfile from runc: EOF", EngineError, "could not run this step"),
    ("process failed: mkdir /work: not a directory", BuildError, "fix the step"),
    # RUN --mount=from=low,source=/missing, seen with 26.1: of type bind, then of type cache
    (
        "process failed: open /var/lib/docker/tmp/buildkit-mount66918445/missing: no such file or directory",
        BuildError,
        "fix the step",
    ),
    (
        "process failed: open /var/lib/docker/buildkit/containerd-overlayfs/cachemounts/buildkit1430/missing: no "
        "such file or directory",
        BuildError,
        "fix the step",
    ),
    ('process failed: runc: exec: "make": executable file not found in $PATH', BuildError, "fix the step"),
    # nothing of these
    ("process failed: exit code: 1", BuildError, "fix the step"),
    ("process failed: unable to find user x: no matching entries in passwd file", BuildError, "fix the step"),
]

OVERLAY = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
SHA = f"sha256:{64 * 'a'}"

#: The builder lost something of its own.
LOST = [
    # containerd, core/snapshots/storage/bolt.go (GetInfo), through BuildKit, snapshot/snapshotter.go (Commit):
    # seen with moby 26.1, containerd 1.7, after the disk had been full
    "failed to commit kpd to q3y during finalize: failed to stat active key during commit: snapshot does not "
    "exist: not found",
    # containerd, core/metadata/snapshot.go (Stat, Commit)
    "failed to stat active key during commit: snapshot t1 does not exist: not found",
    "failed to apply diffs: 1 error occurred:\n\t* failed to stat lower snapshot a: snapshot a does not exist: not found",
    # containerd, core/metadata/snapshot.go (createSnapshot)
    "failed to prepare x as y: parent snapshot sha256:1 does not exist: not found",
    'target snapshot "sha256:1" in backend: not found',
    # containerd, core/snapshots/storage/bolt.go (GetSnapshot, CreateSnapshot, Remove, CommitActive, parents)
    "requested snapshot x not active or view: failed precondition",
    "failed to create snapshot: parent does not exist: not found",
    'missing parent "3" bucket: not found',
    'missing parent "2" of snapshot "3": not found',
    "snapshot x: not found",
    'failed to get active snapshot "x": not found',
    "snapshots bucket does not exist: not found",
    "bucket does not exist: not found: unknown",
    # containerd, core/metadata/content.go (Info) and plugins/content/local (Info, ReaderAt; "expected at" 1.4)
    f"failed to read: content digest {SHA}: not found",
    f"failed to get reader from content store: content {SHA}: not found",
    "blob not found: not found",
    f"blob {SHA} expected at /var/lib/docker/buildkit/content/blobs/x: not found",
    'ingest ref "x": not found',
    # containerd, core/metadata/leases.go (Delete, AddResource)
    'failed to add snapshot x to lease: lease "x": not found',
    "lease does not exist: not found",
    # BuildKit, solver/edge.go (loadCache) with cache/manager.go (getRecord), and worker/base/worker.go (LoadRef)
    "failed to load cache: failed to load ref: oh7: not found",
    "failed to load cache: not found",
    # BuildKit 0.8, cache/manager.go
    "failed to load ref: oh7 not found: not found",
    # BuildKit, solver/combinedcache.go (Load)
    "failed to load deleted cache",
    # BuildKit, cache/manager.go, cache/refs.go (unlazyLayer, ociDesc), cache/opts.go, cache/blobs.go
    "failed to get dead record oh7: not found",
    "failed to get deleted record oh7: not found",
    "failed to get record oh7 by blobchainid: not found",
    "failed to restore missing snapshot oh7: no blob available",
    f"missing descriptor handlers for lazy blobs [{SHA}]",
    "no blob set for cache record oh7",
    f'no blob metadata is stored for "{SHA}"',
    "no blobs for snapshot",
    # moby 26, builder-next/adapters/snapshot/snapshot.go (Stat), layer/layer.go; without a colon in 20.10
    "failed to load cache key: snapshot oh7: not found",
    "snapshot oh7 not found",
    f"failed to get parent layer {SHA}: layer does not exist",
    f"couldn't access cacheID for {SHA}",
    # Linux's word for a folder of layers that is gone
    f'stat {OVERLAY}/12/fs: no such file or directory',
    f'failed to mount /tmp/containerd-mount1: mount source: "overlay", data: "lowerdir={OVERLAY}/5/fs", err: no '
    "such file or directory",
    f"open /var/lib/docker/overlay2/{64 * 'b'}/link: no such file or directory",
    f"open /var/lib/buildkit/runc-overlayfs/content/blobs/sha256/{64 * 'a'}: no such file or directory",
]  # fmt: skip

#: The words of a slip in the Dockerfile that come near to those of a lost cache.
NOT_LOST = [
    f'{COPY}"/snapshots/12/fs": not found',
    "lstat /var/lib/docker/tmp/buildkit-mount123/snapshots/a: no such file or directory",
    f"lstat {OVERLAY}/12/fs/missing: no such file or directory",
    f'failed to compute cache key: "/content/{SHA}": not found',
    "process failed: exit code: 1",
]

#: What docker and buildx say that end before a build begins; the class; a part of the advice.
BEFORE = [
    # docker/cli, cli/command/cli.go and cli/context/store; Go, os
    ("ERROR: mkdir /home/x/.docker: permission denied", AccessError, "chown -R $USER"),
    ("ERROR: mkdir /root/.docker/buildx: read-only file system", AccessError, "DOCKER_CONFIG"),
    ("ERROR: open /home/x/.docker/buildx/.lock: permission denied", AccessError, "BUILDX_CONFIG"),
    ("ERROR: mkdir /proc/1/.docker: no such file or directory", AccessError, "DOCKER_CONFIG"),
    # docker 28.2 whose DOCKER_CONFIG is a file: it does not look for plugins then
    (
        "WARNING: Error loading config file: open /etc/passwd/config.json: not a directory\n"
        "unknown flag: --progress\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]",
        AccessError,
        "DOCKER_CONFIG",
    ),
    ("ERROR: write /home/x/.docker/buildx/activity/default: no space left on device", DiskFullError, "home"),
    # docker/cli, cli-plugins/manager
    ("docker: 'buildx' is not a docker command.\nSee 'docker --help'", ToolError, "buildx 0.13"),
    ("docker: unknown command: docker buildx\n\nRun 'docker --help' for more information", ToolError, "buildx"),
    ("ERROR: BuildKit is enabled but the buildx component is missing or broken.", ToolError, "buildx 0.13"),
    ("fork/exec /usr/libexec/docker/cli-plugins/docker-buildx: exec format error", ToolError, "buildx 0.13"),
    ("fork/exec /root/.docker/cli-plugins/docker-buildx: permission denied", ToolError, "buildx 0.13"),
    # docker/cli, cli/connhelper/commandconn on a system without npipe (Go, syscall.ENOPROTOOPT)
    ("ERROR: protocol not available", AccessError, "DOCKER_HOST"),
    # Go, net; moby, client/request.go since 28.1
    (
        'error during connect: Head "http://127.0.0.1:99999/_ping": dial tcp: address 99999: invalid port',
        AccessError,
        "DOCKER_HOST",
    ),
    (
        "failed to connect to the docker API at tcp://foo:2375: lookup foo: no such host",
        AccessError,
        "DOCKER_HOST",
    ),
    (
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if "
        "the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
        EngineError,
        "start Docker",
    ),
    # docker/cli, connhelper/ssh/ssh.go and opts/hosts.go
    ("ssh host connection is not valid: invalid SSH URL: hostname is empty", AccessError, "DOCKER_HOST"),
    ("invalid proto, expected tcp: http://x", AccessError, "DOCKER_HOST"),
    # moby, client/options.go (WithTLSClientConfig); client/request.go
    ("ERROR: open /root/.docker/ca.pem: no such file or directory", AccessError, "DOCKER_TLS_VERIFY"),
    (
        "ERROR: Get \"http://x:2376/info\": net/http: HTTP/1.x transport connection broken: malformed HTTP "
        'response "x".\n* Are you trying to connect to a TLS-enabled daemon without TLS?',
        AccessError,
        "DOCKER_TLS_VERIFY",
    ),
    # moby, daemon/server/middleware/version.go; client/client.go since 29
    (
        "ERROR: Error response from daemon: client version 9.9 is too new. Maximum supported API version is 1.45: "
        "driver not connecting",
        AccessError,
        "DOCKER_API_VERSION",
    ),
    ("API version 1.24 is not supported by this client: the minimum supported API version is 1.44", AccessError,
     "DOCKER_API_VERSION"),
    # docker/cli, cmd/docker/builder.go
    (
        'DOCKER_BUILDKIT environment variable expects boolean value: strconv.ParseBool: parsing "nope": invalid',
        AccessError,
        "variable",
    ),
    # buildx, store/storeutil/storeutil.go; builder/builder.go; store/store.go with a file that is no JSON
    ('ERROR: no builder "nope" found', BuilderError, "BUILDX_BUILDER"),
    ('ERROR: use `docker --context=x buildx` to switch to context "x"', BuilderError, "buildx use"),
    ("ERROR: invalid character 'o' in literal null (expecting 'u')", AccessError, "damaged"),
    # buildx, build/build.go
    ("ERROR: no valid drivers found: Cannot connect", EngineError, "went away"),
    ("ERROR: granting entitlement network.host is not allowed by build daemon configuration", BuilderError, "allow"),
    # nothing of these, and words that would mean a step's fault in a build
    ("ERROR: something new", EngineError, "before the build began"),
    ("ERROR: digest mismatch", EngineError, "before the build began"),
    ("", EngineError, "before the build began"),
]  # fmt: skip

#: What tools print in a step.
PRINTED = [
    # runc 1.1, libcontainer/process_linux.go; 1.0, container_linux.go
    ('runc run failed: unable to start container process: unable to apply cgroup configuration: mkdir /sys/fs/cgroup/x: no',
     EngineError, "restart"),
    ('container_linux.go:380: starting container process caused: process_linux.go:545: container init caused: rootfs_linux.go:76: mounting "proc" to rootfs',
     EngineError, "restart"),
    ('runc run failed: unable to start container process: exec: "make": executable file not found in $PATH',
     BuildError, "fix the step"),
    ("cp: error writing '/x': No space left on device", DiskFullError, "docker system df"),
    ("/bin/sh: 1: /usr/bin/x: Exec format error", EmulationError, "QEMU"),
    ("g++: fatal error: Killed signal terminated program cc1plus", OutOfMemoryError, "memory"),
    ("/bin/bash: line 1:     7 Killed                  make -j8", OutOfMemoryError, "memory"),
    ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", OutOfMemoryError, ""),
    ("W: Failed to fetch http://archive.example.org/dists/x/InRelease  Temporary failure resolving 'archive.example.org'",
     NetworkError, "run again"),
    ("E: Unable to connect to archive.example.org:http:", NetworkError, "run again"),
    ("E: Failed to fetch http://x/a.deb  Connection timed out [IP: 192.0.2.1 80]", NetworkError, "run again"),
    ("E: Failed to fetch http://x/a.deb  404  Not Found [IP: 192.0.2.1 80]", BuildError, "pin the version"),
    ("curl: (6) Could not resolve host: example.org", NetworkError, "run again"),
    ("curl: (28) Failed to connect to example.org port 443 after 130 ms: Timeout was reached", NetworkError, ""),
    ("curl: (22) The requested URL returned error: 503", NetworkError, "run again"),
    ("curl: (22) The requested URL returned error: 404", BuildError, "fix the step"),
    ("wget: unable to resolve host address 'example.org'", NetworkError, "run again"),
    ("wget: bad address 'example.org'", NetworkError, "run again"),
    ("WARNING: fetching https://dl-cdn.alpinelinux.org/x: temporary error (try again later)", NetworkError, ""),
    ("Error: Failed to download metadata: Curl error (6): Couldn't resolve host name for x", NetworkError, ""),
    ("npm error code EAI_AGAIN", NetworkError, "run again"),
    ("npm error code E404", BuildError, "fix the step"),
    ("urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='x', port=443): Read timed out.",
     NetworkError, "run again"),
    ("go: x@v1: Get \"https://proxy/x\": dial tcp: lookup proxy: no such host", NetworkError, "run again"),
    ("curl: (60) SSL certificate problem: unable to get local issuer certificate", NetworkError, "authority"),
    # a test of the project may print these: no reason to run again
    ("ConnectionRefusedError: [Errno 111] Connection refused", BuildError, "fix the step"),
    ("sh: -c: line 1: unexpected EOF while looking for matching `''", BuildError, "fix the step"),
    ("Killed a process that was too old", BuildError, "fix the step"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "kind", "advice"), MESSAGES)
def test_a_message_of_the_builder_has_its_class_and_advice(
    message: str, kind: type[StagegraphError], advice: str
) -> None:
    found = cause("", message)
    assert found.error is kind and advice in found.advice, found


@pytest.mark.parametrize(("printed", "kind", "advice"), PRINTED)
def test_what_a_step_printed_has_its_class_and_advice(
    printed: str, kind: type[StagegraphError], advice: str
) -> None:
    found = cause(f"before\n{printed}\nafter", "process failed: exit code: 1")
    assert found.error is kind and advice in found.advice, found


@pytest.mark.parametrize("message", LOST)
def test_what_the_builder_lost_is_known_in_each_of_its_words(message: str) -> None:
    found = cause("", message)
    assert found.error is LostCacheError and EMPTY in found.advice, found
    assert cause("", f"process failed: {message}") is found


@pytest.mark.parametrize("message", NOT_LOST)
def test_a_slip_in_a_dockerfile_is_no_lost_cache(message: str) -> None:
    assert cause("", message).error is BuildError


@pytest.mark.parametrize(("message", "kind", "advice"), BEFORE)
def test_what_ends_before_a_build_is_never_the_fault_of_a_step(
    message: str, kind: type[StagegraphError], advice: str
) -> None:
    found = client_cause(message)
    assert found.error is kind and advice in found.advice, found


def test_each_row_has_a_message() -> None:
    found = {cause("", message) for message in (*(each[0] for each in MESSAGES), *LOST)}
    found |= {cause(printed, "process failed: exit code: 1") for printed, _, _ in PRINTED}
    found |= {client_cause(message) for message, _, _ in BEFORE}
    assert found == {*CAUSES, *CLIENT_CAUSES, OF_STEP, OF_CLIENT}


def test_nothing_before_a_build_has_the_status_of_a_step() -> None:
    assert all(one.error.exit_status != BuildError.exit_status for one in (*CLIENT_CAUSES, OF_CLIENT))


def test_no_fault_of_the_engine_or_the_network_has_the_status_of_a_step() -> None:
    for one in CAUSES:
        assert one.error.exit_status != BuildError.exit_status or one.error is BuildError
