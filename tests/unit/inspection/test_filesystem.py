"""The files of an image are its layers, one on top of the other."""

from __future__ import annotations

import pytest

from stagegraph.inspection.diff import LayerEntry
from stagegraph.inspection.filesystem import merged

pytestmark = pytest.mark.unit

FILE = LayerEntry("file", "a" * 64, 3, 0o644, (0, 0), "", 0.0, (0, 0), ())
OTHER = FILE._replace(content="b" * 64)
FOLDER = FILE._replace(kind="folder", content="", size=0)
LOWER = {"/d": FOLDER, "/d/e": FOLDER, "/d/e/f": FILE, "/d/g": FILE, "/de": FILE}


def test_an_upper_file_replaces_a_lower_one() -> None:
    assert merged([{"/f": FILE, "/g": FILE}, {"/f": OTHER}]) == {"/f": OTHER, "/g": FILE}


def test_a_whiteout_deletes_a_lower_file_or_folder_and_is_no_file_itself() -> None:
    assert set(merged([LOWER, {"/d/.wh.e": FILE}])) == {"/d", "/d/g", "/de"}
    assert set(merged([LOWER, {"/.wh.d": FILE}])) == {"/de"}


def test_a_whiteout_does_not_delete_a_file_of_its_own_layer() -> None:
    assert merged([LOWER, {"/d/.wh.g": FILE, "/d/g": OTHER}])["/d/g"] == OTHER


def test_an_opaque_folder_hides_what_is_below_it() -> None:
    upper = {"/d": FOLDER, "/d/.wh..wh..opq": FILE, "/d/new": FILE}
    assert set(merged([LOWER, upper])) == {"/d", "/d/new", "/de"}
    assert merged([{"/f": FILE}, {"/.wh..wh..opq": FILE, "/g": FILE}]) == {"/g": FILE}


def test_a_file_in_place_of_a_folder_deletes_what_was_in_it() -> None:
    assert set(merged([LOWER, {"/d": FILE}])) == {"/d", "/de"}
    assert set(merged([LOWER, {"/d": FOLDER._replace(mode=0o700)}])) == set(LOWER)


def test_a_hard_link_is_the_file_that_it_names() -> None:
    link = FILE._replace(kind="hard link", content="", size=0, link="f")
    assert merged([{"/f": FILE, "/h": link}])["/h"] == FILE
    assert merged([{"/f": FILE}, {"/h": link}])["/h"] == FILE
    assert merged([{"/h": link}])["/h"] == link


def test_the_root_folder_is_no_file() -> None:
    assert merged([{"/": FOLDER, "/f": FILE}]) == {"/f": FILE}
    assert merged([]) == {}
