"""A file is written completely or not at all. The error of a full disk says so."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from stagegraph.errors import DiskFullError, StoreError
from stagegraph.system.files import os_errors_on_write, sync, write_atomically

pytestmark = pytest.mark.unit


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "f"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["f"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "fdopen"])
def test_a_full_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(DiskFullError) as error:
        write_atomically(path, b"new")
    assert str(error.value) == (
        f"{path}: no space left on the disk of {tmp_path}\n"
        f"  free some space and run again; nothing finished is lost"
    )
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(error):
        write_atomically(tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []


def test_other_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/f: cannot be written: (Not a directory|File exists)"):
        write_atomically(tmp_path / "file" / "f", b"x")


def test_errors_of_this_program_pass(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^mine"), os_errors_on_write(tmp_path):
        raise StoreError("mine", "x")


def test_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    folder = os.open(tmp_path, os.O_RDONLY)
    sync(folder)
    os.close(folder)
