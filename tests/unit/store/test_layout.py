"""``cache/``: after any damage, ``find`` returns only complete and correct images."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import LAYERS, blob, image, key_of, sha

from stagegraph.errors import DiskFullError, StoreError
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.oci.digest import Digest
from stagegraph.oci.documents import INDEX, MANIFEST
from stagegraph.prune import cache
from stagegraph.store import images, verified
from stagegraph.store.folder import Folder
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.views import shared_view, staging_layout

pytestmark = pytest.mark.unit


def old(store: LayoutStore) -> None:
    """Make all blobs a day old or older. Only blobs that are not new are remembered as verified."""
    for path in store.blobs.folder.path.iterdir():
        os.utime(path, (1, 1))


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


@pytest.fixture
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember blobs as verified at once, even new ones."""
    monkeypatch.setattr(verified, "_TICK", -1)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the blobs whose content was hashed."""
    names: list[str] = []
    real = hashlib.file_digest

    def digest(file: Any, kind: str) -> Any:
        names.append(Path(f"/proc/self/fd/{file.fileno()}").readlink().name)
        return real(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    return names


# -- records -----------------------------------------------------------------------------------------


def test_a_sweep_sets_aside_bad_blobs_and_keeps_files_that_are_being_written(store: LayoutStore) -> None:
    good, _ = store.blobs.add(b"good")
    bad, _ = store.blobs.add(b"bad")
    store.blobs.path(bad).write_bytes(b"ba")
    # the name that write_atomically uses
    begun = store.blobs.folder.path / f".{store.blobs.path(good).name}.x1"
    begun.write_bytes(b"go")
    store.blobs.quarantine_corrupt()
    assert store.blobs.path(good).exists() and begun.exists() and not store.blobs.path(bad).exists()
    assert (
        store.blobs.is_missing(sha("never"))
        and not store.blobs.is_missing(bad)
        and not store.blobs.is_missing(good)
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_blob_that_is_not_json_is_set_aside_only_if_its_digest_is_wrong(
    store: LayoutStore, whole: bool
) -> None:
    digest, _ = store.blobs.add(b"[not json")
    if not whole:
        store.blobs.path(digest).write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be read"):
        store.blobs.json(digest)
    assert store.blobs.path(digest).exists() == whole


def test_a_store_that_may_not_be_read_is_an_error(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    store.prepare()
    for name in ("records", "latest"):
        (store.root / name).mkdir()
    monkeypatch.setattr(os, "open", denied)  # root may open every file
    for call in (lambda: list(store.list()), store.newest, lambda: store.has_record(key_of("x"))):
        with pytest.raises(StoreError, match="cannot be read"):
            call()


def test_every_user_may_use_the_file_locks(store: LayoutStore) -> None:
    """Users who share a store must not lock each other out."""
    store.locks.shared()
    with store.locks.for_name("x"):
        modes = {path.name: path.stat().st_mode & 0o777 for path in store.locks.folder.path.iterdir()}
    assert modes == {"use": 0o666, "x": 0o666}


def test_put_and_find(store: LayoutStore) -> None:
    record = image(store)
    assert store.find(record.key) is None
    store.commit(record)
    assert store.find(record.key) == record
    assert LayoutStore(store.root).find(record.key) == record
    assert list(store.list()) == [record]
    assert images.layers_size(store.blobs, record) == sum(map(len, LAYERS))


def test_a_look_up_creates_nothing(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "cache")
    assert store.find(key_of("x")) is None
    assert store.latest("blas:amd64") is None
    assert list(store.list()) == []
    assert list(tmp_path.iterdir()) == []


def test_delete(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    store.delete(record.key)
    store.delete(record.key)
    assert store.find(record.key) is None
    assert images.is_intact(store.blobs, record)


def test_latest(store: LayoutStore) -> None:
    one = image(store)
    two = one.with_key(keys.digest([Input("a", "", "")]), [Input("a", "", "")])
    for record in (one, two):
        store.commit(record)
        store.set_latest(record.node, record.key)
    assert store.latest("blas:amd64") == two
    assert store.latest("blas:aarch64") is None
    store.delete(two.key)
    assert store.latest("blas:amd64") is None


@pytest.mark.parametrize("text", [b"", b"../../x", b"\xff", b"sha256:0", b"x" * 10_000])
def test_damaged_latest(store: LayoutStore, text: bytes) -> None:
    record = image(store)
    store.commit(record)
    store.set_latest(record.node, record.key)
    (store.root / "latest" / "blas--amd64").write_bytes(text)
    assert store.latest("blas:amd64") is None
    store.set_latest(record.node, record.key)
    assert store.latest("blas:amd64") == record


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\x00", b'{"schemaVersion": 2}'])
def test_damaged_record_is_ignored(store: LayoutStore, damage: bytes) -> None:
    record, other = image(store), image(store, "redis")
    store.commit(record)
    (store.root / "records" / record.key[7:]).write_bytes(damage)
    store.commit(other)
    assert store.find(record.key) is None
    assert list(store.list()) == [other]
    # the next build overwrites it
    store.commit(record)
    assert store.find(record.key) == record


def test_a_record_of_a_newer_version_is_ignored_and_kept(store: LayoutStore) -> None:
    record, other = image(store), image(store, "redis")
    store.commit(record)
    path = store.root / "records" / record.key[7:]
    newer = path.read_bytes().replace(b'"stagegraph.schema":"1"', b'"stagegraph.schema":"2"')
    path.write_bytes(newer)
    assert store.find(record.key) is None
    store.commit(other)
    with pytest.raises(StoreError, match="was written by a newer version of stagegraph"):
        store.commit(record)
    assert path.read_bytes() == newer
    cache.remove(store, cache.select(store, [record.key]))
    assert path.read_bytes() == newer


@pytest.mark.parametrize("schema", ["0", "1", "x", "-2", "\u00b2", "", "9" * 5000, None, 2, ["2"]])
def test_a_record_of_no_newer_version_is_replaced(store: LayoutStore, schema: object) -> None:
    record = image(store)
    store.commit(record)
    path = store.root / "records" / record.key[7:]
    document = json.loads(path.read_bytes())
    document["annotations"]["stagegraph.schema"] = schema
    document["annotations"]["stagegraph.key"] = "damaged"
    path.write_text(json.dumps(document))
    store.commit(record)
    assert store.find(record.key) == record


def test_record_under_another_key_is_ignored(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    shutil.copy(store.root / "records" / record.key[7:], store.root / "records" / sha("x")[7:])
    assert store.find(key_of("x")) is None
    assert list(store.list()) == [record]


def test_other_files_among_the_records(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    for name in (".abc.tmp", "README", "x" * 64):
        (store.root / "records" / name).write_text("x")
    (store.root / "records" / ("0" * 64)).mkdir()
    assert list(store.list()) == [record]
    assert store.find(key_of("nothing")) is None


# -- blobs -------------------------------------------------------------------------------------------


def parts(store: LayoutStore, record: Record) -> list[Digest]:
    manifest = store.blobs.json(record.digest)
    return [record.digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def swap(path: Path) -> None:
    other = next(p for p in sorted(path.parent.iterdir()) if p != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("damage", [truncate, flip, swap, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("verified", [False, True])
def test_damaged_blob_is_noticed_and_set_aside(
    store: LayoutStore, part: int, damage: Callable[[Path], None], verified: bool, no_tick: None
) -> None:
    record = image(store)
    store.commit(record)
    if not verified:
        (store.root / "verified.json").unlink()
        store = LayoutStore(store.root)
    path = store.blobs.path(parts(store, record)[part])
    damage(path)
    assert store.find(record.key) is None
    assert not path.exists()
    assert (store.root / "damaged" / path.name).exists()
    # a new build restores it
    image(store)
    assert store.find(record.key) == record


@pytest.mark.parametrize("part", range(4))
def test_missing_blob(store: LayoutStore, part: int) -> None:
    record = image(store)
    store.commit(record)
    store.blobs.path(parts(store, record)[part]).unlink()
    assert store.find(record.key) is None


def test_all_bad_blobs_are_set_aside_at_once(store: LayoutStore) -> None:
    record = image(store)
    for digest in parts(store, record)[1:]:
        flip(store.blobs.path(digest))
    assert not images.is_intact(store.blobs, record)
    assert len(list((store.root / "damaged").iterdir())) == 3


def test_a_change_that_keeps_size_and_time_is_found(store: LayoutStore, no_tick: None) -> None:
    record = image(store)
    old(store)
    store.commit(record)
    path = store.blobs.path(parts(store, record)[2])
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find(record.key) is None


def test_blob_that_is_a_folder(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    path = store.blobs.path(parts(store, record)[2])
    path.unlink()
    path.mkdir()
    assert store.find(record.key) is None


def test_a_record_with_a_wrong_size_does_not_affect_the_blob(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    false = record._replace(size=record.size + 1)
    assert not images.is_intact(store.blobs, false)
    assert store.find(record.key) == record


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        [],
        {"config": {}, "layers": []},
        {"config": 3, "layers": []},
        {"config": {"digest": "sha256:../../../victim", "size": 6}, "layers": []},
        {"config": {"digest": sha("x"), "size": "6"}, "layers": []},
        {"config": {"digest": sha("x"), "size": 6}, "layers": 3},
        {"config": {"digest": sha("x"), "size": 6}, "layers": ["x"]},
        {"config": {"digest": None, "size": 6}, "layers": []},
    ],
)
def test_an_invalid_manifest_is_an_error(store: LayoutStore, manifest: object) -> None:
    data = json.dumps(manifest).encode()
    record = image(store)._replace(**blob(store, data))
    (store.root.parent / "victim").write_text("victim")
    assert not images.is_intact(store.blobs, record)
    with pytest.raises(StoreError, match="the image of blas:amd64 is incomplete or damaged"):
        store.commit(record)
    assert (store.root.parent / "victim").read_text() == "victim"
    assert not (store.root / "damaged").exists()


NOT_OF_GO = [b'{"a": NaN}', b'{"a": 1, "b": 2, "a": 3}', '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"3", b"\xff", b"[" * 100_000, *NOT_OF_GO])
def test_json_that_is_not_an_object_is_an_error(store: LayoutStore, data: bytes) -> None:
    digest = blob(store, data)["digest"]
    with pytest.raises(StoreError, match="run again: the image is then pulled or built again"):
        store.blobs.json(digest)


def test_a_record_whose_contents_do_not_match_its_image_is_not_intact(store: LayoutStore) -> None:
    record = image(store)
    assert images.is_intact(store.blobs, record)
    assert not images.is_intact(store.blobs, record._replace(files=sha("other")))
    assert not images.is_intact(store.blobs, record._replace(image=sha("other")))


def test_an_image_that_no_engine_can_read_is_not_intact(store: LayoutStore) -> None:
    """Docker 26.1 loads it, sets the tag, and then lists no images at all."""
    good, odd = image(store, "a", history=[{"created_by": "RUN x"}]), image(store, "b", history=[1, 2])
    assert images.is_intact(store.blobs, good) and not images.is_intact(store.blobs, odd)
    (fault,) = images.verify(store.blobs, odd, {})
    assert "history[0] is 1, not an object" in fault
    with pytest.raises(StoreError, match="incomplete or damaged"):
        store.commit(odd)


def test_put_refuses_an_incomplete_image(store: LayoutStore) -> None:
    record = image(store)
    store.blobs.path(parts(store, record)[3]).unlink()
    with pytest.raises(StoreError, match="the image of blas:amd64 is incomplete or damaged"):
        store.commit(record)
    assert store.read(record.key) is None


def test_add_blob(store: LayoutStore) -> None:
    assert store.blobs.add(b"data") == (sha("data"), 4)
    assert store.blobs.add(b"data") == (sha("data"), 4)
    store.blobs.path(sha("data")).write_bytes(b"dat\0")
    store.blobs.add(b"data")
    assert store.blobs.path(sha("data")).read_bytes() == b"data"


# -- the memory of what was verified -----------------------------------------------------------------


def test_blob_is_read_once(store: LayoutStore, hashed: list[str], no_tick: None) -> None:
    record = image(store)
    store.commit(record)
    assert sorted(hashed) == sorted(digest[7:] for digest in parts(store, record))
    hashed.clear()
    assert store.find(record.key)
    assert LayoutStore(store.root).find(record.key)
    assert hashed == []


def test_blob_that_has_just_changed_is_read_again(
    store: LayoutStore, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "_TICK", 10**18)
    store.commit(image(store))
    hashed.clear()
    store.commit(image(store))
    assert len(hashed) == 4


def test_a_copied_cache_is_verified_again(store: LayoutStore, hashed: list[str], no_tick: None) -> None:
    record = image(store)
    store.commit(record)
    copy = LayoutStore(store.root.parent / "copy")
    shutil.copytree(store.root, copy.root)
    hashed.clear()
    assert copy.find(record.key) == record
    assert len(hashed) == 4


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"sha256:x": 3}', b"\xff", b"[" * 100_000])
def test_a_damaged_verified_json_is_ignored(
    store: LayoutStore, text: bytes, hashed: list[str], no_tick: None
) -> None:
    record = image(store)
    store.commit(record)
    (store.root / "verified.json").write_bytes(text)
    hashed.clear()
    assert LayoutStore(store.root).find(record.key) == record
    assert len(hashed) == 4
    assert len(json.loads((store.root / "verified.json").read_bytes())) >= 4


def test_two_processes_add_to_verified_json(store: LayoutStore, no_tick: None) -> None:
    one, two = LayoutStore(store.root), LayoutStore(store.root)
    first, second, third = (image(store, word, (word.encode(),)) for word in "abc")
    assert images.is_intact(one.blobs, first)
    assert images.is_intact(two.blobs, second)
    assert images.is_intact(one.blobs, third)
    memory = json.loads((store.root / "verified.json").read_bytes())
    assert {sha("a"), sha("b"), sha("c")} <= set(memory)


# -- the layout --------------------------------------------------------------------------------------


def index(store: LayoutStore) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((store.root / "index.json").read_bytes())
    return value


def names(store: LayoutStore) -> set[str]:
    return {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index(store)["manifests"]}


def test_is_an_oci_layout(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    assert json.loads((store.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert index(store) == {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": record.digest,
                "size": record.size,
                "annotations": {"org.opencontainers.image.ref.name": f"blas-amd64-{record.key[7:]}"},
            }
        ],
    }


def test_the_index_leaves_out_records_without_a_manifest(store: LayoutStore) -> None:
    one, two = image(store), image(store, "redis")
    store.commit(one)
    store.blobs.path(one.digest).unlink()
    store.commit(two)
    assert names(store) == {f"redis-amd64-{two.key[7:]}"}


def test_index_is_written_under_a_lock(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Folder.write
    free: list[bool] = []

    def lock_and_write(folder: Folder, name: str, data: bytes) -> None:
        if name == "index.json":
            free.append(_is_free(store, "index"))
        write(folder, name, data)

    monkeypatch.setattr(Folder, "write", lock_and_write)
    store.commit(image(store))
    assert (free, _is_free(store, "index")) == ([False], True)


def _is_free(store: LayoutStore, name: str) -> bool:
    """Return true if nobody holds the lock of this name."""
    try:
        store.locks.folder.lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB, 0o666).close()
    except BlockingIOError:
        return False
    return True


def test_view_shares_blobs_and_leaves_nothing(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    before = index(store)
    with shared_view(store, [{"digest": record.digest}]) as view:
        assert (view / "blobs" / "sha256" / record.digest[7:]).exists()
        assert json.loads((view / "index.json").read_bytes())["manifests"] == [{"digest": record.digest}]
        assert json.loads((view / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
        (view / "blobs" / "sha256" / "new").write_text("x")
    assert (store.blobs.folder.path / "new").exists()
    assert list((store.root / "tmp").iterdir()) == []
    assert index(store) == before


def test_view_leaves_nothing_after_an_error(store: LayoutStore) -> None:
    with pytest.raises(RuntimeError), shared_view(store):
        raise RuntimeError
    assert list((store.root / "tmp").iterdir()) == []


# -- parallel use ------------------------------------------------------------------------------------


def test_threads_lose_no_record(store: LayoutStore, no_tick: None) -> None:
    records = [image(store, f"s{number}") for number in range(12)]
    failed: list[BaseException] = []

    def put(record: Record) -> None:
        try:
            store.commit(record)
            assert store.find(record.key) == record
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=put, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {record.key for record in store.list()} == {record.key for record in records}
    assert len(names(store)) == 12


def _put_many(root: Path, word: str) -> None:
    store = LayoutStore(root)
    for number in range(10):
        store.commit(image(store, f"{word}{number}"))


def test_processes_lose_no_record(store: LayoutStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_put_many, args=(store.root, word)) for word in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(store.list())) == 20
    assert len(names(store)) == 20
    assert all(store.find(record.key) for record in store.list())


# -- crashes and disks -------------------------------------------------------------------------------


class Crash(BaseException):
    """The machine stops: no code catches this error, and nothing runs after it."""


def steps_of(monkeypatch: pytest.MonkeyPatch, stop_at: int) -> list[str]:
    """Stop at the n-th change that ``commit`` makes to the disk. Return the list of changes, which grows."""
    done: list[str] = []

    def guard(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def step(*args: Any, **options: Any) -> Any:
            done.append(name)
            if len(done) == stop_at:
                raise Crash
            return real(*args, **options)

        monkeypatch.setattr(owner, name, step)

    guard(os, "fsync")
    guard(Path, "replace")
    guard(Path, "mkdir")
    guard(Path, "chmod")
    return done


def test_the_store_is_valid_after_a_crash_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, stop = 1, 0
    while stop < count:
        stop += 1
        store = LayoutStore(tmp_path / str(stop))
        before = image(store, "before")
        store.commit(before)
        record = image(store)
        with monkeypatch.context() as patch:
            done = steps_of(patch, stop)
            try:
                store.commit(record)
            except Crash:
                count = stop + 1
            else:
                assert len(done) < stop
        after = LayoutStore(store.root)
        assert after.find(before.key) == before
        assert after.find(record.key) in (None, record)
        assert json.loads((store.root / "index.json").read_bytes())["manifests"]
        # the next run continues normally
        after.commit(record)
        assert after.find(record.key) == record
        assert len(names(after)) == 2
    assert stop > 10


def test_blobs_are_synced_before_the_record_is_written(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = image(store)
    synced: set[int] = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        synced.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)

    plain, looked = Folder.write, list[str]()

    def write(folder: Folder, name: str, data: bytes) -> None:
        if folder.names == ("records",):
            inodes = {store.blobs.path(digest).stat().st_ino for digest in parts(store, record)}
            assert inodes | {store.blobs.folder.path.stat().st_ino} <= synced
            looked.append(name)
        plain(folder, name, data)

    monkeypatch.setattr(Folder, "write", write)
    store.commit(record)
    assert looked == [record.key[7:]]
    assert store.find(record.key)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("failing", range(1, 9))
def test_full_disk(store: LayoutStore, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    record = image(store)
    real, calls = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= failing:
            raise FULL
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFullError) as error:
        store.commit(record)
    assert f"no space left on the disk of {store.root}" in str(error.value)
    monkeypatch.undo()
    left = {path.name for path in store.root.rglob(".*")}
    assert left == {".gitignore"}
    assert store.find(record.key) in (None, record)


def test_full_disk_while_a_view_is_made(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.prepare()

    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskFullError, match="no space left on the disk of"), shared_view(store):
        pass
    assert list((store.root / "tmp").iterdir()) == []


def test_a_full_disk_does_not_prevent_a_look_up(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch, no_tick: None
) -> None:
    record = image(store)
    store.commit(record)
    (store.root / "verified.json").unlink()

    def full(handle: int) -> None:
        raise FULL

    monkeypatch.setattr(os, "fsync", full)
    assert LayoutStore(store.root).find(record.key) == record


def test_read_only_cache(store: LayoutStore, monkeypatch: pytest.MonkeyPatch, no_tick: None) -> None:
    """The user may not write. Tests may run as root, who may write anywhere, so calls are replaced."""
    record, damaged = image(store), image(store, "redis", (b"other",))
    store.commit(record)
    store.commit(damaged)
    (store.root / "verified.json").unlink()
    flip(store.blobs.path(sha(b"other")))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    for owner, name in ((Path, "mkdir"), (os, "mkdir"), (os, "rename"), (os, "unlink")):
        monkeypatch.setattr(owner, name, refuse)
    _open = os.open

    def open_to_read(path: str, flags: int, *more: int, **options: int) -> int:
        if flags & os.O_CREAT:
            refuse()
        return _open(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", open_to_read)
    reader = LayoutStore(store.root)
    assert reader.find(record.key) == record
    assert reader.find(damaged.key) is None
    assert list(reader.list())
    reader.set_latest("blas:amd64", record.key)  # no error: it serves only explanations
    writes: list[Callable[[], None]] = [lambda: reader.commit(record), lambda: reader.delete(record.key)]
    for write in writes:
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            write()


def test_records_that_may_not_be_read(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = image(store)
    store.commit(record)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Folder, "open", refuse)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        store.find(record.key)


@pytest.mark.parametrize("name", ["with space", "quo'te\"", "ä", "a:b", "x" * 200])
def test_folder_with_an_odd_name(tmp_path: Path, name: str) -> None:
    store = LayoutStore(tmp_path / name / "cache")
    record = image(store)
    store.commit(record)
    with shared_view(store) as view:
        assert (view / "blobs" / "sha256" / record.digest[7:]).exists()
    assert store.find(record.key) == record


def test_other_users_may_read_the_store(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    for path in (store.root / "index.json", store.root / "records" / record.key[7:]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_git_ignores_a_new_store(tmp_path: Path) -> None:
    """git ignores a new store, unless the store has its own .gitignore."""
    LayoutStore(tmp_path / "new").prepare()
    assert (tmp_path / "new/.gitignore").read_text() == "*\n"
    (tmp_path / "old").mkdir()
    (tmp_path / "old/.gitignore").write_text("!README.md\n")
    LayoutStore(tmp_path / "old").prepare()
    assert (tmp_path / "old/.gitignore").read_text() == "!README.md\n"


def test_an_image_that_is_copied_in_does_not_change_existing_blobs(store: LayoutStore) -> None:
    """A reader never sees an incomplete manifest. Layers that the store has are not copied again."""
    record = image(store)
    store.commit(record)
    before = {path.name: path.stat().st_ino for path in store.blobs.folder.path.iterdir()}
    with staging_layout(store) as folder:
        blobs = folder / "blobs/sha256"
        assert {path.name for path in blobs.iterdir()} == {sha(layer)[7:] for layer in LAYERS}
        (blobs / record.digest[7:]).write_bytes(b"{half")
        (blobs / sha(b'{"new": 1}')[7:]).write_bytes(b'{"new": 1}')
        (blobs / sha(b"{cut}")[7:]).write_bytes(b"{cu")
        (blobs / sha(b"layer")[7:]).write_bytes(b"layer")
        (blobs / "oci-put-blob1234").write_bytes(b"part")
    after = {path.name: path.stat().st_ino for path in store.blobs.folder.path.iterdir()}
    assert after.items() >= before.items()
    assert set(after) - set(before) == {sha(b'{"new": 1}')[7:], sha(b"layer")[7:]}
    assert images.is_intact(store.blobs, record)


def test_blobs_have_the_mode_of_other_files(store: LayoutStore) -> None:
    record = image(store)
    for path in store.blobs.folder.path.iterdir():
        path.chmod(0o444)  # the mode that BuildKit uses
    store.commit(record)
    assert {path.stat().st_mode & 0o777 for path in store.blobs.folder.path.iterdir()} == {0o644}
