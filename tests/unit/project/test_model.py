"""The declared project: names, platforms, tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagegraph.oci.platform import OciPlatform
from stagegraph.project import schema
from stagegraph.project.model import (
    Base,
    Bootstrap,
    ExternalBase,
    Node,
    Platform,
    Project,
    Settings,
    StageConfig,
)

pytestmark = pytest.mark.unit


def project(settings: Settings) -> Project:
    platforms = {name: Platform(name, OciPlatform(f"linux/{name}")) for name in ("amd64", "arm64")}
    bases: dict[str, Base] = {"amd64": Bootstrap("trixie"), "arm64": StageConfig("stock/base")}
    return Project(Path("p"), settings, platforms, bases, {}, {})


def test_node_is_written_stage_platform() -> None:
    assert str(Node("blas", "amd64")) == "blas:amd64"


@pytest.mark.parametrize(("docker", "arch"), [("linux/amd64", "amd64"), ("linux/arm/v7", "arm-v7")])
def test_arch_fits_a_tag(docker: OciPlatform, arch: str) -> None:
    assert Platform("x", docker).arch == arch


def test_longest_tag_fits_the_limit_of_registries() -> None:
    longest = max(len(Platform("x", OciPlatform(docker)).arch) for docker in schema.DOCKER_PLATFORMS)
    stage = "a" * 54
    assert schema.NAME.fullmatch(stage)
    assert not schema.NAME.fullmatch(stage + "a")
    assert len(f"{stage}-{'x' * longest}-{'0' * 64}") <= 128


@pytest.mark.parametrize(
    ("settings", "tag"),
    [(Settings("a/b"), "a/b:stock-amd64"), (Settings("a/b", tag="v1"), "a/b:v1")],
)
def test_tag(settings: Settings, tag: str) -> None:
    assert project(settings).tag("stock", "amd64") == tag


def test_nodes_begin_with_the_base() -> None:
    assert project(Settings("a")).nodes() == [Node("base", "amd64"), Node("base", "arm64")]


def test_an_external_base_is_not_a_node() -> None:
    one = project(Settings("a"))._replace(
        bases={"amd64": ExternalBase("debian"), "arm64": Bootstrap("trixie")}
    )
    assert one.nodes() == [Node("base", "arm64")]


def test_only_a_base_that_is_a_stage_has_a_configuration() -> None:
    one = project(Settings("a"))
    assert one.config(Node("base", "amd64")) is None
    assert one.config(Node("base", "arm64")) == StageConfig("stock/base")


def test_frozen() -> None:
    with pytest.raises(AttributeError):
        Platform("a", OciPlatform("b")).name = "c"  # type: ignore[misc]
