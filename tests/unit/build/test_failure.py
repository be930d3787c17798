"""The error class of a failed build, and the line of the Dockerfile that the error names."""

from __future__ import annotations

import pytest
from helpers import AMD64, ARM64, facts, ran, sha

from stagegraph.build.failure import LAST_LINES, Failure, explain
from stagegraph.build.place import Placement
from stagegraph.docker.progress import Tracker
from stagegraph.dockerfile.dependencies import Edge
from stagegraph.errors import (
    BuilderError,
    BuildError,
    DiskFullError,
    DockerfileError,
    EmulationError,
    EngineError,
    LoginError,
    LostCacheError,
    NetworkError,
    OutOfMemoryError,
    ProjectError,
    RegistryError,
    StagegraphError,
    ToolError,
)
from stagegraph.keys.spec import Frontend, NodeSpec, Parent
from stagegraph.oci.platform import NO_PLATFORM
from stagegraph.project.model import Node, Platform, StageConfig

pytestmark = pytest.mark.unit

SPEC = NodeSpec(
    Node("x", "amd64"),
    Platform("amd64", AMD64),
    StageConfig("x"),
    0,
    analysis=facts("FROM base\nCOPY a b\n\nRUN make  all \\\n  install\n"),
)
UNKNOWN = Placement()
CODE = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'


def explained(*lines: str | bytes, spec: NodeSpec = SPEC, placement: Placement = UNKNOWN) -> StagegraphError:
    tracker = Tracker(lambda _: None)
    for line in lines:
        tracker.feed(line if isinstance(line, bytes) else f"{line}\n".encode())
    return explain(Failure(spec, tracker, "cache/logs/x.log", placement), 1)


def step(*printed: str, error: str = CODE, name: str = "RUN make all   install") -> StagegraphError:
    return explained(*ran(f"[build 3/3] {name}", *printed, error=error), f"ERROR: failed to solve: {error}")


def test_the_message_of_a_failed_step() -> None:
    error = step("x.c:1: error", "make: *** [x.o] Error 1")
    assert type(error) is BuildError
    assert str(error) == (
        "x:amd64: x/Dockerfile:4: RUN make all install\n"
        "    x.c:1: error\n"
        "    make: *** [x.o] Error 1\n"
        "  it ended with status 2\n"
        "  fix the step and run again: finished nodes are kept\n"
        "  the whole log: doit logs x:amd64 (cache/logs/x.log)\n"
        "  a shell before this step: doit shell x:amd64 --failed"
    )


def test_a_step_that_printed_nothing_has_one_line() -> None:
    assert step().what == "RUN make all install\n  it printed nothing and ended with status 2"


@pytest.mark.parametrize("words", ["unauthorized", "no space left on device", "Could not resolve host: x"])
def test_words_of_the_command_do_not_choose_the_error_class(words: str) -> None:
    """BuildKit's message quotes the command of a failed RUN. Its words do not choose the error class."""
    command = f"/bin/sh -c test \"$(cat /state)\" != '{words}'"
    code = f'process "{command}" did not complete successfully: exit code: 1'
    error = step(error=code)
    assert type(error) is BuildError and "ended with status 1" in error.what


def test_the_line_that_buildx_names_comes_first() -> None:
    error = explained(*ran("[2/3] COPY a b", error='"/a": not found'), "Dockerfile:2")
    assert error.where == "x:amd64: x/Dockerfile:2"
    assert error.what == "COPY a b\n  there is no /a in the context"


def test_failure_without_a_step() -> None:
    error = explained("something new")
    assert (type(error), error.where) == (EngineError, "x:amd64")
    assert error.what == "buildx ended with status 1\n    something new"


def test_an_unknown_fault_outside_of_any_step_is_not_that_of_a_step() -> None:
    for begun in (
        ran("[internal] load remote build context", error="something new"),
        [*ran("[2/3] COPY a b"), b"ERROR: something new\n"],  # buildx ended, and no step failed
    ):
        error = explained(*begun)
        assert type(error) is LostCacheError and "fix the step" not in error.hint
        assert "docker buildx prune --all --force" in error.hint
    assert "fix the step" not in explained("something new").hint


def test_a_dockerfile_that_the_front_end_refuses_is_no_fault_of_the_engine() -> None:
    said = "ERROR: failed to solve: dockerfile parse error on line 2: unknown flag: --new"
    assert type(explained(said)) is BuildError


def test_a_lost_cache_names_the_builder_whose_cache_to_empty() -> None:
    lost = ran("[2/3] COPY a b", error="failed to load cache: not found")
    assert "docker buildx prune --all --force\n" in explained(*lost).hint
    named = explained(*lost, placement=Placement("farm", "docker-container"))
    assert "docker buildx prune --all --force --builder=farm\n" in named.hint


def test_a_step_that_could_not_be_started_is_not_the_fault_of_the_step() -> None:
    error = step(error=CODE.replace("exit code: 2", "failed to create endpoint x on network bridge: no"))
    assert type(error) is EngineError and "fix the step" not in error.hint


