"""Debian packages of an image, read from its layers."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from helpers import layer

from stagegraph.errors import StoreError
from stagegraph.inspection.dpkg import installed, package_changes, parse_status
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: arm64
Multi-Arch: same
Version: 2.41-12
Conffiles:
 /etc/ld.so.conf.d/aarch64-linux-gnu.conf 96b5c3d8b2b8b1c0 obsolete
Description: GNU C Library: Shared libraries
 Version: of something else

Package: gone
Status: deinstall ok config-files
Architecture: arm64
Version: 1

Package: adduser
Status: hold ok installed
Architecture: all
Version: 1:3.152
"""


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def test_parse() -> None:
    assert parse_status(STATUS) == ("adduser:all=1:3.152", "libc6:arm64=2.41-12")
    assert parse_status("") == ()


def test_the_newest_database_counts(layout: LayoutStore) -> None:
    old = layer(layout, {"var/lib/dpkg/status": STATUS.replace("2.41-12", "2.41-11")})
    new = layer(layout, {"./var/lib/dpkg/status": STATUS, "var/lib/dpkg/status-old": "", "etc/x": "x"})
    other = layer(layout, {"usr/bin/x": "x"})
    assert installed(layout, {"layers": [old, new, other]}) == parse_status(STATUS)


def test_an_image_without_dpkg(layout: LayoutStore) -> None:
    assert installed(layout, {"layers": [layer(layout, {"x": "x"})]}) == ()
    assert installed(layout, {"layers": None}) == ()


def test_a_database_without_readable_versions_has_no_packages(layout: LayoutStore) -> None:
    assert parse_status("Package: a\nStatus: install ok installed\nVersion: 1\n") == ()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("var/lib/dpkg/status")
        info.type, info.linkname = tarfile.SYMTYPE, "/usr/lib/status"
        archive.addfile(info)
    digest, _ = layout.blobs.add(zstandard.compress(out.getvalue()))
    assert installed(layout, {"layers": [{"digest": digest}]}) == ()


def test_a_blob_that_is_not_a_layer_is_an_error(layout: LayoutStore) -> None:
    digest, _ = layout.blobs.add(b"no tar")
    with pytest.raises(StoreError, match="cannot be read as a layer"):
        installed(layout, {"layers": [{"digest": digest}]})


def test_package_changes_name_old_and_new_versions() -> None:
    old = ("a:arm64=1", "b:all=1:2", "c:arm64=3")
    assert package_changes(old, ("a:arm64=1", "b:all=1:3", "d:arm64=4")) == [
        "b:all 1:2 -> 1:3",
        "c:arm64 3 removed",
        "d:arm64 4 added",
    ]
    assert package_changes(old, old) == []
