"""The documents agree with the program: derived pages, JSON fields, and the places that hints name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import derived
import graph
import pictures
import pytest
import scenes
import terminal
from helpers import write

from stagegraph import errors
from stagegraph.oci.digest import sha256
from stagegraph.project import schema

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCTYPE = {"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"}  # Graphviz writes it; nothing loads it
PROJECT = {
    "dodo.py": "from stagegraph.tasks import *\n",
    "stages.lock": 'version = 1\narchive = "2026-01-01"\n',
    "stages.toml": """\
        [project]
        repo = "example/documented"
        [platforms.amd64]
        docker = "linux/amd64"
        [platforms.aarch64]
        docker = "linux/arm64"
        [base]
        bootstrap = "trixie"
        [stages.app]
        path = "app"
        [stages.broken]
        path = "broken"
        [images.app]
        [groups]
        all = ["app"]
        [ci]
        images = ["app"]
        [ci.github.amd64]
        docker = "linux/amd64"
        runs_on = "ubuntu-24.04"
        price = 0.006
        emulated = 0.1
        [ci.github.arm]
        docker = "linux/arm64"
        runs_on = "ubuntu-24.04-arm"
        price = 0.005
        """,
    "app/Dockerfile": "FROM base\nCOPY file /\n",
    "app/file": "x\n",
    "broken/Dockerfile": "FROM base\nCOPY nothing /\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("documented"), PROJECT)


def answer(folder: Path, *words: str) -> object:
    """Return the JSON that a command prints."""
    command = [sys.executable, "-m", "doit", *words, "--json"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEGRAPH_")}
    return json.loads(subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False).stdout)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("plan", ["--keep-going", "--sizes"]),
        ("keys", ["--keep-going"]),
        ("explain", ["app:amd64"]),
        ("graph", []),
        ("list", []),
        ("lock archive", []),
        ("ci", []),
        ("prune --keep-current", ["app", "--dry-run"]),
    ],
)
def test_json_fields_are_those_of_the_page(project: Path, command: str, options: list[str]) -> None:
    value = answer(project, *command.split(), *options)
    assert derived.differences(f"doit {command} --json", value, optional={"since"}) == set()


def test_every_json_output_is_documented() -> None:
    page = (derived.DOCS / "reference/json.md").read_text()
    documented = {words.split()[1] for words in derived.json_fields(page) if words.startswith("doit ")}
    kinds = derived.command_classes()
    with_json = {n for n, kind in kinds.items() if "json" in {option["name"] for option in kind.cmd_options}}
    assert with_json == documented


def test_a_field_that_only_one_side_has_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = "# Page\n\n## `doit x --json`\n\n| `schema` | 1 |\n| `nodes[].a` | a |\n| `nodes[].b[].c` | c |\n"
    write(tmp_path, {"reference/json.md": table})
    monkeypatch.setattr(derived, "DOCS", tmp_path)
    empty = {"schema": 1, "nodes": [{"a": {"free": 1}, "b": []}]}
    assert derived.differences("doit x --json", empty, optional={"nodes[].b[].c"}) == set()
    assert derived.differences("doit x --json", empty) == {"nodes[].b[].c"}
    more = {"schema": 1, "nodes": [{"a": 1, "b": [{"c": 1}]}], "new": [{"c": 1}]}
    assert derived.differences("doit x --json", more) == {"new[].c"}
    assert derived.differences("doit x --json", {"nodes": []}) == {"schema", "nodes[].a", "nodes[].b[].c"}


def test_every_table_has_a_title_and_every_setting_a_meaning() -> None:
    assert set(derived.TITLES) == set(schema.TABLES)
    assert set(schema.SETTING_MEANINGS) == {*schema.SETTINGS, *schema.ENV_ONLY_SETTINGS}


def test_pages_have_every_key_setting_command_and_status() -> None:
    toml = derived.stages_toml()
    assert all(f"`{key}`" in toml for table in schema.TABLES.values() for key in table)
    assert "| `frontend` | a string | What reads the Dockerfile." in toml
    assert 'it needs allow = ["network.host"]. Values: `default`, `none`, `host`.' in toml
    settings = derived.settings()
    assert all(f"`{name}=VALUE`" in settings for name in schema.SETTINGS)
    assert "`STAGEGRAPH_ENGINE_DIR`" in settings
    commands = derived.commands()
    assert {"## doit", "## doit plan", "## doit ci"} <= set(commands.splitlines())
    assert "| `--keep-going` |" in commands and "| `-n N`, `--process N` |" in commands
    statuses = {int(line.split("|")[1]) for line in derived.exit_statuses().splitlines()[2:]}
    own = {kind.exit_status for kind in derived.kinds(errors.StagegraphError)}
    assert statuses == own | set(derived.OTHER_STATUSES)


def test_pages_are_expanded() -> None:
    pages = [path for path in derived.DOCS.rglob("*.md") if "{derived}" in path.read_text()]
    assert len(pages) == len(derived.PAGES)
    assert all("{derived}" not in derived.expanded(path.read_text()) for path in pages)


def test_documents_that_the_program_names_exist() -> None:
    files = [*ROOT.joinpath("stagegraph").rglob("*.py"), ROOT / "run", ROOT / "stages.toml"]
    named = {name for file in files for name in re.findall(r"docs/[\w./-]+\.md", file.read_text())}
    assert "docs/scale.md" in named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_links_in_documents_outside_the_site_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "variant/README.md"):
        text = (ROOT / name).read_text()
        links = re.findall(r"\]\(([^)#:]+?)(?:#[\w-]+)?\)", text)
        assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == [], name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_a_terminal_shows_the_last_state_of_a_live_display() -> None:
    output = "\x1b[?25l   a: built\r\na 1 s\r\x1b[2Ka 2 s\nb 1 s\x1b[1A\r\x1b[2K\x1b[?25hdone\r\n\x1b[2K"
    assert [terminal.plain(line) for line in terminal.screen(output)] == ["   a: built", "done"]
    assert terminal.screen("abc\rx") == [terminal.cells("xbc")]
    assert terminal.screen("\x1b[1;31mred\x1b[0m.") == [terminal.cells("red", "1;31") + terminal.cells(".")]
    with pytest.raises(ValueError, match="control sequence"):
        terminal.screen("\x1b[5Sscrolled")


def test_a_call_is_shown_as_it_is_at_a_moment_and_then_interrupted(tmp_path: Path) -> None:
    endless = "trap exit INT; echo one; echo two; while :; do sleep 0.1; done"
    shown = terminal.call(endless, tmp_path, 80, moment=lambda lines: lines[-1] == "two")
    assert [terminal.plain(line) for line in shown] == ["one", "two"]
    with pytest.raises(SystemExit, match="exit status 0"):
        terminal.call("echo one", tmp_path, 80, moment=lambda lines: lines[-1] == "two")
    with pytest.raises(SystemExit, match="exit status 3"):
        terminal.call("exit 3", tmp_path, 80)
    assert terminal.call("exit 3", tmp_path, 80, status=3) == []


def test_dates_in_pictures_are_always_the_same() -> None:
    assert (
        terminal.plain(scenes.stable(terminal.cells("built 2031-02-03 04:05."))) == "built 2026-11-20 10:12."
    )


def test_a_picture_of_a_terminal_is_text_with_a_title_and_two_themes() -> None:
    lines = [terminal.cells("a <  b", "1;31"), [], terminal.cells("12345678 0")]
    svg = terminal.picture("x & y", lines, 8)
    assert '<title id="title">x &amp; y</title>' in svg and "prefers-color-scheme:dark" in svg
    assert re.findall(r"<text( class=\".*?\")? x=\"([\d.]+)\" y=\"(\d+).*?>(.*?)</text>", svg)[1:] == [
        (' class="bold red"', "16", "48", "a &lt;"),
        (' class="bold red"', "58", "48", "b"),
        ("", "16", "86", "12345678"),
        ("", "24.4", "105", "0"),
    ]
    with pytest.raises(KeyError):
        terminal.picture("", [terminal.cells("a", "38;5;1")], 8)


def test_the_colours_of_a_terminal_are_readable_in_both_themes() -> None:
    for theme in (0, 1):
        paper = _luminance(terminal.COLOURS["paper"][theme])
        for name in terminal.COLOURS.keys() - {"paper", "edge"}:
            dark, light = sorted((paper, _luminance(terminal.COLOURS[name][theme])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name  # WCAG 2, 1.4.3


def _luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_pages_show_pictures_that_the_script_makes() -> None:
    pages = [ROOT / "README.md", *derived.DOCS.rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"_static/([\w.-]+)", page.read_text())}
    assert shown == pictures.NAMES == {path.name for path in terminal.FOLDER.iterdir()}


@pytest.mark.parametrize("name", sorted(pictures.NAMES))
def test_pictures_are_small_need_nothing_else_and_name_no_machine(name: str) -> None:
    content = (terminal.FOLDER / name).read_bytes()
    assert len(content) < 150_000
    if name.endswith(".svg"):
        svg = content.decode()
        assert "<title" in svg
        addresses = set(re.findall(r"https?://[^\s\"<]+", svg))
        assert addresses <= {f"http://www.w3.org/{path}" for path in ("2000/svg", "1999/xlink")} | DOCTYPE
        assert not re.search(r"/(root|home|tmp|work)/", svg)


def test_a_picture_that_the_script_does_not_know_is_an_error() -> None:
    with pytest.raises(SystemExit, match=r"no such picture: plans.svg; there are failure.svg, "):
        pictures.main(["plans.svg"])


def test_the_picture_of_the_graph_is_drawn_from_the_stages_of_now() -> None:
    svg = graph.PICTURE.read_text()
    assert graph.digest_in(svg) == sha256(graph.text().encode()), "./run python docs/pictures.py graph.svg"
    assert ">stock</text>" in svg and "-test<" not in svg
    assert not re.search(r"/(root|home|tmp|work)/", svg)
    assert graph.digest_in("<svg></svg>") == ""
