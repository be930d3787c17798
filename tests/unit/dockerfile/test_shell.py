"""The commands of a RUN, as the shell divides them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagegraph.dockerfile.instructions import parse
from stagegraph.dockerfile.shell import commands

pytestmark = pytest.mark.unit


def words(run: str) -> list[str]:
    """Return the commands of a RUN, each as one line."""
    *_, instruction = parse(f"FROM x\n{run}\n", "x/Dockerfile")[0]
    return [str(command) for command in commands(instruction)]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("RUN a 1 && b 2 || c; d | e & f", ["a 1", "b 2", "c", "d", "e", "f"]),
        ("RUN a \\\n  # a comment\n  1 \\\n && b", ["a 1", "b"]),
        ("RUN a 'b c' \"d e\" f\\ g h#i # j", ["a b c d e f g h#i"]),
        ("RUN A=1 B=2 a >out 2>&1 <in &>>log b", ["a b"]),
        ("RUN if a; then b; else c; fi; while ! d; do e; done", ["a", "b", "c", "fi", "d", "e", "done"]),
        ("RUN (a; b) && { c; }", ["a", "b", "c", "}"]),
        ("RUN for x in curl wget; do echo $x; done", ["echo $x", "done"]),
        ("RUN X=$(a | b) c \"$(d 'e)')\" `f`", ["c $(d 'e)') `f`", "a", "b", "d e)", "f"]),
        ("RUN echo $((1 + 2)) ${X:-$Y} ${Z}", ["echo $((1 + 2)) ${X:-$Y} ${Z}"]),
        ("RUN sudo -u me -E env A=1 /usr/bin/pip3 install x", ["pip3 install x"]),
        ("RUN timeout -k 5 60 a; gosu user b; xargs -r -n 1 c", ["a", "b", "c"]),
        ("RUN bash -euxc 'a && b'", ["bash -euxc a && b", "a", "b"]),
        ('RUN ["sh", "-c", "a; b"]', ["sh -c a; b", "a", "b"]),
        ('RUN ["a", "b; c"]', ["a b; c"]),
        ("RUN --mount=type=cache,target=/x a", ["a"]),
        ("RUN bash <(curl u)", ["bash <(curl u)", "curl u"]),
        ("RUN <<E\nset -e\na \\\n  b\nE", ["set -e", "a b"]),
        ("RUN <<E\n#!/usr/bin/env python3\nimport a\nE", []),
        ("RUN <<E\n#!/bin/bash -e\na\nE", ["a"]),
        ("RUN python3 <<E && b\nimport a\nE", ["python3", "b"]),
        ("RUN bash -e <<E\na\nE", ["bash -e", "a"]),
        ("RUN <<E\ncat >f <<-'X'\n\tpip install no\n\tX\nb\nE", ["cat", "b"]),
    ],
)
def test_commands(run: str, expected: list[str]) -> None:
    assert words(run) == expected


@given(st.text(alphabet="ab \t\n'\"\\$`(){}<>|&;#=-1E"))
def test_any_text_has_an_end(text: str) -> None:
    instruction = parse("FROM x\nRUN a\n", "x/Dockerfile")[0][1]
    list(commands(instruction._replace(value=(text,))))
