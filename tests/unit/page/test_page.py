"""The page of ``doit report``: what it shows, and that no text of a build becomes HTML."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import report_page
from helpers import stages, write

from stagegraph.errors import StoreError
from stagegraph.page.model import Facts, Outcome, view
from stagegraph.page.render import render

pytestmark = pytest.mark.unit

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u2028"


class Elements(html.parser.HTMLParser):
    """Collects elements, and the texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - html.parser calls it
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page(facts: Facts | None = None) -> str:
    return render(view(facts or report_page.facts())).decode()


def hostile() -> Facts:
    """Facts in which every text that a build, a file or a user gives is hostile."""
    facts = report_page.facts()
    assert facts.run
    name = next(iter(facts.outcomes))
    outcome = facts.outcomes[name]._replace(
        reason=HOSTILE, changes=(HOSTILE,) * 3, key=HOSTILE, digest=HOSTILE
    )
    events = tuple(event._replace(name=HOSTILE) for event in facts.run.events)
    past = facts.history[0]._replace(goals=(HOSTILE,), built={HOSTILE: 1.0}, outcome=HOSTILE)
    return facts._replace(
        title=HOSTILE,
        goals=(HOSTILE,),
        parents={**facts.parents, f"x:{HOSTILE}": [name]},
        outcomes={**facts.outcomes, name: outcome},
        descriptions={name: HOSTILE},
        run=facts.run._replace(events=events),
        history=[past],
    )


def test_no_text_becomes_html_or_script() -> None:
    good, bad = Elements(page()), Elements(page(hostile()))
    assert len(bad.scripts) == len(good.scripts) == 2
    assert bad.scripts[1] == good.scripts[1]
    assert not bad.of("img") and not any(name.startswith("on") for _, each in bad.found for name in each)
    assert "<" not in bad.scripts[0]
    nodes = json.loads(bad.scripts[0])["nodes"]
    readable = HOSTILE.replace("\u2028", r"\u2028")
    assert readable in [node["reason"] for node in nodes]
    assert readable in "".join(bad.texts)  # people can read it, all of it


def test_text_that_is_not_unicode_is_escaped() -> None:
    facts = report_page.facts()
    name = next(iter(facts.outcomes))
    outcome = facts.outcomes[name]._replace(reason="a file \udcff")
    assert r"a file \xff" in page(facts._replace(outcomes={**facts.outcomes, name: outcome}))


def test_the_page_loads_nothing() -> None:
    found = Elements(page())
    links = [
        (tag, name, value)
        for tag, attributes in found.found
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data")
        and not (value or "").startswith(("#", "data:"))
    ]
    assert links == []
    policy = next(m for m in found.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none';")
    style = re.search(r"<style>(.*?)</style>", page(), re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]


def test_the_same_facts_give_the_same_page() -> None:
    assert page() == page()


def test_every_state_has_a_word_and_a_sign_beside_its_colour() -> None:
    found = Elements(page())
    nodes = [each for each in found.of("g") if (each.get("class") or "").startswith("node ")]
    assert len(nodes) == len(report_page.STAGES) * 2
    words = {(each["class"] or "")[7:]: re.split(r"[ .]", each["aria-label"] or "")[1] for each in nodes}
    assert words == {"build": "built", "pull": "pulled", "reuse": "reused", "idle": "not"}
    signs = {each["id"] for each in found.of("symbol")}
    assert {(each["href"] or "#")[1:] for each in found.of("use")} <= signs


def test_what_a_run_is_said_to_have_done() -> None:
    shown = view(report_page.facts())
    assert [(state, count) for state, _, count in shown.counts] == [
        ("failed", 0),
        ("build", 10),
        ("pull", 2),
        ("reuse", 4),
        ("idle", 8),
    ]
    assert (shown.took, shown.saved) == ("1 min 30 s", "6 min 14 s")
    assert shown.nodes[shown.first].name == "redis:aarch64"  # the longest build
    assert [row.label for row in shown.rows][:4] == ["worker 1", "steps", "worker 2", "steps"]
    assert all(bar.left >= 0 and bar.left + bar.width <= 100.01 for row in shown.rows for bar in row.bars)
    assert len(shown.runs) == 35 and shown.hits[0][0] == "arrow:aarch64"


def test_a_failed_node_is_shown_first() -> None:
    facts = report_page.facts()
    broken = Outcome("failed", "exit code 2", took=1.0, start=2.0)
    shown = view(facts._replace(outcomes={**facts.outcomes, "python:amd64": broken}))
    assert shown.nodes[shown.first].name == "python:amd64"
    assert "failed" in page(facts._replace(outcomes={**facts.outcomes, "python:amd64": broken}))


def test_a_plan_says_what_would_happen() -> None:
    facts = report_page.facts()
    outcomes = {name: outcome._replace(took=None, start=None) for name, outcome in facts.outcomes.items()}
    shown = view(facts._replace(run=None, outcomes=outcomes, history=[]))
    assert {word for _, word, _ in shown.counts} == {"fails", "to build", "to pull", "to reuse", "not needed"}
    assert shown.rows == () and shown.nodes[shown.first].took == "about 47 s"
    text = page(facts._replace(run=None, outcomes=outcomes, history=[]))
    assert "What a run would do now." in text and "Timeline" not in text


def test_a_page_without_nodes() -> None:
    empty = Facts("title", (), {}, frozenset(), {}, {}, {}, {}, None, [])
    assert view(empty).first == -1
    assert "title" in page(empty)


# -- the command ---------------------------------------------------------------------------------


def report(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", "report", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    stages(tmp_path, {"one": "FROM scratch\nCOPY a /\n", "two": "FROM one\n"}, more="[images.two]\n")
    return write(tmp_path, {"dodo.py": "from stagegraph.tasks import *\n", "one/a": ""})


def test_a_report_needs_a_run_or_a_plan(project: Path) -> None:
    done = report(project)
    assert (done.returncode, done.stderr) == (
        10,
        "ERROR: doit report: there was no run here\n  build something first, or: doit report --plan\n",
    )
    done = report(project, "two:amd64", "--plan")
    assert (done.returncode, done.stdout) == (0, "cache/report.html\n"), done.stderr
    text = (project / "cache/report.html").read_text()
    assert "no earlier build of it is known here" in text and "example/atom" in text
    assert report(project, "--plan", "--output=page.html", "two:amd64").stdout == "page.html\n"
    assert (project / "page.html").read_text() == text
    done = report(project, "--plan", "tow")
    assert (done.returncode, done.stderr) == (
        10,
        "ERROR: command line: no stage or image 'tow'\n  did you mean 'two'?\n",
    )


def test_a_report_of_a_run(project: Path) -> None:
    node = report_page.results()["nodes"][0]
    run = {
        **report_page.results(),
        "goals": ["two:amd64"],
        "nodes": [{**node, "node": "two:amd64"}],
        "events": [],
    }
    write(project, {"cache/last-run.json": json.dumps(run)})
    done = report(project, "--output", "page.html")
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    nodes = json.loads(Elements((project / "page.html").read_text()).scripts[0])["nodes"]
    assert [(node["name"], node["state"]) for node in nodes] == [
        ("one:amd64", "idle"),
        ("two:amd64", "reuse"),
    ]
    write(project, {"one/Dockerfile": "RUM\n"})
    done = report(project, "--output", "page.html")
    assert done.returncode == 0 and "warning: only nodes of the run are shown" in done.stderr
    write(project, {"cache/last-run.json": "{"})
    done = report(project)
    assert done.returncode == StoreError.exit_status and "last-run.json: cannot be read" in done.stderr, (
        done.stderr
    )
