"""Building again gives the same image, or the files that differ are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from kit import Project, header

pytestmark = pytest.mark.engine

STAGES = """
[stages.same]
path = "same"
[stages.stamped]
path = "stamped"
"""


@pytest.fixture
def two(project: Project, repo: str, program: Path) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "same/Dockerfile": 'FROM scratch\nCOPY program file /\nRUN ["/program", "x"]\n',
            "same/file": "x\n",
            "stamped/Dockerfile": "FROM same\nCOPY --from=same /file /copy\n"
            'RUN ["/program", "stamp", "/time"]\n',
        }
    )
    shutil.copy(program, project.folder / "same/program")
    return project


def store(project: Project) -> dict[str, bytes]:
    """All that a store holds for good."""
    cache = project.folder / "cache"
    folders = ("blobs/sha256", "records")
    files = [path for folder in folders for path in (cache / folder).iterdir()] + [cache / "index.json"]
    return {str(path): path.read_bytes() for path in files}


def test_rebuild(two: Project) -> None:
    two.built("stamped:here")
    before = store(two)
    run = two.doit("verify", "--rebuild", "stamped:here")
    assert run.status == 16, run.output
    assert "same      same:here\n" in run.output and "differs   stamped:here\n" in run.output
    assert "layer 4: time: other content\n" in run.output  # layers: two of same, the copy, the stamp
    assert "1 same, 1 differs, 0 absent" in run.output
    assert store(two) == before and not list((two.folder / "cache/tmp").iterdir())
    assert two.doit("verify", "--rebuild", "same:here").status == 0
    run = two.doit("verify", "--rebuild", "--json", "stamped:here")
    facts = json.loads(run.output[run.output.index("{") : run.output.rindex("}") + 1])
    assert [node["result"] for node in facts["nodes"]] == ["same", "differs"]
    assert facts["nodes"][1]["differences"] == ["layer 4: time: other content"]


def test_what_is_not_there_and_what_is_damaged(two: Project) -> None:
    run = two.doit("verify", "stamped:here")
    assert run.status == 16 and "absent    same:here" in run.output
    first = two.built("stamped:here")
    assert two.doit("verify", "stamped:here").status == 0
    blobs = two.folder / "cache/blobs/sha256"
    manifest = json.loads((blobs / first.digests["stamped:here"].removeprefix("sha256:")).read_text())
    (blobs / manifest["layers"][-1]["digest"].removeprefix("sha256:")).write_bytes(b"x")
    run = two.doit("verify", "stamped:here")
    assert run.status == 16 and "a blob of its image is missing or damaged" in run.output