def test_an_error_of_several_lines() -> None:
    lost = "\t* failed to stat lower snapshot abc: snapshot abc does not exist: not found"
    error = explained(
        *ran("[2/3] COPY a b", error=f"failed to apply diffs: 1 error occurred:\n{lost}"),
        "ERROR: failed to solve: failed to compute cache key: failed to apply diffs: 1 error occurred:",
        lost,
    )
    assert type(error) is LostCacheError


def test_only_the_last_lines_are_shown() -> None:
    shown = step(*(f"line {n}" for n in range(300))).what.splitlines()[1:-1]
    assert shown == ["    ... (280 lines before)", *(f"    line {n}" for n in range(300 - LAST_LINES, 300))]


@pytest.mark.parametrize(
    ("printed", "kind"),
    [
        ("write error: No space left on device", DiskFullError),
        ("exec /bin/sh: exec format error", EmulationError),
        ("g++: fatal error: Killed signal terminated program cc1plus", OutOfMemoryError),
        ("curl: (60) SSL certificate problem: unable to get local issuer certificate", NetworkError),
        ("Temporary failure resolving 'example.org'", NetworkError),
        ("curl: (6) Could not resolve host: example.org", NetworkError),
        ("E: Failed to fetch http://example.org/a.deb  Connection failed", NetworkError),
        ("E: Failed to fetch http://example.org/a.deb  404  Not Found [IP: 192.0.2.1 80]", BuildError),
        # a step may print text that, from BuildKit, would mean an error of the engine or a registry
        ("sh: -c: line 1: unexpected EOF while looking for matching `''", BuildError),
        ("rpc error: code = Unavailable", BuildError),
        ("HTTP error 401 Unauthorized", BuildError),
        ("test: unexpected status from server", BuildError),
    ],
)
def test_the_output_of_a_step_chooses_the_error_class(printed: str, kind: type[StagegraphError]) -> None:
    assert type(step(printed)) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('process "/bin/sh -c make" did not complete successfully: exit code: 137', OutOfMemoryError),
        ("failed to copy: write /x: no space left on device", DiskFullError),
        ("rpc error: code = Unavailable desc = error reading from server: EOF", EngineError),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?", EngineError),
        (
            "granting entitlement security.insecure is not allowed by build daemon configuration",
            BuilderError,
        ),
        ("failed to parse /id: ssh: this private key is passphrase protected", ProjectError),
        (
            "unable to derive the IP value for host-gateway: host-gateway is not supported by the "
            "docker-container driver",
            BuilderError,
        ),
        (
            "failed to commit t1 to r1 during finalize: failed to stat active key during commit: "
            "snapshot t1 does not exist: not found",
            LostCacheError,
        ),
        ("pull access denied, repository does not exist or may require authorization", LoginError),
        ("failed to do request: Head: tls: x509: certificate signed by unknown authority", NetworkError),
        ("failed to do request: Head: dial tcp: lookup example.org: no such host", NetworkError),
        ("context deadline exceeded", EngineError),
        ("no valid drivers found: Cannot connect", EngineError),
        ("invalid progress mode rawjson", ToolError),
        (
            "failed to resolve source metadata for example.org/x: unexpected status from HEAD: 500",
            RegistryError,
        ),
    ],
)
def test_the_message_of_the_builder_chooses_the_error_class(
    message: str, kind: type[StagegraphError]
) -> None:
    assert type(step(error=message)) is kind
    assert type(explained(f"ERROR: failed to solve: {message}")) is kind


def test_an_engine_that_stops_during_a_build_is_an_engine_error() -> None:
    error = explained(
        *ran("[2/2] RUN make", "compiling")[:2],
        "ERROR: rpc error: code = Unavailable desc = transport is closing",
    )
    assert type(error) is EngineError


def test_the_output_of_a_step_does_not_count_if_the_engine_stops() -> None:
    error = explained(
        *ran("[2/2] RUN make", "No space left on device, retrying")[:2], "ERROR: no active session for x"
    )
    assert type(error) is EngineError


@pytest.mark.parametrize(
    ("message", "named"),
    [("rpc error: code = Unavailable desc = EOF", True), ("exec format error", True), (CODE, False)],
)
def test_errors_of_a_named_builder_name_it(message: str, named: bool) -> None:
    error = str(explained(f"ERROR: failed to solve: {message}", placement=Placement("farm", "remote", False)))
    assert ("on builder farm, for linux/amd64: " in error) == named
    assert ("docker buildx inspect farm" in error) == named


NATIVE = Placement(machine=AMD64)


