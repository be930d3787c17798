"""The changes of a push to tags and lists of referrers, and the images of a publication."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import graph, image, sha, stages

from stagegraph.errors import ProjectError, RegistryError, StagegraphError
from stagegraph.graph.graph import Graph
from stagegraph.project.model import Node
from stagegraph.publish import push, referrers
from stagegraph.publish.publication import Release, RunState, prepare
from stagegraph.publish.push import PushedTag, TagPusher
from stagegraph.publish.referrers import merged
from stagegraph.publish.revision import Revision
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

REFERENCE = "r.example/app:tag"


class FakeRemote:
    """A repository in memory. ``received`` has the references that were written."""

    repository = "r.example/app"

    def __init__(self, layout: LayoutStore, content: dict[str, bytes] | None = None) -> None:
        self.layout, self.content, self.received = layout, dict(content or {}), list[str]()
        self.loses = False  # true: the repository loses what it receives

    def reference(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    def read_manifest(self, reference: str) -> bytes | None:
        return self.content.get(reference)

    def set_tag(self, layout: LayoutStore, entry: dict[str, Any], reference: str) -> None:
        self.received.append(reference)
        if not self.loses:
            self.content[reference] = layout.blobs.path(entry["digest"]).read_bytes()

    def send(self, layout: LayoutStore, entry: dict[str, Any], reference: str, *, preserve: bool) -> None:
        assert not preserve
        self.set_tag(layout, entry, reference)

    def download(self, reference: str, layout: LayoutStore) -> None:
        layout.blobs.add(self.content[reference])


@pytest.fixture(autouse=True)
def skopeo_keeps_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "keeps_types", lambda: True)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def pusher(remote: FakeRemote | None, *, dry: bool = False) -> TagPusher:
    registry: Any = remote
    return TagPusher(registry, "app", dry=dry)


@pytest.mark.parametrize(
    ("before", "state", "writes"), [(None, "new", True), (b"data", "same", False), (b"other", "moved", True)]
)
def test_a_tag_is_pushed_only_if_it_changes(
    layout: LayoutStore, before: bytes | None, state: push.State, writes: bool
) -> None:
    remote = FakeRemote(layout, {REFERENCE: before} if before else {})
    entry = push.stored(layout, "type", b"data")
    expected = PushedTag(REFERENCE, sha(b"data"), state, ("x",))
    assert pusher(remote, dry=True).push(layout, entry, "tag", ("x",)) == expected
    assert not remote.received
    assert pusher(remote).push(layout, entry, "tag", ("x",)) == expected
    assert remote.received == ([REFERENCE] if writes else [])
    assert pusher(remote).push(layout, entry, "tag").state == "same"


def test_without_a_registry_everything_is_new(layout: LayoutStore) -> None:
    entry = push.stored(layout, "type", b"data")
    assert pusher(None).push(layout, entry, "tag") == PushedTag("app:tag", sha(b"data"), "new")
    assert pusher(None).push_list(layout, entry, "tag", (), {}).state == "new"
    assert pusher(None).kept("tag", "why") is None


def listing(*entries: tuple[str, str]) -> bytes:
    return json.dumps({"manifests": [{"digest": d, "artifactType": t} for d, t in entries]}).encode()


def test_a_list_that_another_program_wrote_again_is_the_same(layout: LayoutStore) -> None:
    """Another program may have written the list again. Only its entries count."""
    listed = {sha("a"): "sbom"}
    entry = push.stored(layout, "type", listing((sha("a"), "sbom")))
    remote = FakeRemote(layout, {REFERENCE: listing((sha("a"), "sbom")) + b"\n"})
    assert pusher(remote).push_list(layout, entry, "tag", (), listed).state == "same"
    remote.content[REFERENCE] = listing((sha("b"), "sbom"))
    assert pusher(remote).push_list(layout, entry, "tag", (), listed).state == "moved"
    assert pusher(remote).push_list(layout, entry, "tag", (), listed).state == "same"


def test_a_list_that_somebody_else_overwrites_is_an_error(layout: LayoutStore) -> None:
    remote = FakeRemote(layout)
    remote.loses = True
    entry = push.stored(layout, "type", listing((sha("a"), "sbom")))
    with pytest.raises(RegistryError, match="somebody else"):
        pusher(remote).push_list(layout, entry, "tag", (), {sha("a"): "sbom"})


def test_a_kept_tag_is_reported_with_its_digest(layout: LayoutStore) -> None:
    remote = FakeRemote(layout, {REFERENCE: b"old"})
    assert pusher(remote).kept("tag", "why") == PushedTag(REFERENCE, sha(b"old"), "kept", ("why",))
    assert pusher(remote).kept("other", "why") is None


# -- lists of referrers --------------------------------------------------------------------------


def entry(digest: str, kind: str = "", commit: str = "") -> dict[str, Any]:
    annotations = {"stagegraph.statement": kind, "stagegraph.commit": commit}
    return {
        "digest": digest,
        "artifactType": f"type of {kind}",
        "annotations": {name: value for name, value in annotations.items() if value},
    }


@pytest.mark.parametrize(
    ("commit", "stays"), [("abc", True), ("abc-dirty", False), ("", False)], ids=["clean", "dirty", "none"]
)
def test_a_published_statement_of_a_clean_commit_stays(commit: str, stays: bool) -> None:
    own = {"sbom": entry("new", "sbom", "def"), "provenance": entry("p", "provenance", "def")}
    signature = {"digest": "signature"}
    listed = [e["digest"] for e in merged(own, [entry("old", "sbom", commit), signature])]
    assert listed == ["old" if stays else "new", "p", "signature"]


def test_invalid_entries_of_a_list_are_left_out(layout: LayoutStore) -> None:
    """Entries without a manifest are left out. A document that is not a list counts as empty."""
    one, gone = sha("one"), sha("gone")
    remote: Any = FakeRemote(layout, {f"r.example/app@{one}": b"one"})
    for junk in (b"{}", b"[]", b"no json", b'{"manifests": [1]}'):
        remote.content[REFERENCE] = junk
        assert referrers.download_published(remote, layout, "tag") == []
    remote.content[REFERENCE] = listing((one, "x"), (gone, "x"), ("no digest", "x"))
    assert [e["digest"] for e in referrers.download_published(remote, layout, "tag")] == [one]
    assert layout.blobs.path(one).exists()
    assert referrers.download_published(remote, layout, "other") == []


# -- publications --------------------------------------------------------------------------------

IMAGES = """\
[platforms.board]
docker = "linux/arm64"
[images.app]
description = "an app"
platforms = ["amd64", "aarch64", "board"]
"""

PLATFORMS = ("amd64", "aarch64", "board")

RELEASE = Release(Revision("https://example.org/x", "abc"), "1.2")


def built(tmp_path: Path, layout: LayoutStore, *platforms: str) -> Graph:
    """Return the graph of a project with an image on three platforms. It is built on the given ones."""
    own = (f'[stages.app.platforms.{name}]\nargs = {{ A = "{name}" }}\n' for name in PLATFORMS)
    dockerfiles = {"app": "FROM scratch\nARG A\nENV A=$A\n"}
    made = graph(stages(tmp_path, dockerfiles, more=IMAGES + "".join(own)))
    for platform in platforms:
        node = Node("app", platform)
        record = image(layout, f"app-{platform}")
        layout.commit(record.with_key(made.key(node), made.inputs(node), str(node)))
    return made


def state(error: StagegraphError | None = None) -> RunState:
    return RunState(lambda _: True, lambda: error)


def test_a_board_has_its_own_tag_only(tmp_path: Path, layout: LayoutStore) -> None:
    made = built(tmp_path, layout, *PLATFORMS)
    found = prepare(made, layout, state(), "app", RELEASE)
    assert [(one.tag, one.listed) for one in found.platform_images] == [
        ("app-amd64", True),
        ("app-aarch64", True),
        ("app-board", False),
    ]
    assert not found.absent
    assert {name.rpartition(".")[2]: value for name, value in found.annotations.items()} == {
        "created": "2025-01-01T00:00:00Z",
        "title": "app",
        "description": "an app",
        "source": "https://example.org/x",
        "revision": "abc",
        "version": "1.2",
    }


def test_a_board_that_is_not_built_is_left_out(tmp_path: Path, layout: LayoutStore) -> None:
    made = built(tmp_path, layout, "amd64", "aarch64")
    assert prepare(made, layout, state(), "app", RELEASE).absent == (("board", "is not in cache/"),)


def test_an_index_needs_all_of_its_platforms(tmp_path: Path, layout: LayoutStore) -> None:
    made = built(tmp_path, layout, "amd64", "board")
    with pytest.raises(ProjectError, match=r"app:aarch64: is not in cache/"):
        prepare(made, layout, state(), "app", RELEASE)
    down = RegistryError("r.example", "is down")  # the registry may have the image
    with pytest.raises(RegistryError, match="is down"):
        prepare(made, layout, state(down), "app", RELEASE)
