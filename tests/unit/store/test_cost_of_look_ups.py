"""What a look-up in ``cache/`` costs: how often files and folders are opened. Calls are counted."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import image, key_of, sha

from stagegraph.errors import LinkError
from stagegraph.store import verified
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayoutStore:
    monkeypatch.setattr(verified, "_TICK", -1)  # remember new blobs, too
    return LayoutStore(tmp_path / "cache")


def committed(store: LayoutStore, name: str = "blas") -> Record:
    record = image(store, name, layers=(name.encode(), b"shared"))
    store.commit(record)
    return record


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """Count what the block opens, by the last part of its name; digests as their first digits."""
    names, real = Counter[str](), os.open

    def count(path: Any, *words: Any, **more: Any) -> int:
        names[Path(os.fsdecode(path)).name[:12]] += 1
        return real(path, *words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", count)
        yield names


def files(store: LayoutStore, record: Record) -> dict[str, int]:
    """The files that one look-up reads: the record, the manifest and the configuration, each once."""
    config = store.blobs.json(record.digest)["config"]["digest"]
    return {name[7:19]: 1 for name in (record.key, record.digest, config)}


def test_a_look_up_reads_each_file_once(store: LayoutStore) -> None:
    record = committed(store)
    expected = files(store, record)
    assert store.find(record.key)
    with opened() as names:
        assert store.find(record.key) == record
    assert {name: count for name, count in names.items() if name in expected} == expected
    assert names["records"] == names["sha256"] == 1
    assert sum(names.values()) <= 11


def test_many_look_ups_open_each_folder_once(store: LayoutStore) -> None:
    records = [committed(store, name) for name in ("blas", "numpy", "arrow")]
    store.withdrawn.add(key_of("other"))
    expected = {name: 1 for record in records for name in files(store, record)}
    with opened() as names, store.kept() as kept:
        assert [kept.find(record.key) for record in records] == records
    folders = {"records": 1, "withdrawn": 1, "blobs": 1, "sha256": 1}
    assert dict(names) == expected | folders | {"cache": 3}


def test_a_folder_is_closed_after_the_block(store: LayoutStore) -> None:
    record = committed(store)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with store.kept() as kept:
            assert kept.find(record.key)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# -- as fresh and as safe as without it ----------------------------------------------------------------


def test_a_folder_that_becomes_a_link_is_not_followed(store: LayoutStore, tmp_path: Path) -> None:
    record = committed(store)
    elsewhere = tmp_path / "elsewhere"
    with store.kept() as kept:
        assert kept.find(record.key)
        shutil.copytree(store.records.path, elsewhere)
        (elsewhere / record.key[7:]).write_bytes(b"{}")
        store.records.path.rename(tmp_path / "moved")
        store.records.path.symlink_to(elsewhere)
        assert kept.find(record.key) == record  # of the folder that was checked
    with store.kept() as kept, pytest.raises(LinkError):
        kept.find(record.key)


def test_a_blob_that_changes_is_read_again(store: LayoutStore) -> None:
    record = committed(store)
    with store.kept() as kept:
        assert kept.find(record.key)
        store.blobs.path(sha(b"shared")).write_bytes(b"shareD")
        assert kept.find(record.key) is None
    assert store.blobs.is_missing(sha(b"shared")) is False  # it is in quarantine
    assert not store.blobs.has(sha(b"shared"))


def test_a_record_that_comes_or_goes_is_seen(store: LayoutStore) -> None:
    with store.kept() as kept:
        assert kept.find(key_of("blas")) is None  # no folder yet
        record = committed(store)
        assert kept.find(record.key) == record
        store.delete(record.key)
        assert kept.find(record.key) is None


def test_a_key_that_is_withdrawn_or_returns_is_seen(store: LayoutStore) -> None:
    record = committed(store)
    with store.kept() as kept:
        assert kept.find(record.key)
        store.withdrawn.add(record.key)
        assert kept.find(record.key) is None
        store.withdrawn.discard(record.key)
        assert kept.find(record.key)


def test_a_kept_store_creates_folders(store: LayoutStore) -> None:
    with store.kept() as kept:
        assert kept.find(key_of("blas")) is None
        record = committed(kept)
        assert kept.find(record.key) == record
    assert store.find(record.key) == record
