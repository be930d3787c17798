"""One real message for each row of the table of causes: the class of its error, and what the advice says."""

# ruff: noqa: E501 - real messages are long

from __future__ import annotations

import pytest

from stagegraph.build.causes import CAUSES, OF_STEP, cause
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
    ('no builder "farm" found', EngineError, "buildx ls"),
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
        "failed to stat active key during commit: snapshot t1 does not exist: not found",
        LostCacheError,
        "cache",
    ),
    (f"failed to read: content digest sha256:{64 * 'a'}: not found", LostCacheError, "cache"),
    (
        "failed to read downloaded context: failed to prepare  as zwj: failed to rename: rename "
        "/var/lib/containerd/snapshots/new-4 /var/lib/containerd/snapshots/8: file exists: unknown",
        EngineError,
        "run again",
    ),
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
    # nothing of these
    ("process failed: exit code: 1", BuildError, "fix the step"),
    ("process failed: unable to find user x: no matching entries in passwd file", BuildError, "fix the step"),
]

#: What tools print in a step.
PRINTED = [
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


def test_each_row_has_a_message() -> None:
    found = {cause("", message) for message, _, _ in MESSAGES}
    found |= {cause(printed, "process failed: exit code: 1") for printed, _, _ in PRINTED}
    assert found == {*CAUSES, OF_STEP}


def test_no_fault_of_the_engine_or_the_network_has_the_status_of_a_step() -> None:
    for one in CAUSES:
        assert one.error.exit_status != BuildError.exit_status or one.error is BuildError
