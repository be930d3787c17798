"""The declarations of public families load, and are at most as long as bake files that say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import write

from stagegraph.project import loader

pytestmark = pytest.mark.unit

FAMILIES = Path(__file__).parents[2] / "benchmarks/families"

#: The folders of each family that have a Dockerfile for its images.
FOLDERS = {
    "osrf": [
        f"ros/{release}/{image}"
        for release in (
            "humble/ubuntu/jammy", "jazzy/ubuntu/noble", "kilted/ubuntu/noble", "lyrical/ubuntu/resolute",
            "rolling/ubuntu/resolute",
        )
        for image in ("ros-core", "ros-base", "perception", "simulation", "desktop", "desktop-full")
    ],
    "jupyter": [
        f"images/{folder}"
        for folder in (
            "all-spark-notebook", "base-notebook", "datascience-notebook", "docker-stacks-foundation",
            "julia-notebook", "minimal-notebook", "pyspark-notebook", "pytorch-notebook",
            "pytorch-notebook/cuda12", "pytorch-notebook/cuda13", "r-notebook", "scipy-notebook",
            "tensorflow-notebook", "tensorflow-notebook/cuda",
        )
    ],
    "home-assistant": ["alpine", "debian", "ubuntu", "python/3.12", "python/3.13", "python/3.14"],
}  # fmt: skip
STAGES = {"osrf": 30, "jupyter": 14, "home-assistant": 17}


def lines(file: Path) -> int:
    stripped = (line.strip() for line in file.read_text().splitlines())
    return sum(bool(line) and not line.startswith("#") for line in stripped)


def test_each_family_is_tested() -> None:
    assert {file.stem for file in FAMILIES.iterdir()} == FOLDERS.keys()


@pytest.mark.parametrize("family", FOLDERS)
def test_each_stage_is_for_two_platforms_and_has_an_image(tmp_path: Path, family: str) -> None:
    files = {f"{folder}/Dockerfile": "FROM scratch\n" for folder in FOLDERS[family]}
    write(tmp_path, {"stages.toml": (FAMILIES / f"{family}.toml").read_text(), **files})
    project = loader.load(tmp_path, {}, {})
    configs = [config for stage in project.stages.values() for config in stage.configs.values()]
    assert {config.context for config in configs} == {*FOLDERS[family]}
    assert (len(project.stages), len(configs)) == (STAGES[family], 2 * STAGES[family])
    assert {image.stage for image in project.images.values()} == project.stages.keys()


@pytest.mark.parametrize("family", FOLDERS)
def test_bake_needs_no_fewer_lines(family: str) -> None:
    assert lines(FAMILIES / f"{family}.toml") <= lines(FAMILIES / f"{family}.hcl")
