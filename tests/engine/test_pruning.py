"""Pruning removes nothing that is current, neither from ``cache/`` nor from the registry."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from derived import differences
from helpers import git
from kit import Project, Registry, header, until

pytestmark = pytest.mark.engine

STAGES = """
[stages.part]
path = "part"
[stages.app]
path = "app"
[images.app]
"""
WHOLE = {"part:here", "app:here"}


@pytest.fixture
def app(project: Project, repo: str) -> Project:
    """Stages part <- app, in a git repository of its own. A file of part has another text for each commit."""
    part, whole = "FROM scratch\nCOPY file /part\n", "FROM scratch\nCOPY --from=part /part /app\n"
    project.write({"stages.toml": header(repo) + STAGES, "part/Dockerfile": part, "app/Dockerfile": whole})
    project.write({".gitignore": "cache/\n__pycache__/\n", "stages.lock": 'archive = "2026-01-01"\n'})
    git(project.folder, "init", "-q", "-b", "main")
    return project


def commit(project: Project, text: str) -> None:
    project.write({"part/file": text})
    git(project.folder, "add", "-A")
    git(project.folder, "commit", "-qm", text)


def test_a_pruned_cache_keeps_all_current_images(app: Project) -> None:
    app.write({"part/file": "one\n"})
    app.built("app:here")
    app.write({"part/file": "two\n"})
    app.built("app:here")
    blobs = app.folder / "cache/blobs/sha256"
    before = len(list(blobs.iterdir()))
    looked = app.doit("prune", "--keep-current", "--dry-run")
    assert len(list(blobs.iterdir())) == before, looked.output
    done = app.doit("prune", "--keep-current")
    assert done.status == 0, done.output
    assert "kept: 2 images" in done.output
    assert len(list(blobs.iterdir())) < before
    assert app.built("app:here").nodes("reuse") >= {"app:here"}
    assert app.doit("verify", "app:here", "part:here").status == 0
    # the old image is gone, but the reason for the new build is known
    app.write({"part/file": "one\n"})
    assert "part/file: file file changed" in app.doit("plan", "app:here").output
    assert app.built("app:here").built == WHOLE


def test_prune_removes_nothing_while_a_run_is_at_work(app: Project, program: Path) -> None:
    """While a run is at work, prune removes nothing, not even finished nodes that only this run needs."""
    app.write(
        {
            "part/file": "one\n",
            "slow/Dockerfile": 'FROM part\nCOPY program /\nRUN ["/program", "sleep", "5"]\n',
        }
    )
    app.write({"stages.toml": (app.folder / "stages.toml").read_text() + '[stages.slow]\npath = "slow"\n'})
    shutil.copytree(program, app.folder / "slow/program")
    run = app.start("slow:here")
    until((app.folder / "cache/latest/part--here").exists, run)
    pruned = app.doit("prune", "--keep-current", "app:here")
    assert (pruned.status, "a run is using it" in pruned.output) == (27, True)
    output, _ = run.communicate(timeout=100)
    assert run.returncode == 0, output
    app.built("prune", "--keep-current", "app:here")


def prune(app: Project, *words: str) -> dict[str, list[str]]:
    command = app.start("prune", "--registry", "--json", *words)
    output, _ = command.communicate(timeout=100)
    assert command.returncode == 0, output
    found: dict[str, list[str]] = json.loads(output[output.index("{") :])
    assert differences("doit prune --registry --json", found) == set()
    return found


def test_prune_keeps_images_that_kept_revisions_need(app: Project, registry: Registry, repo: str) -> None:
    app.env["STAGEGRAPH_REGISTRY"] = registry.host
    commit(app, "one\n")
    app.built("app:here")
    git(app.folder, "tag", "v1")
    commit(app, "two\n")
    app.built("app:here")
    whole = registry.tags(repo)
    assert not prune(app, "--days=0")["removed"]  # both are the tip of a tag or a branch
    git(app.folder, "tag", "-d", "v1")
    assert not prune(app)["removed"]  # too young
    doomed = prune(app, "--days=0", "--dry-run")["removed"]
    assert registry.tags(repo) == whole
    assert {tag.rsplit("-", 2)[0] for tag in doomed} == {"part", "app"}
    assert prune(app, "--days=0")["removed"] == doomed
    assert registry.tags(repo) == whole - set(doomed)
    assert not prune(app, "--days=0")["removed"]
    # another machine finds everything that is left, including the final image
    shutil.rmtree(app.folder / "cache")
    run = app.built("app:here")
    assert run.nodes("pull") == {"app:here"}
    assert not run.built


def test_removed_images_are_listed_although_a_later_removal_fails(
    app: Project, registry: Registry, repo: str, tmp_path: Path
) -> None:
    app.env["STAGEGRAPH_REGISTRY"] = registry.host
    for text in ("one\n", "two\n"):
        commit(app, text)
        app.built("app:here")
    whole, skopeo = registry.tags(repo), shutil.which("skopeo")
    (tmp_path / "skopeo").write_text(
        f"#!/bin/sh\ncase \" $* \" in *' delete '*)\n"
        f"[ ! -e {tmp_path}/once ] || {{ echo denied >&2; exit 1; }}\n"
        f'touch {tmp_path}/once;; esac\nexec {skopeo} "$@"\n'
    )
    (tmp_path / "skopeo").chmod(0o755)
    path = app.env.get("PATH", os.environ["PATH"])
    app.env["PATH"] = f"{tmp_path}:{path}"
    run = app.doit("prune", "--registry", "--days=0", "--json")
    assert run.status == 23, run.output
    output = run.output[run.output.index("{") :]
    removed = json.JSONDecoder().raw_decode(output)[0]["removed"]
    assert len(removed) == 1 and registry.tags(repo) == whole - set(removed)
    app.env["PATH"] = path
    assert len(prune(app, "--days=0")["removed"]) == 3


def test_prune_refuses_wrong_calls(app: Project, registry: Registry, tmp_path: Path) -> None:
    commit(app, "one\n")
    run = app.doit("prune", "--registry")
    assert (run.status, "no registry is set" in run.output) == (10, True)
    app.env["STAGEGRAPH_REGISTRY"] = registry.host
    run = app.doit("prune", "--registry", "push=never")
    assert (run.status, "push=never" in run.output) == (10, True)
    run = app.doit("prune", "--registry", "--revisions", "nowhere")
    assert (run.status, "git" in run.output) == (10, True)
    run = app.doit("prune")
    assert (run.status, "--dry-run" in run.output) == (10, True)
    outside = app.copy(tmp_path / "outside")
    shutil.rmtree(outside.folder / ".git")
    run = outside.doit("prune", "--registry")
    assert (run.status, "git repository" in run.output) == (10, True)
