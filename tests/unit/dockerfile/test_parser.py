"""The parser of Dockerfiles, a port to Python, compared with BuildKit's own in Go.

A test fails if a release of one of them reads anything differently. ``REFUSED``, ``LATER`` and ``as_in_go``
contain the intended differences.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagegraph.dockerfile.instructions import KNOWN, Instruction, parse
from stagegraph.errors import DockerfileError

pytestmark = pytest.mark.unit

try:
    import dockerfile
except ImportError:
    pytest.skip(
        "PyPI's dockerfile, BuildKit's parser in Go, has no wheel for this machine", allow_module_level=True
    )

ROOT = Path(__file__).parents[3]
#: Errors of the port for texts that the Go parser accepts. The build refuses such a text, or versions of
#: BuildKit differ.
REFUSED = re.compile(
    "text after a JSON array|ONBUILD without an instruction|followed by nothing|unknown instruction"
    "|only one escape|# escape= after|unterminated heredoc"  # heredocs after ONBUILD or a JSON array
)
#: An inline file with a space before its name. BuildKit 0.22 and the port read it; the Go parser is older.
LATER = re.compile(r"<<[\t\r ]+")

NASTY = [
    "FROM a\nCOPY a\\ b \"c d\" 'e f' /x\n",
    'FROM a\nADD --chown=1 "a b" c\\\\ /x\n',
    "# escape=`\nFROM a\nCOPY a` b C:\\x `\n  D:\\y\n",
    'FROM a\nCOPY --from=x [ "a b" , "c" ]\nVOLUME ["a"]\nVOLUME a b\nSHELL ["a", "-c"]\n',
    'FROM a\nENV a b  c\nENV a=b \\\n\n# comment\n  c=\'d e\' f="g\\" h"\nLABEL a=b c=\nLABEL a b\n',
    'FROM a\nHEALTHCHECK --interval=3s CMD ["a"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD  a  b\n',
    "FROM a\nRUN <<E <<-'F' 3<<G cat\n1\nE\n\t2\n\tF\n3\nG\nRUN x\n",
    'FROM a\nCOPY <<"E E" <<F /x/\nONBUILD RUN x\n$A\nE E\n# no comment\nF\n',
    "FROM a\nRUN cat <<< x\nRUN cat<<E\nRUN a && \\\n  # comment\n  b <<E && \\\n  c\nE\n",
    'FROM a\nonbuild COPY --from=x ["a","b"]\nONBUILD   RUN --mount=type=x \\\n  # comment\n  a\n',
    "FROM a\nonb\\\nuild RUN x\nONBUILD \\\n  ENV a=b c=d\nONBUILD ARG a=b\nONBUILD HEALTHCHECK NONE\n",
    "FROM a\nONBUILD COPY <<E <<'F' /x/\n1\nE\n2\nF\nRUN a \\\nONBUILD RUN b\nONBUILD CMD []\n",
    "\ufeff# syntax=a\n# escape=`\r\nFROM a `\r\n AS b\r\n\r\nRUN a `\r\n  b\r\n",
    'FROM a\nRUN [ "$A" = b ] && c\nRUN [\'a\']\nCMD []\nCMD [ ]\nCMD ["\\u00e9\\n"]\nENTRYPOINT a "b\n',
    'ARG a="b c" d e=${f:-g}\nFROM --platform=$a x AS y\nEXPOSE 1 2/udp\nUSER  a \nWORKDIR /a b\n',
    "FROM a\nRUN -- --x a\nRUN --x=\"a b\" --y='c' --z=d\\ e f\nMAINTAINER a <b@c>\n",
    "FROM a\nRUN a\\\\\nRUN b \\ \nc\n#\\\nRUN d\n\\\nRUN e\n",
]

WORDS = [
    *(f"{word} " for word in KNOWN),
    *("FROM a\n", "run ", "onbuild ", "\n", "\n", "\n", " ", "\t", "\r\n", "\\\n", "\\ \n", "`\n", "\\", "`"),
    *("# escape=`\n", "# x\n", "#", "<<E", "<<-E", '<<"E"', "3<<E", "\nE\n", "\n\tE\n", "<<", "a", "b=c"),
    *(
        "$A",
        "${A:-b}",
        '"',
        "'",
        '["a","b"]',
        '["a", 1]',
        "[",
        "]",
        "[]",
        "--from=x ",
        "--x",
        "-- ",
        ",",
        "=",
    ),
    *("NONE", "CMD x", '["a\\n"]', "--mount=type=secret,id=a "),
]


def in_go(text: str) -> tuple[Instruction, ...] | None:
    """Parse with BuildKit's parser. Return instructions in this project's form.

    Return None if the parser or the build refuses the text.
    """
    try:
        commands: list[Any] = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    found = []
    for command in commands:
        cmd = (command.cmd or "").upper()
        if cmd not in KNOWN:
            return None
        sub = (command.sub_cmd or "").upper()
        if cmd == "ONBUILD" and sub not in {*KNOWN} - {"ONBUILD"}:
            return None
        flags, value = tuple(command.flags), tuple(command.value)
        heredocs = tuple((h.name, h.file_descriptor, h.content) for h in command.heredocs)
        original = command.original if cmd == "ONBUILD" else ""
        canonical = (cmd, sub, command.json, flags, value, heredocs, original)
        line = command.start_line
        instruction = Instruction(line, cmd, flags, value, canonical, command.original, bool(heredocs))
        found.append(instruction._replace(file="Dockerfile"))
    return tuple(found)


def as_in_go(instruction: Instruction) -> Instruction:
    """Remove the inline files of a trigger: the Go parser reads them, but does not return them."""
    if instruction.cmd != "ONBUILD":
        return instruction
    original = instruction.original.partition("\n")[0]
    canonical = (*instruction.canonical[:5], (), original)
    return instruction._replace(canonical=canonical, original=original, has_heredoc=False)


def compare(text: str) -> None:
    if "\0" in text or LATER.search(text):
        return
    theirs = in_go(text)
    try:
        ours = tuple(map(as_in_go, parse.__wrapped__(text, "Dockerfile")[0]))
    except DockerfileError as error:
        assert theirs is None or REFUSED.search(str(error)), error
        return
    assert ours == theirs


def texts() -> list[str]:
    """Return the Dockerfiles of the project and its tests, and those in strings of their Python files."""
    found = []
    for folder in ("stock", "variant", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.name.startswith("Dockerfile"):
                found.append(path.read_text())
            elif path.suffix == ".py":
                nodes = ast.walk(ast.parse(path.read_text()))
                strings = (node.value for node in nodes if isinstance(node, ast.Constant))
                found += [
                    text for text in strings if isinstance(text, str) and re.search(r"^FROM ", text, re.M)
                ]
    return found


def test_the_parser_reads_the_dockerfiles_of_this_repository_as_buildkit_does() -> None:
    found = texts()
    assert len(found) > 300
    for text in found:
        compare(text)


@pytest.mark.parametrize("text", NASTY)
def test_the_parser_reads_difficult_dockerfiles_as_buildkit_does(text: str) -> None:
    assert in_go(text) is not None
    compare(text)


@given(st.lists(st.sampled_from(WORDS), max_size=16).map("".join))
@example('FROM a\nRUN ["a"] b\n')
@settings(max_examples=1000, deadline=None)
def test_any_text(text: str) -> None:
    compare(text)


@given(st.text(st.characters(min_codepoint=9, max_codepoint=126, exclude_characters="\x1c\x1d\x1e\x1f")))
@settings(max_examples=300, deadline=None)
def test_any_characters(text: str) -> None:
    compare(f"FROM a\nRUN {text}")
