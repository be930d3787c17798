"""A record survives writing and reading. A document that cannot be trusted is no record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from helpers import key_of, sha

from stagegraph.errors import StoreError
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.publish import provenance
from stagegraph.publish.revision import Revision
from stagegraph.store.record import Record, content_digests, parse

pytestmark = pytest.mark.unit

INPUTS = (Input("schema", "", "1"), Input("file", "ä \udcff\n", "file 0", "x/f"))

ZSTD, GZIP, PLAIN = (f"application/vnd.oci.image.layer.v1.tar{kind}" for kind in ("+zstd", "+gzip", ""))


def manifest(*kinds: str) -> dict[str, Any]:
    """Return the manifest of an image whose layers have these media types."""
    return {"layers": [{"mediaType": kind, "digest": sha(kind), "size": 1} for kind in kinds]}


MANIFEST = manifest(ZSTD)


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "key": keys.digest(INPUTS),
        "node": "blas:amd64",
        "docker": "linux/arm/v7",
        "digest": sha("manifest"),
        "size": 7,
        "files": sha("files"),
        "image": sha("image"),
        "seconds": 1.5,
        "created": "2025-01-31T00:00:00+00:00",
        "inputs": INPUTS,
    }
    return Record(**{**values, **changes})


def test_round_trip() -> None:
    assert parse(record().to_bytes(MANIFEST), record().key) == record()
    more = {
        "packages": ("adduser:all=1:3.152", "libc6:arm64=2.41 12"),
        "materials": (f"base:amd64={sha('base')}",),
        "cached": True,
        "machine": "linux/amd64",
        "builder": "buildkit v0.29.0",
        "recorded": "2026-01-01T00:00:00+00:00",
    }
    assert parse(record(**more).to_bytes(MANIFEST), record().key) == record(**more)


def test_the_shown_text_of_an_input_is_stored_but_not_part_of_the_key() -> None:
    shown = (*INPUTS, Input("parent", "0", sha("p"), "x/Dockerfile:1", "base"))
    one = record(inputs=shown, key=keys.digest(shown))
    assert parse(one.to_bytes(MANIFEST), one.key) == one
    assert keys.digest([item._replace(shown="") for item in shown]) == one.key
    # without ``shown``, an input has one word less, as in older records
    assert json.loads(json.loads(record().to_bytes(MANIFEST))["annotations"]["stagegraph.inputs"])[0] == [
        "schema",
        "",
        "1",
        "",
    ]


def test_same_record_same_bytes() -> None:
    assert record().to_bytes(MANIFEST) == record().to_bytes(MANIFEST)


def test_is_an_image_index_of_the_image() -> None:
    index = json.loads(record().to_bytes(MANIFEST))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert index["manifests"] == [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": sha("manifest"),
            "size": 7,
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
            "annotations": {"io.github.containers.compression.zstd": "true"},
        }
    ]
    assert all(isinstance(value, str) for value in index["annotations"].values())


@pytest.mark.parametrize(
    ("kinds", "says"),
    [((ZSTD,), True), ((GZIP, ZSTD), True), ((GZIP,), False), ((PLAIN, GZIP), False), ((), False)],
)
def test_an_image_with_zstd_layers_is_annotated_as_skopeo_does_it(kinds: tuple[str, ...], says: bool) -> None:
    assert ("annotations" in record().entry(manifest(*kinds))) == says


def test_an_entry_of_an_image_without_layers() -> None:
    assert "annotations" not in record().entry({"layers": None})


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": {}},  # as in older records
        {"annotations": {"io.github.containers.compression.zstd": "false", "stagegraph.node": "x:y"}},
        {"mediaType": "text/plain", "artifactType": "text/plain", "data": "", "urls": ["https://x"]},
    ],
)
def test_other_fields_of_the_entry_are_ignored(change: dict[str, Any]) -> None:
    index = json.loads(record().to_bytes(MANIFEST))
    index["manifests"][0] |= change
    found = parse(json.dumps(index).encode(), record().key)
    assert found == record() and found.to_bytes(MANIFEST) == record().to_bytes(MANIFEST)


@pytest.mark.parametrize("created", ["", "yesterday", "2026-01-01T00:00:00"])
def test_an_invalid_time_is_ignored(created: str) -> None:
    one = record()._replace(created=created)
    assert one.image_created is None
    assert provenance.provenance(one, "n", {}, (), Revision("", ""))
    assert one._replace(created="2026-01-01T00:00:00+00:00").image_created is not None


def test_a_record_under_another_key() -> None:
    other = [Input("schema", "", "1 content")]
    moved = record().with_key(keys.digest(other), other)
    assert (moved.digest, moved.inputs) == (record().digest, tuple(other))
    assert parse(moved.to_bytes(MANIFEST), moved.key) == moved
    lately = record().with_key(keys.digest(other), other, recorded="2026-01-01T00:00:00+00:00")
    assert parse(lately.to_bytes(MANIFEST), lately.key) == lately != moved


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff", b'{"annotations": []}', b"[" * 100_000]
)
def test_bytes_that_are_not_a_record_are_ignored(data: bytes) -> None:
    assert parse(data, record().key) is None


def test_a_truncated_record_is_ignored() -> None:
    data = record().to_bytes(MANIFEST)
    assert all(parse(data[:end], record().key) is None for end in range(len(data)))


def test_record_of_another_key() -> None:
    assert parse(record().to_bytes(MANIFEST), key_of("other")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"key": sha("claimed")},
        {"inputs": (Input("schema", "", "2"),)},
        {"digest": "sha256:../../x"},
        {"files": ""},
        {"image": "x"},
        {"size": 0},
        {"size": "7"},
        {"size": True},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"node": "../../etc/x:y"},
        {"node": "blas"},
        {"node": "a/b:c"},
        {"docker": "windows/amd64"},
        {"docker": "linux/../x"},
        # half of a character, which no output can hold
        *({name: "\ud800"} for name in ("created", "machine", "recorded", "builder")),
        *({name: ("a=\udcff",)} for name in ("packages", "materials")),
        {"inputs": (*INPUTS[:-1], INPUTS[-1]._replace(where="\ud800"))},
    ],
)
def test_a_record_that_contradicts_itself_is_ignored(changes: dict[str, Any]) -> None:
    forged = record(**changes)
    assert parse(forged.to_bytes(MANIFEST), forged.key) is None


def annotation(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda index: index["annotations"].update({f"stagegraph.{name}": value})


@pytest.mark.parametrize(
    "change",
    [
        annotation("schema", "2"),
        annotation("schema", None),
        annotation("inputs", "[[1, 2, 3]]"),
        annotation("inputs", '[["a"]]'),
        annotation("inputs", "3"),
        annotation("created", 5),
        annotation("seconds", "soon"),
        lambda index: index["manifests"].append(index["manifests"][0]),
        lambda index: index["manifests"].clear(),
        lambda index: index["manifests"][0].pop("platform"),
        lambda index: index.pop("annotations"),
    ],
)
def test_an_index_that_is_not_a_record_of_this_schema_is_ignored(
    change: Callable[[dict[str, Any]], None],
) -> None:
    index = json.loads(record().to_bytes(MANIFEST))
    change(index)
    assert parse(json.dumps(index).encode(), record().key) is None


def test_a_record_whose_inputs_are_not_strings_is_ignored() -> None:
    inputs = (Input("schema", "", 1),)  # type: ignore[arg-type]
    forged = record(inputs=inputs, key=keys.digest(inputs))
    assert parse(forged.to_bytes(MANIFEST), forged.key) is None


# -- what a child can see ----------------------------------------------------------------------------

CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "config": {"Env": ["A=1"], "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": [sha("1"), sha("2")]},
    "history": [{"created_by": "RUN x"}],
    "created": "2025-01-31",
}


@pytest.mark.parametrize(
    ("change", "files", "image"),
    [
        ({}, False, False),
        ({"created": "now", "history": []}, False, False),
        ({"config": {"Env": ["A=2"], "Labels": {"a": "b"}}}, False, True),
        ({"config": {"Env": ["A=1"], "Labels": {"a": "c"}}}, False, True),
        ({"config": {"Env": ["A=1"], "Labels": {"a": "b"}, "OnBuild": ["RUN x"]}}, False, True),
        ({"config": None}, False, True),
        ({"author": "me"}, False, True),
        ({"architecture": "arm64"}, False, True),
        ({"variant": "v2"}, False, True),
        ({"rootfs": {"diff_ids": [sha("2"), sha("1")]}}, True, True),
        ({"rootfs": {"diff_ids": []}}, True, True),
    ],
)
def test_the_parts_of_a_configuration_that_a_child_sees(
    change: dict[str, Any], files: bool, image: bool
) -> None:
    before, after = content_digests(CONFIG), content_digests({**CONFIG, **change})
    assert (before[0] != after[0], before[1] != after[1]) == (files, image)


def test_files_and_image_are_never_the_same() -> None:
    assert content_digests(CONFIG)[0] != content_digests(CONFIG)[1]


def test_a_list_of_layers_that_is_null_is_empty() -> None:
    assert content_digests({"rootfs": {"diff_ids": None}}) == content_digests({"rootfs": {"diff_ids": []}})


@pytest.mark.parametrize("config", [{}, {"rootfs": []}, {"rootfs": {}}, {"rootfs": {"diff_ids": "x"}}])
def test_a_configuration_without_layers_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="lists no layers"):
        content_digests(config)
