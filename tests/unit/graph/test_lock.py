"""The lock is written when an entry is missing, and never changes silently."""

from __future__ import annotations

import multiprocessing
import re
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import AMD64, ARM64, Registry, resolved, sha

from stagegraph.cli.commands.lock import render_text as shown
from stagegraph.errors import LockError, LoginError, RegistryError, ResolveError, StagegraphError
from stagegraph.graph.lock import Lock, Pin
from stagegraph.oci.digest import Digest
from stagegraph.oci.platform import NO_PLATFORM, OciPlatform
from stagegraph.oci.reference import ResolvedReference

pytestmark = pytest.mark.unit


def content(root: Path) -> dict[str, object]:
    return tomllib.loads((root / "stages.lock").read_text())


def pin(
    root: Path,
    reference: str = "debian:trixie",
    docker: OciPlatform = AMD64,
    registry: Registry | None = None,
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
    assert lock.image("debian:trixie", AMD64, "w") == Pin(sha("debian amd64"), sha("debian index"))
    assert lock.image("debian:trixie", AMD64, "w") == Pin(sha("debian amd64"), sha("debian index"))
    assert registry.asked == ["debian:trixie"]
    assert content(tmp_path) == {
        "images": {"debian:trixie": {"index": sha("debian index"), AMD64: sha("debian amd64")}}
    }


def test_a_new_pin_is_reported_once(tmp_path: Path) -> None:
    told: list[str] = []
    lock = Lock(tmp_path, Registry(), say=told.append)
    for _ in range(2):
        lock.image("debian:trixie", AMD64, "w")
        date = lock.package_date()
    assert told == [
        f"stages.lock: pinned debian:trixie for linux/amd64 to {sha('debian amd64')[:19]}; commit this file",
        f"stages.lock: recorded package date {date}; commit this file",
    ]


def test_a_moved_tag_does_not_change_a_pin(tmp_path: Path) -> None:
    before = pin(tmp_path)
    assert pin(tmp_path, registry=Registry({"debian:trixie": resolved("moved")})) == before


def test_another_platform_comes_from_the_pinned_index(tmp_path: Path) -> None:
    pin(tmp_path)
    moved = {"debian:trixie": resolved("moved"), f"debian@{sha('debian index')}": resolved("debian")}
    assert pin(tmp_path, docker=ARM64, registry=Registry(moved)) == Pin(
        sha("debian arm64"), sha("debian index")
    )
    assert pin(tmp_path) == Pin(sha("debian amd64"), sha("debian index"))


def test_another_platform_of_a_pinned_index_that_is_gone_is_an_error(tmp_path: Path) -> None:
    pin(tmp_path)
    with pytest.raises(LockError) as error:
        pin(tmp_path, docker=ARM64, registry=Registry({"debian:trixie": resolved("moved")}))
    assert str(error.value) == (
        "x/Dockerfile:1: debian:trixie has moved since it was pinned for other platforms, and its "
        "index is gone\n"
        "  to pin it again: doit lock images debian:trixie\n"
        f"  debian@{sha('debian index')}: no such image"
    )


@pytest.mark.parametrize("kind", [RegistryError, LoginError])
def test_another_platform_of_a_pinned_index_that_cannot_be_read_is_an_error(
    tmp_path: Path, kind: type[StagegraphError]
) -> None:
    pin(tmp_path)
    registry = Registry({"debian:trixie": resolved("moved")}, kind)
    with pytest.raises(kind) as error:
        pin(tmp_path, docker=ARM64, registry=registry)
    assert str(error.value) == f"x/Dockerfile:1: debian@{sha('debian index')}: no such image"


def test_only_the_platform_that_the_registry_lacks_fails(tmp_path: Path) -> None:
    """A mirror of an index may have the images of only some platforms."""
    unread = {ARM64: RegistryError("x", "not mirrored")}
    registry = Registry({"debian:trixie": replace(resolved("debian"), unread=unread)})
    lock = Lock(tmp_path, registry)
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"^w: debian:trixie: not mirrored$"):
            lock.image("debian:trixie", ARM64, "w")
    assert lock.image("debian:trixie", AMD64, "w").digest == sha("debian amd64")
    assert registry.platforms == [{ARM64}, {AMD64}]


