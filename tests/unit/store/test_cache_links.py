"""A ``cache/`` that somebody else filled: no link leads the store out of it, and no call hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import image

from stagegraph.errors import LinkError, StagegraphError
from stagegraph.prune import cache
from stagegraph.store import images
from stagegraph.store.folder import Folder
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.views import overlay, shared_view, staging_layout

pytestmark = pytest.mark.unit


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder that the store must not touch."""
    folder = tmp_path / "precious"
    (folder / "sub").mkdir(parents=True)
    (folder / "thesis").write_text("thesis")
    (folder / "sub/note").write_text("note")
    (folder / "id_rsa").write_text("key")
    (folder / "id_rsa").chmod(0o600)
    return folder


@pytest.fixture
def filled(tmp_path: Path) -> tuple[LayoutStore, Record]:
    store = LayoutStore(tmp_path / "cache")
    record = image(store)
    store.commit(record)
    store.set_latest("blas:amd64", record.key)
    with store.locks.for_name(record.key[7:]), shared_view(store):
        pass
    store.folder.below("logs").create("blas--amd64.log").close()
    return store, record


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return the mode, time and content of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
        found[str(path)] = (info.st_mode, info.st_mtime_ns, data)
    return found


def everything(root: Path, record: Record) -> Iterator[Callable[[], object]]:
    """Yield every call of a run, a prune and a verify that uses a store."""
    store = LayoutStore(root)
    yield store.prepare
    yield store.locks.shared
    yield lambda: store.find(record.key)
    yield lambda: list(store.list())
    yield lambda: store.latest("blas:amd64")
    yield store.newest
    yield lambda: images.verify(store.blobs, record, {})
    yield lambda: store.set_latest("blas:amd64", record.key)
    yield lambda: store.blobs.add(b"{}")
    yield lambda: _enter(shared_view(store))
    yield lambda: _enter(staging_layout(store))
    yield lambda: _enter(overlay(store, [record]))
    yield lambda: _enter(store.locks.for_name(record.key[7:]))
    yield lambda: store.folder.below("logs").create("blas--amd64.log").close()
    yield store.blobs.quarantine_corrupt
    yield lambda: store.commit(record)
    yield lambda: store.commit(image(store, "other", (b"one", b"two")))
    yield store.index.rebuild
    yield lambda: _prune(LayoutStore(root), record)
    yield lambda: _prune(LayoutStore(root), None)


def _enter(block: contextlib.AbstractContextManager[object]) -> None:
    with block:
        pass


def _prune(store: LayoutStore, record: Record | None) -> None:
    with store.locks.exclusive():
        cache.remove(store, cache.select(store, [record.key] if record else []))


