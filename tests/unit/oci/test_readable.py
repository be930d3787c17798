"""What an engine cannot read in an image: Docker 26.1 was given most of these, and listed no images then."""

from __future__ import annotations

from typing import Any

import pytest

from stagegraph.oci import readable

pytestmark = pytest.mark.unit

DIGEST = f"sha256:{64 * 'a'}"
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": DIGEST, "size": 3}
MANIFEST = {"schemaVersion": 2, "mediaType": "application/x", "config": LAYER, "layers": [LAYER]}

#: All that BuildKit, docker commit, podman and kaniko write.
CONFIG: dict[str, Any] = {
    "created": "2026-11-28T13:00:00.123456789+01:00",
    "author": "somebody",
    "architecture": "amd64",
    "os": "linux",
    "os.features": None,
    "config": {
        "User": "1:2",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Entrypoint": None,
        "Cmd": ["/bin/sh"],
        "Volumes": {"/data": {}},
        "Labels": {"a": "b", "c": None},
        "ArgsEscaped": True,
        "Healthcheck": {"Test": ["NONE"], "Interval": 30_000_000_000, "Retries": 3},
        "OnBuild": ["RUN make"],
        "StopTimeout": 10,
    },
    "container_config": {"Hostname": "x", "Tty": False, "Cmd": None},
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [
        {"created": "0001-01-01T00:00:00Z", "created_by": "RUN make", "comment": "x"},
        {"empty_layer": True},
        None,
    ],
    "moby.buildkit.buildinfo.v1": "x",
    "something": {"else": [1]},
}


def test_what_builders_write_is_readable() -> None:
    assert list(readable.faults(CONFIG, MANIFEST)) == []
    none = {"rootfs": {"type": "layers", "diff_ids": None}, "config": None, "history": None}
    assert list(readable.faults(none, {**MANIFEST, "layers": None})) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"history": [1, 2]}, "history[0] is 1, not an object"),
        ({"history": {}}, "history is {}, not a list"),
        ({"history": [{}, {"created": "yesterday"}]}, "history[1].created is 'yesterday', not a time"),
        ({"history": [{"empty_layer": "no"}]}, "history[0].empty_layer is 'no', not true or false"),
        ({"History": [1]}, "History[0] is 1"),  # Go takes names in any case
        ({"created": "2026-02-30T00:00:00Z"}, "created is '2026-02-30T00:00:00Z', not a time"),
        ({"created": "2026-02-03"}, "created is"),
        ({"created": 1}, "created is 1"),
        ({"author": []}, "author is [], not text"),
        ({"os": "windows"}, "os is 'windows', not linux"),
        ({"os.features": "x"}, "os.features is 'x', not a list"),
        ({"Size": 1.5}, "Size is 1.5, not an integer"),
        ({"Size": 1 << 63}, "Size is 9223372036854775808, not an integer"),
        ({"Size": True}, "Size is True, not an integer"),
        ({"rootfs": None}, "rootfs is missing"),
        ({"rootfs": []}, "rootfs is [], not an object"),
        ({"rootfs": {"diff_ids": ["x"]}}, "rootfs.diff_ids has something that is no digest"),
        ({"rootfs": {"diff_ids": [1]}}, "rootfs.diff_ids[0] is 1, not text"),
        ({"rootfs": {"diff_ids": 5}}, "rootfs.diff_ids is 5, not a list"),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "as many layers as its manifest"),
        ({"config": []}, "config is [], not an object"),
        ({"config": {"Env": "x"}}, "config.Env is 'x', not a list"),
        ({"config": {"Cmd": ["a", 1]}}, "config.Cmd[1] is 1, not text"),
        ({"config": {"entrypoint": "sh"}}, "config.entrypoint is 'sh', not a list"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels.a is 1, not text"),
        ({"config": {"Volumes": ["/x"]}}, "config.Volumes is ['/x'], not an object"),
        ({"config": {"ExposedPorts": {"80": 1}}}, "config.ExposedPorts.80 is 1, not an object"),
        ({"config": {"Healthcheck": {"Interval": "30s"}}}, "config.Healthcheck.Interval is '30s'"),
        ({"container_config": {"Tty": 1}}, "container_config.Tty is 1, not true or false"),
    ],
)
def test_a_configuration_that_no_engine_reads(more: dict[str, Any], said: str) -> None:
    (fault, *_) = readable.faults({**CONFIG, **more}, MANIFEST)
    assert said in fault and fault.startswith("its configuration")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"schemaVersion": "2"}, "schemaVersion is '2', not an integer"),
        ({"annotations": {"a": 1}}, "annotations.a is 1, not text"),
        ({"layers": [{**LAYER, "urls": "x"}]}, "layers[0].urls is 'x', not a list"),
        ({"config": {**LAYER, "platform": {"os": 1}}}, "config.platform.os is 1, not text"),
        ({"subject": []}, "subject is [], not an object"),
    ],
)
def test_a_manifest_that_no_engine_reads(more: dict[str, Any], said: str) -> None:
    (fault,) = readable.faults(CONFIG, {**MANIFEST, **more})
    assert said in fault and fault.startswith("its manifest: ")