def test_a_renewal_needs_all_platforms(tmp_path: Path) -> None:
    pinned(tmp_path)
    before = content(tmp_path)
    unread = {ARM64: RegistryError("x", "not mirrored")}
    registry = Registry({"debian:trixie": replace(resolved("moved"), unread=unread)})
    with pytest.raises(RegistryError, match=r"^stages.lock: debian:trixie: not mirrored$"):
        Lock(tmp_path, registry).renew_images(["debian:trixie"])
    assert content(tmp_path) == before


def test_a_missing_image_is_looked_up_once(tmp_path: Path) -> None:
    lock = Lock(tmp_path, registry := Registry())
    for docker in (AMD64, ARM64):
        with pytest.raises(ResolveError):
            lock.image("blas:1", docker, "w")
    assert registry.asked == ["blas:1"]


@pytest.mark.parametrize(
    "reference", ["host:5000/a/b:tag", "a/b", "debian:12@" + sha("x"), "host.example/a-b.c_d"]
)
def test_references_are_read_as_they_were_written(tmp_path: Path, reference: str) -> None:
    registry = Registry({reference: resolved("x")})
    first = pin(tmp_path, reference, registry=registry)
    assert pin(tmp_path, reference, registry=registry) == first
    assert registry.asked == [reference]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("docker.io/library/debian:12", "debian:12"),
        ("redis:latest", "redis"),
        ("redis", "docker.io/library/redis:latest"),
        ("quay.io/a/b:latest", "quay.io/a/b"),
    ],
)
def test_all_spellings_of_a_reference_share_one_entry(tmp_path: Path, written: str, asked: str) -> None:
    """An earlier version pinned a reference as the Dockerfile wrote it. Such a pin stays valid."""
    registry = Registry({written: resolved("then", onbuild=True), asked: resolved("now")})
    pinned = pin(tmp_path, written, registry=registry)
    lock = Lock(tmp_path, registry, locked=True)
    assert lock.image(asked, AMD64, "w") == pinned
    assert (lock.index(asked, ARM64, "w"), lock.has_onbuild(asked)) == (pinned.index, True)
    assert pin(tmp_path, asked, ARM64, registry) == Pin(sha("then arm64"), pinned.index)
    assert list(tomllib.loads((tmp_path / "stages.lock").read_text())["images"]) == [written]
    assert [item.reference for item in Lock(tmp_path, registry).renew_images([asked])] == [written]


def test_one_image_for_every_platform(tmp_path: Path) -> None:
    registry = Registry({"one": ResolvedReference(sha("m"), {NO_PLATFORM: sha("m")})})
    assert pin(tmp_path, "one", registry=registry) == Pin(sha("m"), sha("m"))


def test_triggers_are_recorded(tmp_path: Path) -> None:
    registry = Registry({"node": resolved("n", onbuild=True)})
    lock = Lock(tmp_path, registry)
    assert not lock.has_onbuild("node")
    lock.image("node", AMD64, "w")
    assert lock.has_onbuild("node")
    assert Lock(tmp_path, registry).has_onbuild("node")


def test_triggers_of_platforms_that_are_pinned(tmp_path: Path) -> None:
    """The lock looks for triggers on pinned platforms only. It looks again when a platform is added."""
    registry = Registry({"node": resolved("n", onbuild=True, onbuild_from=True)})
    registry.triggers["node"] = {ARM64}
    lock = Lock(tmp_path, registry)
    lock.image("node", AMD64, "w")
    assert (lock.has_onbuild("node"), lock.has_onbuild_from("node")) == (False, False)
    lock.image("node", ARM64, "w")
    assert (lock.has_onbuild("node"), lock.has_onbuild_from("node")) == (True, True)
    lock.renew_images()
    assert lock.has_onbuild("node")
    both = {AMD64, ARM64}
    assert registry.platforms == [{AMD64}, both, both]


