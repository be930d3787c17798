"""The packages in the layers of an image, and the documents about a published image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import ARM64, key_of, layer, sha

import stagegraph
from stagegraph.dockerfile.instructions import parse
from stagegraph.inspection import inventory
from stagegraph.inspection.inventory import DebianPackage, Inventory, PinnedArchive, PythonPackage
from stagegraph.oci.digest import Digest
from stagegraph.publish import provenance, sbom
from stagegraph.publish.revision import Revision
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record

pytestmark = pytest.mark.unit

SHA256 = "0123456789abcdef" * 4
STATUS = "Package: {}\nStatus: install ok {}\nArchitecture: amd64\nVersion: 1\n\n"
PLACE = "opt/venv/lib/python3.13/site-packages"


def image(tmp_path: Path, *layers: dict[str, str]) -> Inventory:
    """Return the inventory of an image of these layers, the lowest first."""
    layout = LayoutStore(tmp_path / "cache")
    return inventory.read_inventory(layout, {"layers": [layer(layout, files) for files in layers]})


def metadata(name: str, version: str) -> dict[str, str]:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nAbout.\n"
    return {f"{PLACE}/{name}-{version}.dist-info/METADATA": text}


def test_the_topmost_database_counts(tmp_path: Path) -> None:
    lower = {
        "var/lib/dpkg/status": STATUS.format("old", "installed"),
        "etc/os-release": 'ID="ubuntu"\nVERSION_ID="24.04"\n',
    }
    upper = {"./var/lib/dpkg/status": STATUS.format("new", "installed") + STATUS.format("half", "unpacked")}
    assert image(tmp_path, lower, upper) == Inventory(
        "ubuntu", "24.04", (DebianPackage("new", "amd64", "1"),), ()
    )


def test_a_production_image_has_one_file_for_each_package(tmp_path: Path) -> None:
    """Each package has its own file, with Status, or without it as in distroless images."""
    files = {
        "var/lib/dpkg/status.d/libc6": STATUS.format("libc6", "installed"),
        "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nArchitecture: all\nVersion: 2025b\n",
    }
    assert image(tmp_path, files).debian == (
        DebianPackage("libc6", "amd64", "1"),
        DebianPackage("tzdata", "all", "2025b"),
    )


@pytest.mark.parametrize(
    "gone",
    [f"{PLACE}/.wh.robot-1.dist-info", f"{PLACE}/.wh..wh..opq", f"{PLACE}/robot-1.dist-info/.wh.METADATA"],
)
def test_a_package_that_an_upper_layer_deletes_is_left_out(tmp_path: Path, gone: str) -> None:
    assert image(tmp_path, metadata("robot", "1")).python == (PythonPackage("robot", "1"),)
    # an upgrade: one layer deletes the old version and adds the new one
    found = image(tmp_path, metadata("robot", "1"), {gone: "", **metadata("robot", "2")})
    assert found.python == (PythonPackage("robot", "2"),)


def test_sources() -> None:
    instructions, _ = parse(
        f"""\
FROM base
RUN fetch-source openblas_0.3.29+ds.orig.tar.xz {SHA256} \\
 && fetch-source openblas_0.3.29+ds-3.debian.tar.xz {SHA256[::-1]}
RUN get --name app.zip sha256:{SHA256}
RUN get v1_${{X}}.tar.gz {SHA256}
ADD --checksum=sha256:{SHA256} https://example.org/some/bar-1.2.tar.gz /
RUN echo "{SHA256}  baz.tar.xz" | sha256sum -c
ENV NOTHING=readme.txt OTHER={SHA256}
""",
        "Dockerfile",
    )
    assert inventory.pinned_archives([*instructions, *instructions]) == [
        PinnedArchive("app.zip", "", "app.zip", SHA256),
        PinnedArchive("bar-1.2.tar.gz", "", "bar-1.2.tar.gz", SHA256),
        PinnedArchive("baz.tar.xz", "", "baz.tar.xz", SHA256),
        PinnedArchive("openblas", "0.3.29+ds", "openblas_0.3.29+ds.orig.tar.xz", SHA256),
        PinnedArchive("openblas", "0.3.29+ds-3", "openblas_0.3.29+ds-3.debian.tar.xz", SHA256[::-1]),
    ]


RECORD = Record(
    key=key_of("key"),
    node="app:here",
    docker=ARM64,
    digest=Digest("sha256:" + "2" * 64),
    size=1,
    files=sha("files"),
    image=sha("image"),
    seconds=1.0,
    created="2026-11-24T18:00:00+00:00",
    inputs=(),
)


def test_a_bill_of_materials_is_the_same_every_time() -> None:
    held = Inventory(
        "debian",
        "13",
        (DebianPackage("libstdc++6", "arm64", "14.2.0-19"),),
        (PythonPackage("numpy", "2.4.6"),),
    )
    # the archives of two platforms have the same name
    sources = [
        PinnedArchive("redis", "8.0.2", "redis_8.0.2.orig.tar.gz", digest)
        for digest in (SHA256, SHA256[::-1])
    ]
    first, second = (sbom.bill_of_materials(RECORD, "team/app", held, sources) for _ in range(2))
    assert first == second
    bill = json.loads(first)
    assert [c.get("purl") for c in sorted(bill["components"], key=lambda c: str(c["bom-ref"]))] == [
        "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=arm64&distro=debian-13",
        f"pkg:generic/redis@8.0.2?checksum=sha256:{SHA256}",
        f"pkg:generic/redis@8.0.2?checksum=sha256:{SHA256[::-1]}",
        "pkg:pypi/numpy@2.4.6",
        None,
    ]
    assert [c["name"] for c in bill["components"] if c["type"] == "operating-system"] == ["debian"]
    assert bill["metadata"]["component"]["version"] == RECORD.digest
    assert bill["metadata"]["timestamp"] == "2026-11-24T18:00:00+00:00"


@pytest.mark.parametrize(("commit", "annotations"), [("abc", None), ("abc-dirty", {"dirty": True})])
def test_provenance_names_the_commit(commit: str, annotations: object) -> None:
    origin = Revision("https://example.org/atom.git", commit)
    below = [provenance.dependency("blas:here", "sha256:" + "5" * 64)]
    made = json.loads(provenance.provenance(RECORD, "team/app", {"stage": "app"}, below, origin))
    source, parent = made["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == "git+https://example.org/atom.git"
    assert source["digest"] == {"gitCommit": "abc"}
    assert source.get("annotations") == annotations
    assert parent == {"name": "blas:here", "digest": {"sha256": "5" * 64}}
    assert made["subject"] == [{"name": "team/app", "digest": {"sha256": "2" * 64}}]


@pytest.mark.parametrize(
    ("builder", "versions"),
    [("", {}), ("docker 28.5.2", {"docker": "28.5.2"}), ("buildkit v0.29.0", {"buildkit": "v0.29.0"})],
)
def test_provenance_names_the_builder(builder: str, versions: dict[str, str]) -> None:
    """A record of an earlier version has no builder. The bytes of its provenance stay the same."""
    record = RECORD._replace(builder=builder)
    made = json.loads(provenance.provenance(record, "team/app", {}, [], Revision("", "")))
    assert made["predicate"]["runDetails"]["builder"] == {
        "id": "urn:stagegraph:builder",
        "version": {**versions, "stagegraph": stagegraph.__version__},
    }
