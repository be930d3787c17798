"""Changes of files are found: also in folders that are new, were removed, or were made anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import watchfiles
from helpers import write

from stagegraph.errors import ContextError
from stagegraph.system.watching import Watching

pytestmark = pytest.mark.unit


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    write(tmp_path, {"app/file": "1", "cache/x": "1", "top": "1", "beside/file": "1"})
    started = Watching(tmp_path / "cache")
    yield started
    started.stop()


def test_changes_below_folders_and_directly_in_others(tmp_path: Path, watching: Watching) -> None:
    watching.start([tmp_path / "app"], [tmp_path])
    assert watching.pending() == set()
    write(tmp_path, {"beside/file": "2", "cache/x": "2", "app/in/deep": "1", "top": "2"})
    found = watching.wait()
    assert {tmp_path / "top", tmp_path / "app/in"} <= found
    assert not found & {tmp_path / "beside/file", tmp_path / "cache/x"}
    # other folders; what was found before is not lost
    write(tmp_path, {"app/file": "2"})
    watching.start([tmp_path / "app", tmp_path / "beside"], [tmp_path])
    write(tmp_path, {"beside/file": "3"})
    found = watching.wait()
    if not found >= {tmp_path / "app/file", tmp_path / "beside/file"}:
        found |= watching.wait()
    assert found >= {tmp_path / "app/file", tmp_path / "beside/file"}


def test_a_folder_that_was_made_anew_is_watched(tmp_path: Path, watching: Watching) -> None:
    app = tmp_path / "app"
    watching.start([app], [])
    shutil.rmtree(app)
    assert app in watching.wait()
    watching.start([app], [])  # not there: the folder around it
    write(tmp_path, {"app/file": "2"})
    assert app in watching.wait()
    watching.start([app], [])
    write(tmp_path, {"app/file": "3"})
    assert app / "file" in watching.wait()


def test_what_cannot_be_watched_is_an_error(
    tmp_path: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", fail)
    watching.start([tmp_path], [])
    with pytest.raises(ContextError, match=r"watch limit reached\n.*max_user_watches"):
        watching.wait()
