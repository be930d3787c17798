"""Findings of ``doit verify`` in ``cache/``, and the findings that count as passed."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers import AMD64, key_of, sha, stages

from stagegraph.audit import verify
from stagegraph.audit.verify import Finding
from stagegraph.build.builder import BuildResult
from stagegraph.cli.commands.verify import render_text, to_json
from stagegraph.errors import BuildError
from stagegraph.execution.decide import content_key
from stagegraph.execution.workspace import Workspace
from stagegraph.inspection.diff import Difference
from stagegraph.keys.spec import NodeSpec
from stagegraph.oci.digest import Digest
from stagegraph.project import loader
from stagegraph.project.model import Node
from stagegraph.store import images, record
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.views import overlay

pytestmark = pytest.mark.unit

KEY = key_of("some")

LOW, HIGH = Node("low", "amd64"), Node("high", "amd64")


@pytest.fixture
def session(tmp_path: Path) -> Workspace:
    stages(tmp_path, {"low": "FROM scratch\nENV A=1\n", "high": "FROM low\nENV B=1\n"})
    return Workspace(loader.load(tmp_path, {}, {}))


def layer_of(content: bytes) -> bytes:
    """Return an uncompressed layer with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image(layout: LayoutStore, layer: bytes) -> tuple[Digest, int, dict[str, Any]]:
    """Store an image with one layer. Return its digest, the size of its manifest, and its configuration."""
    details = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [sha(layer)]}}
    config_blob, config_size = layout.blobs.add(json.dumps(details).encode())
    digest, size = layout.blobs.add(layer)
    manifest = {
        "config": {"digest": config_blob, "size": config_size},
        "layers": [{"digest": digest, "size": size}],
    }
    return *layout.blobs.add(json.dumps(manifest).encode()), details


def keep(session: Workspace, node: Node, layer: bytes = b"layer") -> Record:
    """Put an image of a node into ``cache/`` under both of its keys, as a build does. Return its record."""
    layout = session.layout
    digest, size, details = image(layout, layer)
    files, whole = record.content_digests(details)
    key, inputs = session.graph.key(node), tuple(session.graph.inputs(node))
    packages = ("libc6:amd64=1",)
    made = Record(key, str(node), AMD64, digest, size, files, whole, 1.0, "2026", inputs, packages)
    layout.commit(made)
    parents = {parent: layout.read(session.graph.key(parent)) for parent in session.graph.parents(node)}
    content, inputs_too = content_key(session.graph, node, lambda n: parents[n] or made)
    layout.commit(made.with_key(content, inputs_too))
    return made


def rebuilt(session: Workspace, goals: list[Node]) -> list[Finding]:
    rebuilder = verify.Rebuilder(session.graph, session.layout, session.builder_into, session.report)
    return list(rebuilder.rebuild(goals))


def results(session: Workspace) -> list[tuple[str, str]]:
    return [
        (str(finding.node), finding.result) for finding in verify.check(session.graph, session.layout, [HIGH])
    ]


def test_all_good_and_nothing_changed(session: Workspace) -> None:
    keep(session, LOW)
    keep(session, HIGH)
    before = {p: p.stat().st_mtime_ns for p in session.layout.root.rglob("*")}
    assert results(session) == [("low:amd64", "good"), ("high:amd64", "good")]
    assert {p: p.stat().st_mtime_ns for p in session.layout.root.rglob("*")} == before


def test_nodes_without_records_are_unchecked(session: Workspace) -> None:
    keep(session, LOW)
    assert results(session) == [("low:amd64", "good"), ("high:amd64", "unchecked")]


def test_damage_that_keeps_size_and_time_is_found(session: Workspace) -> None:
    keep(session, LOW)
    made = keep(session, HIGH, b"another layer")
    blob = session.layout.blobs.path(sha(b"another layer"))
    info = blob.stat()
    assert images.is_intact(session.layout.blobs, made)
    blob.write_bytes(b"Another layer")
    os.utime(blob, ns=(info.st_atime_ns, info.st_mtime_ns))
    low, high = verify.check(session.graph, session.layout, [HIGH])
    assert (low.result, high.result) == ("good", "bad")
    assert blob.name in high.notes[0] and len(high.notes) == 1
    assert not blob.exists() and (session.layout.root / "damaged" / blob.name).exists()
    assert session.layout.find(made.key) is None  # the next run builds it again


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
def test_a_missing_blob_is_reported(session: Workspace, which: str) -> None:
    made = keep(session, LOW)
    config_blob = images.config_digest(session.layout.blobs, made)
    gone = {"manifest": made.digest, "config": config_blob, "layer": sha(b"layer")}[which]
    session.layout.blobs.path(gone).unlink()
    (found,) = verify.check(session.graph, session.layout, [LOW])
    if which == "manifest":  # pruning keeps such a record to explain the next build
        assert found.result == "unchecked" and found.notes == ("only its record is in cache/, no image",)
    else:
        assert found.result == "bad" and found.notes == (f"blob {gone} is missing",)


def test_an_image_whose_blob_was_set_aside_stays_bad(session: Workspace) -> None:
    made = keep(session, LOW)
    path = session.layout.blobs.path(made.digest)
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(2):
        (found,) = verify.check(session.graph, session.layout, [LOW])
        assert found.result == "bad"


@pytest.mark.parametrize("content", [False, True])
def test_a_record_whose_inputs_do_not_match_its_key_is_bad(session: Workspace, content: bool) -> None:
    made = keep(session, LOW)
    key = content_key(session.graph, LOW, lambda _: made)[0] if content else made.key
    path = session.layout.root / "records" / key.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"1735689600", b"1735689601"))
    (found,) = verify.check(session.graph, session.layout, [LOW])
    assert found.result == "bad" and key in found.notes[0]


