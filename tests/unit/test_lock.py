"""The lock: written when something is missing, never changed silently."""

from __future__ import annotations

import multiprocessing
import re
import threading
import tomllib
from pathlib import Path

import pytest
from helpers import Registry, resolved, sha

from stagegraph.errors import LockError, ResolveError
from stagegraph.lock import Lock, Pin, Resolved

pytestmark = pytest.mark.unit

LINUX = "linux/amd64"


def content(root: Path) -> dict[str, object]:
    return tomllib.loads((root / "stages.lock").read_text())


def pin(
    root: Path, reference: str = "debian:trixie", docker: str = LINUX, registry: Registry | None = None
) -> Pin:
    return Lock(root, registry or Registry()).image(reference, docker, "x/Dockerfile:1")


def fault(root: Path, text: str) -> str:
    (root / "stages.lock").write_text(text)
    with pytest.raises(LockError) as error:
        Lock(root, Registry())
    return str(error.value)


def test_first_use_resolves_and_writes(tmp_path: Path) -> None:
    registry = Registry()
    lock = Lock(tmp_path, registry)
    assert not (tmp_path / "stages.lock").exists()
    assert lock.image("debian:trixie", LINUX, "w") == Pin(sha("debian amd64"), sha("debian index"))
    assert lock.image("debian:trixie", LINUX, "w") == Pin(sha("debian amd64"), sha("debian index"))
    assert registry.asked == ["debian:trixie"]
    assert content(tmp_path) == {
        "images": {"debian:trixie": {"index": sha("debian index"), LINUX: sha("debian amd64")}}
    }


def test_moved_tag_changes_nothing(tmp_path: Path) -> None:
    before = pin(tmp_path)
    assert pin(tmp_path, registry=Registry({"debian:trixie": resolved("moved")})) == before


def test_another_platform_comes_from_the_pinned_index(tmp_path: Path) -> None:
    pin(tmp_path)
    moved = {"debian:trixie": resolved("moved"), f"debian@{sha('debian index')}": resolved("debian")}
    assert pin(tmp_path, docker="linux/arm64", registry=Registry(moved)) == Pin(
        sha("debian arm64"), sha("debian index")
    )
    assert pin(tmp_path) == Pin(sha("debian amd64"), sha("debian index"))


def test_another_platform_of_an_index_that_is_gone(tmp_path: Path) -> None:
    pin(tmp_path)
    with pytest.raises(LockError) as error:
        pin(tmp_path, docker="linux/arm64", registry=Registry({"debian:trixie": resolved("moved")}))
    assert str(error.value) == (
        "x/Dockerfile:1: debian:trixie has moved since it was pinned for other platforms, and what "
        "it was is gone\n"
        "  delete its entry in stages.lock to pin it anew\n  no such image"
    )


@pytest.mark.parametrize(
    "reference", ["host:5000/a/b:tag", "a/b", "debian:12@" + sha("x"), "host.example/a-b.c_d"]
)
def test_references_survive_being_written(tmp_path: Path, reference: str) -> None:
    registry = Registry({reference: resolved("x")})
    first = pin(tmp_path, reference, registry=registry)
    assert pin(tmp_path, reference, registry=registry) == first
    assert registry.asked == [reference]


def test_one_image_for_every_platform(tmp_path: Path) -> None:
    registry = Registry({"one": Resolved(sha("m"), {"": sha("m")})})
    assert pin(tmp_path, "one", registry=registry) == Pin(sha("m"), sha("m"))


def test_triggers_are_kept(tmp_path: Path) -> None:
    registry = Registry({"node": resolved("n", onbuild=True)})
    lock = Lock(tmp_path, registry)
    assert not lock.has_onbuild("node")
    lock.image("node", LINUX, "w")
    assert lock.has_onbuild("node")
    assert Lock(tmp_path, registry).has_onbuild("node")


def test_no_image_for_the_platform(tmp_path: Path) -> None:
    with pytest.raises(ResolveError) as error:
        pin(tmp_path, docker="linux/riscv64")
    assert str(error.value) == (
        "x/Dockerfile:1: debian:trixie has no image for linux/riscv64\n  it has linux/amd64, linux/arm64"
    )


@pytest.mark.parametrize(
    "found", [Resolved("latest", {LINUX: sha("x")}), Resolved(sha("x"), {LINUX: "no digest"})]
)
def test_answer_that_is_no_digest(tmp_path: Path, found: Resolved) -> None:
    with pytest.raises(ResolveError, match="not a digest"):
        pin(tmp_path, "x", registry=Registry({"x": found}))


def test_name_that_nothing_has(tmp_path: Path) -> None:
    with pytest.raises(ResolveError) as error:
        Lock(tmp_path, Registry()).image("blass", LINUX, "x/Dockerfile:3", ["blas", "redis"])
    assert str(error.value) == (
        "x/Dockerfile:3: blass: no such image\n  no stage of this name either: did you mean 'blas'?\n  "
    )


def test_archive_is_taken_once(tmp_path: Path) -> None:
    stamp = Lock(tmp_path, Registry()).archive()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", stamp)
    (tmp_path / "stages.lock").write_text('archive = "2001-02-03"\n')
    lock = Lock(tmp_path, Registry())
    assert lock.archive() == "2001-02-03"
    lock.image("debian:trixie", LINUX, "w")
    assert content(tmp_path)["archive"] == "2001-02-03"


@pytest.mark.parametrize("text", ["archive = 2025-01-31\n", 'archive = "20250131T000000Z"\n'])
def test_forms_of_the_archive_stamp(tmp_path: Path, text: str) -> None:
    (tmp_path / "stages.lock").write_text(text)
    assert Lock(tmp_path, Registry()).archive() in ("2025-01-31", "20250131T000000Z")


