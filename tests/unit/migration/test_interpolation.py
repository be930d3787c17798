"""Variables in a Compose file, and ``.env``."""

from __future__ import annotations

import pytest

from stagegraph.errors import ProjectError
from stagegraph.migration.interpolation import Interpolation, env_file

pytestmark = pytest.mark.unit

VARIABLES = {"A": "one", "EMPTY": "", "B": "two"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"), ("$A", "one"), ("${A}", "one"), ("x${A}y$B", "xoney" + "two"), ("$$A", "$A"),
        ("$1", "$1"), ("a$", "a$"), ("${NONE}", ""), ("${A:-x}", "one"), ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""), ("${NONE-x}", "x"), ("${A:?x}", "one"), ("${EMPTY?x}", ""), ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""), ("${EMPTY+x}", "x"), ("${NONE+x}", ""), ("${NONE:-${A}}", "one"),
        ("${NONE:-${NONE:-x}}y", "xy"), ("${NONE:-$A}", "one"), ("${NONE:-a:b}", "a:b"),
        ("${NONE:-{}}", "{}"),
    ],
)  # fmt: skip
def test_a_variable_has_the_value_that_compose_gives_it(text: str, result: str) -> None:
    assert Interpolation(VARIABLES, "compose.yaml").text(text) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${NONE?set it}", "variable NONE is not set: set it"),
        ("${EMPTY:?}", "variable EMPTY is not set"),
        ("${A", "has no closing }"),
        ("${A/x/y}", "no form that Compose has"),
        ("${}", "no form that Compose has"),
    ],
)
def test_what_is_an_error_for_compose_is_one_here(text: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        Interpolation(VARIABLES, "compose.yaml").text(text)


def test_values_of_tables_and_lists_are_replaced_and_keys_are_not() -> None:
    interpolation = Interpolation(VARIABLES, "compose.yaml")
    assert interpolation.tree({"$A": ["$A", {"x": "${NONE}"}], "n": None}) == {
        "$A": ["one", {"x": ""}],
        "n": None,
    }
    assert (interpolation.used, interpolation.unset) == ({"A": "one"}, {"NONE"})


def test_an_env_file() -> None:
    text = """
# a comment
PLAIN=a b # why
export OTHER = x#y
SINGLE='$A "q"'
DOUBLE="${A}\\n"   # why
A=from the file
LATER=${PLAIN}!
no line
"""
    assert env_file(text, {"A": "one"}, ".env") == {
        "PLAIN": "a b", "OTHER": "x#y", "SINGLE": '$A "q"', "DOUBLE": "one\n", "A": "one", "LATER": "a b!",
    }  # fmt: skip
