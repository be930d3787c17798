"""``index.json`` has every record whose manifest is here, whenever a process was killed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import image

from stagegraph.keys.inputs import Input, digest
from stagegraph.keys.key import Key, digits
from stagegraph.store import record as records
from stagegraph.store.folder import Folder
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.system import files

pytestmark = pytest.mark.unit


class Killed(BaseException):
    """The process ends here: nothing that follows in it is run."""


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The keys of the records that were read."""
    keys: list[str] = []
    parse = records.parse

    def counted(data: bytes, key: Key) -> Record | None:
        keys.append(key)
        return parse(data, key)

    monkeypatch.setattr(records, "parse", counted)
    yield keys


def put(store: LayoutStore, *names: str) -> list[Record]:
    made = [image(store, name, (name.encode(),)) for name in names]
    for record in made:
        store.commit(record)
    return made


def named(store: LayoutStore) -> set[str]:
    document = json.loads((store.root / "index.json").read_bytes())
    return {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in document["manifests"]}


def test_the_next_run_mends_the_index_of_a_run_that_was_killed_after_the_record(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = put(store, "first")
    write = Folder.write

    def dying(folder: Folder, name: str, data: bytes) -> None:
        if name == "index.json":
            raise Killed
        write(folder, name, data)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Folder, "write", dying)
        put(store, "second")
    assert named(store) == {first.tag} and store.index.faults()
    # both records are written in one tick of the file system's clock
    status = (store.root / "records").stat()
    assert (store.root / "index.json").stat().st_mtime_ns != status.st_mtime_ns
    LayoutStore(store.root).mend()
    assert named(store) == {record.tag for record in store.list()} and len(named(store)) == 2
    assert not store.index.faults()


@pytest.mark.parametrize("damage", ["removed", "copied", "record added", "record removed"])
def test_the_next_run_mends_an_index_that_is_not_of_these_records(
    store: LayoutStore, damage: str, tmp_path: Path
) -> None:
    one, two = put(store, "one", "two")
    match damage:
        case "removed":
            (store.root / "index.json").unlink()
        case "copied":
            old = (store.root / "index.json").read_bytes()
            put(store, "three")
            shutil.copytree(store.root, tmp_path / "copy", copy_function=shutil.copy)
            store = LayoutStore(tmp_path / "copy")
            (store.root / "index.json").write_bytes(old)
        case "record added":
            other = LayoutStore(tmp_path / "other")
            (three,) = put(other, "three")
            shutil.copytree(other.root / "blobs", store.root / "blobs", dirs_exist_ok=True)
            shutil.copy(other.root / "records" / digits(three.key), store.root / "records")
        case "record removed":
            (store.root / "records" / digits(one.key)).unlink()
    assert store.index.faults() and not store.index.is_current
    store.mend()
    assert not store.index.faults() and store.index.is_current
    assert named(store) == {record.tag for record in store.list()} and two.tag in named(store)


def test_an_index_that_is_current_is_not_read(
    store: LayoutStore, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "one", "two")
    read.clear()
    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail("a file was read"))
    LayoutStore(store.root).mend()
    assert read == []


def test_a_store_without_records_is_left_alone(store: LayoutStore) -> None:
    store.prepare()
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    store.mend()
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
    assert store.index.faults() == []


def test_a_record_that_is_written_costs_the_reading_of_no_other(store: LayoutStore, read: list[str]) -> None:
    put(store, "one", "two", "three")
    read.clear()
    (four,) = put(LayoutStore(store.root), "four")
    assert set(read) == {four.key}
    assert len(named(store)) == 4 and not store.index.faults()


def test_the_index_gets_images_that_come_back(store: LayoutStore) -> None:
    """A record whose image was pruned has no entry. It gets one when another record brings the image."""
    (one,) = put(store, "one")
    inputs = [Input("a", "", "")]
    again = one.with_key(digest(inputs), inputs)
    store.commit(again)
    manifest = store.blobs.path(one.digest).read_bytes()
    store.blobs.path(one.digest).unlink()
    put(store, "two")
    assert not {one.tag, again.tag} & named(store)
    store.blobs.path(one.digest).write_bytes(manifest)
    store.commit(one)
    assert {one.tag, again.tag} < named(store) and not store.index.faults()


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"manifests": [3]}', b"\xff", b"[" * 100_000, b"3"])
def test_a_damaged_index_is_a_fault_and_is_written_anew(store: LayoutStore, text: bytes) -> None:
    put(store, "one")
    (store.root / "index.json").write_bytes(text)
    (fault,) = store.index.faults()
    assert fault.startswith("cannot be read")
    # even if its time says that it is current
    time = (store.root / "records").stat().st_mtime_ns
    os.utime(store.root / "index.json", ns=(time, time))
    put(store, "two")
    assert len(named(store)) == 2 and not store.index.faults()


