"""A registry cannot fill the disk: no blob is larger than its manifest says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from stagegraph.oci.digest import Digest, sha256
from stagegraph.store import blob_sizes, skopeo
from stagegraph.store.layout import LayoutStore
from stagegraph.store.repository import RemoteRepository
from stagegraph.system import bounded

pytestmark = pytest.mark.unit


def document(**fields: object) -> tuple[skopeo.SkopeoResult, Digest]:
    data = json.dumps(fields).encode()
    return skopeo.SkopeoResult("ok", data), sha256(data)


def blob(size: object) -> dict[str, object]:
    return {"digest": sha256(b"x"), "size": size}


def test_the_largest_blob_counts() -> None:
    answer, size, listed = blob_sizes.checked(*document(config=blob(3), layers=[blob(5 << 20), blob(9)]))
    assert (answer.kind, size, listed) == ("ok", 5 << 20, [])
    answer, size, listed = blob_sizes.checked(*document(manifests=[blob(1)]))
    assert (answer.kind, size, listed) == ("ok", bounded.MAX_DOCUMENT, [sha256(b"x")])
    assert blob_sizes.checked(*document(config=blob(3), layers=None))[0].kind == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {"config": blob(3), "layers": [blob("5")]},
        {"config": blob(-1)},
        {"layers": ["x"]},
        {"layers": [{}]},
        {"manifests": [{"digest": "x"}]},
        {"manifests": 5},
        {"config": blob(1), "pad": "x" * bounded.MAX_DOCUMENT},
    ],
)
def test_another_document_is_refused(fields: dict[str, object]) -> None:
    assert blob_sizes.checked(*document(**fields))[0].kind == "refused"


def test_a_document_of_another_digest_is_refused() -> None:
    assert blob_sizes.checked(document(config=blob(1))[0], sha256(b"other"))[0].kind == "refused"
    assert blob_sizes.checked(skopeo.SkopeoResult("ok", b"[]"), sha256(b"[]"))[0].kind == "refused"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo whose copies write to a file of the target without end; it knows one manifest."""
    path = tmp_path / "skopeo"
    path.write_text(
        f"#!/bin/sh\nfor last; do :; done\n"
        f'[ "$2" = inspect ] && exec cat {tmp_path}/manifest\n'
        f"folder=${{last#oci:}}\necho >>{tmp_path}/copies\n"
        'exec cat /dev/zero >"${folder%:it}/oci-put-blob1"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return path


def test_an_endless_blob_ends_the_copy(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer, digest = document(config=blob(2), layers=[blob(5 << 20)])
    (tmp_path / "manifest").write_bytes(answer.output)
    layout = LayoutStore(tmp_path / "cache")
    begin = time.monotonic()
    result = RemoteRepository("127.0.0.1:1/x", tmp_path).fetch(f"127.0.0.1:1/x@{digest}", layout)
    assert result.kind == "refused" and "5242880 bytes" in result.message
    assert time.monotonic() - begin < 3 and (tmp_path / "copies").read_text() == "\n"  # not tried again
    assert layout.blobs.names() == [] and not list((tmp_path / "cache/tmp").glob("*/*"))


def test_an_endless_answer_ends_the_call(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skopeo, "MAX_ANSWER", 1 << 20)
    program.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    result = skopeo.run(["list-tags"])
    assert result.kind == "refused" and "larger than 1 MiB" in result.message


def test_messages_are_kept_up_to_a_bound(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skopeo, "MAX_MESSAGES", 1000)
    program.write_text("#!/bin/sh\nhead -c 300000 /dev/zero >&2\necho manifest unknown >&2\nexit 1\n")
    result = skopeo.run(["inspect"])
    assert result.kind == "absent" and len(result.message) < 70_000


def test_an_index_lists_a_bounded_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer, digest = document(manifests=[blob(1)] * 2)
    monkeypatch.setattr(blob_sizes, "checked", lambda answer, _: (answer, 1, [digest, digest]))
    remote = RemoteRepository("127.0.0.1:1/x", tmp_path)
    monkeypatch.setattr(remote, "inspect", lambda _: answer)
    assert remote.fetch(f"127.0.0.1:1/x@{digest}", LayoutStore(tmp_path / "cache")).kind == "refused"