def places(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_the_tested_places_cover_all_kinds(filled: tuple[LayoutStore, Record]) -> None:
    store, record = filled
    found = places(store.root)
    for place in (
        "blobs",
        "blobs/sha256",
        "records",
        "latest",
        "locks",
        "locks/use",
        "tmp",
        "logs",
        "index.json",
    ):
        assert place in found
    assert f"records/{record.key[7:]}" in found
    assert len(found) > 15


def put_in_place(path: Path, kind: str, target: Path) -> None:
    if path.is_dir():
        for below in sorted(path.rglob("*"), reverse=True):
            below.rmdir() if below.is_dir() else below.unlink()
        path.rmdir()
    else:
        path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
                server.bind(path.name[:80])
                os.rename(path.name[:80], path.name)  # noqa: PTH104
        case "loop":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "dangling":
            path.symlink_to(target / "nothing")
        case "file":
            path.symlink_to(target / "id_rsa")
        case "folder":
            path.symlink_to(target)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling", "loop", "device", "fifo", "socket"])
def test_any_kind_of_entry_in_any_place_of_the_cache_is_harmless(
    filled: tuple[LayoutStore, Record], precious: Path, kind: str, tmp_path: Path
) -> None:
    """Replace each entry of a good cache in turn. Nothing outside the cache changes, and no call hangs."""
    store, record = filled
    before = state(precious)
    for number, place in enumerate(places(store.root)):
        copy = tmp_path / f"copy{number}"
        os.system(f"cp -a '{store.root}' '{copy}'")  # noqa: S605 - copies sockets, too
        put_in_place(copy / place, kind, precious)
        for call in everything(copy, record):
            with contextlib.suppress(StagegraphError, OSError):
                call()
            assert state(precious) == before, (place, call)


@pytest.mark.parametrize("name", ["tmp", "records", "blobs", "locks", "blobs/sha256", "latest"])
def test_a_folder_that_is_a_link_is_an_error(
    filled: tuple[LayoutStore, Record], precious: Path, name: str
) -> None:
    store, record = filled
    path = store.root / name
    path.rename(store.root.parent / "aside")
    path.symlink_to(precious)
    seen: list[str] = []
    for call in everything(store.root, record):
        with contextlib.suppress(OSError):
            try:
                call()
            except StagegraphError as error:
                seen.append(str(error))
    said = f"{path}: is a link; links below cache/ are not followed\n  rm {path}, and"
    assert any(text.startswith(said) for text in seen)


def test_a_blob_that_is_a_link_is_set_aside(filled: tuple[LayoutStore, Record], precious: Path) -> None:
    """Otherwise a tool would use the link as the blob, and never write the real one."""
    store, record = filled
    layer = [*images.image_blobs(store.blobs, record)][-1].digest
    store.blobs.path(layer).unlink()
    store.blobs.path(layer).symlink_to(precious / "id_rsa")
    fresh = LayoutStore(store.root)
    assert fresh.find(record.key) is None
    assert not store.blobs.path(layer).is_symlink()
    assert (precious / "id_rsa").stat().st_mode & 0o777 == 0o600
    fresh.commit(image(fresh))  # the store accepts a new build
    assert fresh.find(record.key) == record


def test_a_link_to_the_right_blob_is_set_aside_too(
    filled: tuple[LayoutStore, Record], tmp_path: Path
) -> None:
    store, record = filled
    layer = [*images.image_blobs(store.blobs, record)][-1].digest
    store.blobs.path(layer).rename(tmp_path / "layer")
    store.blobs.path(layer).symlink_to(tmp_path / "layer")
    assert LayoutStore(store.root).find(record.key) is None
    assert (tmp_path / "layer").exists()


def test_a_hard_link_keeps_its_mode(filled: tuple[LayoutStore, Record], precious: Path) -> None:
    store, record = filled
    layer = [*images.image_blobs(store.blobs, record)][-1].digest
    (precious / "layer").hardlink_to(store.blobs.path(layer))
    (precious / "layer").chmod(0o600)
    (store.root / "locks/use").unlink()
    (store.root / "locks/use").hardlink_to(precious / "id_rsa")
    before = state(precious)
    fresh = LayoutStore(store.root)
    fresh.locks.shared()
    fresh.commit(record)
    assert state(precious) == before


def test_cache_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    store = LayoutStore(tmp_path / "cache")
    record = image(store)
    store.commit(record)
    assert LayoutStore(tmp_path / "cache").find(record.key) == record
    _prune(store, None)


def test_leftovers_of_a_killed_run_are_removed_and_used_folders_stay(
    filled: tuple[LayoutStore, Record],
) -> None:
    store, _ = filled
    (store.root / "tmp/left/deep").mkdir(parents=True)
    (store.root / "tmp/file").write_text("x")
    with shared_view(store) as used, shared_view(store):
        assert used.is_dir()
        assert not (store.root / "tmp/left").exists()
        assert not (store.root / "tmp/file").exists()
    assert list((store.root / "tmp").iterdir()) == []


def test_a_folder_is_reached_by_its_descriptor(tmp_path: Path, precious: Path) -> None:
    """A link that replaces the folder while it is open changes nothing."""
    folder = Folder(tmp_path / "cache", "records")
    with folder.opened(make=True) as handle:
        folder.path.rename(tmp_path / "moved")
        folder.path.symlink_to(precious)
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    assert (tmp_path / "moved/new").exists()
    with pytest.raises(LinkError):
        folder.write("name", b"data")
    assert not (precious / "name").exists()


def test_descriptors_are_closed(filled: tuple[LayoutStore, Record], precious: Path) -> None:
    store, record = filled
    (store.root / "records").rename(store.root.parent / "aside")
    (store.root / "records").symlink_to(precious)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        with pytest.raises(LinkError):
            store.find(record.key)
        store.blobs.folder.entries()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
