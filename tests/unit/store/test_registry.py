"""The meaning of skopeo's messages, the number of calls, logins, pushes, and look-ups ahead of time."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import AMD64, graph, image, key_of, sha, stages

from stagegraph.errors import LoginError, RefusedError, RegistryError, StoreError
from stagegraph.execution.lookup import prefetch_candidates
from stagegraph.project.model import Node
from stagegraph.store import credentials, pushes, skopeo
from stagegraph.store.layout import LayoutStore
from stagegraph.store.registry import MAX_FAILED_PULLS, RegistryStore
from stagegraph.store.repository import is_image
from stagegraph.system.workers import DaemonPool
from stagegraph.waits import waiting

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # messages of skopeo 1.9
        ("reading manifest 1 in h/a: manifest unknown: manifest unknown", "absent"),
        ("Requesting bear token: invalid status code from registry 404 (Not Found)", "absent"),
        ("reading manifest 1 in h/a: unauthorized: authentication required", "login"),
        ("pinging container registry h: invalid status code from registry 403 (Forbidden)", "login"),
        ("pinging container registry h: dial tcp 1.2.3.4:1: connect: connection refused", "down"),
        ("dial tcp: lookup nowhere.example: no such host", "down"),
        ('exec: "docker-credential-x": executable file not found in $PATH', "refused"),
        ("writing manifest: open cache/tmp/x/blobs/sha256/1: permission denied", "refused"),
        ("uploading manifest 1 to h/a: manifest invalid: manifest invalid", "refused"),
        ("uploading manifest 1 to h/a: received unexpected HTTP status: 413 Too Large", "refused"),
        ("Get http://h/v2/: stopped after 10 redirects", "refused"),
        ("pinging container registry h: invalid status code from registry 500 (Internal)", "again"),
        ("uploading manifest light-here to h/a: StatusCode: 429, {}", "again"),
        ("reading manifest a401b in h/a500c404: received unexpected HTTP status: 502 Bad Gateway", "again"),
        ("reading manifest 1 in h/a: 500 Internal Server Error: blob backend not found", "again"),
        ("reading manifest 1 in h/a: unauthorized: project a not found", "login"),
        ("writing blob: happened during read: unexpected EOF", "again"),
        ("writing blob: Digest did not match, expected sha256:1, got sha256:2", "again"),
    ],
)  # fmt: skip
def test_messages_of_skopeo_are_classified(message: str, kind: str) -> None:
    assert skopeo.kind_of(message) == kind


@pytest.mark.parametrize(
    ("reference", "message", "kind"),
    [
        ("h/a:gcc-404-amd64-0", "reading manifest gcc-404-amd64-0 in h/a: status: 502 Bad Gateway", "again"),
        ("h:404/a:b", 'pinging h:404: Get "http://h:404/v2/": i/o timeout', "again"),
        ("h/denied:b", "reading manifest b in h/denied: unexpected HTTP status: 502 Bad Gateway", "again"),
        ("h/a:b", "reading manifest b in h/a: manifest unknown", "absent"),
        ("h/a:b", "open auth.json: permission denied", "refused"),
    ],
)
def test_names_in_a_message_do_not_change_its_class(reference: str, message: str, kind: str) -> None:
    assert skopeo.kind_of(message, reference) == kind


@pytest.fixture
def skopeo_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo that prints the text of this file and fails. It counts its calls in another file."""
    program = tmp_path / "skopeo"
    program.write_text(
        f'#!/bin/sh\necho >> {tmp_path}/calls\ncat {tmp_path}/said >&2\nexit "$(cat {tmp_path}/status)"\n'
    )
    program.chmod(0o755)
    (tmp_path / "status").write_text("1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "said"


def calls(skopeo_message: Path) -> int:
    return len((skopeo_message.parent / "calls").read_text().splitlines())


def test_why_a_record_is_refused(skopeo_message: Path) -> None:
    """skopeo's last message is about another format. The real reason is in an earlier message."""
    skopeo_message.write_text(
        'time="1" level=debug msg="Upload of manifest list type a/b failed: uploading manifest b: denied"\n'
        'time="1" level=fatal msg="Manifest list must be converted to type c/d, but we cannot modify it"\n'
    )
    assert skopeo.run(["copy"]) == ("login", b"", "uploading manifest b: denied")


@pytest.mark.parametrize(
    ("message", "patient", "count"),
    [
        ("received unexpected HTTP status: 500", False, 4),
        ("manifest unknown", True, 1),
        ("manifest invalid", True, 1),
        ("connection refused", False, 1),
        ("connection refused", True, 4),
    ],
)
def test_the_number_of_attempts_is_limited(
    skopeo_message: Path, monkeypatch: pytest.MonkeyPatch, message: str, patient: bool, count: int
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(skopeo, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    skopeo_message.write_text(f'time="1" level=debug msg="chatter"\ntime="1" level=fatal msg="{message}"\n')
    answer = skopeo.run(["inspect"], patient=lambda: patient)
    assert answer.message == f'time="1" level=fatal msg="{message}"'
    assert calls(skopeo_message) == count and waits == [1, 2, 4][: count - 1]


def test_waits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits at the same time count once."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    waits = skopeo.WaitBudget(60)
    assert waits.take(40) and waits.take(39) and waits.left == 20
    now[0] += 40
    assert waits.take(20) and not waits.take(21)


def test_a_wait_that_is_too_long_is_not_started(skopeo_message: Path) -> None:
    """A wait that skopeo makes by itself counts, too."""
    skopeo_message.write_text(
        'time="1" level=debug msg="Too many requests to http://h: sleeping for 61.000000 seconds before"\n'
    )
    assert skopeo.run(["inspect"]).kind == "later"
    skopeo_message.write_text('time="1" level=debug msg="Detected \'Retry-After\' header \\"3600\\""\n')
    answer = skopeo.run(["inspect"])
    assert answer.kind == "later" and "3600 s" in answer.message and calls(skopeo_message) == 2


def test_a_registry_that_answered_before_may_be_silent_once(
    skopeo_message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that answered before may be slow once, while others push to it."""
    monkeypatch.setattr(skopeo, "SILENCE_TIMEOUT", 0.2)
    monkeypatch.setattr(skopeo, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))
    program, first = skopeo_message.parent / "skopeo", skopeo_message.parent / "first"
    program.write_text(f"#!/bin/sh\n[ -e {first} ] || {{ touch {first}; exec sleep 5; }}\necho record\n")
    assert skopeo.run(["inspect"], patient=lambda: True) == ("ok", b"record\n", "")
    first.unlink()
    assert skopeo.run(["inspect"]).kind == "silent"


def test_a_silent_call_is_ended(skopeo_message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent call ends, unless it announced a wait, or the registry answers others during a copy."""
    monkeypatch.setattr(skopeo, "SILENCE_TIMEOUT", 0.2)
    program = skopeo_message.parent / "skopeo"
    program.write_text(f"#!/bin/sh\ncat {skopeo_message} >&2\nexec sleep 1.5\n")
    skopeo_message.write_text("")
    start = time.monotonic()
    assert skopeo.run(["inspect"]).kind == "silent" and time.monotonic() - start < 1.4
    assert skopeo.run(["copy"], alive=lambda: False).kind == "silent"
    assert skopeo.run(["copy"], alive=lambda: True).kind == "ok"
    skopeo_message.write_text(
        'level=debug msg="Too many requests to http://h: sleeping for 2.000000 seconds before"\n'
    )
    assert skopeo.run(["inspect"]).kind == "ok"


def test_a_call_without_progress_is_ended(skopeo_message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends although the registry answers others."""
    for name, value in (("SILENCE_TIMEOUT", 0.2), ("STALL_TIMEOUT", 0.5), ("MAX_ATTEMPTS", 1)):
        monkeypatch.setattr(skopeo, name, value)
    (skopeo_message.parent / "skopeo").write_text("#!/bin/sh\nexec sleep 30\n")
    answer = skopeo.run(["copy"], alive=lambda: True)
    assert answer.kind == "again" and "nothing moved" in answer.message


def test_a_registry_that_fails_every_transfer_is_not_used_any_more(
    skopeo_message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))
    skopeo_message.write_text("unexpected EOF")
    warnings: list[str] = []
    store = RegistryStore("h/a", LayoutStore(tmp_path), warnings.append)
    record = image(LayoutStore(tmp_path), "a", (b"files",))
    counts = []
    for _ in range(MAX_FAILED_PULLS + 1):
        assert not store.pull(Node("a", "p"), record)
        counts.append(calls(skopeo_message))
    assert counts == [skopeo.MAX_ATTEMPTS, 2 * skopeo.MAX_ATTEMPTS, 2 * skopeo.MAX_ATTEMPTS]
    assert sum("continuing without the registry" in text for text in warnings) == 1


@pytest.mark.parametrize(("message", "there"), [("x509: unknown authority", False), ("no such host", True)])
def test_an_image_counts_as_missing_after_a_certificate_error(
    skopeo_message: Path, tmp_path: Path, message: str, there: bool
) -> None:
    """The final image counts as missing after a certificate error, but not if the registry is only down."""
    skopeo_message.write_text(message)
    store = RegistryStore("h/a", LayoutStore(tmp_path), lambda _: None)
    record = image(LayoutStore(tmp_path), "a", (b"files",))
    assert [store.has_image(record, "h/a:tag") for _ in range(2)] == [there, there]
    store.pushes.push_final(Node("a", "p"), record, "h/a:tag")
    assert len(store.pushes.flush(lambda _: None)) == (not there)


def test_an_unknown_authority_is_named_with_the_place_for_its_certificate(
    skopeo_message: Path, tmp_path: Path
) -> None:
    said = 'Get "https://h:5000/v2/": x509: certificate signed by unknown authority'
    skopeo_message.write_text(said)
    store = RegistryStore("h:5000/a", LayoutStore(tmp_path), lambda _: None)
    with pytest.raises(RefusedError) as error:
        store.remote.read_manifest("h:5000/a:tag")
    assert "does not know the authority" in error.value.what
    assert "/etc/docker/certs.d/h:5000/ca.crt" in error.value.hint and said in error.value.hint


def test_a_repository_of_an_image_that_wants_a_login_leaves_that_of_nodes_alone(
    skopeo_message: Path, tmp_path: Path
) -> None:
    """It may not exist yet: then registries answer so, and only a push can tell."""
    skopeo_message.write_text("unauthorized")
    store = RegistryStore("h/a", LayoutStore(tmp_path), lambda _: None)
    record = image(LayoutStore(tmp_path), "a", (b"files",))
    assert not store.has_image(record, "h/other:tag")
    assert store.availability.read_error is None
    store.pushes.push_final(Node("a", "p"), record, "h/other:tag")
    ((_, error),) = store.pushes.flush(lambda _: None)
    assert isinstance(error, LoginError)
    assert not store.has_image(record, "h/a:tag")
    assert store.availability.read_error is not None


def test_an_index_of_one_image_is_that_image() -> None:
    document = json.dumps({"manifests": [{"digest": sha("1")}]}).encode()
    assert is_image(document, sha("1"))
    assert is_image(document, sha(document))
    for other in (b"", b"{}", b"[]", b'{"manifests": 1}', b'{"manifests": []}'):
        assert not is_image(other, sha("1"))
    two = json.dumps({"manifests": [{"digest": sha("1")}, {"digest": sha("2")}]}).encode()
    assert not is_image(two, sha("1"))


def test_a_registry_that_was_down_from_the_start_is_not_an_error(
    skopeo_message: Path, tmp_path: Path
) -> None:
    """There is one warning. If the registry requires a login, there is also an error at the end."""
    record = image(LayoutStore(tmp_path), "a", (b"files",))
    for message, kinds in (("connection refused", []), ("unauthorized", [LoginError])):
        skopeo_message.write_text(message)
        warnings: list[str] = []
        store = RegistryStore("h/a", LayoutStore(tmp_path), warnings.append)
        for number in range(20):
            assert store.find(Node("a", "p"), AMD64, key_of(str(number))) is None
        assert len(warnings) == 1
        store.pushes.push_final(Node("a", "p"), record, "h/a:b")
        assert [type(error) for _, error in store.pushes.flush(print)] == kinds


def test_a_registry_that_goes_down_during_a_run_is_an_error(
    skopeo_message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))
    warnings: list[str] = []
    store = RegistryStore("h/a", LayoutStore(tmp_path), warnings.append)
    skopeo_message.write_text("manifest unknown")
    assert store.find(Node("a", "p"), AMD64, key_of("1")) is None and not warnings
    skopeo_message.write_text("connection refused")
    assert store.find(Node("a", "p"), AMD64, key_of("2")) is None and len(warnings) == 1
    record = type("R", (), {"key": "sha256:1", "docker": "linux/amd64", "digest": "d", "descriptor": {}})()
    store.pushes.push_final(Node("a", "p"), record, "h/a:b")
    ((node, error),) = store.pushes.flush(print)
    assert node == Node("a", "p") and isinstance(error, RegistryError) and len(warnings) == 1


def test_an_unexpected_error_of_a_push_is_reported(
    skopeo_message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any error of a push is reported, because nothing else looks at the result."""
    skopeo_message.write_text("manifest unknown")
    store = RegistryStore("h/a", LayoutStore(tmp_path), print)
    monkeypatch.setattr(store.remote, "send", lambda *_: 1 / 0)
    record = image(LayoutStore(tmp_path), "a", (b"files",))
    store.pushes.push_final(Node("a", "p"), record, "h/a:b")
    ((_, error),) = store.pushes.flush(print)
    assert "ZeroDivisionError" in str(error)


def test_two_workers_run_jobs_and_report_errors() -> None:
    """Two jobs run at once. A caller waits if the queue is full. The caller gets the error of its job."""
    workers, go = DaemonPool(2, max_waiting=1), threading.Event()
    done: list[int] = []
    broken: list[Future[object]] = []
    brought = threading.Event()

    def job(number: int) -> None:
        assert go.wait(5)
        done.append(number)

    for number in range(3):
        workers.submit(partial(job, number))

    def bring() -> None:
        broken.append(workers.submit(lambda: 1 / 0))
        brought.set()

    threading.Thread(target=bring, daemon=True).start()
    assert not brought.wait(0.1) and not workers.wait(0.05) and workers.pending == 3 and not done
    workers.submit(partial(job, 3), block=False)
    assert workers.pending == 4
    go.set()
    assert brought.wait(5) and workers.wait(5) and workers.pending == 0
    assert sorted(done) == [0, 1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        broken[0].result()


@pytest.mark.parametrize(
    ("config", "helper"),
    [
        ({"credsStore": "pass", "auths": {"h:1": {}}}, "pass"),
        ({"credsStore": "pass", "auths": {"other": {}}}, ""),
        ({"credsStore": "pass", "auths": {"h:1": {"auth": "eDp5"}}}, ""),
        ({"credsStore": "pass", "auths": {"h:1": {}}, "credHelpers": {"h:1": "own"}}, ""),
        ({"auths": {"h:1": {}}}, ""),
        ([], ""),
    ],
)
def test_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: object, helper: str) -> None:
    """skopeo gets a file only if it would not find the login itself, and the user has not named a file."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = credentials.environment("h:1", tmp_path / "cache")
    if helper:
        assert json.loads(Path(found["REGISTRY_AUTH_FILE"]).read_text()) == {"credHelpers": {"h:1": helper}}
    else:
        assert not found
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "elsewhere")
    assert not credentials.environment("h:1", tmp_path / "cache")


def test_ancestors_are_looked_up_nearest_first_and_each_once(tmp_path: Path) -> None:
    """Nearest first, each once. A node that is here is left out with its ancestors; so is a broken one."""
    dockerfiles = {
        "deep": "FROM base\n",
        "one": "FROM deep\n",
        "two": "FROM scratch\nCOPY --from=deep / /\n",
        "below": "FROM base\n",
        "here": "FROM below\nLABEL here=1\n",
        "broken": "FROM base\nCOPY none /\n",
        "top": "FROM one\nCOPY --from=broken / /\nCOPY --from=two / /\nCOPY --from=here / /\n",
    }
    nodes = graph(stages(tmp_path, dockerfiles))
    here = nodes.key(Node("here", "amd64"))
    seen: set[Node] = set()
    top = Node("top", "amd64")
    assert [n.stage for n in prefetch_candidates(nodes, top, lambda key: key == here, seen)] == [
        "one",
        "two",
        "deep",
    ]
    assert not list(prefetch_candidates(nodes, top, lambda key: key == here, seen))


@pytest.mark.parametrize("error", [StoreError("cache/", "the disk is full"), OSError(28, "no space left")])
def test_a_local_error_of_a_push_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nobody else sees an error of a worker. The final image was not pushed, so the run must report it."""

    def full(_: bytes) -> tuple[str, int]:
        raise error

    layout, warnings = LayoutStore(tmp_path), list[str]()
    monkeypatch.setattr(layout.blobs, "add", full)
    store = RegistryStore("h/a", layout, warnings.append)
    node, record = Node("app", "amd64"), image(layout, "app")
    store.pushes.push_built(node, record)
    store.pushes.push_final(node, record, "h/a:app")
    ((undelivered, said),) = store.pushes.flush(lambda _: None)
    assert undelivered == node
    assert "full" in str(said) or "no space left" in str(said)
    assert len(warnings) == 1


def test_a_record_of_a_newer_version_stays_in_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, warnings, sent = LayoutStore(tmp_path), list[str](), list[str]()
    node, record = Node("app", "amd64"), image(layout, "app")
    other = record.with_key(key_of("content"), [])
    store = RegistryStore("h/a", layout, warnings.append)
    newer = layout.document(record).replace(b'"stagegraph.schema":"1"', b'"stagegraph.schema":"2"')

    def inspect(reference: str) -> skopeo.SkopeoResult:
        found = reference == f"h/a:{record.tag}"
        return skopeo.SkopeoResult("ok", newer) if found else skopeo.SkopeoResult("absent")

    def send(*words: object) -> None:
        sent.append(str(words[2]))

    monkeypatch.setattr(store.remote, "inspect", inspect)
    monkeypatch.setattr(store.remote, "send", send)
    for each in (record, other):
        assert store.find(node, AMD64, each.key) is None
    store.pushes.push_built(node, other, record)
    assert store.pushes.flush(lambda _: None) == []
    assert sent == [f"h/a:{other.tag}"]
    assert warnings == [f"h/a:{record.tag} was written by a newer version of stagegraph, and is not replaced"]


# -- waits are told ---------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines about waits, which are told after 0.05 s."""
    monkeypatch.setattr(waiting, "EVERY", 0.05)
    waits, lines = waiting.Waits(), list[str]()
    waits.tell = lines.append
    monkeypatch.setattr(skopeo, "waiting_for", waits.on)
    return lines


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", "for registry h:5000, which sends nothing"),
        (
            'level=debug msg="Too many requests to http://h: sleeping for 9.000000 seconds before"',
            "for registry h:5000, which asks for 9 s more (too many requests)",
        ),
    ],
    ids=["silent", "Retry-After"],
)
def test_a_wait_for_a_registry_names_it_and_why(
    skopeo_message: Path, monkeypatch: pytest.MonkeyPatch, told: list[str], said: str, line: str
) -> None:
    monkeypatch.setattr(skopeo, "SILENCE_TIMEOUT", 1.0)
    skopeo_message.write_text(f"{said}\n" if said else "")
    program = skopeo_message.parent / "skopeo"
    program.write_text(f"#!/bin/sh\ncat {skopeo_message} >&2\nexec sleep 0.25\n")
    assert skopeo.run(["inspect", "docker://h:5000/a/b:c"]).kind == "ok"
    assert any(line in each for each in told)


def test_the_end_of_a_run_tells_what_is_still_pushed(
    skopeo_message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.05)
    waits, lines, said = waiting.Waits(), list[str](), list[str]()
    waits.tell = lines.append
    monkeypatch.setattr(pushes, "waiting_for", waits.on)
    store = RegistryStore("h/a", LayoutStore(tmp_path), print)
    go = threading.Event()
    store.pushes._workers.submit(lambda: go.wait(0.2))
    assert store.pushes.pending == 1
    assert store.pushes.flush(said.append) == []
    assert said == ["   waiting for 1 push to h/a"] and "for 1 push to h/a" in lines[0]