def test_a_platform_without_triggers_keeps_the_triggers_of_others(tmp_path: Path) -> None:
    registry = Registry({"node": resolved("n", onbuild=True)})
    pin(tmp_path, "node", registry=registry)
    registry.triggers["node"] = set()
    lock = Lock(tmp_path, registry)
    lock.image("node", ARM64, "w")
    assert lock.has_onbuild("node")


def test_triggers_of_an_added_platform_override_the_file(tmp_path: Path) -> None:
    entry = (
        f'[images.node]\nindex = "{sha("n index")}"\n"linux/arm64" = "{sha("n arm64")}"\nonbuild = false\n'
    )
    (tmp_path / "stages.lock").write_text(entry)
    lock = Lock(tmp_path, Registry({"node": resolved("n", onbuild=True)}))
    lock.image("node", AMD64, "w")
    assert lock.has_onbuild("node")


def test_triggers_that_copy_from_another_image_are_recorded(tmp_path: Path) -> None:
    registry = Registry({"node": resolved("n", onbuild=True, onbuild_from=True)})
    lock = Lock(tmp_path, registry)
    lock.image("node", AMD64, "w")
    assert lock.has_onbuild_from("node")
    assert Lock(tmp_path, registry).has_onbuild_from("node")
    assert [item.moved for item in lock.renew_images()] == [False]


def test_a_missing_image_for_the_platform_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResolveError) as error:
        pin(tmp_path, docker=OciPlatform("linux/riscv64"))
    assert str(error.value) == (
        "x/Dockerfile:1: debian:trixie has no image for linux/riscv64\n  it has linux/amd64, linux/arm64"
    )


@pytest.mark.parametrize(
    "found",
    [
        ResolvedReference(Digest("latest"), {AMD64: sha("x")}),
        ResolvedReference(sha("x"), {AMD64: Digest("no digest")}),
    ],
)
def test_an_answer_that_is_not_a_digest_is_an_error(tmp_path: Path, found: ResolvedReference) -> None:
    with pytest.raises(ResolveError, match="not a digest"):
        pin(tmp_path, "x", registry=Registry({"x": found}))


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResolveError) as error:
        Lock(tmp_path, Registry()).image("blas:1", AMD64, "x/Dockerfile:3")
    assert str(error.value) == "x/Dockerfile:3: blas:1: no such image"


def test_the_package_date_is_taken_once(tmp_path: Path) -> None:
    stamp = Lock(tmp_path, Registry()).package_date()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", stamp)
    (tmp_path / "stages.lock").write_text('archive = "2001-02-03"\n')
    lock = Lock(tmp_path, Registry())
    assert lock.package_date() == "2001-02-03"
    lock.image("debian:trixie", AMD64, "w")
    assert content(tmp_path)["archive"] == "2001-02-03"


@pytest.mark.parametrize("text", ["archive = 2025-01-31\n", 'archive = "20250131T000000Z"\n'])
def test_forms_of_the_package_date(tmp_path: Path, text: str) -> None:
    (tmp_path / "stages.lock").write_text(text)
    assert Lock(tmp_path, Registry()).package_date() in ("2025-01-31", "20250131T000000Z")


def test_locked_refuses_to_write(tmp_path: Path) -> None:
    lock = Lock(tmp_path, Registry(), locked=True)
    with pytest.raises(LockError) as error:
        lock.image("debian:trixie", AMD64, "x/Dockerfile:1")
    assert str(error.value) == (
        "x/Dockerfile:1: stages.lock has no entry for debian:trixie for linux/amd64, and locked=1 "
        "does not allow adding one\n"
        "  run once without locked=1 and commit stages.lock"
    )
    with pytest.raises(LockError, match="no entry for the package date"):
        lock.package_date()
    assert not (tmp_path / "stages.lock").exists()