def test_a_record_whose_files_do_not_match_the_image_is_bad(session: Workspace) -> None:
    made = keep(session, LOW)
    path = session.layout.root / "records" / made.key.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(made.files.encode(), sha("other").encode()))
    (found,) = verify.check(session.graph, session.layout, [LOW])
    assert found.result == "bad" and "does not match the image" in found.notes[0]


def test_a_temporary_store_leaves_nothing_and_does_not_touch_blobs(session: Workspace) -> None:
    made = keep(session, LOW)
    before = {p: p.stat().st_ctime_ns for p in session.layout.blobs.folder.path.iterdir()}
    with overlay(session.layout, [made, made]) as scratch:
        assert images.is_intact(scratch.blobs, made)
        scratch.blobs.add(b"new")
        scratch.commit(made)
    assert {p: p.stat().st_ctime_ns for p in session.layout.blobs.folder.path.iterdir()} == before
    assert not list((session.layout.root / "tmp").iterdir())


def test_rebuild_without_records_builds_nothing(session: Workspace) -> None:
    keep(session, HIGH)  # its parent has no record
    low, high = rebuilt(session, [HIGH])
    assert (low.result, high.result) == ("unchecked", "unchecked")
    assert "low:amd64" in high.notes[0]


@pytest.mark.parametrize(
    ("found", "named", "passed"),
    [
        (("good", "same"), (LOW, HIGH), True),
        (("good", "differs"), (), False),
        (("bad", "good"), (), False),
        (("failed", "same"), (), False),
        (("unchecked", "same"), (HIGH,), True),
        (("same", "unchecked"), (HIGH,), False),
        (("same", "unchecked"), (), True),
        (("unchecked", "unchecked"), (), False),
    ],
)
def test_verify_passes_only_if_no_finding_is_bad(
    found: tuple[verify.Outcome, verify.Outcome], named: tuple[Node, ...], passed: bool
) -> None:
    findings = [Finding(LOW, KEY, found[0]), Finding(HIGH, KEY, found[1])]
    assert verify.passed(findings, set(named)) is passed


def test_a_finding_is_printed_as_text_and_as_json() -> None:
    differences = (
        Difference(2, "RUN date >/when", "/when", "content", "9 bytes"),
        Difference(2, "RUN date >/when", "/old", "removed", "file"),
        Difference(None, "configuration", "created", "value", "'a' -> 'b'"),
    )
    finding = Finding(LOW, KEY, "differs", ("note",), Digest("sha256:1"), Digest("sha256:2"), differences)
    assert render_text(finding).splitlines() == [
        "differs  low:amd64",
        "  note",
        "  sha256:1 -> sha256:2",
        "  layer 2: RUN date >/when",
        "    content      /when (9 bytes)",
        "    removed      /old (file)",
        "  configuration",
        "    value        created ('a' -> 'b')",
    ]
    assert to_json(finding)["differences"] == [difference._asdict() for difference in differences]
    assert render_text(Finding(LOW, KEY, "same")) == "same  low:amd64"


class Builder:
    """A fake builder: it fails, or puts an image with the given layer into the temporary store."""

    def __init__(self, store: LayoutStore, layer: bytes | None) -> None:
        self.store, self.layer = store, layer

    def build(self, spec: NodeSpec, parents: Mapping[Node, Record], *, no_cache: bool) -> BuildResult:
        assert no_cache
        assert all(images.is_intact(self.store.blobs, parent) for parent in parents.values())
        if self.layer is None:
            raise BuildError(str(spec.node), "exit code 7", "the log is there")
        digest, size, details = image(self.store, self.layer)
        return BuildResult(
            digest, size, *record.content_digests(details), ("libc6:amd64=2",), builder="buildkit v2"
        )


@pytest.mark.parametrize(
    ("layer", "result"), [(b"layer", "same"), (None, "failed"), (layer_of(b"now"), "differs")]
)
def test_rebuild(
    session: Workspace, monkeypatch: pytest.MonkeyPatch, layer: bytes | None, result: verify.Outcome
) -> None:
    recorded = layer_of(b"was") if result == "differs" else b"layer"
    keep(session, LOW, recorded)
    keep(session, HIGH, recorded)
    monkeypatch.setattr(session, "builder_into", lambda store, _: Builder(store, layer))
    before = kept(session.layout.root)
    *_, high = rebuilt(session, [HIGH])
    assert high.result == result
    if result == "failed":
        assert high.notes == ("high:amd64: exit code 7\n  the log is there",)
    if result == "differs":
        assert [(d.name, d.change) for d in high.differences] == [("/file", "content")]
        assert high.notes == ("the package archive has changed: libc6:amd64 1 -> 2",)
    assert kept(session.layout.root) == before and not list((session.layout.root / "tmp").iterdir())


def kept(cache: Path) -> dict[Path, bytes]:
    """Return the contents of records, blobs and the index."""
    files = [cache / "index.json", *(cache / "records").iterdir(), *(cache / "blobs/sha256").iterdir()]
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize(("builder", "told"), [("", False), ("buildkit v2", False), ("docker 1", True)])
def test_a_rebuild_by_another_version_is_noted(
    session: Workspace, monkeypatch: pytest.MonkeyPatch, builder: str, told: bool
) -> None:
    made = keep(session, LOW, layer_of(b"was"))
    session.layout.commit(made._replace(builder=builder))
    monkeypatch.setattr(session, "builder_into", lambda store, _: Builder(store, layer_of(b"now")))
    (found,) = rebuilt(session, [LOW])
    note = (
        "built by docker 1, rebuilt by buildkit v2: "
        "two versions may compress the same files to different bytes"
    )
    assert (note in found.notes) == told
