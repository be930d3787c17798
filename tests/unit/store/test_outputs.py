"""What commands have printed, in ``cache/prints/``."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import sha

from stagegraph.errors import LinkError
from stagegraph.store.outputs import OutputStore

pytestmark = pytest.mark.unit


def test_an_output_is_of_one_image_and_one_command(tmp_path: Path) -> None:
    outputs = OutputStore(tmp_path)
    assert outputs.read(sha("1"), ("x",)) is None
    outputs.write(sha("1"), ("x",), "\u00e4 1\n")
    assert outputs.read(sha("1"), ("x",)) == "\u00e4 1\n"
    assert outputs.read(sha("2"), ("x",)) is None
    assert outputs.read(sha("1"), ("x", "")) is None


def test_what_is_not_text_or_no_file_counts_as_missing(tmp_path: Path) -> None:
    outputs = OutputStore(tmp_path)
    outputs.write(sha("1"), ("x",), "1")
    (path,) = (tmp_path / "prints").iterdir()
    path.write_bytes(b"\xff")
    assert outputs.read(sha("1"), ("x",)) is None
    path.unlink()
    (tmp_path / "outside").write_text("2")
    path.symlink_to(tmp_path / "outside")
    assert outputs.read(sha("1"), ("x",)) is None
    outputs.write(sha("1"), ("x",), "3")  # replaces the link
    assert (outputs.read(sha("1"), ("x",)), (tmp_path / "outside").read_text()) == ("3", "2")


def test_a_folder_that_is_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/prints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LinkError):
        OutputStore(tmp_path / "cache").read(sha("1"), ("x",))
