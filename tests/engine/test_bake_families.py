"""The declarations of public families say the same to the program as their bake files to bake."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit import DODO

from stagegraph.project import loader
from stagegraph.project.model import Project

pytestmark = pytest.mark.engine

FAMILIES = Path(__file__).parents[2] / "benchmarks/families"

#: What a program around bake would set, as places of a tag.
VARIABLES = {
    **{"REVISION": "{revision}", "DATE": "{commit_date}", "VERSION": "{version}"},
    **{"PYTHON": "{prints.python}", "PYTHON_MINOR": "{prints.minor}", "UBUNTU": "{prints.ubuntu}"},
    **{name: f"{{prints.{name.lower()}}}" for name in ("MAMBA", "CONDA", "NOTEBOOK", "LAB", "HUB")},
    **dict.fromkeys(("R", "JULIA", "SPARK", "JAVA", "PYTORCH", "TENSORFLOW"), "{prints.version}"),
}


def baked(family: str) -> dict[str, Any]:
    """Return the targets that bake would build, by name."""
    command = ["docker", "buildx", "bake", f"--file={FAMILIES / family}.hcl", "--print"]
    environment = {**os.environ, **VARIABLES}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    targets: dict[str, Any] = json.loads(done.stdout)["target"]
    return targets


def tags(project: Project, stage: str, registry: str) -> set[str]:
    """Return the tags of a stage's images, without those of one platform."""
    images = [image for image in project.images.values() if image.stage == stage]
    return {
        f"{registry}{image.repo or project.settings.repo}:{tag}"
        for image in images
        for tag in image.tags
        if "{platform}" not in tag
    }


@pytest.mark.parametrize(
    ("family", "registry"),
    [("osrf", ""), ("jupyter", "quay.io/"), ("home-assistant", "ghcr.io/")],
)
def test_a_family_is_the_same_for_bake(tmp_path: Path, family: str, registry: str) -> None:
    targets = baked(family)
    for target in targets.values():
        (tmp_path / target["context"]).mkdir(parents=True, exist_ok=True)
        (tmp_path / target["context"] / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "dodo.py").write_text(DODO)
    (tmp_path / loader.FILE).write_text((FAMILIES / f"{family}.toml").read_text())
    project = loader.load(tmp_path, {}, {})
    said = {}
    for name, stage in project.stages.items():
        config, _ = stage.configs.values()
        said[name.replace(".", "-")] = {
            "context": config.context,
            "args": dict(config.args),
            "labels": dict(config.labels),
            "platforms": sorted(project.platforms[platform].docker for platform in stage.configs),
            "tags": tags(project, name, registry),
        }
    assert said == {
        name: {
            "context": target["context"],
            "args": target.get("args", {}),
            "labels": target.get("labels", {}),
            "platforms": sorted(target["platforms"]),
            "tags": {*target["tags"]},
        }
        for name, target in targets.items()
    }
    for target in targets.values():
        for image, parent in target.get("contexts", {}).items():
            assert {image, f"{image}:latest"} & {*targets[parent.removeprefix("target:")]["tags"]}
