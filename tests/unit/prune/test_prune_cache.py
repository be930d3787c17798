"""After a prune, ``cache/`` still has all that current keys need, and all that a run has just added."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from helpers import graph, image, sha, stages

from stagegraph.ci import cache_keys
from stagegraph.errors import StoreError
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.keys.key import digits
from stagegraph.prune import cache
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.views import shared_view
from stagegraph.trust.ed25519 import KeySigner

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def put(store: LayoutStore, name: str, *layers: bytes) -> Record:
    record = image(store, name, layers)
    store.commit(record)
    store.set_latest(record.node, record.key)
    return record


def pruned(store: LayoutStore, *records: Record) -> cache.CacheSelection:
    selection = cache.select(store, [record.key for record in records])
    with store.locks.exclusive():
        cache.remove(store, selection)
    return selection


def test_an_older_image_is_removed_and_its_shared_blobs_stay(store: LayoutStore) -> None:
    old, new = put(store, "old", b"shared", b"old only"), put(store, "new", b"shared", b"new only")
    selection = pruned(store, new)
    assert store.find(new.key)
    assert store.find(old.key) is None
    assert store.blobs.path(sha(b"shared")).exists()
    assert not store.blobs.path(sha(b"old only")).exists()
    assert selection.kept == (new,)
    assert selection.freed_bytes > len(b"old only")


def test_signatures_of_a_record_go_with_it(store: LayoutStore) -> None:
    text = KeySigner(b"k" * 32).sign(b"{}")
    for name in ("old", "new"):
        store.commit(image(store, name)._replace(signatures=(text,)))
    old, new = image(store, "old"), image(store, "new")
    pruned(store, new)
    assert (store.signatures.of(new.key), store.signatures.of(old.key)) == ((text,), ())
    assert [entry.name for entry in store.signatures.folder.path.iterdir()] == [digits(new.key)]
    store.delete(new.key)
    assert store.signatures.of(new.key) == ()


def test_outputs_of_an_image_go_with_it(store: LayoutStore) -> None:
    old, new = put(store, "old", b"old"), put(store, "new", b"new")
    for record in (old, new):
        store.outputs.write(record.digest, ("x", "--version"), record.node)
    pruned(store, new)
    assert store.outputs.read(new.digest, ("x", "--version")) == new.node
    assert store.outputs.read(old.digest, ("x", "--version")) is None


def test_the_newest_record_of_a_node_stays_without_its_image(store: LayoutStore) -> None:
    old = put(store, "blas", b"old")
    pruned(store)
    assert store.latest(old.node) == old
    assert store.find(old.key) is None
    assert not list(store.blobs.folder.path.iterdir())


def test_a_record_that_is_not_the_newest_of_its_node_is_removed(store: LayoutStore) -> None:
    old = put(store, "blas", b"old")
    inputs = (Input("schema", "", "changed"),)
    new = image(store, "blas", (b"new",))._replace(inputs=inputs, key=keys.digest(inputs))
    store.commit(new)
    store.set_latest(new.node, new.key)
    pruned(store, new)
    assert not store.has_record(old.key)


def test_the_content_key_of_a_kept_image_stays(store: LayoutStore) -> None:
    """Its content key stays. Otherwise an invisible change of a parent would build the image again."""
    record = put(store, "blas", b"files")
    inputs = [Input("schema", "", "content")]
    by_content = record.with_key(keys.digest(inputs), inputs)
    store.commit(by_content)
    pruned(store, record)
    assert store.find(by_content.key) == by_content


def test_damaged_blobs_and_logs_are_removed(store: LayoutStore) -> None:
    record = put(store, "blas", b"files")
    for folder in ("damaged", "logs"):
        (store.root / folder).mkdir(exist_ok=True)
        (store.root / folder / "file").write_text("text")
    pruned(store, record)
    assert not (store.root / "damaged").exists()
    assert not (store.root / "logs").exists()


def test_files_that_killed_processes_were_writing_are_removed(store: LayoutStore) -> None:
    record = put(store, "blas", b"files")
    store.withdrawn.add(record.key)
    folders = (store.root, store.root / "latest", store.root / "withdrawn", store.records.path)
    left = [folder / ".x.0123abcd" for folder in folders]
    for path in left:
        path.write_text("half")
    pruned(store, record)
    assert not any(path.exists() for path in left)
    assert store.index.is_current and store.find(record.key) is None


def test_file_locks_of_removed_keys_are_removed(store: LayoutStore) -> None:
    old, new = put(store, "old", b"old"), put(store, "new", b"new")
    with (
        store.locks.for_name(sha("nobody's")[7:]),
        store.locks.for_name(new.key[7:]),
        store.locks.for_name(old.key[7:]),
    ):
        pass
    pruned(store, new)
    left = {path.name for path in store.locks.folder.path.iterdir()}
    # the old record explains the next build of its node
    assert {new.key[7:], old.key[7:], "use", "index"} <= left
    assert sha("nobody's")[7:] not in left


def test_withdrawn_keys_stay_as_long_as_a_goal_has_them(store: LayoutStore) -> None:
    kept, gone = put(store, "kept", b"layer"), put(store, "gone", b"layer two")
    for record in (kept, gone):
        store.withdrawn.add(record.key)
    cache.remove(store, cache.select(store, [kept.key], unkeyed=["other:amd64"]))
    assert set(store.withdrawn.all()) == {kept.key, gone.key}
    pruned(store, kept)
    assert store.withdrawn.all() == [kept.key]


def test_a_manifest_with_one_bad_layer_keeps_no_blobs(store: LayoutStore) -> None:
    record = put(store, "blas", b"layer")
    manifest = store.blobs.json(record.digest)
    manifest["layers"].append({"digest": "no digest", "size": 1})
    digest, size = store.blobs.add(json.dumps(manifest).encode())
    bad = record._replace(digest=digest, size=size)
    store.records.write(digits(bad.key), store.document(bad))
    selection = cache.select(store, [bad.key])
    assert (selection.kept, selection.kept_bytes) == ((), 0)


def test_a_record_with_a_bad_manifest_does_not_stop_prune(store: LayoutStore) -> None:
    record, good = put(store, "blas", b"files"), put(store, "good", b"good")
    store.blobs.path(record.digest).write_bytes(b"bad")
    selection = pruned(store, record, good)
    assert store.find(good.key)
    assert store.find(record.key) is None
    assert selection.kept == (good,)


def test_prune_removes_nothing_between_the_nodes_of_a_run(store: LayoutStore) -> None:
    """A run with other settings has other keys. Its images must stay until it delivers them at its end."""
    run = LayoutStore(store.root)
    run.locks.shared()
    with pytest.raises(StoreError, match="a run is using it"), store.locks.exclusive():
        pass
    with shared_view(LayoutStore(store.root)):  # other runs can still use the store
        pass
    del run
    with store.locks.exclusive():
        pass


def test_a_run_waits_while_prune_removes(store: LayoutStore) -> None:
    with ThreadPoolExecutor() as threads:
        with store.locks.exclusive():
            late = threads.submit(store.locks.shared)
            assert wait([late], timeout=0.2).not_done
        late.result(timeout=10)


def test_a_store_that_cannot_be_written_needs_no_lock(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    LayoutStore(tmp_path / "cache").locks.shared()


def test_prune_removes_nothing_while_a_run_builds(store: LayoutStore) -> None:
    put(store, "blas", b"files")
    with shared_view(store), pytest.raises(StoreError, match="a run is using it"), store.locks.exclusive():
        pass
    with store.locks.exclusive():
        pass


def test_records_of_nodes_without_a_key_stay(store: LayoutStore) -> None:
    """If an external image cannot be resolved today, nodes based on it have no key. Their records stay."""
    record, other = put(store, "blas", b"files"), put(store, "other", b"more")
    selection = cache.select(store, [], [record.node])
    with store.locks.exclusive():
        cache.remove(store, selection)
    assert store.find(record.key)
    assert store.find(other.key) is None


def test_the_index_names_only_the_remaining_images(store: LayoutStore) -> None:
    put(store, "old", b"old")
    new = put(store, "new", b"new")
    pruned(store, new)
    text = (store.root / "index.json").read_text()
    assert text.count('"digest"') == 1
    assert new.digest in text


KEYED = '[images.app]\nstage = "app"\ntest = "test"\n'
TEST = "ARG IMAGE\nFROM ${IMAGE}\nRUN true\n"


def test_a_key_file_changes_with_the_parents_of_its_image(tmp_path: Path) -> None:
    def files(part: str) -> dict[str, str]:
        dockerfiles = {"part": f"FROM scratch\nENV A={part}\n", "app": "FROM part\n", "other": "FROM base\n"}
        (tmp_path / "test").mkdir(exist_ok=True)
        (tmp_path / "test/Dockerfile").write_text(TEST)
        made = graph(stages(tmp_path, dockerfiles, more=KEYED))
        return cache_keys.contents(made.project, {str(node): made.key(node) for node in made.nodes})

    first, same, other = files("1"), files("1"), files("2")
    assert set(first) == {"app-amd64", "app-aarch64", "all"}
    assert first == same
    assert all(first[name] != other[name] for name in first)
    assert {line.split()[1] for line in first["app-amd64"].splitlines()} == {"app:amd64", "app-test:amd64"}


def test_a_key_file_with_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    made = graph(
        stages(tmp_path / "project", {"app": "FROM scratch\n"}, more='[images.app]\nstage = "app"\n')
    )
    keys_of = {str(node): made.key(node) for node in made.nodes}
    (path, *_) = cache_keys.write(made.project, keys_of, tmp_path / "keys")
    before = path.stat().st_mtime_ns, path.stat().st_ino
    cache_keys.write(made.project, keys_of, tmp_path / "keys")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
