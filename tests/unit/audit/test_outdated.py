"""Parsing of apt's list of outdated packages. A failure of apt never counts as "no outdated packages"."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from helpers import HEAD, stages

from stagegraph.audit.outdated import NO_APT, NO_LISTS, NO_SOURCES, SCRIPT, Package, ordered, parse, read
from stagegraph.cli.commands.outdated import Found, render_text, to_json, wanted
from stagegraph.docker.containers import ContainerResult
from stagegraph.errors import NetworkError, ProjectError, StagegraphError, ToolError
from stagegraph.project import loader

pytestmark = pytest.mark.unit

LISTED = """\
Listing...
bash/stable 5.2.37-2+b10 amd64 [upgradable from: 5.2.37-2]
tzdata/stable-updates,now 2026f-0+deb13u1 all [upgradable from: 2026e-0+deb13u1]
zlib1g/stable,stable-security 1:1.3.1-1+deb13u1 amd64 [upgradable from: 1:1.3.1-1]
libc6/jammy-security,jammy-updates 2.35 arm64 [upgradable from: 2.34]
N: There is 1 additional version. Please use the '-a' switch to see it
"""
BASH = Package("bash", "amd64", "5.2.37-2", "5.2.37-2+b10", ("stable",))
LIBC = Package("libc6", "arm64", "2.34", "2.35", ("jammy-security", "jammy-updates"))


def test_listed_packages() -> None:
    packages = parse(LISTED)
    assert packages[0] == BASH and packages[3] == LIBC
    assert packages[1].suites == ("stable-updates",)
    assert packages[2].installed == "1:1.3.1-1" and packages[2].security
    assert [p.name for p in ordered(packages)] == ["libc6", "zlib1g", "bash", "tzdata"]
    assert read("i", ContainerResult(0, LISTED, "Hit:1 http://archive")) == ordered(packages)
    assert read("i", ContainerResult(0, "Listing...\n", "")) == []


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (ContainerResult(NO_APT, "", ""), ToolError, "no apt"),
        (ContainerResult(NO_SOURCES, "", ""), ToolError, "has no package archives"),
        (
            ContainerResult(NO_LISTS, "", "Ign\nE: Failed to fetch http://x  404"),
            NetworkError,
            "Failed to fetch http://x",
        ),
        (ContainerResult(NO_LISTS, "", "what else"), NetworkError, "what else"),
        # apt before 2.1 exits with status 0
        (ContainerResult(0, "Listing...", "W: Failed to fetch http://x  No name"), NetworkError, "No name"),
        (
            ContainerResult(0, "", "W: Some index files failed to download. They have been"),
            NetworkError,
            "index files",
        ),
        (ContainerResult(100, "", "E: locked"), StagegraphError, "status 100"),
    ],
)
def test_a_failed_container_is_an_error(
    answer: ContainerResult, kind: type[StagegraphError], message: str
) -> None:
    with pytest.raises(kind) as error:
        read("repo:tag", answer)
    assert message in str(error.value) and error.value.where == "repo:tag"


@pytest.mark.parametrize(
    ("commands", "status", "output"),
    [
        ({}, NO_APT, ""),
        ({"apt-get": "exit 0"}, NO_APT, ""),
        ({"apt": "echo l", "apt-get": 'for w; do [ "$w" != update ] || exit 100; done'}, NO_LISTS, ""),
        ({"apt": "echo l", "apt-get": "echo Get:1 >&2"}, NO_SOURCES, ""),
        ({"apt": 'echo "$@"', "apt-get": "echo Get:1"}, 0, "list --upgradable\n"),
        ({"apt": "exit 100", "apt-get": "echo Get:1"}, 100, ""),
    ],
)
def test_the_script_gives_status_and_output(
    tmp_path: Path, commands: dict[str, str], status: int, output: str
) -> None:
    for name, body in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (status, output)


def test_the_table_names_packages_and_versions() -> None:
    found = Found("stock:amd64", "repo:tag", (LIBC, BASH))
    assert render_text(found).splitlines() == [
        "stock:amd64  2 packages have newer versions, 1 for security",
        "  security  libc6:arm64  2.34      ->  2.35          jammy-security,jammy-updates",
        "            bash:amd64   5.2.37-2  ->  5.2.37-2+b10  stable",
    ]
    assert render_text(Found("a:b", "t", (BASH,))).startswith("a:b  1 package has a newer version\n")
    assert render_text(Found("a:b", "t")) == "a:b  no packages have newer versions"


def test_json_has_the_packages_or_the_error() -> None:
    packages = to_json(Found("a:b", "t", (LIBC,)))["packages"]
    assert packages == [{**LIBC._asdict(), "security": True}]
    assert to_json(Found("a:b", "t", error=ToolError("t", "no apt")))["error"] == "t: no apt"


def test_images_of_a_command_line(tmp_path: Path) -> None:
    more = '[images.app]\n[images.dev]\nstage = "app"\nplatforms = ["amd64"]\n'
    stages(tmp_path, {"app": "FROM scratch\n"}, head=HEAD, more=more)
    project = loader.load(tmp_path, {}, {})
    every = [("app", "amd64"), ("app", "aarch64"), ("dev", "amd64")]
    assert wanted(project, []) == every
    assert wanted(project, ["dev", "app:aarch64", "dev:amd64"]) == [("dev", "amd64"), ("app", "aarch64")]
    for word, near in (("app:amd46", "app:amd64"), ("dve", "dev"), ("dev:aarch64", "app:aarch64")):
        with pytest.raises(ProjectError, match=f"did you mean '{near}'"):
            wanted(project, [word])
