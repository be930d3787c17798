"""What leaves the program is text, and has no secret that is known."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagegraph import output
from stagegraph.output import LEAST, Lines, Mask, cleaned, encodable, plain, printable, shown
from stagegraph.system.text import shortened

pytestmark = pytest.mark.unit

#: The control characters, the marks that change the direction of text (UAX 9), halves of surrogate pairs.
CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
DIRECTIONS = [*map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))]
OTHERS = ["\u2028", "\u2029", "\ufeff", "\u200b", "\xad", "\ud800", "\udcff", "\U000e0041", "\uffff"]


@pytest.mark.parametrize("char", [*CONTROLS, *DIRECTIONS, *OTHERS])
def test_what_no_output_can_show_is_escaped(char: str) -> None:
    if char in "\n\t":
        assert shown(f"a{char}b") == f"a{char}b"
    else:
        assert char not in shown(f"a{char}b") and shown(f"a{char}b").isprintable()
    assert printable(char).isprintable() and printable(char) != char


def test_what_languages_need_stays() -> None:
    text = "caf\xe9\xa0! \u65e5\u3000\u8a9e \u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f4bb \u2026"
    assert shown(text) == text


def test_a_byte_of_a_file_name_is_written_as_a_byte() -> None:
    name = b"caf\xe9\x1b".decode("utf-8", "surrogateescape")
    assert printable(name) == shown(name) == r"caf\xe9\x1b"
    assert shown("half \ud83d") == r"half \ud83d"


def test_the_line_ends_of_another_system_are_line_ends() -> None:
    assert shown("a\r\nb\rc") == "a\nb\\rc"


@given(st.text())
def test_every_text_becomes_one_that_can_be_encoded_and_shown(text: str) -> None:
    found = shown(text)
    found.encode()
    for char in found:
        allowed = "\n\t\xa0\u202f\u3000\u200c\u200d"
        assert char in allowed or unicodedata.category(char)[0] not in "CZ" or char == " "
    assert shown(found) == found


class Fact(NamedTuple):
    name: str
    facts: tuple[str, ...]


def test_all_texts_of_a_value_are_cleaned() -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    output.hide(["9abc", "pass word"])
    value = {"\x1ba": [Fact("\x1b", ("pass word", digest)), 1, None, True], "b": {"c": frozenset({"\u202e"})}}
    assert cleaned(value) == {
        r"\x1ba": [Fact(r"\x1b", ("***", digest)), 1, None, True],
        "b": {"c": frozenset({r"\u202e"})},
    }
    assert isinstance(cleaned(value)[r"\x1ba"][0], Fact)


@pytest.mark.parametrize(("encoding", "text"), [("ascii", r"a\u2026\xe9"), ("latin-1", "a\\u2026\xe9")])
def test_a_stream_that_does_not_know_a_character_gets_an_escape(encoding: str, text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    output.write(stream, "a\u2026\xe9", flush=True)
    assert stream.buffer.getvalue().decode(encoding) == text
    assert encodable("a\u2026", io.StringIO()) == "a\u2026"


# -- what programs print -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"\x1b[1;31merror\x1b[0m\x1b[K\n", "error\n"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\n", "alink\n"),
        ("\x9b31ma\x9d0;t\x9cb".encode(), "ab"),
        (b"\x1bPq payload\x1b\\a\x1b_x\x07\x1b^y\x1b\\b\x1b(B\x1b=", "ab"),
        (b"\x1b]0;no end\nthe next line\x07\n", "0;no end\nthe next line\\x07\n"),
        (b"\xff\xfe \x1b \x07\n", "\\xff\\xfe \\x1b \\x07\n"),
    ],
)
def test_colours_and_commands_of_programs_are_removed(printed: bytes, text: str) -> None:
    assert plain(printed) == text


def test_colours_inside_a_secret_do_not_hide_it() -> None:
    output.hide(["hunter2secret"])
    assert plain(b"hunter\x1b[1m2sec\x1b[0mret\n") == "***\n"


# -- secrets -----------------------------------------------------------------------------------------


def masked(text: str, *values: str) -> str:
    mask = Mask()
    mask.add(values)
    return mask.masked(text)


QUOTED = "a'b\"\\c"


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (["s3cret"], "a s3cret and s3crets", "a *** and ***s"),
        (["s3cret\n"], "s3cret", "***"),
        (["abcd", "cdef"], "abcdef", "***"),  # values that overlap
        (["abcd", "abcdef"], "abcdef abcd", "*** ***"),
        (["a.c+"], "a.c+ abcc", "*** abcc"),
        (["-----BEGIN KEY-----\n  bGluZTE=\r\nbGluZTI=\nxyz"], "bGluZTE=bGluZTI= xyz", "*** xyz"),
        (["abc", ""], "abc", "abc"),  # too short
        (["build", "true"], "build true", "build true"),  # words that JSON and people need
        ([QUOTED], f"{QUOTED!r} {json.dumps(QUOTED)}", "'***' \"***\""),
        (["\xe9"], r"\u00e9", r"\u00e9"),  # its JSON is long enough, but it is not
        (["tab\there"], r"tab\there or tab" + "\there", "*** or ***"),
    ],
)
def test_values_are_hidden(values: list[str], text: str, expected: str) -> None:
    assert masked(text, *values) == expected


def test_a_name_that_everybody_knows_is_not_hidden() -> None:
    output.spare(["redis"])
    output.hide(["redis", "swordfish"])
    assert shown("redis swordfish") == "redis ***"


def test_a_text_is_not_cut_inside_a_secret() -> None:
    output.hide(["0123456789"])
    assert shortened("x 0123456789", 8) == "x ***"


SECRETS = st.lists(st.text("abc", min_size=LEAST, max_size=8), min_size=1, max_size=3)


@given(SECRETS, st.text("abc", max_size=40))
def test_no_secret_and_no_half_of_one_is_left(values: list[str], text: str) -> None:
    """Each character that is in an occurrence of a value is gone, whatever overlaps."""
    covered = set()
    for value in values:
        for start in range(len(text)):
            if text.startswith(value, start):
                covered |= set(range(start, start + len(value)))
    found = masked(text, *values)
    assert found.replace("***", "") == "".join(c for place, c in enumerate(text) if place not in covered)


@given(SECRETS, st.text("abcx", max_size=30), st.text("abcx", max_size=30))
def test_the_start_of_a_line_shows_no_start_of_a_secret(values: list[str], start: str, rest: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "_mask", Mask())
        output.hide(values)
        early, whole = output.finished(start), output.masked(start + rest)
        assert whole.startswith(early)


PIECES = st.binary(max_size=12) | st.sampled_from([b"s3c", b"ret", b"\n", b"\x1b[", b"1m"])


@given(st.lists(PIECES, max_size=12))
def test_pieces_are_shown_as_the_whole_is(pieces: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "_mask", Mask())
        output.hide(["s3cret"])
        lines = Lines()
        found = "".join([*map(lines.feed, pieces), lines.end()])
        assert found == plain(b"".join(pieces)) and "s3cret" not in found


def test_a_secret_with_ten_thousand_lines_is_hidden_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    output.hide(["\n".join(f"line {number:05} of it" for number in range(10_000))])
    text = "nothing of it here, " * 5 + "\n"
    assert shown(text * 200) == text * 200
    assert shown("a line 07777 of it") == "a ***"


# -- printing ----------------------------------------------------------------------------------------


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    output.hide(["s3cret"])
    yield capsys


def test_both_outputs_are_cleaned(printed: pytest.CaptureFixture[str]) -> None:
    output.say("\x1b[2J s3cret")
    output.tell(ValueError("\u202e s3cret"), end="")
    assert printed.readouterr() == ("\\x1b[2J ***\n", "\\u202e ***")


def test_json_has_no_secret_that_json_would_escape(printed: pytest.CaptureFixture[str]) -> None:
    from stagegraph.cli.commands.base import print_json

    output.hide(['pass"word\\'])
    print_json({"a": 'the pass"word\\ here'})
    assert json.loads(printed.readouterr().out) == {"a": "the *** here"}
