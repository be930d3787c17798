"""The command line of a build: it contains everything that determines the result, in buildx's syntax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import AMD64, ARM64, Registry, graph, image, resolved, sha, stages

from stagegraph.build.command import build_command, named_contexts
from stagegraph.build.place import Placement
from stagegraph.keys.spec import NodeSpec
from stagegraph.oci.digest import Digest
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

NODE = Node("app", "aarch64")


def spec(tmp_path: Path, text: str, settings: str = "", more: str = "", **images: str) -> NodeSpec:
    """Return the spec of a node whose Dockerfile has this text."""
    registry = Registry({name.replace("_", "/"): resolved(word) for name, word in images.items()})
    project = stages(tmp_path, {"app": text, "low": "FROM scratch\n"}, more=more)
    (project / "stages.toml").write_text(
        (project / "stages.toml").read_text().replace('path = "app"\n', f'path = "app"\n{settings}')
    )
    return graph(project, registry).spec(NODE)


def command(spec: NodeSpec, *, context: str = "-", no_cache: bool = False, view: str = "/view") -> list[str]:
    contexts, session = {"low": "oci-layout://x"}, ["--secret=id=a"]
    return build_command(spec, Placement(), Path(view), context, contexts, session, no_cache=no_cache)


def test_a_whole_command(tmp_path: Path) -> None:
    text = "ARG A=1\nFROM low\nARG A\nRUN x\n"
    settings = 'network = "none"\nargs = { A = "2" }\n'
    assert command(spec(tmp_path, text, settings)) == [
        "docker",
        "buildx",
        "build",
        "--progress=rawjson",
        "--provenance=false",
        "--sbom=false",
        "--platform=linux/arm64",
        "--network=none",
        "--file=Dockerfile",
        "--build-arg=A=2",
        "--build-arg=SOURCE_DATE_EPOCH=1735689600",
        "--build-context=low=oci-layout://x",
        "--secret=id=a",
        "--output=type=oci,dest=/view,tar=false,rewrite-timestamp=true,compression=zstd,"
        "oci-mediatypes=true,name=result",
        "--metadata-file=/view/metadata.json",
        "-",
    ]


def test_a_folder_as_context_and_no_cache(tmp_path: Path) -> None:
    words = command(spec(tmp_path, "FROM low\n"), context="/view/abc", no_cache=True)
    assert words[3] == "--no-cache" and "--file=/view/Dockerfile" in words and words[-1] == "/view/abc"


def test_a_comma_in_the_path_of_the_store(tmp_path: Path) -> None:
    (output,) = [word for word in command(spec(tmp_path, "FROM low\n"), view="/a,b") if "--output" in word]
    assert output.startswith('--output=type=oci,"dest=/a,b",tar=false,')


def test_a_front_end_and_the_package_date(tmp_path: Path) -> None:
    (tmp_path / "stages.lock").write_text('archive = "2026-01-02"\n')
    text = "# syntax=some/reader:1\nFROM low\nRUN apt-get install -y x\n"
    words = command(spec(tmp_path, text, **{"some_reader:1": "reader"}))
    assert f"--build-arg=BUILDKIT_SYNTAX=some/reader@{sha('reader index')}" in words
    assert "--add-host=archive-2026-01-02.stagegraph.invalid:192.0.2.1" in words


OPTIONS = """\
network = "none"
labels = { b = "x=y z", a = 1 }
extra_hosts = ["Mirror:10.0.0.1", "b=::1", "a:host-gateway"]
shm_size = "1k"
ulimits = ["nofile=5", "core=0:-1"]
cgroup_parent = "slow"
"""


def test_labels_and_what_run_instructions_get(tmp_path: Path) -> None:
    words = command(spec(tmp_path, "FROM low\nRUN x\n", OPTIONS))
    start = words.index("--file=Dockerfile") + 1
    marker = words.pop(start)
    assert re.fullmatch(r"--add-host=hosts-[0-9a-f]{32}\.stagegraph\.invalid:192\.0\.2\.1", marker)
    assert words[start : start + 9] == [
        "--add-host=a:host-gateway",
        "--add-host=b:::1",
        "--add-host=mirror:10.0.0.1",
        "--shm-size=1024",
        "--ulimit=core=0:-1",
        "--ulimit=nofile=5:5",
        "--cgroup-parent=slow",
        "--label=a=1",
        "--label=b=x=y z",
    ]


def test_without_a_run_instruction_only_labels_are_sent(tmp_path: Path) -> None:
    words = command(spec(tmp_path, "FROM low\n", OPTIONS.replace("none", "host")))
    assert "--network=default" in words and "--label=a=1" in words
    options = ("--add-host", "--shm-size", "--ulimit", "--cgroup-parent")
    assert not [word for word in words if word.startswith(options)]


def test_builder_sees_a_new_address(tmp_path: Path) -> None:
    """BuildKit's own key has no addresses, so the name of another host tells of them."""
    words = [
        command(spec(tmp_path / address, "FROM low\nRUN x\n", f'extra_hosts = ["a:{address}"]\n'))
        for address in ("10.0.0.1", "10.0.0.2")
    ]
    names = [[word.partition(":")[0] for word in each if "--add-host" in word] for each in words]
    assert names[0][1:] == names[1][1:] == ["--add-host=a"] and names[0] != names[1]


