"""Texts of anybody in all places where a command finds them: it prints text, and no secret."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import AMD64, graph, layer, sha, write, write_last_run
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stagegraph.build.log import Log
from stagegraph.cli import app, program
from stagegraph.cli.main import main
from stagegraph.errors import BuildError
from stagegraph.execution.history import to_line
from stagegraph.keys.inputs import digest
from stagegraph.migration import toml_text
from stagegraph.project.model import Node
from stagegraph.store.folder import Folder
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests

pytestmark = pytest.mark.unit

A = Node("a", "amd64")
PASSWORD = 'qu"ux\\1'  # noqa: S105 - of nobody

#: What every output must do without, and what may surround it.
NASTY = [
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b1A", "\x00", "\x08", "\r", "\x7f", "\x85", "\xad", "\u200b"),
    *("\ufeff", "\u202e", "\u2066", "\u2028", "\u2029", "\U000e0041", "\ue000", "\udcff", "\udc9b", PASSWORD),
    *("a", " ", "`", "|", "<b>", '"', "'", "\\", "\n", "\t", "\xe9", "\u65e5", "\U0001f469\u200d\U0001f4bb"),
]
ALL = "".join(NASTY)
TEXTS = st.lists(st.sampled_from(NASTY) | st.characters(), max_size=20).map("".join)

COMMANDS = [
    *("list", "list --json", "plan", "plan --json", "plan --markdown", "keys", "keys --json", "lint"),
    *("why a:amd64", "why --json a:amd64", "explain a:amd64", "explain --json a:amd64", "lint --json a"),
    *("info a:amd64", "info --json a:amd64", "diff a:amd64", "diff --json a:amd64", "diff --summary a:amd64"),
    *("graph", "graph --json", "graph --format=mermaid", "graph --format=dot", "graph --stages"),
    *("history", "history --json", "history a:amd64", "summary", "report", "report --plan", "help a"),
    *("logs a:amd64", "logs --failed", "logs --list", "logs --list --json", "_complete zsh stagegraph"),
]
PAGES = {"report": "cache/report.html", "report --plan": "cache/report.html"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, which is the working folder; no engine answers."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        patch.setenv("TOKEN", PASSWORD)
        patch.setattr(program, "_program", program._program)
        yield root


def fill(root: Path, text: str) -> None:
    """Write a project with the text wherever one may be."""
    whole = re.sub(r"[\ud800-\udfff]", "?", text)
    argument, line = whole.replace("\0", ""), " ".join(whole.replace("\0", "").split()) or "x"
    for old in (root / "a").glob("f*"):
        old.unlink()
    name = os.fsencode(re.sub(r"[/\0\ud800-\udc7f\udd00-\udfff]", "", text))[:150]
    description, value = toml_text.text(whole), toml_text.text(argument)
    write(
        root,
        {
            "dodo.py": "from stagegraph.tasks import *\n",
            "stages.lock": f'[images."debian:trixie"]\nindex = "{sha("x")}"\n"linux/amd64" = "{sha("y")}"\n',
            "stages.toml": f"""\
                [project]
                repo = "example/hostile"
                [platforms.amd64]
                docker = "linux/amd64"
                [base]
                image = "debian:trixie"
                [secrets.token]
                env = "TOKEN"
                [stages.a]
                path = "a"
                description = {description}
                args = {{ X = {value} }}
                [stages.b]
                path = "b"
                [images.a]
                description = {description}
                """,
            "a/Dockerfile": f"FROM scratch\nARG X\nCOPY f* /\nRUN curl x | sh {line}\n",
            "a/.dockerignore": f"# {line}\n",
            "b/Dockerfile": f"FROM a\nFR{line}OM\n",
        },
    )
    Path(os.fsdecode(os.fsencode(root / "a") + b"/f" + name)).write_text("x")
    fill_cache(root, whole)


def fill_cache(root: Path, text: str) -> None:
    """Write records, images, logs and results that somebody else may have written."""
    for number in (1, 2):
        build(root, f"{number}{text}", number)
    facts = {"decision": "failed", "reason": text, "changes": [text, text], "key": text, "digest": text}
    write_last_run(root, {"node": "a:amd64", **facts}, {"node": f"b:{text}", **facts}, images={text: text})
    run = json.loads((root / "cache/last-run.json").read_text())
    event = {"kind": "step", "node": "a:amd64", "name": text, "start": 0.0, "end": 5.0, "state": "done"}
    run.update(goals=[text], outcome=text, events=[event])
    (root / "cache/last-run.json").write_text(json.dumps(run))
    (root / "cache/history").write_bytes(to_line(run))
    with contextlib.suppress(BuildError), Log(Folder(root / "cache", "logs"), "a:amd64") as log:
        log.file.write(f"log {text}".encode())  # as it came from the builder
        raise BuildError("a:amd64", "failed")


def build(root: Path, text: str, number: int) -> None:
    """Put an image of node a into ``cache/``, whose record, configuration and files have the text."""
    store = LayoutStore(root / "cache")
    store.prepare()
    one = layer(store, {f"x{text}".replace("\0", "")[:60].replace("/", ""): text})
    history = [{"created_by": text}]
    config = {
        "config": {"Env": [f"A={text}"], "Cmd": [text]},
        "rootfs": {"diff_ids": [sha(text.encode(errors="replace"))]},
        "history": history,
    }
    name, size = store.blobs.add(json.dumps(config).encode())
    entry = {**one, "size": store.blobs.size(one["digest"])}  # type: ignore[arg-type]
    manifest = json.dumps({"config": {"digest": name, "size": size}, "layers": [entry]}).encode()
    image, size = store.blobs.add(manifest)
    inputs = tuple(each._replace(value=f"{each.value}{text}") for each in graph(root).inputs(A))
    record = Record(
        *(digest(inputs), "a:amd64", AMD64, image, size, *content_digests(config), 1.0),
        *(f"2026-01-31T0{number}:00:00+00:00", inputs),
        packages=(f"gcc:amd64={text}",),
        builder=text,
    )
    store.commit(record)
    store.set_latest("a:amd64", record.key)


def call(*words: str) -> list[str]:
    """Call a command in this process. Return what it prints on both outputs."""
    app.current.cache_clear()
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            main([*words])
        except SystemExit as end:
            assert isinstance(end.code, int)
    for stream in streams:
        stream.flush()
    return [stream.buffer.getvalue().decode() for stream in streams]


def check(text: str) -> None:
    """Assert that a text has nothing but text, and not the secret."""
    bad = {char for char in text if not char.isprintable() and char not in "\n\t\xa0\u202f\u3000\u200c\u200d"}
    assert not bad and not re.search(r"qu\W*ux", text) and "Traceback" not in text, text


def check_values(value: Any) -> None:
    """Assert the same of all texts in JSON, which somebody may print."""
    if isinstance(value, str):
        check(value)
    elif isinstance(value, dict):
        check_values([*value, *value.values()])
    elif isinstance(value, list):
        for each in value:
            check_values(each)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("\x1b[2J")
@example(ALL)
@given(TEXTS)
def test_commands_print_only_text(project: Path, text: str) -> None:
    fill(project, text)
    for command in COMMANDS:
        out, errors = call(*command.split())
        assert out or errors, command
        check(out)
        check(errors)
        if "json" in command and out:
            check_values(json.loads(out))
        if command in PAGES:
            check((project / PAGES[command]).read_text())


@pytest.mark.parametrize("command", ["plan", "why", "explain", "diff", "graph", "logs", "run", "nosuch"])
def test_words_of_the_command_line_come_back_as_text(project: Path, command: str) -> None:
    fill(project, "x")
    word = ALL.replace("\0", "")
    for words in ([f"x{word}"], [f"--x{word}"], [f"tag=x{word}", "a:amd64"]):
        out, errors = call(command, *words)
        assert "x" in out + errors
        check(out)
        check(errors)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a/Dockerfile", b"FROM scratch\n\x1b]0;title\x07RUN x\n", r"a/Dockerfile:2"),
        ("a/Dockerfile", b"FROM scratch\nARG X\nCOPY x\x1b /\n", r"x\x1b"),
        ("a/.dockerignore", b"b[\x1b[2J", r"b[\x1b[2J"),
        ("stages.toml", b'["\\u202e"]\n', r"\u202e"),
        ("stages.lock", b"\x1b[2J", "stages.lock"),
        ("cache/last-run.json", b'{"schema": "\\u001b[2J"}', r"\x1b[2J"),
    ],
)
def test_an_error_quotes_what_is_wrong_as_text(project: Path, file: str, text: bytes, said: str) -> None:
    fill(project, "x")
    (project / file).write_bytes(text)
    out, errors = call("summary" if "cache" in file else "plan", *(() if "cache" in file else ("a:amd64",)))
    assert said in errors and not out
    check(errors)
