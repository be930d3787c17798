"""``doit verify`` names a node whose second build differs, and the file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from derived import differences
from kit import Project, header

pytestmark = pytest.mark.engine

STAGES = """
[stages.even]
path = "even"
[stages.noisy]
path = "noisy"
[stages.top]
path = "top"
"""


@pytest.fixture
def built(project: Project, repo: str, program: Path) -> Project:
    """Stages even <- noisy <- top, all built."""
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "even/Dockerfile": "FROM scratch\nCOPY file /\n",
            "even/file": "x\n",
            "noisy/Dockerfile": 'FROM even\nCOPY program /\nRUN ["/program", "noise", "/random"]\nENV A=1\n',
            "top/Dockerfile": "FROM noisy\nCOPY file /top\n",
            "top/file": "y\n",
        }
    )
    shutil.copytree(program, project.folder / "noisy/program")
    project.built("top:here")
    return project


def state(cache: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return what must not change: records, index and blobs, with inode and time of change."""
    names = [cache / "index.json", *(cache / "records").iterdir(), *(cache / "blobs/sha256").iterdir()]
    return {str(p.relative_to(cache)): (p.read_bytes(), p.stat().st_ino, p.stat().st_ctime_ns) for p in names}


def test_rebuild_names_the_node_and_the_file(built: Project) -> None:
    cache = built.folder / "cache"
    before = state(cache)
    run = built.doit("verify", "--rebuild", "top:here")
    assert run.status == 1
    lines = run.output.splitlines()
    assert [line for line in lines if "  " in line and not line.startswith(" ")] == [
        "same  even:here",
        "differs  noisy:here",
        "same  top:here",  # its parent is the recorded image of noisy
    ]
    assert "    content      /random (8 bytes)" in lines
    assert "  layer 3: RUN /program noise /random # buildkit" in lines
    assert not [line for line in lines if "/file" in line and line.startswith("    ")]
    assert state(cache) == before and not list((cache / "tmp").iterdir())
    again = built.doit("top:here")
    assert again.nodes("reuse") == {"top:here"}


def test_rebuild_prints_json_and_succeeds_if_the_image_is_the_same(built: Project) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "doit", "verify", "even:here", "--rebuild", "--json"],
        cwd=built.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    (node,) = json.loads(process.stdout)["nodes"]  # progress goes to standard error
    assert (node["node"], node["result"], node["differences"]) == ("even:here", "same", [])
    assert node["recorded"] == node["rebuilt"]


def test_json_is_as_documented(built: Project) -> None:
    command = [sys.executable, "-m", "doit", "verify", "noisy:here", "--rebuild", "--json"]
    done = subprocess.run(command, cwd=built.folder, capture_output=True, text=True, check=False)
    value = json.loads(done.stdout)
    assert done.returncode == 1 and {node["result"] for node in value["nodes"]} == {"same", "differs"}
    others = {
        name for name in differences("doit verify --json", {}) if not name.startswith(("nodes", "schema"))
    }
    assert differences("doit verify --json", value, optional=others) == set()


def test_records_name_the_engine(built: Project) -> None:
    version = ["docker", "version", "--format={{.Server.Version}}"]
    engine = subprocess.run(version, capture_output=True, text=True, check=True).stdout.strip()
    records = [json.loads(path.read_bytes()) for path in (built.folder / "cache/records").iterdir()]
    assert {record["annotations"]["stagegraph.builder"] for record in records} == {f"docker {engine}"}


def test_changed_recipe_has_no_record_to_compare_with(built: Project) -> None:
    (built.folder / "noisy/Dockerfile").write_text(
        'FROM even\nCOPY program /\nRUN ["/program", "fail", "1"]\n'
    )
    run = built.doit("verify", "--rebuild", "noisy:here")
    assert run.status == 1 and "unchecked  noisy:here\n  no record of it in cache/" in run.output
    assert "same  even:here" in run.output


def test_verify_finds_a_damaged_blob_and_the_next_run_repairs_it(built: Project) -> None:
    assert built.doit("verify", "top:here").status == 0
    manifest = json.loads(
        (built.folder / "cache/blobs/sha256" / _digest(built, "top:here")).read_text(encoding="utf-8")
    )
    blob = built.folder / "cache/blobs/sha256" / manifest["layers"][-1]["digest"].removeprefix("sha256:")
    info, data = blob.stat(), bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    os.utime(blob, ns=(info.st_atime_ns, info.st_mtime_ns))
    built.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"  # verify needs no engine
    run = built.doit("verify", "top:here")
    assert (
        run.status == 1
        and f"bad  top:here\n  blob sha256:{blob.name} does not match its digest" in run.output
    )
    del built.env["DOCKER_HOST"]
    assert built.built("top:here").built == {"top:here"}
    assert built.doit("verify", "top:here").status == 0


def test_verify_fails_if_it_checks_nothing(project: Project, repo: str) -> None:
    project.write({"stages.toml": header(repo) + STAGES.split("[stages.noisy]", maxsplit=1)[0]})
    project.write({"even/Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    for options in ((), ("--rebuild",)):
        run = project.doit("verify", *options)
        assert run.status == 1 and run.output.count("unchecked  even:") == 2 and "2 unchecked" in run.output


def _digest(project: Project, node: str) -> str:
    return str(project.built(node).digests[node]).removeprefix("sha256:")


def test_another_engine_builds_the_same_image(built: Project, second_engine: dict[str, str]) -> None:
    other = Project(built.folder, second_engine)
    run = other.doit("verify", "--rebuild", "noisy:here")
    assert "same  even:here" in run.output and "content      /random (8 bytes)" in run.output


def test_interrupted_rebuild_leaves_nothing(built: Project, program: Path) -> None:
    shutil.copytree(program, built.folder / "even/program")
    built.write({"even/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "sleep", "5"]\n'})
    built.built("even:here")
    before = state(built.folder / "cache")
    process = built.start("verify", "--rebuild", "even:here")
    assert process.stdout is not None
    for line in process.stdout:  # until the builder has started
        if "even:here: [" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output, output
    assert state(built.folder / "cache") == before
    assert not list((built.folder / "cache/tmp").iterdir())
