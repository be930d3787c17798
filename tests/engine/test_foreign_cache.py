"""A ``cache/`` that somebody else has filled with links: a run changes nothing outside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kit import Project, header

pytestmark = pytest.mark.engine


STAGES = '[stages.low]\npath = "low"\n[stages.top]\npath = "top"\n[images.top]\n'
FILES = ("locks/use", "records/*", "blobs/sha256/*", "latest/*", "index.json", "verified.json")


@pytest.fixture
def built(project: Project, repo: str) -> Project:
    project.write(
        {
            "stages.toml": header(repo)
            + '[stages.low]\npath = "low"\n[stages.top]\npath = "top"\n[images.top]\n',
            "low/Dockerfile": "FROM scratch\nCOPY file /low\n",
            "low/file": "low",
            "top/Dockerfile": "FROM low\nCOPY file /top\n",
            "top/file": "top",
        }
    )
    project.built("top:here")
    return project


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    folder = tmp_path / "precious"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/note").write_text("note")
    (folder / "key").write_text("key")
    (folder / "key").chmod(0o600)
    return folder


def untouched(precious: Path) -> bool:
    names = sorted(str(path.relative_to(precious)) for path in precious.rglob("*"))
    mode = (precious / "key").stat().st_mode & 0o777
    return names == ["key", "sub", "sub/note"] and mode == 0o600 and (precious / "key").read_text() == "key"


@pytest.mark.parametrize("name", ["tmp", "records", "blobs", "locks", "latest", "logs"])
def test_a_folder_that_is_a_link_is_an_error(built: Project, precious: Path, name: str) -> None:
    folder = built.folder / "cache" / name
    folder.rename(built.folder / "aside")
    folder.symlink_to(precious)
    built.write({"top/file": "edited"})
    run = built.doit("top:here")
    assert run.status == 27
    assert f"cache/{name}: is a link; links below cache/ are not followed" in run.output
    assert built.doit("prune", "--keep-current").status == (0 if name in ("tmp", "logs") else 27)
    assert untouched(precious)
    folder.unlink(missing_ok=True)
    assert built.built("top:here").built  # as the message says, it is enough to remove the link


@pytest.mark.parametrize("kind", ["link", "fifo"])
@pytest.mark.parametrize("what", FILES)
def test_a_link_or_fifo_in_place_of_a_file_is_replaced(
    built: Project, precious: Path, what: str, kind: str
) -> None:
    """A link or a FIFO in place of a file is ignored and replaced. The target of the link does not change."""
    for path in list((built.folder / "cache").glob(what)):
        path.unlink()
        path.symlink_to(precious / "key") if kind == "link" else os.mkfifo(path)
    assert built.built("top:here").digests
    built.write({"top/file": "edited"})
    run = built.built("top:here")
    assert "top:here" in run.built
    assert built.doit("verify", "top:here").status == 0
    assert untouched(precious)


def test_cache_itself_may_be_a_link(built: Project, tmp_path: Path) -> None:
    (built.folder / "cache").rename(tmp_path / "disk")
    (built.folder / "cache").symlink_to(tmp_path / "disk")
    assert built.built("top:here").built == set()
    built.write({"top/file": "edited"})
    assert built.built("top:here").built == {"top:here"}
