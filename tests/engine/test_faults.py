"""A registry that fails, lies or disappears: the build succeeds or ends with one message; nothing is lost."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import DODO, Project, Registry, Run, header, serving
from proxy import Proxy, Request, proxy

pytestmark = pytest.mark.engine

REPO = f"stagegraph-test/faults-{time.time_ns()}"
TAG = f"{REPO}:light-here"
STAGES = '[stages.heavy]\npath = "heavy"\n[stages.light]\npath = "light"\n[images.light]\n'
TOO_MANY = {"Retry_After": "1", "Content_Type": "application/json"}


def every(count: int, status: int, **headers: str) -> Callable[[Request], None]:
    def fault(request: Request) -> None:
        if request.number % count == 0:
            request.answer(status, b"{}", **headers)
        else:
            request.forward()

    return fault


def blobs(wrong: Callable[[Request], None], *, first: bool = False) -> Callable[[Request], None]:
    """Return a fault that fails when a blob is pulled or pushed, by ``wrong``.

    ``first``: only at the first attempt for each blob.
    """

    def fault(request: Request) -> None:
        moves = (request.method, request.what) in {("GET", "blobs"), ("PATCH", "uploads")}
        (wrong if moves and (request.time == 1 or not first) else Request.forward)(request)

    return fault


def corrupt(request: Request) -> None:
    """Return other bytes of the right length."""
    request.forward(edit=lambda body: bytes(255 - byte for byte in body))


def refuse_manifests(request: Request) -> None:
    if (request.method, request.what) == ("PUT", "manifests"):
        body = b'{"errors": [{"code": "MANIFEST_INVALID", "message": "manifest invalid"}]}'
        request.answer(400, body, Content_Type="application/json")
    else:
        request.forward()


def redirect(request: Request) -> None:
    request.answer(307, Location=f"http://{request.proxy.host}{request.path}")


def with_empty_cache(project: Project, host: str) -> Project:
    """Empty ``cache/``, as on another machine."""
    shutil.rmtree(project.folder / "cache", ignore_errors=True)
    project.env["STAGEGRAPH_REGISTRY"] = host
    return project


@dataclass
class Warm:
    """A registry with everything of a project, the project without ``cache/``, and the image's digest."""

    registry: Registry
    folder: Path
    digest: str

    def project(self, folder: Path, host: str) -> Project:
        return with_empty_cache(Project(self.folder).copy(folder / "project"), host)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    folder = tmp_path_factory.mktemp("warm")
    project = Project(folder / "project")
    project.folder.mkdir()
    project.write(
        {
            "dodo.py": DODO,
            "stages.toml": header(REPO) + STAGES,
            "heavy/Dockerfile": "FROM scratch\nCOPY file /heavy\n",
            "heavy/file": "heavy\n" * 1000,
            "light/Dockerfile": "FROM scratch\nCOPY --from=heavy /heavy /light\n",
        }
    )
    with serving(folder / "registry") as registry:
        run = project.built(f"registry={registry.host}", "light:here")
        shutil.rmtree(project.folder / "cache")
        yield Warm(registry, project.folder, run.last["images"][TAG])
    subprocess.run(["docker", "rmi", "-f", TAG], capture_output=True, check=False)


@pytest.fixture
def start_proxy(registry: Registry) -> Iterator[Callable[..., Proxy]]:
    """Start proxies in front of an empty registry, or of another one."""
    with ExitStack() as stack:
        yield lambda fault=Request.forward, target=registry.host: stack.enter_context(proxy(target, fault))


def final_tag_digest(registry: Registry) -> str:
    """Return the digest of the final tag in the registry, "" if there is no such tag."""
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry.host}/{TAG}"]
    done = subprocess.run(command, capture_output=True, check=False)
    return str(json.loads(done.stdout)["Digest"]) if done.returncode == 0 else ""


def check_result(project: Project, run: Run, digest: str) -> None:
    """Check that the image is the right one and that the records are complete."""
    assert run.last["images"] == {TAG: digest}, run.output
    verified = project.doit("verify", "light:here")
    assert verified.status == 0, verified.output


