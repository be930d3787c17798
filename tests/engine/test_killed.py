"""After a kill at any moment, the next call needs no repair, loses no node, and gives the same result."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit import Project, header, image_id, until

from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.engine

STAGES = """
[stages.first]
path = "first"
[stages.slow]
path = "slow"
[images.slow]
"""


@pytest.fixture
def slow(project: Project, repo: str, program: Path) -> Project:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "first/Dockerfile": "FROM scratch\nCOPY program /\n",
            "slow/Dockerfile": "FROM first\n",
        }
    )
    shutil.copytree(program, project.folder / "first/program")
    return project


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_next_run_succeeds_after_a_kill_during_a_build(
    slow: Project, repo: str, kill: signal.Signals
) -> None:
    # a step of its own for each case; otherwise BuildKit reuses the step of the case before
    words = f'"/program", "sleep", "4", "{kill.name}", "{repo}"'
    slow.write({"slow/Dockerfile": f"FROM first\nRUN [{words}]\n"})
    process = slow.start("slow:here")
    records = slow.folder / "cache/records"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (records.is_dir() and len(list(records.iterdir())) >= 2):
        time.sleep(0.05)
    time.sleep(1.5)  # in the middle of the RUN that sleeps
    process.send_signal(kill)
    output, _ = process.communicate(timeout=60)
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    assert process.returncode == expected[kill] and "Traceback" not in output, output
    assert not image_id(f"{repo}:slow-here")
    last = slow.folder / "cache/last-run.json"
    outcome = json.loads(last.read_text())["outcome"] if last.exists() else "none"
    assert outcome == ("none" if kill == signal.SIGKILL else "interrupted")
    run = slow.built("slow:here")
    assert run.built == {"slow:here"} and run.nodes("reuse") == {"first:here"}
    assert not list((slow.folder / "cache/tmp").iterdir())  # the rest of the killed call is gone, too
    assert run.last["images"][f"{repo}:slow-here"] == image_id(f"{repo}:slow-here")


@pytest.mark.parametrize("builder_too", [False, True])
def test_the_next_run_succeeds_after_a_kill_while_the_builder_writes_blobs(
    slow: Project, repo: str, builder_too: bool
) -> None:
    """The next call succeeds although the builder of a killed call still writes into the store."""
    slow.write({"slow/Dockerfile": "FROM first\nCOPY large /\n"})
    (slow.folder / "slow/large").write_bytes(os.urandom(32 << 20))
    slow.built("first:here")
    process = slow.start("slow:here", group=True)
    cache = slow.folder / "cache"
    known = set((cache / "blobs/sha256").iterdir())

    def writing() -> bool:
        ingested = any(path.stat().st_size for path in cache.glob("tmp/*/ingest/*/data"))
        return ingested or set((cache / "blobs/sha256").iterdir()) != known

    until(writing, process)
    if builder_too:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(60)
    assert not image_id(f"{repo}:slow-here")
    run = slow.built("slow:here")
    assert run.built == {"slow:here"} and run.nodes("reuse") == {"first:here"}
    assert run.last["images"][f"{repo}:slow-here"] == image_id(f"{repo}:slow-here")
    assert not slow.built("slow:here").built
    process.communicate(timeout=60)


def test_the_next_run_succeeds_after_a_kill_while_the_engine_loads(slow: Project, repo: str) -> None:
    slow.write({"slow/Dockerfile": "FROM first\nCOPY large /\n"})
    (slow.folder / "slow/large").write_bytes(os.urandom(32 << 20))
    process = slow.start("slow:here")
    assert process.stdout is not None
    assert any("loading" in line for line in process.stdout)
    process.kill()
    process.communicate(timeout=60)
    # the engine has the whole image or nothing
    left = image_id(f"{repo}:slow-here")
    run = slow.built("slow:here")
    assert not run.built
    digest = image_id(f"{repo}:slow-here")
    assert run.last["images"][f"{repo}:slow-here"] == digest and left in ("", digest)
    made = subprocess.run(["docker", "create", f"{repo}:slow-here", "x"], capture_output=True, check=True)
    subprocess.run(["docker", "rm", made.stdout.decode().strip()], capture_output=True, check=True)


DIE = """
import os, sys
from stagegraph.store.folder import Folder
count = int(sys.argv.pop(1))
write = Folder.write
def dying(folder, name, data):
    global count
    count -= 1
    if count == 0:
        folder.path.mkdir(parents=True, exist_ok=True)
        # half of a file, under the temporary name that it would have
        (folder.path / f".{name}.0123abcd").write_bytes(data[: len(data) // 2])
        os._exit(9)
    write(folder, name, data)
Folder.write = dying
from doit.doit_cmd import DoitMain
sys.exit(DoitMain().run(sys.argv[1:]))
"""


@pytest.mark.parametrize("write", [1, 2, 3, 4, 5, 6, 7, 8])
def test_the_next_run_succeeds_after_a_kill_during_a_write_to_the_store(
    project: Project, repo: str, tmp_path: Path, write: int
) -> None:
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "first/Dockerfile": "FROM scratch\nCOPY file /\n",
            "first/file": f"{tmp_path}\n",
            "slow/Dockerfile": "FROM first\nCOPY --from=first /file /copy\n",
        }
    )
    script = tmp_path / "die.py"
    script.write_text(DIE)
    died = subprocess.run(
        [sys.executable, str(script), str(write), "slow:here"],
        cwd=project.folder,
        env={**os.environ, "CI": "true"},
        capture_output=True,
        check=False,
    )
    assert died.returncode == 9
    finished = {node for node in ("first:here", "slow:here") if "reuse" in _plan(project, node)}
    run = project.built("slow:here")
    assert run.nodes("build").isdisjoint(finished)
    # the next run has mended the layout, and left nothing of the killed one
    cache = project.folder / "cache"
    assert LayoutStore(cache).index.faults() == [] and not list(cache.rglob(".*.0123abcd"))
    again = project.copy(tmp_path / "again")
    shutil.rmtree(again.folder / "cache")
    assert again.built("slow:here").last["images"] == run.last["images"]


def _plan(project: Project, node: str) -> str:
    lines = project.doit("plan", node).output.splitlines()
    return next((line for line in lines if line.split()[1:2] == [node]), "")
