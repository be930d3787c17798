"""Expansion of words, as in BuildKit's lexer. Its source gave the same results for a million random words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from helpers import facts
from hypothesis import given
from hypothesis import strategies as st

from stagegraph.dockerfile.words import EndsBuilderError, Piece, check_shell, process
from stagegraph.errors import DockerfileError

pytestmark = pytest.mark.unit

SET = {"A": "a.b.a", "B": "*", "E": "", "D": "$0q"}


def known(
    word: str, values: Mapping[str, str | None] = SET, escape: str = "\\", *, quotes: bool = True
) -> str | None:
    """Expand a word. Return None if the result is unknown.

    In ``values``, None means unknown. A missing name is not set.
    """

    def lookup(name: str) -> Piece | None:
        if name not in values:
            return None
        value = values[name]
        return Piece(known=False) if value is None else Piece(value)

    piece = process(word, lookup, escape, quotes=quotes)
    return piece.text if piece.known else None


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("$A", "a.b.a"),
        ("${A}x$E$U", "a.b.ax"),
        ("'$A'\"$A\"", "$Aa.b.a"),
        ("\\$A\\\\", "$A\\"),
        ('"\\$A\\x"', "$A\\x"),
        ("a\\", "a"),
        ("$", "$"),
        ("$.", "$."),
        ("$1x", "x"),
        ("${U-x}${E-x}${E:-x}", "xx"),
        ("${U+x}${E+x}${E:+x}${A:+x}", "xx"),
        ("${A?x}", "a.b.a"),
        ("${A:-${U:-'}'}}", "a.b.a"),
        ("${U:-${U:-'}'}}", "}"),
        ("${A#*.}", "b.a"),
        ("${A##*.}", "a"),
        ("${A%.*}", "a.b"),
        ("${A%%.*}", "a"),
        ("${A#x}", "a.b.a"),
        ("${A#\\*}", "a.b.a"),
        ("${A/a/x}", "x.b.a"),
        ("${A//a/x}", "x.b.x"),
        ("${A//*/x}", "x"),
        ("${A/?/\\}}", "\\}.b.a"),
        ("${A/./$D}", "a$0qb.a"),
        ("${A///x}", "xax.xbx.xax"),
        ("<<E", "<<E"),
    ],
)
def test_words(word: str, meant: str) -> None:
    assert known(word) == meant


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
        ("${A", "unsupported modifier"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${A-x", "looking for matching }"),
        ("${A!x}", "unsupported modifier"),
        ("${A:x}", "unsupported modifier"),
        ("${A:#x}", "unsupported modifier"),
        ("${U?gone}", "U: gone"),
        ("${E:?}", "E: is not allowed to be unset"),
        ("${A#\\x}", "invalid escape"),
        ("${A/x}", "looking for matching /"),
        ("${A-" * 2000, "too deeply nested"),
    ],
)
def test_a_malformed_word_is_an_error(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")) as error:
        known(word)
    assert not isinstance(error.value, EndsBuilderError)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("$X", None),
        ("a$X", None),
        ("'$X'", "$X"),
        ("${A:-$X}", "a.b.a"),
        ("${U:-$X}", None),
        ("${X:-a}", None),
        ("${X+a}", None),
        ("${U+$X}", ""),
        ("${X?a}", None),
        ("${X#a}", None),
        ("${A#a$X}", None),
        ("${A//a/$X}", None),
        # in a replacement of every match, Go gives the dollar a meaning of its own
        ("${A//a/$D}", None),
    ],
)
def test_words_with_a_variable_that_is_known_only_during_the_build(word: str, meant: str | None) -> None:
    assert known(word, {**SET, "X": None}) == meant


WORDS = st.lists(
    st.sampled_from(["a", "/", "}", "$A", "$X", "${X", "${A", "#", "%", ":-", "+", "*", "'", '"', "\\", "?"]),
    max_size=8,
).map("".join)


@given(WORDS, st.sampled_from(["", "a", "*", "a*a"]))
def test_a_known_word_does_not_depend_on_unknown_variables(word: str, value: str) -> None:
    try:
        meant = known(word, {"A": "aba", "X": None})
    except ValueError:
        return
    if meant is not None:
        try:
            assert known(word, {"A": "aba", "X": value}) == meant
        except ValueError:
            assert "?" in word or "\\" in word or value


def test_quotes_of_an_inline_file() -> None:
    assert known("'$A' \"x\" \\$A", quotes=False) == "'a.b.a' \"x\" $A"


ENDS = ["${A#}", "${A#$E}", "${U%$U}", "${A%''}", "${A#$X}", "${X%$E}", "${A:#}", "${A-${A#}}", "${A#${U}$X}"]


@pytest.mark.parametrize("word", ENDS)
def test_words_that_may_crash_the_builder_are_refused(word: str) -> None:
    with pytest.raises(EndsBuilderError):
        known(word, {**SET, "X": None})


@pytest.mark.parametrize("word", ["${A##}", "${A#.$X}", "${A%$B}", "'${A#}'", "${A///x}", "${A//$E/x}"])
def test_similar_words_that_cannot_crash_the_builder_are_accepted(word: str) -> None:
    known(word, {**SET, "X": None})


def shell(text: str) -> bool:
    def lookup(name: str) -> Piece | None:
        return Piece(known=False) if name == "X" else Piece(SET[name]) if name in SET else None

    try:
        check_shell(text, lookup, "\\")
    except EndsBuilderError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("RUN echo ${A#}", True),
        ("RUN echo ${A%$E}", True),
        ("RUN echo ${A#$U}", False),
        ("RUN echo ${U#}", False),
        ("RUN echo ${A#''}", False),
        ("RUN for f in *; do mv $f ${f#$prefix}; done", False),
        ("RUN echo ${X#$E}", False),
        ("RUN echo ${A#$X}", False),
        ("RUN don't ${A#}", False),
        ("RUN ${A#} don't", True),
        ("RUN '${A#}'", False),
    ],
)
def test_text_of_a_run(text: str, ends: bool) -> None:
    """Most of its variables belong to the shell. Variables that are not set or unknown do not count."""
    assert shell(text) is ends


SAID = (
    "x/Dockerfile:4: ${V#...}: this pattern may be empty, and an empty one crashes the builder of Docker 26\n"
    "  double the # or %; without a * in the pattern the result is the same"
)


@pytest.mark.parametrize(
    "line",
    [
        "COPY ${V#$E} /o/",
        "COPY a ${V#$E}",
        "COPY --chown=${V#$E} a /o",
        "COPY --from=x ${V#$E} /o",
        'COPY ["a", "${V#$E}"]',
        "COPY <<E /o\n${V#$E}\nE",
        "ADD ${V#$E} /o/",
        "ENV A=${V#$E}",
        "ENV A=${V#$A}",
        "ENV ${V#$E}=a",
        "LABEL a=${V#$E}",
        "LABEL ${V#$E}=a",
        "WORKDIR ${V#$E}",
        "ARG A=${V#$E}",
        "EXPOSE 80 ${V#$E}",
        "USER ${V#$E}",
        "VOLUME /a ${V#$E}",
        'VOLUME ["${V#$E}"]',
        "STOPSIGNAL ${V#$E}",
        "RUN --mount=type=cache,target=${V#$E} x",
        "RUN echo ${V#$E}",
        "RUN <<X\necho ${V#$E}\nX",
        "ONBUILD COPY ${V#$E} /",
        "ONBUILD ENV A=${V#}",
    ],
)
def test_an_instruction_that_may_crash_the_builder_is_an_error(line: str) -> None:
    with pytest.raises(DockerfileError) as error:
        facts(f"FROM scratch\nARG V=1.0\nARG E=\n{line}\n")
    assert str(error.value) == SAID


@pytest.mark.parametrize("text", ["ARG V=1\nARG E=\nFROM a${V#$E}", "ARG V=1\nARG A=${V%}\nFROM a"])
def test_a_global_argument_that_may_crash_the_builder_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="crashes the builder of Docker 26"):
        facts(text)


@pytest.mark.parametrize(
    "line",
    [
        "CMD echo ${V#$E}",
        "ENTRYPOINT ${V#}",
        "HEALTHCHECK CMD ${V#}",
        "COPY <<'E' /o\n${V#$E}\nE",
        "RUN <<X\nset -e\necho ${V#$E}\nX",
        "ONBUILD RUN echo ${V#$E}",
        "LABEL a='${V#}'",
        "ENV A=${V##$E}",
    ],
)
def test_instructions_that_buildkit_does_not_expand_are_accepted(line: str) -> None:
    facts(f"FROM scratch\nARG V=1.0\nARG E=\n{line}\n")
