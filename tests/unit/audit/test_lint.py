"""``doit lint``: what each rule finds, where, and what accepts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from derived import differences
from helpers import HEAD, facts, stages, write

from stagegraph.audit.lint import Finding, lint
from stagegraph.audit.rules import RULES
from stagegraph.build import checks
from stagegraph.cli.commands.lint import FOUND
from stagegraph.errors import DockerfileError
from stagegraph.graph.dockerfiles import Dockerfiles
from stagegraph.oci.platform import host_platform
from stagegraph.project import loader

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def found(text: str, *, archive: bool = False) -> list[Finding]:
    return list(lint(text, facts(text), archive=archive))


def what(run: str) -> list[str]:
    """Return the findings in one RUN, as ``RULE: WHAT``."""
    return [f"{finding.rule}: {finding.what}" for finding in found(f"FROM scratch\nRUN {run}\n")]


@pytest.mark.parametrize(
    ("run", "rule", "said"),
    [
        ("pip install --no-cache-dir -t /x a==1 b 'c>=2' 'd==3.*'", "pip", "pip install b c>=2 d==3.*"),
        ("python3.11 -m pip --quiet install --upgrade pip", "pip", "pip install pip"),
        ("uv pip install --system a", "pip", "pip install a"),
        ("pip install git+https://h/a.git@main", "pip", "pip install git+https://h/a.git@main"),
        ("pip install https://h/a-1.whl", "pip", "pip install https://h/a-1.whl"),
        ("mamba install -y -c conda-forge 'a>=1' b=2", "conda", "mamba install a>=1"),
        ("curl -fsSL https://h/a | sh", "download", "curl https://h/a"),
        ("wget -qO- https://h/a", "download", "wget https://h/a"),
        ("wget -T 5 -O /x ${A_URL}", "download", "wget ${A_URL}"),
        ("V=$(curl -s https://h/latest)", "download", "curl https://h/latest"),
        ("git clone --depth 1 https://h/a", "git", "git clone https://h/a"),
        ("git clone -b v1 https://h/a && cd a && git checkout main", "git", "git clone -b v1 https://h/a"),
        ("npm install -g a@1 b@1.2.3 @c/d", "npm", "npm install a@1 @c/d"),
        ("yarn global add a", "npm", "yarn add a"),
        ("go install example.com/a@latest", "go", "go install example.com/a@latest"),
        ("cargo install a", "cargo", "cargo install a, without a version and --locked"),
        ("cargo install --version 1.0.0 a", "cargo", "cargo install a, without --locked"),
        (
            "cargo +nightly install --locked --git https://h/a",
            "cargo",
            "cargo install https://h/a, without a version",
        ),
        ("gem install -N a b:1.0", "gem", "gem install a"),
        ("gem install a -v '~> 1.0'", "gem", "gem install a"),
    ],
)
def test_what_nothing_pins_is_found(run: str, rule: str, said: str) -> None:
    assert what(run) == [f"unpinned-{rule}: {said}"]


@pytest.mark.parametrize(
    "run",
    [
        "pip install a==1 'b[c]==2; python_version < \"4\"' ./d e.whl f/g -e h $PACKAGES ${P}==${V}",
        "pip install -r requirements.txt",
        "pip install -c constraints.txt a",
        "pip install --no-index a",
        f"pip install git+https://h/a@{COMMIT} https://h/a.whl#sha256=12",
        "pip list && pip --version && echo pip install a",
        "conda install a=1 b=1.2=py_0 $C",
        "curl -fsSLo f https://h/a && echo '12  f' | sha256sum -c",
        "wget https://h/a https://h/a.asc && gpg --batch --verify a.asc a",
        f"curl -LO https://h/r/{COMMIT}/a",
        "curl -f http://localhost:8080/health; curl -so /dev/null https://h; curl -X POST https://h",
        "wget $FLAGS && curl",
        f"git clone https://h/a && git -C a checkout {COMMIT}",
        "git clone https://h/a && cd a && git -c advice.detachedHead=false checkout $REVISION",
        "git clone ./a && git clone /src/a && git clone file:///a && git pull",
        "npm ci && npm install -g a@1.2.3 @b/c@1.0.0-rc.1 d@${V} ./e && npm run install",
        "npm install",
        "go install ./... && go install example.com/a@v1.2.3 && go build",
        "cargo install --locked a@1.0.0 && cargo install --locked --path . && cargo build",
        "gem install a -v 1.0 && gem install b:1.0 c.gem",
        "apt-get update && apt-get install -y a",
    ],
)
def test_what_is_pinned_or_cannot_be_told_is_not_found(run: str) -> None:
    assert what(run) == []


def test_a_step_without_network_or_with_the_package_date_is_not_found() -> None:
    assert what("--network=none pip install a") == []
    text = "FROM scratch\nRUN pip install a\n"
    assert found(text) and not found(text, archive=True)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("rosdep install -y --from-paths src", ["rosdep install"]),
        ("tdnf install -y a b=1", ["tdnf install a"]),
        ("apt-get update && rosdep install --from-paths src", []),  # apt-get brings the package date
    ],
)
def test_packages_without_the_package_date_are_found(run: str, said: list[str]) -> None:
    assert what(run) == [f"undated-packages: {each}" for each in said]


@pytest.mark.parametrize(
    ("copy", "is_found"),
    [
        ("COPY package.json /app/", True),
        ("COPY package.json tsconfig.json /app/", True),
        ("COPY package.json package-lock.json /app/", False),
        ("COPY package*.json /app/", False),
        ("COPY package.json /app/\nCOPY . /app", False),
        ("COPY package.json /app/\nRUN --mount=type=bind,target=/y true", False),
        ("WORKDIR /app", False),
    ],
)
def test_a_project_of_npm_needs_its_lock(copy: str, is_found: bool) -> None:
    rules = [each.rule for each in found(f"FROM scratch\n{copy}\nRUN npm install\n")]
    assert rules == (["unpinned-npm"] if is_found else [])


def test_a_finding_names_the_line_of_its_command() -> None:
    text = """\