def test_locked_reads(tmp_path: Path) -> None:
    before = pin(tmp_path)
    assert Lock(tmp_path, Registry({}), locked=True).image("debian:trixie", AMD64, "w") == before


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
            "stages.lock: images must be tables\n"
            "  restore it from version control, or delete it to pin everything again",
        ),
        ('[images]\n"debian" = 3\n', "stages.lock: images must be tables"),
        (
            '[images.debian]\n"linux/amd64" = "latest"\n',
            "stages.lock: debian: linux/amd64 is not a digest: 'latest'\n"
            "  restore it from version control, or delete it to pin everything again",
        ),
        ('[images.debian]\nonbuild = "x"\n', "stages.lock: debian: onbuild is not true or false: 'x'"),
        ("<<<<<<< ours\n", "stages.lock: not valid TOML: "),
    ],
)
def test_a_wrong_lock_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    assert fault(tmp_path, text).startswith(said)


def test_an_unreadable_lock_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stages.lock").mkdir()
    with pytest.raises(LockError, match="cannot be read"):
        Lock(tmp_path, Registry())


def test_threads_lose_no_entry(tmp_path: Path) -> None:
    names = [f"image{number}" for number in range(12)]
    lock = Lock(tmp_path, Registry({name: resolved(name) for name in names}))
    threads = [threading.Thread(target=lock.image, args=(name, AMD64, "w")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(content(tmp_path)["images"]) == sorted(names)  # type: ignore[call-overload]


def _add(root: Path, names: list[str]) -> None:
    lock = Lock(root, Registry({name: resolved(name) for name in names}))
    for name in names:
        lock.image(name, AMD64, "w")


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


def test_a_pin_of_another_process_is_kept(tmp_path: Path) -> None:
    late = Lock(tmp_path, Registry({"debian:trixie": resolved("moved")}))
    before = pin(tmp_path)
    assert late.image("debian:trixie", AMD64, "w") == before


def test_a_tag_that_moved_while_another_process_pinned_it_is_an_error(tmp_path: Path) -> None:
    late = Lock(tmp_path, Registry({"debian:trixie": resolved("moved")}))
    pin(tmp_path)
    with pytest.raises(LockError, match="moved while another process pinned it"):
        late.image("debian:trixie", ARM64, "w")


# -- renewing -----------------------------------------------------------------------------------------


def pinned(root: Path) -> None:
    """Write a lock: debian:trixie for two platforms, another image for one, a digest, an old package date."""
    (root / "stages.lock").write_text('archive = "2020-01-31"\n')
    lock = Lock(root, Registry({"other:1": resolved("other"), f"x@{sha('d')}": resolved("x")}))
    lock.image("debian:trixie", AMD64, "w")
    lock.image("debian:trixie", ARM64, "w")
    lock.image("other:1", AMD64, "w")
    lock.image(f"x@{sha('d')}", AMD64, "w")


def test_a_renewed_package_date_is_today_and_nothing_else_changes(tmp_path: Path) -> None:
    pinned(tmp_path)
    before = content(tmp_path)
    old, new = Lock(tmp_path, Registry()).renew_package_date()
    assert old == "2020-01-31" and re.fullmatch(r"20\d\d-\d\d-\d\d", new) and new > old
    assert content(tmp_path) == {**before, "archive": new}
    assert Lock(tmp_path, Registry()).renew_package_date() == (new, new)
    (tmp_path / "stages.lock").unlink()
    assert Lock(tmp_path, Registry()).renew_package_date() == ("", new)
    assert content(tmp_path) == {"archive": new}


def test_renewed_pins_are_what_the_tags_name_now(tmp_path: Path) -> None:
    pinned(tmp_path)
    registry = Registry(
        {
            "debian:trixie": resolved("moved", onbuild=True),
            "other:1": resolved("other"),
            f"x@{sha('d')}": resolved("x"),
        }
    )
    lock = Lock(tmp_path, registry)
    debian, other, digest = lock.renew_images()
    assert [item.reference for item in (debian, other, digest)] == [
        "debian:trixie",
        "other:1",
        f"x@{sha('d')}",
    ]
    assert debian.moved and not other.moved and not digest.moved
    assert debian.old["linux/arm64"] == sha("debian arm64")
    assert debian.new == {
        "index": sha("moved index"),
        AMD64: sha("moved amd64"),
        "linux/arm64": sha("moved arm64"),
        "onbuild": True,
    }
    assert registry.platforms == [{AMD64, ARM64}, {AMD64}, {AMD64}]
    assert lock.image("debian:trixie", AMD64, "w") == Pin(sha("moved amd64"), sha("moved index"))
    # only the platforms that were pinned; the package date stays
    assert set(content(tmp_path)["images"]["other:1"]) == {"index", AMD64}  # type: ignore[index]
    assert content(tmp_path)["archive"] == "2020-01-31"
    text = shown(debian).splitlines()
    assert text[0] == "moved  debian:trixie"
    assert f"       index        {sha('debian index')} -> {sha('moved index')}" in text
    assert "       onbuild      none -> True" in text
    assert shown(other) == f"same   other:1  {sha('other index')}"


def test_a_renewal_finds_the_triggers_of_a_digest(tmp_path: Path) -> None:
    """The lock is from an earlier version, which did not look for triggers."""
    name = f"x@{sha('d')}"
    pinned(tmp_path)
    registry = Registry({name: resolved("x", onbuild=True, onbuild_from=True)})
    lock = Lock(tmp_path, registry)
    (item,) = lock.renew_images([name])
    assert item.new == {**item.old, "onbuild": True, "onbuild_from": True}
    assert (lock.has_onbuild(name), lock.has_onbuild_from(name)) == (True, True)


def test_only_named_images_are_renewed(tmp_path: Path) -> None:
    pinned(tmp_path)
    moved = {"debian:trixie": resolved("moved"), "other:1": resolved("moved too")}
    (item,) = Lock(tmp_path, Registry(moved)).renew_images(["other:1", "other:1"])
    assert item.moved
    images = content(tmp_path)["images"]
    assert images["debian:trixie"][AMD64] == sha("debian amd64")  # type: ignore[index]


@pytest.mark.parametrize(
    ("registry", "references", "kind", "message"),
    [
        (Registry(), (), ResolveError, "other:1: no such image"),
        (
            Registry(
                {
                    "debian:trixie": ResolvedReference(sha("i"), {AMD64: sha("a")}),
                    "other:1": resolved("moved"),
                }
            ),
            (),
            ResolveError,
            "debian:trixie has no image for linux/arm64",
        ),
        (
            Registry({"debian:trixie": resolved("moved"), "other:1": resolved("moved")}),
            (),
            ResolveError,
            f"x@{sha('d')}: no such image",
        ),
        (Registry(), ("debian:trixy",), LockError, "did you mean 'debian:trixie'?"),
    ],
)
def test_renewal_that_fails_changes_nothing(
    tmp_path: Path, registry: Registry, references: tuple[str, ...], kind: type[Exception], message: str
) -> None:
    pinned(tmp_path)
    before = content(tmp_path)
    with pytest.raises(kind) as error:
        Lock(tmp_path, registry).renew_images(references)
    assert message in str(error.value)
    assert content(tmp_path) == before


def test_locked_forbids_a_renewal(tmp_path: Path) -> None:
    pinned(tmp_path)
    before = content(tmp_path)
    registry = Registry()
    lock = Lock(tmp_path, registry, locked=True)
    with pytest.raises(LockError, match="locked=1"):
        lock.renew_package_date()
    with pytest.raises(LockError, match="locked=1"):
        lock.renew_images()
    assert content(tmp_path) == before and not registry.asked