def test_locked_refuses_to_write(tmp_path: Path) -> None:
    lock = Lock(tmp_path, Registry(), locked=True)
    with pytest.raises(LockError) as error:
        lock.image("debian:trixie", LINUX, "x/Dockerfile:1")
    assert str(error.value) == (
        "x/Dockerfile:1: stages.lock has no entry for debian:trixie for linux/amd64, and locked=1 "
        "forbids to write one\n"
        "  run once without locked=1 and commit stages.lock"
    )
    with pytest.raises(LockError, match="no entry for the archive stamp"):
        lock.archive()
    assert not (tmp_path / "stages.lock").exists()


def test_locked_reads(tmp_path: Path) -> None:
    before = pin(tmp_path)
    assert Lock(tmp_path, Registry({}), locked=True).image("debian:trixie", LINUX, "w") == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[images\n", "stages.lock: not valid TOML: "),
        (
            'archive = "yesterday"\n',
            "stages.lock: archive is not a date: 'yesterday'\n  write it as \"2025-01-31\"",
        ),
        ("archive = 5\n", "stages.lock: archive is not a date: 5"),
        (
            "images = 3\n",
            "stages.lock: images must be tables\n  restore it from version control, or delete it to pin anew",
        ),
        ('[images]\n"debian" = 3\n', "stages.lock: images must be tables"),
        (
            '[images.debian]\n"linux/amd64" = "latest"\n',
            "stages.lock: debian: linux/amd64 is not a digest: 'latest'\n"
            "  restore it from version control, or delete it to pin anew",
        ),
        ('[images.debian]\nonbuild = "x"\n', "stages.lock: debian: onbuild is not true or false: 'x'"),
        ("<<<<<<< ours\n", "stages.lock: not valid TOML: "),
    ],
)
def test_faults(tmp_path: Path, text: str, said: str) -> None:
    assert fault(tmp_path, text).startswith(said)


def test_unreadable(tmp_path: Path) -> None:
    (tmp_path / "stages.lock").mkdir()
    with pytest.raises(LockError, match="cannot be read"):
        Lock(tmp_path, Registry())


def test_threads_lose_no_entry(tmp_path: Path) -> None:
    names = [f"image{number}" for number in range(12)]
    lock = Lock(tmp_path, Registry({name: resolved(name) for name in names}))
    threads = [threading.Thread(target=lock.image, args=(name, LINUX, "w")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(content(tmp_path)["images"]) == sorted(names)  # type: ignore[call-overload]


def _add(root: Path, names: list[str]) -> None:
    lock = Lock(root, Registry({name: resolved(name) for name in names}))
    for name in names:
        lock.image(name, LINUX, "w")


def test_processes_lose_no_entry(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    names = [[f"{process}-{number}" for number in range(10)] for process in "ab"]
    processes = [spawn.Process(target=_add, args=(tmp_path, group)) for group in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(content(tmp_path)["images"]) == sorted(names[0] + names[1])  # type: ignore[call-overload]


def test_what_another_process_pinned_meanwhile_stays(tmp_path: Path) -> None:
    late = Lock(tmp_path, Registry({"debian:trixie": resolved("moved")}))
    before = pin(tmp_path)
    assert late.image("debian:trixie", LINUX, "w") == before


def test_another_platform_that_another_process_pinned_of_what_the_tag_was(tmp_path: Path) -> None:
    late = Lock(tmp_path, Registry({"debian:trixie": resolved("moved")}))
    pin(tmp_path)
    with pytest.raises(LockError, match="moved while another process pinned it"):
        late.image("debian:trixie", "linux/arm64", "w")


# -- renewed on purpose --------------------------------------------------------------------------


def test_archive_is_renewed_on_demand(tmp_path: Path) -> None:
    (tmp_path / "stages.lock").write_text('archive = "2025-01-31"\n')
    lock = Lock(tmp_path, Registry())
    [line] = lock.renew_archive()
    assert line == f"archive  2025-01-31 -> {lock.archive()}" and lock.archive() > "2025-01-31"
    assert content(tmp_path) == {"archive": lock.archive()}


def test_images_are_renewed_on_demand(tmp_path: Path) -> None:
    pin(tmp_path)
    pin(tmp_path, docker="linux/arm64")
    assert Lock(tmp_path, Registry()).renew_images() == [
        f"debian:trixie  {docker}  {sha(f'debian {docker[6:]}')} as before"
        for docker in sorted(content_of(tmp_path))
    ]
    lock = Lock(tmp_path, Registry({"debian:trixie": resolved("moved")}))
    assert len(lock.renew_images(["debian:trixie"])) == 2
    assert lock.image("debian:trixie", LINUX, "w") == Pin(sha("moved amd64"), sha("moved index"))
    assert Lock(tmp_path, Registry()).lines()[0] == "archive  not yet pinned"
    assert f"debian:trixie  {LINUX}  {sha('moved amd64')}" in Lock(tmp_path, Registry()).lines()


def content_of(root: Path) -> set[str]:
    images = content(root)["images"]
    assert isinstance(images, dict)
    return set(images["debian:trixie"]) - {"index"}


def test_only_what_is_pinned_is_renewed(tmp_path: Path) -> None:
    pin(tmp_path)
    with pytest.raises(LockError, match=r"debian:bookworm is not pinned\n  known here: debian:trixie"):
        Lock(tmp_path, Registry()).renew_images(["debian:bookworm"])
    assert Lock(tmp_path / "none", Registry()).renew_images() == ["no image is pinned"]


def test_an_image_that_is_gone_keeps_its_pin(tmp_path: Path) -> None:
    before = pin(tmp_path)
    gone = Registry()
    gone.images = {}
    with pytest.raises(ResolveError):
        Lock(tmp_path, gone).renew_images()
    assert pin(tmp_path) == before
