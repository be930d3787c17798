"""Line numbers of keys. The library ``toml`` does not keep them."""

from __future__ import annotations

import pytest

from stagegraph.errors import ProjectError
from stagegraph.project.positions import SourceMap

pytestmark = pytest.mark.unit

TEXT = '''\
# a comment
[project]
repo = "a"   # [not.a.table]

[stages.blas]  # its own
path = "x"
args = { A = "1", B = "2" }
[stages.blas.platforms."linux/arm64"]
args = { A = "2" }
[ stages . "odd name" ]
description = """
[stages.fake]
path = "inside a string \\""""
path = 'y'
list = [
  "path = 1",
]
note = "quote \\" and \'\'\' in a string"
archive = true
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("project",), 2),
        (("project", "repo"), 3),
        (("stages", "blas"), 5),
        (("stages", "blas", "args", "B"), 7),
        (("stages", "blas", "platforms", "linux/arm64"), 8),
        (("stages", "odd name", "path"), 14),
        (("stages", "odd name", "archive"), 19),
        (("stages", "blas", "unknown"), 5),
        (("stages", "blas", "platforms"), 8),
        (("stages",), 5),
        (("stages", "fake"), 5),
    ],
)
def test_the_line_of_a_key(path: tuple[str, ...], line: int) -> None:
    assert SourceMap(TEXT, "f").where(*path) == f"f:{line}"


@pytest.mark.parametrize("path", [("nothing",), ()])
def test_a_path_without_a_line_gives_the_file(path: tuple[str, ...]) -> None:
    assert SourceMap(TEXT, "f").where(*path) == "f"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\nx = 1\n[a]\n", "f:3: a is written twice, first in line 1\n  keep one of them"),
        ("[a]\nx = 1\n\nx = 2\n", "f:4: a.x is written twice, first in line 2\n  keep one of them"),
        ('[a."b"]\n[a.b]\n', "f:2: a.b is written twice, first in line 1\n  keep one of them"),
    ],
)
def test_a_key_that_is_written_twice_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        SourceMap(text, "f")
    assert str(error.value) == said


def test_tables_of_a_list_are_not_the_same_table() -> None:
    assert SourceMap("[[a]]\nx = 1\n[[a]]\nx = 2\n", "f").where("a", "2", "x") == "f:4"


def test_line_ends_of_windows() -> None:
    assert SourceMap('[a]\r\nx = """\r\n[a]\r\n"""\r\ny = 1\r\n', "f").where("a", "y") == "f:5"
