"""A Dockerfile up to one of its steps: its text, the variables of the step, the script that repeats it."""

from __future__ import annotations

import textwrap

import pytest
from helpers import AMD64

from stagegraph.dockerfile.instructions import parse
from stagegraph.dockerfile.partial import Partial, before

pytestmark = pytest.mark.unit


def cut(text: str, line: int, **args: str) -> Partial:
    """Return a Dockerfile up to the instruction of a line."""
    text = textwrap.dedent(text)
    (step,) = (i for i in parse(text, "x/Dockerfile")[0] if i.line == line)
    return before(text, step, AMD64, args)


def test_the_text_ends_before_the_step() -> None:
    found = cut("# escape=\\\nFROM a AS one\nRUN first \\\n  more\nRUN <<EOF\nx\nEOF\nCOPY b c\n", 5)
    assert found.text == "# escape=\\\nFROM a AS one\nRUN first \\\n  more\n"
    assert (found.target, found.step.cmd) == ("one", "RUN")


def test_the_step_may_be_in_any_build_stage() -> None:
    text = "FROM a AS one\nRUN 1\nFROM b\nRUN 2\nFROM one AS three\nRUN 3\n"
    assert [cut(text, line).target for line in (2, 4, 6)] == ["one", "", "three"]
    assert cut(text, 4).text == "FROM a AS one\nRUN 1\nFROM b\n"


def test_what_the_step_mounts_is_copied() -> None:
    mounts = (
        "--mount=from=part,source=/x/$A,target=/there/ --mount=target=/ctx --mount=from=image,dst=/all "
        "--mount=type=bind,src=file,target=name --mount=type=cache,target=/c"
    )
    assert cut(f"FROM a\nRUN {mounts} make\n", 2).text.splitlines()[1:] == [
        'COPY --from=part ["/x/$A", "/there"]',
        'COPY [".", "/ctx"]',
        'COPY --from=image ["/", "/all"]',
        'COPY ["file", "name"]',
    ]


def test_the_step_sees_arguments_but_those_of_the_image_are_its_own() -> None:
    text = """\
        ARG GLOBAL=g
        ARG UNSEEN=u
        FROM scratch AS one
        ARG GLOBAL
        ARG SENT=no
        ARG TARGETARCH
        ARG DERIVED=${GLOBAL}-x
        ARG SOURCE_DATE_EPOCH
        ENV DERIVED=env OTHER=o
        RUN --mount=type=cache,target=/c/$SENT make
        ARG LATER=l
        """
    found = cut(text, 10, SENT="yes")
    assert found.arguments == {"GLOBAL": "g", "SENT": "yes", "TARGETARCH": "amd64"}
    assert found.unknown == ("SOURCE_DATE_EPOCH",)
    assert found.mounts == ({"type": "cache", "target": "/c/yes"},)


def test_the_shell_of_the_step() -> None:
    text = 'FROM a AS one\nSHELL ["/bin/bash", "-c"]\nRUN 1\nFROM b\nRUN 2\nFROM One\nRUN 3\n'
    assert [cut(text, line).shell for line in (3, 5, 7)] == [
        ("/bin/bash", "-c"),
        ("/bin/sh", "-c"),
        ("/bin/bash", "-c"),
    ]


@pytest.mark.parametrize(
    ("step", "script"),
    [
        ("RUN --network=none make  all", "#!/bin/sh\nmake  all\n"),
        ("RUN a && \\\n  b", "#!/bin/sh\na &&   b\n"),
        ('RUN ["/program", "a b", "$C"]', "#!/bin/sh\nexec /program 'a b' '$C'\n"),
        ("RUN <<EOF\nset -e\nmake\nEOF", "#!/bin/sh\nset -e\nmake\n"),
        ("RUN <<'EOF'\nmake\nEOF", "#!/bin/sh\nmake\n"),
        ("RUN <<EOF\n#!/usr/bin/python3\nprint()\nEOF", "#!/usr/bin/python3\nprint()\n"),
        ("RUN cat <<EOF >/x\none\nEOF", "#!/bin/sh\ncat <<EOF >/x\none\nEOF\n"),
        ("COPY a b", ""),
    ],
)
def test_the_script_repeats_the_step(step: str, script: str) -> None:
    assert cut(f"FROM a\n{step}\n", 2).script == script


def test_the_script_calls_another_shell() -> None:
    text = 'FROM a\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN a | b\n'
    assert cut(text, 3).script == "#!/bin/sh\nexec /bin/bash -o pipefail -c 'a | b'\n"
