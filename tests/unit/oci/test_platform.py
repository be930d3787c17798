"""Platforms: their normal form and their parts."""

from __future__ import annotations

import platform as host

import pytest
from helpers import AMD64, ARM64, ARM_V7

from stagegraph.oci.platform import (
    NO_PLATFORM,
    OciPlatform,
    as_indexed,
    build_args,
    family,
    host_platform,
    index_entry,
    joined,
    normalized,
    parts,
    tag_part,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/X86_64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("i386", "linux/386"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    assert normalized(text) == expected


def test_a_platform_is_split_and_joined() -> None:
    for platform in (AMD64, ARM_V7):
        assert joined(*parts(platform)) == platform
    assert index_entry(AMD64) == {"os": "linux", "architecture": "amd64"}
    assert index_entry(ARM_V7) == {"os": "linux", "architecture": "arm", "variant": "v7"}
    assert [tag_part(platform) for platform in (ARM64, ARM_V7)] == ["arm64", "arm-v7"]


def test_an_index_may_name_the_variant_v8_of_arm64() -> None:
    assert as_indexed("linux", "arm64", "v8") == ARM64
    assert as_indexed("linux", "arm", "v7") == ARM_V7


def test_processors_run_32_bit_programs_of_their_family() -> None:
    assert family(ARM_V7) == family(ARM64) == "arm64"
    assert family(OciPlatform("linux/386")) == family(OciPlatform("linux/amd64/v2")) == "amd64"
    assert family(OciPlatform("linux/riscv64")) == "riscv64"


def test_arguments_of_buildkit() -> None:
    assert build_args("TARGET", ARM_V7) == {
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
    }
    assert build_args("BUILD", AMD64)["BUILDVARIANT"] == ""
    assert build_args("BUILD", NO_PLATFORM) == {}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("AMD64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_this_machine(monkeypatch: pytest.MonkeyPatch, machine: str, expected: str) -> None:
    monkeypatch.setattr(host, "machine", lambda: machine)
    assert host_platform() == expected
