"""The results of a run as Markdown."""

from __future__ import annotations

import pytest

from stagegraph.ci.outlook import Outlook
from stagegraph.cli import markdown as md
from stagegraph.cli.summary_text import markdown, missing, outlook, unplanned
from stagegraph.execution.events import Event, NodeResult
from stagegraph.execution.last_run import LastRun

pytestmark = pytest.mark.unit

APP, PART = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def node(name: str, decision: str, reason: str, digest: str = "", *, seconds: float = 0.0) -> NodeResult:
    size = 81_200_000 if digest == APP else None
    return NodeResult(name, decision, "", digest, seconds, reason, 0.0, seconds, image_bytes=size)


def run(*nodes: NodeResult, outcome: str = "done", **images: str) -> LastRun:
    return LastRun("", (), outcome, 75.0, nodes, images, ())


def test_a_summary_has_failures_builds_and_pulls_first_then_what_was_reused_then_images() -> None:
    done = run(
        node("base:amd64", "reuse", "found in cache/", PART),
        node("app:amd64", "build", "app/Dockerfile:2: RUN a | b `c`", APP, seconds=62.0),
        node("tool:amd64", "pull", "found in registry.example.com", PART, seconds=3.0),
        node("bad:amd64", "failed", "RUN false: status 1", seconds=9.0),
        app=APP,
    )
    assert markdown(done) == (
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
    assert markdown(run()) == "**0 built, 0 pulled, 0 reused in 1 min 15 s**"


def test_the_slowest_step_is_named() -> None:
    made = run(node("app:amd64", "build", "new", seconds=20.0))
    steps = (
        Event("step", "app:amd64", "[2/3] RUN short", 1.0, 3.0, "done"),
        Event("step", "app:amd64", "[3/3] RUN `long`", 3.0, 15.6, "done"),
        Event("build", "app:amd64", "", 0.0, 20.0, "done"),
    )
    assert "\nSlowest step: `app:amd64` `` [3/3] RUN `long` ``, 13 s" in markdown(made._replace(events=steps))
    assert "Slowest" not in markdown(made._replace(events=(steps[0]._replace(end=1.5),)))


def test_a_run_that_was_interrupted_says_so() -> None:
    done = run(node("app:amd64", "build", "new"), outcome="interrupted")
    assert markdown(done).startswith("**interrupted: 1 built, 0 pulled, 0 reused in 1 min 15 s**\n")


def test_a_run_without_results_says_so() -> None:
    assert markdown(None) == "**The run left no results: it did not begin, or was killed.**"


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
