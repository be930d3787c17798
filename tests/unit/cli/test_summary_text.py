"""The results of a run as Markdown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stagegraph.ci.outlook import Outlook
from stagegraph.cli import markdown as md
from stagegraph.cli.summary_text import markdown, missing, outlook, parse, unplanned

pytestmark = pytest.mark.unit

APP, PART = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def node(name: str, decision: str, reason: str, digest: str = "", seconds: float = 0.0) -> dict[str, Any]:
    return {
        "node": name,
        "decision": decision,
        "key": "",
        "digest": digest,
        "seconds": seconds,
        "reason": reason,
    }


def run(*nodes: dict[str, Any], **images: str) -> dict[str, Any]:
    return {"schema": 1, "nodes": nodes, "images": images, "seconds": 75.0}


def test_a_summary_has_failures_builds_and_pulls_first_then_what_was_reused_then_images() -> None:
    done = run(
        node("base:amd64", "reuse", "found in cache/", PART),
        node("app:amd64", "build", "app/Dockerfile:2: RUN a | b `c`", APP, 62.0),
        node("tool:amd64", "pull", "found in registry.example.com", PART, 3.0),
        node("bad:amd64", "failed", "RUN false: status 1", seconds=9.0),
        app=APP,
    )
    assert markdown(parse(done), {APP: 81_200_000}) == (
        "**1 failed, 1 built, 1 pulled, 1 reused in 1 min 15 s**\n"
        "\n"
        "| | node | why | time | size |\n"
        "|---|---|---|---|---|\n"
        "| failed | `bad:amd64` | `RUN false: status 1` | 9.0 s | |\n"
        "| built | `app:amd64` | `` app/Dockerfile:2: RUN a \\| b `c` `` | 1 min 02 s | 81.2 MB |\n"
        "| pulled | `tool:amd64` | `found in registry.example.com` | 3.0 s | |\n"
        "\n"
        "<details><summary>1 reused</summary>\n"
        "\n"
        "| node | why |\n"
        "|---|---|\n"
        "| `base:amd64` | `found in cache/` |\n"
        "\n"
        "</details>\n"
        "\n"
        "| image | size | digest |\n"
        "|---|---|---|\n"
        f"| `app` | 81.2 MB | `{APP}` |"
    )


def test_a_run_with_nothing_to_do_is_one_line_and_what_was_reused() -> None:
    assert markdown(parse(run()), {}) == "**0 built, 0 pulled, 0 reused in 1 min 15 s**"


def test_a_run_without_results_says_so() -> None:
    assert markdown(None, {}) == "**The run left no results: it did not begin, or was killed.**"


@pytest.mark.parametrize(
    "text",
    [
        '"x"',
        "[]",
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "nodes": 1, "images": {}, "seconds": 1}',
        '{"schema": 1, "nodes": [], "images": {}, "seconds": NaN}',
        '{"schema": 1, "nodes": [], "images": {}, "seconds": 1' + "0" * 400 + "}",
        json.dumps(run(node("a:b", "forgotten", ""))),
        json.dumps(run(node("a:b", "build", "\ud800"))),
    ],
)
def test_other_content_is_not_read(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        parse(json.loads(text))


def test_more_fields_are_read_over() -> None:
    more = {**node("a:b", "build", "new"), "image_bytes": 3}
    assert parse({**run(more), "events": []}).nodes[0].node == "a:b"


@pytest.mark.parametrize(
    ("found", "failed", "said"),
    [
        (Outlook((), 0, known=True), False, "No job is behind this one."),
        (
            Outlook(("a",), 90, known=True),
            False,
            "1 job behind this one: `a`. About 1 min 30 s until they are done.",
        ),
        (
            Outlook(("a", "b"), 5, known=False),
            False,
            "2 jobs behind this one: `a`, `b`. At most about 5.0 s until they are done.",
        ),
        (
            Outlook(("a",), 9, known=True),
            True,
            "1 job behind this one: `a`. They do not run, because this one failed.",
        ),
    ],
)
def test_the_sentence_about_later_jobs(found: Outlook, failed: bool, said: str) -> None:
    assert outlook(found, failed=failed) == said


def test_the_sentence_about_a_pipeline_that_is_planned_while_it_runs() -> None:
    assert missing(0, 0) == "The registry has everything that this pipeline builds."
    said = "The registry still lacks 2 nodes of this pipeline. At most about 1 min 00 s of jobs."
    assert missing(2, 60) == said
    assert unplanned("a`b").startswith("`doit ci` now plans no job ``a`b``")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "`a`"),
        ("", ""),
        ("a|b", "`a\\|b`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
        ("a\nb\x1b[0m", "`a\\nb\\x1b[0m`"),
        ("<b>*x*</b> [l](u)", "`<b>*x*</b> [l](u)`"),
    ],
)
def test_code_shows_a_text_as_it_is(value: str, shown: str) -> None:
    assert md.code(value, in_table=True) == shown


def test_a_table_is_not_endless() -> None:
    lines = md.table(("", "a"), [("x", str(number)) for number in range(md.MOST_ROWS + 7)])
    assert lines[:2] == ["| | a |", "|---|---|"]
    assert lines[-2:] == ["\nand 7 more", ""]
    assert md.table(("a",), []) == []