ALL = 'allow = ["network.host", "security.insecure"]\n'


@pytest.mark.parametrize(
    ("text", "settings", "sent"),
    [
        ("RUN x", ALL, []),
        ("RUN --network=host x", ALL, ["--allow=network.host"]),
        ("RUN --security=insecure x", ALL, ["--allow=security.insecure"]),
        ("RUN --security=insecure x", 'allow = ["network.host"]\n', []),
        ("RUN x", f'network = "host"\n{ALL}', ["--allow=network.host"]),
        ("ENV A=1", f'network = "host"\n{ALL}', []),
    ],
)
def test_only_entitlements_that_a_step_needs_are_sent(
    tmp_path: Path, text: str, settings: str, sent: list[str]
) -> None:
    words = command(spec(tmp_path, f"FROM low\n{text}\n", settings))
    assert [word for word in words if word.startswith("--allow")] == sent


def test_triggers_may_need_every_entitlement(tmp_path: Path) -> None:
    node = spec(tmp_path, "FROM low\n", ALL)
    analysis = node.analysis._replace(needs_all=True)
    words = command(node._replace(analysis=analysis))
    assert "--allow=network.host" in words and "--allow=security.insecure" in words


def test_parents_and_external_images_by_digest(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path / "cache")
    text = "FROM debian:12 AS d\nFROM low\nCOPY --from=d / /\n"
    node = spec(tmp_path, text, **{"debian:12": "old"})
    record = image(layout, "low")
    contexts = named_contexts(node, {Node("low", "aarch64"): record}, layout)
    assert contexts["debian:12"] == f"docker-image://debian@{sha('old arm64')}"
    assert contexts["low"].startswith("oci-layout://") and contexts["low"].endswith(f"@{record.digest}")


def test_one_name_for_two_platforms_is_an_index(tmp_path: Path) -> None:
    layout = LayoutStore(tmp_path / "cache")
    text = (
        "FROM --platform=linux/amd64 low AS a\nFROM --platform=linux/amd64 debian:12 AS d\n"
        "FROM low\nCOPY --from=a / /\nCOPY --from=d / /\nCOPY --from=debian:12 / /\n"
    )
    node = spec(tmp_path, text, **{"debian:12": "old"})
    records = {Node("low", "aarch64"): image(layout, "low"), Node("low", "amd64"): image(layout, "other")}
    contexts = named_contexts(node, records, layout)
    assert contexts["debian:12"] == f"docker-image://debian@{sha('old index')}"
    index = layout.blobs.json(Digest(contexts["low"].rpartition("@")[2]))
    listed = {
        f"{item['platform']['os']}/{item['platform']['architecture']}": item["digest"]
        for item in index["manifests"]
    }
    assert listed == {
        AMD64: records[Node("low", "amd64")].digest,
        ARM64: records[Node("low", "aarch64")].digest,
    }
