"""The pipelines that `doit ci` writes build each node once, whatever is restored, missing or interrupted.

Each job has a fresh clone and an empty engine. Jobs share only what the pipeline files say.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import git
from kit import DODO, NATIVE, Project, Registry, header
from machines import Kill, Outcome
from services import CircleCI, GitHub

pytestmark = pytest.mark.engine

STAGES = """\
[stages.one]
path = "one"
[stages.two]
path = "two"
[stages.app]
path = "app"
[images.app]
platforms = ["here"]
test = "test"
"""
FILES = {
    "one/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "one"]\nCOPY file /one\n',
    "one/file": "1\n",
    "two/Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program", "sleep", "4"]\nCOPY file /two\n',
    "two/file": "2\n",
    "app/Dockerfile": "FROM one\nCOPY --from=two /two /two\n",
    "test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "tested"]\n',
}
#: Minutes in a table whose limit leaves room for 80: three jobs, two of them in parallel.
CI = """\
[ci]
limit = 100
waiting = 1.0
setup = 5
images = ["app:here"]
registry = "{registry}"
dynamic = {dynamic}
publish = {dynamic}
[ci.circleci.one]
docker = "{native}"
resource_class = "medium"
price = 0.01
[ci.github.one]
docker = "{native}"
runs_on = "ubuntu-24.04"
price = 0.01
"""
TIMES = """\
machine = "{native}"
[seconds]
"one:here" = 3000
"two:here" = 3000
"app:here" = 60
"app-test:here" = 60
"""
NODES = {"one:here", "two:here", "app:here", "app-test:here"}


def project(folder: Path, program: Path, repo: str, registry: str = "", *, dynamic: bool = False) -> Path:
    """A repository with its pipelines."""
    made = Project(folder)
    folder.mkdir()
    values = {"registry": registry, "dynamic": str(dynamic).lower(), "native": NATIVE}
    made.write({"dodo.py": DODO, "stages.toml": header(repo) + STAGES + CI.format(**values), **FILES})
    made.write({"stages.times": TIMES.format(**values), "stages.lock": 'archive = "2026-01-01"\n'})
    for stage in ("one", "two"):
        shutil.copytree(program, folder / stage / "program")
    made.built("ci")
    (folder / ".gitignore").write_text("cache/\n__pycache__/\n.doit*\n")
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def commit(folder: Path, files: Mapping[str, str] | None = None) -> None:
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "change")


def built(*runs: Mapping[str, Outcome]) -> Counter[str]:
    return Counter(node for run in runs for outcome in run.values() for node in outcome.built)


def check_success(run: Mapping[str, Outcome]) -> None:
    for name, outcome in run.items():
        assert outcome.ok, f"{name}\n{outcome.output}"


def use_one_job(origin: Path) -> None:
    """Change the pipeline to a single job: waiting costs nothing, and the limit has room for all nodes."""
    toml = (origin / "stages.toml").read_text()
    toml = toml.replace("limit = 100", "limit = 1000").replace("waiting = 1.0", "waiting = 0.0")
    commit(origin, {"stages.toml": toml})
    subprocess.run([sys.executable, "-m", "doit", "ci"], cwd=origin, check=True, capture_output=True)
    commit(origin)


@pytest.mark.parametrize("kind", [CircleCI, GitHub])
def test_jobs_share_nodes_by_caches_and_a_workspace(
    kind: type[CircleCI | GitHub], tmp_path: Path, program: Path, repo: str
) -> None:
    """Three runs: from nothing, after a change of one stage, without a change."""
    service = kind(project(tmp_path / "project", program, repo), tmp_path / "service")
    first = service.run()
    check_success(first)
    assert len(first) == (3 if kind is CircleCI else 4)
    assert {"one", "two", "app"} <= set(first)
    assert built(first) == Counter(dict.fromkeys(NODES, 1))
    check_reports_of_a_first_run(first)
    commit(service.origin, {"two/file": "changed\n"})
    second = service.run()
    check_success(second)
    assert built(second) == Counter(dict.fromkeys(NODES - {"one:here"}, 1))
    assert "1 edit, 3 of 4 nodes changed" in second["one"].reports
    assert "`two/file: file file changed" in second["one"].reports
    assert "**0 built, 0 pulled, 1 reused in" in second["one"].reports
    assert (
        "| build | `two:here` |" in second["two"].reports
        and "| built | `two:here` |" in second["two"].reports
    )
    saved = set(service.caches)
    third = service.run()
    check_success(third)
    assert not built(third)
    assert "no edits, 0 of 4 nodes changed" in third["one"].reports
    assert set(service.caches) == saved  # an existing cache is not saved again


def check_reports_of_a_first_run(run: Mapping[str, Outcome]) -> None:
    """Each job shows its own plan and results, and the jobs behind it."""
    for name, behind in (
        ("one", "1 job behind this one: `app`. At most about "),
        ("two", "`app`"),
        ("app", "No job is"),
    ):
        reports = run[name].reports
        assert "\nthere is no report" not in run[name].output
        assert f"| build | `{name}:here` |" in reports and f"| built | `{name}:here` |" in reports
        assert behind in reports and "nodes changed" not in reports
    assert "| image | size | digest |" in run["app"].reports


def test_circleci_never_gives_the_project_a_cache_of_a_fork(tmp_path: Path, program: Path, repo: str) -> None:
    """The project never reads caches of a fork, but a fork reads those of the project."""
    use_one_job(origin := project(tmp_path / "project", program, repo))
    service = CircleCI(origin, tmp_path / "service", fork="12")
    assert built(service.run()) == Counter(dict.fromkeys(NODES, 1))
    assert not built(service.run())
    service.fork = ""
    assert built(service.run()) == Counter(dict.fromkeys(NODES, 1))
    commit(service.origin, {"two/file": "changed\n"})
    service.fork = "13"
    assert built(service.run()) == Counter(dict.fromkeys(NODES - {"one:here"}, 1))


@pytest.mark.parametrize("name", ["circleci", "github"])
def test_jobs_have_logins_and_build_secrets(
    tmp_path: Path, program: Path, repo: str, login_registry: Registry, name: str
) -> None:
    """Jobs get the logins and the build secrets; the check gets neither.

    If the first job could not push, the second would build the same nodes again.
    """
    origin = project(tmp_path / "project", program, repo, login_registry.host, dynamic=True)
    toml = (origin / "stages.toml").read_text()
    toml = toml.replace("[ci]", '[ci]\ncontexts = ["builds"]\ncheck = "test -z \\"$TOKEN\\""')
    mount = "RUN --mount=type=secret,id=token,required=true "
    app = (
        FILES["app/Dockerfile"] + "COPY program /\n" + mount + '["/program", "grep", "/run/secrets/token"]\n'
    )
    commit(origin, {"stages.toml": toml + '[secrets.token]\nenv = "TOKEN"\n', "app/Dockerfile": app})
    shutil.copytree(program, origin / "app/program")
    subprocess.run([sys.executable, "-m", "doit", "ci"], cwd=origin, check=True, capture_output=True)
    commit(origin)
    known = {"REGISTRY_USER": "robot", "REGISTRY_PASSWORD": "secret", "TOKEN": "hidden"}
    service: CircleCI | GitHub
    if name == "circleci":
        service = CircleCI(origin, tmp_path / "service", contexts={"builds": known})
    else:
        service = GitHub(origin, tmp_path / "service", secrets=known)
    run = service.run()
    check_success(run)
    assert "check" in run
    assert built(run) == Counter(dict.fromkeys(NODES, 1))
    assert "app" in login_registry.tags(repo)
    assert not built(service.run())


def test_circleci_continues_after_a_time_limit_ended_a_job(tmp_path: Path, program: Path, repo: str) -> None:
    use_one_job(origin := project(tmp_path / "project", program, repo))
    service = CircleCI(origin, tmp_path / "service")

    def one_is_recorded(folder: Path) -> bool:
        return (folder / "cache/latest/one--here").exists()

    ended = service.run(kill=Kill("app", "Build and test", one_is_recorded))
    assert not ended["app"].ok
    assert built(ended) == Counter(["one:here"])
    assert "| built | `one:here` |" in ended["app"].reports
    rerun = service.run(only={"app"})
    check_success(rerun)
    assert built(ended, rerun) == Counter(dict.fromkeys(NODES, 1))


def test_circleci_builds_only_nodes_that_the_registry_lacks(
    tmp_path: Path, program: Path, repo: str, registry: Registry
) -> None:
    use_one_job(origin := project(tmp_path / "project", program, repo, registry.host, dynamic=True))
    service = CircleCI(origin, tmp_path / "service")
    first = service.run()
    check_success(first)
    assert set(first) == {"plan", "app", "publish"}
    assert built(first) == Counter(dict.fromkeys(NODES, 1))
    assert "**4 to build, 0 to pull, 0 to reuse" in first["plan"].reports
    assert "The registry has everything that this pipeline builds." in first["app"].reports
    again = service.run()
    check_success(again)
    assert set(again) == {"plan", "publish"}
    assert not built(again)
    assert "no edits, 0 of 4 nodes changed" in again["plan"].reports
    assert {"app", "app-here"} <= registry.tags(repo)


def test_github_has_jobs_only_for_nodes_that_the_registry_lacks(
    tmp_path: Path, program: Path, repo: str, registry: Registry
) -> None:
    """Three runs: from nothing, after a change of one stage, with nothing to do."""
    service = GitHub(
        project(tmp_path / "project", program, repo, registry.host, dynamic=True), tmp_path / "service"
    )
    first = service.run()
    check_success(first)
    assert len(first) == 6
    assert built(first) == Counter(dict.fromkeys(NODES, 1))
    commit(service.origin, {"two/file": "changed\n"})
    second = service.run()
    check_success(second)
    assert len(second) < 6
    assert built(second) == Counter(dict.fromkeys(NODES - {"one:here"}, 1))
    assert "1 edit, 3 of 4 nodes changed" in second["plan"].reports
    third = service.run()
    check_success(third)
    assert set(third) == {"plan", "publish", "all"}
    assert not built(third)


def test_github_continues_after_a_machine_was_lost(
    tmp_path: Path, program: Path, repo: str, registry: Registry
) -> None:
    use_one_job(origin := project(tmp_path / "project", program, repo, registry.host))
    service = GitHub(origin, tmp_path / "service")

    def one_is_pushed(_: Path) -> bool:
        # a node has two tags: one for its recipe key, one for its content key
        return sum(tag.startswith("one-") for tag in registry.tags(repo)) == 2

    lost = service.run(kill=Kill("app", "Build and test", one_is_pushed, gone=True))
    assert not lost["app"].ok and not lost["all"].ok
    rerun = service.run(only={"app"})
    check_success(rerun)
    assert built(lost, rerun) == Counter(dict.fromkeys(NODES, 1))


def test_a_job_that_did_not_restore_its_cache_saves_no_cache(
    tmp_path: Path, program: Path, repo: str
) -> None:
    """A job that fails before it restores its cache saves none, because it would lack the old content."""
    origin = project(tmp_path / "project", program, repo)
    prepare = "mkdir -p cache && touch cache/begun && test ! -e broken"
    toml = (origin / "stages.toml").read_text().replace("[ci]", f'[ci]\nprepare = "{prepare}"')
    commit(origin, {"stages.toml": toml})
    use_one_job(origin)
    service = GitHub(origin, tmp_path / "service")
    check_success(service.run())
    (saved,) = service.caches
    commit(origin, {"broken": "", "two/file": "changed\n"})
    assert not service.run()["app"].ok
    assert set(service.caches) == {saved}
    git(origin, "rm", "-q", "broken")
    commit(origin)
    again = service.run()
    check_success(again)
    assert built(again) == Counter(dict.fromkeys(NODES - {"one:here"}, 1))


def test_a_pull_request_of_a_fork_writes_nothing_that_others_read(
    tmp_path: Path, program: Path, repo: str, registry: Registry
) -> None:
    """A pull request from a fork passes its nodes on by artifacts, because it may not push."""
    origin = project(tmp_path / "project", program, repo, registry.host)
    github = GitHub(origin, tmp_path / "service", fork=True)
    run = github.run()
    check_success(run)
    assert built(run) == Counter(dict.fromkeys(NODES, 1))
    assert "since origin/main, commit " in run["one"].reports
    assert "| built | `app:here` |" in run["app"].reports
    assert "| built | `one:here` |" not in run["app"].reports  # the results of another job
    assert not (registry.data / "docker").exists()
    assert not github.caches