FROM scratch
RUN true \\
 # pip install comment
 && pip install a==1 \\
 && pip install b && echo pip && pip install c
RUN <<E
set -e
# pip
pip install d
E
ONBUILD RUN pip install e
RUN ["pip", "install", "f"]
"""
    assert [(each.line, each.what) for each in found(text)] == [
        (5, "pip install b"),
        (5, "pip install c"),
        (9, "pip install d"),
        (11, "pip install e"),
        (12, "pip install f"),
    ]


def test_a_comment_above_accepts_a_rule() -> None:
    text = """\
FROM scratch
# lint: ignore=unpinned-pip
# why
RUN pip install a && gem install b
RUN true \\
 && pip install c \\
 # lint: ignore=unpinned-gem,unpinned-npm because of this
 && gem install d && npm i -g e
# lint: ignore=unpinned-pip

RUN pip install f
"""
    assert [(each.line, each.rule) for each in found(text)] == [
        (4, "unpinned-gem"),
        (6, "unpinned-pip"),
        (11, "unpinned-pip"),
    ]
    with pytest.raises(DockerfileError, match=r"x/Dockerfile:2: no rule 'unpinned-pipp'\n.*'unpinned-pip'"):
        found(text.replace("=unpinned-pip\n", "=unpinned-pipp\n", 1))


def test_the_atom_images_have_no_findings() -> None:
    project = loader.load(PROJECT, {}, {})
    dockerfiles = Dockerfiles(project, host_platform())
    findings, read = list[Finding](), 0
    for node in project.nodes():
        if config := project.config(node):
            analysis = dockerfiles.analysis(node, config)
            findings += lint(dockerfiles.text(config), analysis, archive=config.installs_packages)
            read += 1
    assert read > 50 and not findings


def test_each_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


# -- the command -------------------------------------------------------------------------------------


def call(root: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
    command = [sys.executable, "-m", "doit", "lint", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=env)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    dockerfiles = {"good": "FROM scratch\n", "bad": "FROM scratch\nRUN pip install a\n"}
    write(stages(tmp_path, dockerfiles), {"dodo.py": "from stagegraph.tasks import *\n"})
    return tmp_path


def test_findings_have_a_status_of_their_own(project: Path) -> None:
    run = call(project)
    assert run.returncode == FOUND
    assert run.stdout.startswith("bad/Dockerfile:2: unpinned-pip: pip install a\n  write NAME==VERSION")
    assert run.stdout.count("\n") == 2 and run.stderr == "1 finding\n"  # both platforms have it once
    good = call(project, "good")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "no findings\n")
    wrong = call(project, "bat")
    assert wrong.returncode == 10 and "did you mean 'bad'?" in wrong.stderr


def test_archive_of_a_stage_accepts_its_findings(project: Path) -> None:
    tables = '[stages.good]\npath = "good"\n[stages.bad]\npath = "bad"\narchive = true\n'
    write(project, {"stages.toml": HEAD + tables})
    assert call(project).returncode == 0


def test_json_is_as_documented(project: Path) -> None:
    run = call(project, "--json")
    value = json.loads(run.stdout)
    assert run.returncode == FOUND and differences("doit lint --json", value) == set()
    assert value["findings"][0]["stages"] == ["bad"]


FAKE = """#!/bin/sh
case "$*" in
'buildx version') echo 'github.com/docker/buildx v{version} 0123' ;;
*call=check*) cat "$(dirname "$0")/answer"; cat "$(dirname "$0")/error" >&2; exit 1 ;;
*) exit 1 ;;
esac
"""
ANSWER = {
    "warnings": [
        {
            "ruleName": "JSONArgsRecommended",
            "description": "JSON arguments recommended",
            "url": "https://docs.docker.com/go/x/",
            "detail": "JSON arguments recommended for CMD",
            "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
        }
    ],
    "sources": [],
}


@pytest.mark.parametrize(
    ("version", "answer", "error", "status", "said"),
    [
        ("0.15.0", json.dumps(ANSWER), "", FOUND, "JSONArgsRecommended: JSON arguments recommended for CMD"),
        ("0.15.0", '{"warnings": null}', "", 0, "no findings"),
        ("0.13.1+ds1", "", "", 0, "buildx 0.13 has no build checks; they need 0.15 or later"),
        (
            "0.20.0",
            "",
            "ERROR: unsupported request frontend.lint",
            0,
            "builder or front end has no build checks",
        ),
        ("0.20.0", "", "ERROR: failed", 20, "BuildKit's checks failed: ERROR: failed"),
    ],
)
def test_checks_of_buildkit_are_added(
    project: Path, tmp_path: Path, version: str, answer: str, error: str, status: int, said: str
) -> None:
    tool = write(tmp_path / "bin", {"docker": FAKE.format(version=version), "answer": answer, "error": error})
    (tool / "docker").chmod(0o755)
    run = call(project, "good:amd64", "--checks", path=str(tool))
    assert run.returncode == status, run.stderr
    assert said in run.stdout + run.stderr


@pytest.mark.parametrize(
    "output", ["", "[]", '{"warnings": [{}]}', '{"warnings": [{"ruleName": "x", "location": 1}]}']
)
def test_other_output_of_buildx_is_no_check(output: str) -> None:
    with pytest.raises(ValueError):
        checks.parse(output.encode())
