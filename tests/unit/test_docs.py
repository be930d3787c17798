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
import pytest
import terminal
from helpers import write

from stagegraph import errors
from stagegraph.oci.digest import sha256
from stagegraph.project import schema

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
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
    assert terminal.screen(output) == ["   a: built", "done"]
    assert terminal.screen("abc\rx") == ["xbc"]
    assert terminal.screen("\x1b[1;31mred\x1b[0m") == ["red"]
    with pytest.raises(ValueError, match="control sequence"):
        terminal.screen("\x1b[5Sscrolled")


def test_the_picture_of_a_terminal_needs_nothing_else_and_names_no_machine() -> None:
    svg = terminal.PICTURE.read_text()
    assert terminal.picture(["$ doit", "done"]).count("<text ") < svg.count("<text ")
    assert set(re.findall(r"https?://[^\s\"<]+", svg)) == {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
    assert not re.search(r"/(root|home|tmp|work)/", svg)


def test_the_picture_of_the_graph_is_drawn_from_the_stages_of_now() -> None:
    svg = graph.PICTURE.read_text()
    assert graph.digest_in(svg) == sha256(graph.text().encode()), "./run python docs/graph.py"
    assert ">stock</text>" in svg and "-test<" not in svg
    assert not re.search(r"/(root|home|tmp|work)/", svg)
    assert graph.digest_in("<svg></svg>") == ""