@pytest.mark.parametrize(
    ("flag", "network", "named"),
    [
        ("--network=none ", "default", "RUN --network=none"),
        ("", "none", 'network = "none", stages.toml:7'),
        ("--network=default ", "none", ""),
    ],
)
def test_a_step_without_a_network_by_intention_names_what_sets_it(
    flag: str, network: str, named: str
) -> None:
    text = f"RUN {flag}curl http://x"
    config = StageConfig("x", network=network, set_at={"network": "stages.toml:7"})
    spec = SPEC._replace(config=config, analysis=facts(f"FROM base\n{text}\n"))
    lines = ran(f"[2/2] {text}", "curl: (6) Could not resolve host: x", error=CODE)
    error = explained(*lines, f"ERROR: failed to solve: {CODE}", spec=spec)
    assert type(error) is (BuildError if named else NetworkError)
    assert named in error.hint
    assert ("run again" in error.hint) is not bool(named)


def test_a_file_that_is_no_program_is_the_fault_of_the_step() -> None:
    """On a machine of the same processor, QEMU has nothing to do with it."""
    lines = ran("[2/2] RUN make", "/bin/sh: 1: /x: Exec format error", error=CODE)
    error = explained(*lines, placement=NATIVE)
    assert type(error) is BuildError and "#!/bin/sh" in error.hint
    foreign = SPEC._replace(platform=Platform("aarch64", ARM64))
    error = explained(*lines, spec=foreign, placement=NATIVE)
    assert type(error) is EmulationError and "register QEMU: " in error.hint
    error = explained(*lines, spec=foreign, placement=NATIVE._replace(is_own=False, name="farm"))
    assert "run there: docker run --privileged --rm tonistiigi/binfmt --install arm64" in error.hint


def test_a_network_fault_of_a_pull_is_not_that_of_a_step() -> None:
    message = 'failed to do request: Head "https://x/v2/": net/http: TLS handshake timeout'
    error = explained(*ran("[internal] load metadata for x", error=message), "Dockerfile:1")
    assert (type(error), error.where) == (NetworkError, "x:amd64: x/Dockerfile:1")
    assert error.what == f"{message}\n  at: FROM base" and "--failed" not in error.hint


def test_a_trigger_has_the_line_of_the_from_that_brings_it() -> None:
    """The line that buildx names for it is in the trigger itself."""
    text = "# comment\nARG A\nFROM base\nRUN make\n"
    parent = Parent(Edge("base", NO_PLATFORM, 3, is_from=True), Node("base", "amd64"))
    spec = SPEC._replace(analysis=facts(text)._replace(needs_all=True), parents=(parent,))
    for name in ("[1/2] RUN touch /x", "[1/2] ONBUILD RUN touch /x"):
        error = explained(*ran(name, error=CODE), "Dockerfile:1", spec=spec)
        assert error.where == "x:amd64: x/Dockerfile:3"
        assert error.what.splitlines()[0] == "RUN touch /x"
        assert error.what.splitlines()[-1] == "  it is a trigger (ONBUILD) of base:amd64"
    error = explained(*ran("[2/2] RUN make", error=CODE), "Dockerfile:4", spec=spec)
    assert "trigger" not in error.what


def test_the_mounts_of_a_long_step_are_left_out_before_its_command() -> None:
    mounts = " ".join(f"--mount=type=cache,target=/cache/{number}" for number in range(9))
    error = step(name=f"RUN {mounts} --network=none make")
    assert error.what.startswith("RUN --mount=… --network=none make\n")


def test_an_alternative_is_named_in_the_commands() -> None:
    spec = SPEC._replace(config=SPEC.config._replace(alternative="other"))
    error = explained(*ran("[2/2] RUN make", error=CODE), spec=spec)
    assert "doit x=other logs x:amd64 " in error.hint and "doit x=other shell x:amd64" in error.hint


READER = Frontend("some/reader:1", sha("reader"))
READ = SPEC._replace(frontend=READER)
SYNTAX = f"failed to solve: failed with build-arg:BUILDKIT_SYNTAX = {READER.pinned}: "


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # an image that is not a front end: without named contexts, then with them
        (f"{SYNTAX}exit code: 1", DockerfileError),
        ("current frontend does not support --build-context. Named contexts are ...", DockerfileError),
        ("exit code: 1", DockerfileError),
        ("frontend grpc server closed unexpectedly", DockerfileError),
        (f"{SYNTAX}failed to do request: Head: dial tcp: lookup example.org: no such host", NetworkError),
        (f"{SYNTAX}failed to resolve source metadata for some/reader", RegistryError),
    ],
)
def test_an_error_of_the_front_end_names_the_front_end(message: str, kind: type[StagegraphError]) -> None:
    error = explained(f"ERROR: {message}", spec=READ)
    assert (type(error), error.where) == (kind, "x:amd64: x/Dockerfile:1")
    assert error.hint.startswith("some/reader:1 reads this Dockerfile, as its # syntax= line says; ")
    assert 'frontend = "builder"' in error.hint


def test_a_failed_step_gives_the_same_message_with_a_front_end() -> None:
    lines = ("#5 [build 3/3] RUN make all   install", f"#5 ERROR: {CODE}", f"ERROR: failed to solve: {CODE}")
    assert str(explained(*lines, spec=READ)) == str(explained(*lines))