def test_each_wrong_entry_is_a_fault(store: LayoutStore) -> None:
    one, two, three = put(store, "one", "two", "three")
    path = store.root / "index.json"
    document = json.loads(path.read_bytes())
    by_name = {e["annotations"]["org.opencontainers.image.ref.name"]: e for e in document["manifests"]}
    del by_name[one.tag]
    by_name[two.tag]["digest"] = three.digest
    stranger = {**by_name[three.tag], "annotations": {"org.opencontainers.image.ref.name": "stranger"}}
    document["manifests"] = [*by_name.values(), stranger]
    path.write_text(json.dumps(document))
    assert store.index.faults() == [
        f"has no entry {one.tag}",
        "has stranger, but no record in cache/ has this image",
        f"has another image as {two.tag}",
    ]


# -- files that a killed process was writing ---------------------------------------------------------


def kill_while_writing(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Leave half a file in every folder, as a killed process does. Return their paths."""
    real = files._new_temporary
    left: list[Path] = []

    def dying(folder: int, name: str) -> tuple[int, str]:
        handle, temporary = real(folder, name)
        os.write(handle, b"half")
        os.close(handle)  # the kernel does it
        left.append(Path(f"/proc/self/fd/{folder}").readlink() / temporary)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "_new_temporary", dying)
        for folder in (store.folder, *store.folders):
            folder.make()
            with pytest.raises(Killed):
                folder.write("x", b"whole")
    assert len(left) == 6 and all(path.exists() for path in left)
    return left


def test_a_sweep_deletes_what_killed_processes_were_writing(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "one")
    left = kill_while_writing(store, monkeypatch)
    LayoutStore(store.root).mend()
    assert [path for path in left if path.exists()] == []
    assert store.index.is_current and not store.index.faults()


def test_the_first_record_of_a_run_sweeps_all_folders(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "one")
    left = kill_while_writing(store, monkeypatch)
    put(LayoutStore(store.root), "two")
    assert [path for path in left if path.exists()] == []
    assert not store.index.faults()


def test_a_run_that_has_nothing_to_do_deletes_what_a_run_was_writing_at_its_end(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "one")
    left = [store.root / ".last-run.json.0123abcd", store.root / "latest" / ".one--amd64.0123abcd"]
    (store.root / "latest").mkdir()
    for path in left:
        path.write_text("half")
    store.mend()
    assert not any(path.exists() for path in left)


def test_a_file_that_somebody_writes_stays(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "one")
    swept: list[Path] = []
    fsync = os.fsync

    def meanwhile(handle: int) -> None:
        swept.extend(LayoutStore(store.root).sweep())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    store.folder.write("last-run.json", b"whole")
    assert (store.root / "last-run.json").read_bytes() == b"whole" and swept == []


def test_a_sweep_between_the_creation_of_a_file_and_its_lock_does_no_harm(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare()
    swept: list[Path] = []
    flock = fcntl.flock

    def late(handle: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.extend(LayoutStore(store.root).sweep())
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    store.folder.write("last-run.json", b"whole")
    assert (store.root / "last-run.json").read_bytes() == b"whole" and len(swept) == 1


def test_other_names_are_nobodys_to_sweep(store: LayoutStore) -> None:
    store.prepare()
    names = ".gitignore", ".x.1234567", ".x.0123456g", "x.01234567", ".01234567"
    mine = [store.root / name for name in names]
    for path in mine:
        path.write_text("mine")
    store.sweep()
    assert all(path.exists() for path in mine)


def test_a_file_of_the_project_is_written_without_a_trace_of_a_killed_write(tmp_path: Path) -> None:
    left, other = tmp_path / ".stages.lock.0123abcd", tmp_path / ".stages.times.0123abcd"
    for path in (left, other):
        path.write_text("half")
    files.write_atomically(tmp_path / "stages.lock", b"whole")
    assert not left.exists() and other.exists()


def test_a_record_of_a_large_context_is_found_again(store: LayoutStore) -> None:
    (made,) = put(store, "one")
    inputs = tuple(Input("file", f"{number}", "x" * 1000) for number in range(5000))  # more than 4 MiB
    large = made._replace(key=digest(inputs), inputs=inputs)
    store.commit(large)
    assert store.find(large.key) == large and large.tag in named(store)


def test_an_index_of_another_user_is_replaced(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    set_time = Folder.set_time

    def refused(folder: Folder, name: str, nanoseconds: int) -> None:
        if nanoseconds == 0:
            raise PermissionError(1, "Operation not permitted")
        set_time(folder, name, nanoseconds)

    (one,) = put(store, "one")
    monkeypatch.setattr(Folder, "set_time", refused)
    (two,) = put(store, "two")
    assert named(store) == {one.tag, two.tag} and store.index.is_current