PASSING = {
    "429": every(7, 429, **TOO_MANY),
    "500": every(7, 500),
    "cut": blobs(Request.cut, first=True),
    "other bytes": blobs(corrupt, first=True),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_pull_succeeds_although_the_registry_fails_for_a_moment(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path, fault: Callable[[Request], None]
) -> None:
    project = warm.project(tmp_path, start_proxy(fault, warm.registry.host).host)
    run = project.built("light:here")
    assert run.nodes("pull") == {"light:here"} and not run.built and "warning" not in run.output, run.output
    check_result(project, run, warm.digest)


# A push has more requests than a pull. So these faults are rare enough for a second attempt to succeed.
RARELY = {"429": every(17, 429, **TOO_MANY), "500": every(17, 500)}


@pytest.mark.parametrize("fault", (PASSING | RARELY).values(), ids=PASSING)
def test_a_push_succeeds_although_the_registry_fails_for_a_moment(
    warm: Warm,
    start_proxy: Callable[..., Proxy],
    registry: Registry,
    tmp_path: Path,
    fault: Callable[[Request], None],
) -> None:
    project = warm.project(tmp_path, start_proxy(fault).host)
    run = project.built("light:here")
    assert run.built == {"heavy:here", "light:here"} and "warning" not in run.output, run.output
    check_result(project, run, warm.digest)
    assert final_tag_digest(registry) == warm.digest
    # another machine finds everything
    assert with_empty_cache(project, registry.host).built("light:here").nodes("pull") == {"light:here"}


def test_a_pull_succeeds_although_every_second_request_is_refused(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    """skopeo waits and tries again."""
    project = warm.project(tmp_path, start_proxy(every(2, 429, **TOO_MANY), warm.registry.host).host)
    run = project.built("push=never", "light:here")
    assert run.nodes("pull") == {"light:here"} and "warning" not in run.output, run.output
    check_result(project, run, warm.digest)


def fail(request: Request) -> None:
    request.answer(500, b"{}")


LASTING = {
    # only blobs fail: a pull needs few requests, and later versions of skopeo can do without one answer
    "500": blobs(fail),
    "cut": blobs(Request.cut),
    "other bytes": blobs(corrupt),
    "redirected blobs": blobs(redirect),
    "redirected": redirect,
}


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_a_node_is_built_if_the_registry_cannot_deliver_it(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path, fault: Callable[[Request], None]
) -> None:
    """If the registry cannot deliver a node, doit builds it."""
    project = warm.project(tmp_path, start_proxy(fault, warm.registry.host).host)
    project.env["STAGEGRAPH_PUSH"] = "never"
    run = project.built("light:here")
    assert run.built == {"heavy:here", "light:here"}
    assert "could not be pulled" in run.output or run.output.count("continuing without the registry") == 1
    check_result(project, run, warm.digest)


def test_a_blob_without_end_does_not_fill_the_disk(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    """The pull ends when more comes than the manifest says, and is not tried again. doit builds the node."""
    front = start_proxy(blobs(Request.send_on), warm.registry.host)
    project = warm.project(tmp_path, front.host)
    project.env["STAGEGRAPH_PUSH"] = "never"
    run = project.built("light:here")
    assert run.built == {"heavy:here", "light:here"}
    assert "could not be pulled: the registry sends more than" in run.output
    assert front.sent < 8 << 30 and not list((project.folder / "cache/tmp").glob("*/oci-put-blob*"))
    check_result(project, run, warm.digest)


REFUSING = {
    # every attempt of skopeo meets a failure, because every second request fails
    "429": every(2, 429, **TOO_MANY),
    "500": every(3, 500),
    "cut": blobs(Request.cut),
    "manifest refused": refuse_manifests,
}


@pytest.mark.parametrize("fault", REFUSING.values(), ids=REFUSING)
def test_a_failed_push_is_an_error_and_the_next_run_pushes(
    warm: Warm,
    start_proxy: Callable[..., Proxy],
    registry: Registry,
    tmp_path: Path,
    fault: Callable[[Request], None],
) -> None:
    """One warning; everything built is kept, and is pushed when the registry works again."""
    front = start_proxy(fault)
    project = warm.project(tmp_path, front.host)
    run = project.doit("light:here")
    assert run.status == 22 and run.built == {"heavy:here", "light:here"}, run.output
    assert run.output.count("warning: ") == run.output.count("ERROR: ") == 1, run.output
    assert "not delivered: light:here" in run.output
    check_result(project, run, warm.digest)
    assert not final_tag_digest(registry)
    front.fault = Request.forward
    assert not project.built("light:here").built
    assert final_tag_digest(registry) == warm.digest


def test_a_run_does_not_wait_if_retry_after_is_an_hour(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    project = warm.project(tmp_path, start_proxy(every(1, 429, Retry_After="3600")).host)
    start = time.monotonic()
    run = project.built("light:here")
    assert run.output.count("warning: ") == 1 and "asked to wait 3600 s" in run.output
    assert time.monotonic() - start < 30
    check_result(project, run, warm.digest)


def full_queue() -> tuple[str, list[socket.socket]]:
    """Return an address at which the kernel drops new connections: nobody accepts, and the queue is full."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    port = server.getsockname()[1]
    clients = [socket.socket() for _ in range(3)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    return f"127.0.0.1:{port}", [server, *clients]


@pytest.mark.parametrize("dropped", [True, False], ids=["packets dropped", "accepts and is silent"])
def test_a_registry_that_never_answers_costs_one_short_time_out(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path, dropped: bool
) -> None:
    host, sockets = full_queue() if dropped else (start_proxy(Request.hang).host, [])
    project = warm.project(tmp_path, host)
    start = time.monotonic()
    run = project.built("plan", "light:here")
    took = time.monotonic() - start
    assert 4 < took < 9 and run.output.count("warning: ") == 1, (took, run.output)
    assert "no answer within 5 s" in run.output
    run = project.built("light:here")
    assert run.built == {"heavy:here", "light:here"} and run.output.count("warning: ") == 1, run.output
    check_result(project, run, warm.digest)
    for each in sockets:
        each.close()


def test_a_registry_that_stops_answering_gives_one_warning(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    """One warning, however much is left to push. The rest is done, and the exit status shows the failure."""

    def fault(request: Request) -> None:
        (Request.hang if request.proxy.asked("PATCH", "uploads") else Request.forward)(request)

    project = warm.project(tmp_path, start_proxy(fault).host)
    start = time.monotonic()
    run = project.doit("light:here")
    assert run.status == 22 and run.built == {"heavy:here", "light:here"}, run.output
    assert run.output.count("warning: ") == run.output.count("ERROR: ") == 1, run.output
    assert time.monotonic() - start < 25
    check_result(project, run, warm.digest)


def test_a_node_whose_manifest_is_missing_is_built_and_pushed_again(
    warm: Warm, start_proxy: Callable[..., Proxy], registry: Registry, tmp_path: Path
) -> None:
    """If the tag of a record names a missing manifest, the node is built and pushed again."""
    project = warm.project(tmp_path, registry.host)
    project.built("light:here")
    name = warm.digest.removeprefix("sha256:")
    shutil.rmtree(
        registry.data / f"docker/registry/v2/repositories/{REPO}/_manifests/revisions/sha256/{name}"
    )
    shutil.rmtree(registry.data / f"docker/registry/v2/blobs/sha256/{name[:2]}/{name}")
    run = with_empty_cache(project, registry.host).built("light:here")
    assert run.built == {"light:here"} and "could not be pulled" in run.output
    check_result(project, run, warm.digest)
    assert final_tag_digest(registry) == warm.digest
    assert with_empty_cache(project, registry.host).built("light:here").nodes("pull") == {"light:here"}


def test_the_final_tag_is_set_after_everything_else_is_pushed(
    warm: Warm, start_proxy: Callable[..., Proxy], registry: Registry, tmp_path: Path
) -> None:
    front = start_proxy()
    project = warm.project(tmp_path, front.host)
    project.built("light:here")
    calls = [(method, path.rsplit("/", 1)[1]) for _, method, path in front.seen if "/manifests/" in path]
    put = calls.index(("PUT", "light-here"))
    record = max(i for i, (method, name) in enumerate(calls) if method == "PUT" and "light-a" in name)
    confirmed = calls.index(("GET", warm.digest))
    assert record < put and confirmed < put and ("GET", "light-here") in calls[put:]


def test_a_tag_that_the_registry_does_not_set_is_reported(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path
) -> None:
    """A registry that confirms a tag but does not set it is reported."""

    def fault(request: Request) -> None:
        if request.path.endswith("/manifests/light-here"):
            request.answer(201) if request.method == "PUT" else request.answer(404, b"{}")
        else:
            request.forward()

    run = warm.project(tmp_path, start_proxy(fault).host).doit("light:here")
    assert run.status == 22 and "holds nothing" in run.output and "not delivered: light:here" in run.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_does_not_wait_for_pushes(
    warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path, number: signal.Signals
) -> None:
    def fault(request: Request) -> None:
        (Request.hang if request.method == "PATCH" else Request.forward)(request)

    front = start_proxy(fault)
    project = warm.project(tmp_path, front.host)
    process = project.start("light:here", group=True)
    while not any(method == "PATCH" for _, method, _ in front.seen):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    start = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number and time.monotonic() - start < 10, output
    assert "Traceback" not in output, output
    front.fault = Request.forward
    check_result(project, project.built("light:here"), warm.digest)


HELPER = """\
#!/bin/sh
echo "$1" >> "$(dirname "$0")/calls"
cat > /dev/null
[ "$1" = get ] && echo '{"ServerURL": "", "Username": "robot", "Secret": "secret"}'
"""


def test_the_first_push_creates_the_repository(
    warm: Warm, start_proxy: Callable[..., Proxy], registry: Registry, tmp_path: Path
) -> None:
    """A repository that does not exist yet is created by the first push, although reading it is denied.

    Docker Hub, among others, answers so for such a repository.
    """
    made = threading.Event()

    def fault(request: Request) -> None:
        if request.method in ("POST", "PUT"):
            made.set()
        if made.is_set() or "/manifests/" not in request.path:
            request.forward()
        else:
            body = (
                b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'
            )
            request.answer(401, body, Content_Type="application/json")

    front = start_proxy(fault)
    project = warm.project(tmp_path, front.host)
    run = project.built("light:here")
    assert run.output.count("warning: ") == 1 and "without reading the registry" in run.output, run.output
    assert pushed(registry) == {"heavy", "light", "light-here"}
    check_result(project, run, warm.digest)


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore"])
def test_credential_helpers_of_docker_give_the_login(
    warm: Warm, login_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A login works as ``docker login`` leaves it: a helper for one registry, or a store for all."""
    folder = tmp_path / "programs"
    folder.mkdir()
    helper = folder / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    said: dict[str, object] = {"auths": {login_registry.host: {}}, "credsStore": "test"}
    said = {"credHelpers": {login_registry.host: "test"}} if kind == "credHelpers" else said
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps(said))
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    project = warm.project(tmp_path, login_registry.host)
    # BuildKit uses the same configuration, but needs no login here
    project.env["DOCKER_CONFIG"] = str(tmp_path / "docker")
    run = project.built("light:here")
    assert "warning" not in run.output and run.built == {"heavy:here", "light:here"}, run.output
    calls = (folder / "calls").read_text().split()
    assert calls and set(calls) == {"get"}
    assert with_empty_cache(project, login_registry.host).built("light:here").nodes("pull") == {"light:here"}
    assert len((folder / "calls").read_text().split()) > len(calls)


def test_a_missing_login_is_reported_once(warm: Warm, login_registry: Registry, tmp_path: Path) -> None:
    project = warm.project(tmp_path, login_registry.host)
    project.env["DOCKER_CONFIG"] = str(tmp_path / "none")
    run = project.doit("light:here")
    assert run.status == 23 and run.output.count("warning: ") == run.output.count("ERROR: ") == 1, run.output
    assert f"docker login {login_registry.host}" in run.output and run.built == {"heavy:here", "light:here"}
    check_result(project, run, warm.digest)


def pushed(registry: Registry) -> set[str]:
    """Return the stages whose records are in the registry, and other tags."""
    return {name if name == "light-here" else name.partition("-")[0] for name in registry.tags(REPO)}


def test_the_setting_push_chooses_which_images_are_pushed(
    warm: Warm, registry: Registry, tmp_path: Path
) -> None:
    """A run pushes what it built and final images. It pushes their other ancestors only with push=all."""
    project = warm.project(tmp_path, registry.host)
    project.built("push=never", "light:here")
    refused = project.doit("publish", "push=never", "light")
    assert refused.status == 10 and "push=never says" in refused.output
    assert project.built("push=never", "light:here").nodes("reuse") == {"light:here"}
    assert not pushed(registry)
    project.built("heavy:here")
    assert not pushed(registry)  # heavy was in the cache already, and it is no image
    project.built("light:here")
    assert pushed(registry) == {"light", "light-here"}
    project.built("push=all", "light:here")
    assert pushed(registry) == {"heavy", "light", "light-here"}


def test_look_ups_run_in_parallel(warm: Warm, start_proxy: Callable[..., Proxy], tmp_path: Path) -> None:
    """doit looks up the target first, then all that it depends on in parallel, and each key once."""
    front = start_proxy()
    project = warm.project(tmp_path, front.host)
    names = [f"part{number}" for number in range(12)]
    tables = "".join(f'[stages.{name}]\npath = "heavy"\nargs = {{ PART = "{name}" }}\n' for name in names)
    lines = "".join(f"COPY --from={name} /heavy /{name}\n" for name in names)
    project.write(
        {
            "stages.toml": header(REPO) + STAGES + tables,
            "heavy/Dockerfile": "FROM scratch\nARG PART=none\nLABEL part=$PART\nCOPY file /heavy\n",
            "light/Dockerfile": f"FROM scratch\n{lines}",
        }
    )
    busy, most = [0], [0]

    def fault(request: Request) -> None:
        if request.what == "manifests":
            with request.proxy.lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            time.sleep(0.5)
            with request.proxy.lock:
                busy[0] -= 1
        request.forward()

    front.fault = fault
    project.built("plan", "light:here")
    asked = front.asked("GET", "manifests")
    # two keys for each part; one for the target, because its content key needs its parents
    assert asked[0].startswith("light-") and len(asked) == len(set(asked)) == 25, asked
    assert 2 < most[0] <= 8
