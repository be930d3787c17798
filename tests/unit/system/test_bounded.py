"""What comes from outside is read up to a bound: a clear error, or an entry that is not there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from helpers import layer

from stagegraph.ci import durations
from stagegraph.context.patterns import Ignore
from stagegraph.docker.progress import _Documents
from stagegraph.errors import ContextError, LockError, ProjectError, StoreError
from stagegraph.execution import last_run
from stagegraph.graph import lockfile
from stagegraph.host import docker
from stagegraph.inspection import diff, dpkg, inventory
from stagegraph.keys.key import Key
from stagegraph.oci.digest import sha256
from stagegraph.project import loader
from stagegraph.store.layout import LayoutStore
from stagegraph.system import bounded
from stagegraph.system.processes import managed_process, read_lines

pytestmark = pytest.mark.unit


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    made = LayoutStore(tmp_path / "cache")
    made.prepare()
    return made


def sparse(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_file_is_read_up_to_its_bound() -> None:
    assert bounded.read(io.BytesIO(b"12345"), 5) == b"12345"
    with pytest.raises(OSError, match="larger than 5 bytes, the limit here"):
        bounded.read(io.BytesIO(b"123456"), 5)
    assert bounded.shown(4 << 20) == "4 MiB"


def test_line_ends_are_those_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("\ufeffa\r\nb\rc\n".encode())
    assert bounded.read_text(tmp_path / "file", encoding="utf-8-sig") == "a\nb\nc\n"


def test_files_of_a_project(tmp_path: Path) -> None:
    much = bounded.MAX_TEXT + 1
    sparse(tmp_path / "stages.toml", much)
    with pytest.raises(ProjectError, match=r"stages.toml: cannot be read: larger than 16 MiB"):
        loader.read(tmp_path)
    with pytest.raises(LockError, match="larger than 16 MiB"):
        lockfile.read(sparse(tmp_path / "stages.lock", much))
    sparse(tmp_path / "stages.times", much)
    with pytest.raises(ProjectError, match="larger than 16 MiB"):
        durations.read(tmp_path, "amd64")
    with pytest.raises(ContextError, match="larger than 16 MiB"):
        Ignore.read(sparse(tmp_path / ".dockerignore", much))


def test_documents_of_the_store(layout: LayoutStore) -> None:
    """A record that is too large is not there; a manifest is an error that says what to do."""
    key = Key("sha256:" + "a" * 64)
    sparse(layout.records.path / ("a" * 64), bounded.MAX_DOCUMENT + 1)
    assert layout.read(key) is None
    digest = sha256(b"manifest")
    sparse(layout.blobs.path(digest), bounded.MAX_DOCUMENT + 1)
    with pytest.raises(StoreError, match=r"larger than 4 MiB.*\n.*run again"):
        layout.blobs.json(digest)


def test_files_of_the_program_itself(layout: LayoutStore) -> None:
    sparse(layout.folder.path / "last-run.json", bounded.MAX_STATE + 1)
    with pytest.raises(StoreError, match="larger than 64 MiB"):
        last_run.read(layout)
    sparse(layout.folder.path / "history.jsonl", bounded.MAX_STATE + 1)
    with pytest.raises(OSError, match="larger than 64 MiB"):
        layout.folder.read("history.jsonl")


def test_settings_of_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse(tmp_path / "config.json", 1 << 40)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    docker.context()


# -- layers --------------------------------------------------------------------------------------


def packed(layout: LayoutStore, *items: tuple[tarfile.TarInfo, bytes]) -> dict[str, Any]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item, data in items:
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
    return stored(layout, out.getvalue())


def stored(layout: LayoutStore, tar: bytes) -> dict[str, Any]:
    digest, size = layout.blobs.add(zstandard.compress(tar))
    return {"layers": [{"digest": digest, "size": size}]}


def test_a_list_of_packages_in_a_layer(layout: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image = {"layers": [layer(layout, {"var/lib/dpkg/status": "x" * 5000})]}
    monkeypatch.setattr(bounded, "MAX_PACKED", 4999)
    for read in (dpkg.installed, inventory.read_inventory):
        with pytest.raises(StoreError, match=r"as a layer: .*larger than 4999 bytes"):
            read(layout, image)


def test_all_lists_of_packages_together(layout: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"var/lib/dpkg/status.d/{number}": "x" * 1000 for number in range(5)}
    image = {"layers": [layer(layout, files)]}
    monkeypatch.setattr(bounded, "MAX_PACKED_SUM", 4999)
    with pytest.raises(StoreError, match="larger than 4999 bytes"):
        inventory.read_inventory(layout, image)


def header(kind: bytes, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    item = tarfile.TarInfo("header")
    item.type = kind
    return item, data


def long_record(name: str, value: str) -> bytes:
    size = len(name) + len(value) + 3
    size += len(str(size + len(str(size))))
    return f"{size} {name}={value}\n".encode()


FILE = (tarfile.TarInfo("etc/x"), b"x")


@pytest.mark.parametrize(
    "items",
    [
        [header(tarfile.XHDTYPE, b"\0" * (bounded.MAX_TAR_HEADER + 1)), FILE],
        [header(tarfile.XGLTYPE, b"\0" * (bounded.MAX_TAR_HEADER + 1)), FILE],
        [header(tarfile.GNUTYPE_LONGNAME, b"a" * (bounded.MAX_TAR_HEADER + 1)), FILE],
        [header(tarfile.XHDTYPE, long_record("GNU.sparse.map", "0,1,2,xx")), FILE],
        [header(tarfile.XHDTYPE, b"9" * 5000 + b" path=x\n"), FILE],
        [header(tarfile.GNUTYPE_LONGNAME, b"a")] * 2000 + [FILE],
    ],
    ids=["pax", "global", "long name", "sparse map", "digits", "nested"],
)
def test_crafted_headers_of_a_tar(layout: LayoutStore, items: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    image = packed(layout, *items)
    path = layout.blobs.path(image["layers"][0]["digest"])
    for read in (lambda: dpkg.installed(layout, image), lambda: diff.read_entries(path)):
        with pytest.raises(StoreError, match="cannot be read as a layer"):
            read()


# -- programs ------------------------------------------------------------------------------------


def test_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder's output is passed on in pieces; no line is lost."""
    import subprocess

    monkeypatch.setattr(bounded, "MAX_LINE", 100_000)
    command = ["sh", "-c", "head -c 1000000 /dev/zero; echo; echo end"]
    with managed_process(command, stdout=subprocess.PIPE) as process:
        lines = list(read_lines(process, lambda: False))
    assert max(map(len, lines)) < 200_000 and b"".join(lines) == bytes(1_000_000) + b"\nend\n"


def test_a_document_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_LINE", 1000)
    documents = _Documents()
    found = [*documents.feed(b"{\n")]
    for _ in range(500):
        found += documents.feed(b' "a": 1,\n')
    assert len(found) > 400 and len([*documents.rest()]) <= 112
