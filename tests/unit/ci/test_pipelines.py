"""Pipelines: the units of each job, the time limit of jobs, their cost, and the files of the services."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import Registry, graph, image, stages, write
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import (
    AMD,
    ARM,
    CROSS,
    GITHUB,
    MODES,
    NATIVE,
    TABLE,
    declared,
    problem,
    project,
    written,
)

from stagegraph.ci import config, durations, github, jobs
from stagegraph.ci import units as work
from stagegraph.ci.durations import Times
from stagegraph.ci.model import COST, MINUTE, PRICE, Executor, Job, Pipeline, WorkUnit
from stagegraph.ci.pipelines import HEADER, WRITERS, Plans
from stagegraph.ci.problem import STEP, Problem
from stagegraph.errors import ProjectError
from stagegraph.execution.lookup import nodes_with_same_key
from stagegraph.graph import goals as asked
from stagegraph.graph import native
from stagegraph.oci.platform import OciPlatform, host_platform
from stagegraph.project.loader import parse
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore

pytestmark = pytest.mark.unit


@st.composite
def problems(draw: st.DrawFn, most: int = 12) -> list[WorkUnit]:
    rows = []
    for number in range(draw(st.integers(1, most))):
        amd = draw(st.sampled_from([1.0, 5.0, 20.0, 60.0]))
        arm = draw(st.sampled_from([math.inf, amd, amd / 10]))
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        rows.append((amd, arm, tuple(sorted(needs))))
    return problem(*rows)


# -- jobs ----------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(problems(), st.sampled_from([0, PRICE // 20]))
def test_each_unit_is_in_one_job_within_the_limit_and_after_its_parents(
    units: list[WorkUnit], waiting: int
) -> None:
    pipeline = jobs.plan("github", units, (AMD, ARM), replace(TABLE, waiting=waiting))
    made = [each.targets[0] for job in pipeline.jobs for each in job.units]
    assert sorted(made) == sorted(each.targets[0] for each in units)
    ends: dict[str, int] = {}
    for job in pipeline.jobs:
        assert job.time <= TABLE.planned
        assert job.time == TABLE.setup * MINUTE + sum(each.times[job.executor.name] for each in job.units)
        assert set(job.needs) <= set(ends)  # a job comes after the jobs that it needs
        assert job.start == max((ends[need] for need in job.needs), default=0)
        ends[job.name] = job.start + job.time
        before = {each.targets[0] for need in job.needs for each in _job(pipeline, need).units}
        here = {each.targets[0] for each in job.units}
        assert {units[need].targets[0] for each in job.units for need in each.needs} <= before | here
    assert pipeline.minutes == max(ends.values()) / MINUTE


def _job(pipeline: Pipeline, name: str) -> Job:
    return next(job for job in pipeline.jobs if job.name == name)


@given(problems())
@settings(max_examples=15, deadline=None)
def test_the_same_units_give_the_same_plan(units: list[WorkUnit]) -> None:
    assert jobs.plan("github", units, (AMD, ARM), TABLE) == jobs.plan("github", units, (AMD, ARM), TABLE)


@given(problems(most=5))
@settings(max_examples=20, deadline=None)
def test_small_plans_cost_little_more_than_the_best_plan(units: list[WorkUnit]) -> None:
    made = jobs.plan("github", units, (AMD, ARM), TABLE)
    assert made.cost <= 1.1 * best_cost(units) + 1e-6


def best_cost(units: list[WorkUnit]) -> float:
    """Return the lowest cost. Try every way to put units into jobs, and jobs on executors."""
    tried = Problem(tuple(units), (AMD, ARM), TABLE)
    steps = min(
        tried.score(tuple(tried.bin(e, part) for e, part in zip(chosen, parts, strict=True)))[0]
        for parts in partitions(list(range(len(units))))
        for chosen in itertools.product((0, 1), repeat=len(parts))
    )
    return steps * STEP / COST


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for number, part in enumerate(rest):
            yield [*rest[:number], [items[0], *part], *rest[number + 1 :]]


def test_a_unit_that_is_cheaper_on_a_native_machine_is_placed_there() -> None:
    slow = problem((60, math.inf, ()), (70, 7, (0,)))
    made = jobs.plan("github", slow, (AMD, ARM), TABLE)
    assert [job.executor.name for job in made.jobs] == ["amd", "arm"]
    assert made.jobs[1].needs == ("u0",)
    quick = problem((60, math.inf, ()), (2, 0.2, (0,)))
    assert len(jobs.plan("github", quick, (AMD, ARM), TABLE).jobs) == 1  # another machine's setup costs more


def test_jobs_are_parallel_if_waiting_has_a_price() -> None:
    units = problem((5, math.inf, ()), (30, math.inf, (0,)), (30, math.inf, (0,)))
    free, dear = (jobs.plan("github", units, (AMD,), replace(TABLE, waiting=w)) for w in (0, PRICE))
    assert len(free.jobs) == 1
    assert len(dear.jobs) > 1
    assert dear.minutes < free.minutes


def test_a_single_node_over_the_limit_is_named() -> None:
    with pytest.raises(ProjectError, match=r"u1.*takes 90 min") as caught:
        jobs.plan("github", problem((10, 10, ()), (90, 90, (0,))), (AMD, ARM), TABLE)
    assert "--limit" in str(caught.value)
    with pytest.raises(ProjectError, match=r"u0.*no executor"):
        jobs.plan("github", problem((math.inf, math.inf, ())), (AMD, ARM), TABLE)


def test_a_job_exports_the_nodes_that_later_jobs_need() -> None:
    made = jobs.plan("github", problem((60, math.inf, ()), (5, 5, (0,)), (60, 60, (0,))), (AMD,), TABLE)
    first = next(job for job in made.jobs if not job.needs)
    assert first.exported == ("u0",)


# -- work ----------------------------------------------------------------------------------------


def test_the_platforms_of_the_programs_that_a_node_runs(tmp_path: Path) -> None:
    plain, cross = declared(tmp_path / "a"), declared(tmp_path / "b", NATIVE + CROSS)
    arm, amd = frozenset({"linux/arm64"}), frozenset({"linux/amd64"})
    assert native.runs(plain, Node("made", "aarch64")) == arm
    assert native.runs(cross, Node("made", "aarch64")) == amd  # its parent has programs for amd64
    assert native.runs(plain, Node("other", "aarch64")) == amd
    assert native.runs(cross, Node("app", "aarch64")) == arm
    assert native.runs(plain, Node("over", "aarch64")) == frozenset()
    assert plain.key(Node("made", "aarch64")) == cross.key(Node("made", "aarch64"))  # native is not hashed


def test_an_image_and_its_test_are_one_unit(tmp_path: Path) -> None:
    made = declared(tmp_path)
    goals = [Node("app", "amd64"), Node("app-test", "amd64"), Node("over", "amd64")]
    units = work.units(made, goals, (AMD,), Times("linux/amd64", {}), 60)
    together = next(each for each in units if "app:amd64" in each.targets)
    assert [str(node) for node in together.nodes] == ["app:amd64", "app-test:amd64"]
    for number, each in enumerate(units):
        assert all(need < number for need in each.needs)


def test_a_node_between_an_image_and_its_test_is_in_the_same_unit(tmp_path: Path) -> None:
    made = declared(tmp_path)
    check = "ARG IMAGE\nFROM over AS also\nFROM ${IMAGE}\nCOPY --from=also / /\nRUN check\n"
    write(tmp_path, {"app-check/Dockerfile": check})
    made = graph(tmp_path)
    units = work.units(made, [Node("app-test", "amd64")], (AMD,), Times("linux/amd64", {}), 60)
    assert sorted(map(str, units[-1].nodes)) == ["app-test:amd64", "app:amd64", "over:amd64"]


def test_an_image_that_is_not_a_goal_is_built_without_its_test(tmp_path: Path) -> None:
    """If the image is not a goal, its test is not planned. Then the job must not run the test."""
    made = declared(tmp_path)
    units = work.units(made, [Node("over", "amd64")], (AMD,), Times("linux/amd64", {}), 60)
    assert [each.targets for each in units][-2:] == [("_app:amd64",), ("over:amd64",)]
    assert asked.named(made, tests=True)["_app:amd64"] == [Node("app", "amd64")]


def test_nodes_with_the_same_key_are_found(tmp_path: Path) -> None:
    """A stage with the same file but other arguments is left out. The registry gets no request for it."""
    more = '[stages.twin]\npath = "low"\n[stages.other]\npath = "low"\nargs = { A = "far.example.org/x" }\n'
    registry = Registry()
    made = graph(stages(tmp_path, {"low": "ARG A=debian:trixie\nFROM ${A}\n"}, more=more), registry)
    low = Node("low", "amd64")
    assert list(nodes_with_same_key(made, low)) == [low, Node("twin", "amd64")]
    assert {*registry.asked} == {"debian:trixie"}


def test_platforms_that_share_a_key_share_a_unit(tmp_path: Path) -> None:
    head = '[platforms.board]\ndocker = "linux/arm64"\n'
    made = declared(tmp_path, head + NATIVE)
    goals = [Node("app", "aarch64"), Node("app", "board")]
    units = work.units(made, goals, (AMD,), Times("linux/amd64", {}), 60)
    assert [each.targets for each in units if each.goal] == [("app:aarch64", "app:board")]


@pytest.mark.parametrize(
    ("running", "executor", "minutes"),
    [
        ({"linux/amd64"}, AMD, 10),  # as recorded
        ({"linux/arm64"}, AMD, 10),  # emulated when measured, emulated here
        ({"linux/arm64"}, ARM, 1),  # emulated when measured, native here
        ({"linux/arm64"}, replace(ARM, emulated=0.5), 1),
        ({"linux/amd64"}, replace(ARM, emulated=0.1), 100),  # native when measured, emulated here
        ({"linux/amd64", "linux/arm64"}, replace(ARM, emulated=0.1), 100),  # shares are unknown: the slower
        ({"linux/amd64"}, ARM, None),  # it has no QEMU
        ({"linux/amd64"}, replace(AMD, speed=2.0), 5),
    ],
)
def test_times_are_scaled_for_another_machine(
    running: set[str], executor: Executor, minutes: int | None
) -> None:
    node, times = Node("made", "aarch64"), Times("linux/amd64", {"made:aarch64": 600})
    estimate = work.Estimate(times, 60, {node: frozenset(map(OciPlatform, running))})
    expected = {} if minutes is None else {executor.name: minutes * MINUTE}
    assert estimate.by_executor([node], [executor]) == expected


@pytest.mark.parametrize(("tag", "able"), [("{prints.x}-{arch}", {"amd"}), ("{arch}", {"amd", "arm"})])
def test_a_command_for_a_tag_runs_where_the_programs_of_the_image_run(
    tmp_path: Path, tag: str, able: set[str]
) -> None:
    nodes = declared(tmp_path, f'[images.over]\ntags = ["{tag}"]\n[images.over.prints]\nx = "x"\n')
    found = {
        target: set(unit.times)
        for platform in ("amd64", "aarch64")
        for unit in work.units(nodes, [Node("over", platform)], (AMD, ARM), Times("linux/amd64", {}), 60)
        for target in unit.targets
    }
    # the other one emulates
    assert (found["over:amd64"], found["over:aarch64"]) == (able, {"amd", "arm"})


# -- times ---------------------------------------------------------------------------------------


def test_times_are_read_as_they_were_written(tmp_path: Path) -> None:
    known = durations.merged(
        Times("linux/amd64", {}), {"a:amd64": 1234.5, "b:amd64": 0.4}, {"a:amd64", "b:amd64"}
    )
    assert durations.write(tmp_path, known)
    assert durations.read(tmp_path, "linux/arm64") == Times("linux/amd64", {"a:amd64": 1300, "b:amd64": 1})
    assert not durations.write(tmp_path, known)


def test_a_time_that_changed_little_is_kept() -> None:
    known = Times("linux/amd64", {"a:amd64": 100.0, "gone:amd64": 5.0})
    assert durations.merged(known, {"a:amd64": 120.0}, {"a:amd64"}).seconds == {"a:amd64": 100.0}
    assert durations.merged(known, {"a:amd64": 130.0}, {"a:amd64"}).seconds == {"a:amd64": 130}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "machine = 1",
        'machine = "x"\n[seconds]\n"a" = "b"',
        'machine = "x"\n[seconds]\na = -1',
        'machine = "x"\n[seconds]\na = nan',
        f'machine = "x"\n[seconds]\na = 1{"0" * 400}',  # too large for a float
    ],
)
def test_invalid_times_are_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / durations.FILE).write_text(text)
    with pytest.raises(ProjectError, match=r"doit ci --times"):
        durations.read(tmp_path, "linux/amd64")


# -- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no executor"),
        ("[ci]\nlimt = 3\n", "did you mean 'limit'"),
        ("[ci]\nlimit = 0\n" + GITHUB, "stages.toml:2: limit must be from 1"),
        ('[ci.github.amd]\ndocker = "linux/amd"\n', "not an OCI platform"),
        ('[ci.github.amd]\ndocker = "linux/amd64"\nprice = 1\n', "executor amd has no runs_on"),
        ('[ci.github.amd]\ndocker = "linux/amd64"\nruns_on = "a"\n', "executor amd has no price"),
        (GITHUB + "speed = 0\n", "speed must be above 0"),
        (GITHUB.replace("price = 1", "price = -1"), "price must be"),
        (GITHUB.replace("price = 1", 'price = "1"'), "price must be a number"),
        (GITHUB.replace("price = 1", f"price = 1{'0' * 400}"), "more than 64 bits"),
        (f"[ci]\nlimit = 1{'0' * 400}\n" + GITHUB, "more than 64 bits"),
        ("[ci]\nlimit = 1000000\n" + GITHUB, "limit must be from 1 to 999999"),
        ("[ci]\ndynamic = true\n" + GITHUB, "dynamic needs a registry"),
        ('[ci]\ndynamic = true\nregistry = "h"\n' + GITHUB, "dynamic needs publish"),
        ("[ci]\nwaiting = nan\n" + GITHUB, "waiting must be"),
        ("[ci]\nwaiting = inf\n" + GITHUB, "waiting must be"),
        ('[ci]\nbranch = "a\'b"\n' + GITHUB, "is not a branch"),
        ('[ci]\nregistry = "a b"\n' + GITHUB, "is not a registry"),
        ('[project]\nregistry = "h"\n[ci]\nregistry = ""\n' + GITHUB, "stages.toml:4: jobs would still use"),
        ("[ci]\nimages = []\n" + GITHUB, "stages.toml:2: images is empty"),
        ("[ci]\nlimit = 10\nsetup = 9\n" + GITHUB, "setup of 9 minutes leaves no time"),
    ],
)
def test_a_wrong_table_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        config.read(*parse(text))


def test_a_limit_on_the_command_line() -> None:
    assert config.read(*parse(GITHUB), limit="7").limit == 7
    for text in ("long", "0", "1" * 9, "\u00b2"):
        with pytest.raises(ProjectError, match="not a number of minutes"):
            config.read(*parse(GITHUB), limit=text)
    with pytest.raises(ProjectError, match="leaves no time"):
        config.read(*parse(GITHUB), limit="3")


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_written_files_are_valid_for_the_services(tmp_path: Path, mode: str) -> None:
    files = written(project(tmp_path, MODES[mode]))
    assert len(files) == 2
    for name, text in files.items():
        assert text.startswith(HEADER)
        validate(tmp_path, name, text)


def validate(tmp_path: Path, name: str, text: str) -> None:
    """Check a file against the schema that the service publishes."""
    schema = "vendor.github-workflows" if name.startswith(".github") else "vendor.circle-ci"
    (path := tmp_path / "pipeline.yml").write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("family", ["", '[images."{name}-more"]\nmatrix = { name = ["a"] }\nstage = "app"\n'])
@pytest.mark.parametrize(("version", "whole"), [("git", True), ("1.2", False)])
def test_a_version_that_git_tells_needs_its_tags(
    tmp_path: Path, version: str, whole: bool, family: str
) -> None:
    root = project(tmp_path)
    text = (root / "stages.toml").read_text() + family
    text = text.replace("[project]\n", f'[project]\nversion = "{version}"\n', 1)
    text = text.replace("[images.app]\n", '[images.app]\ntags = ["{version}"]\n', 1)
    assert "{version}" in text
    (root / "stages.toml").write_text(text)
    workflow = written(root)[".github/workflows/images.yml"]
    jobs = [job for name, job in yaml.safe_load(workflow)["jobs"].items() if name != "all"]
    # the first job compares the plan with an earlier commit
    assert [job["steps"][0].get("with", {}).get("fetch-depth") == 0 for job in jobs] == [
        True,
        *[whole] * (len(jobs) - 1),
    ]
    validate(tmp_path, ".github/workflows/images.yml", workflow)


def test_with_a_short_limit_jobs_need_one_another(tmp_path: Path) -> None:
    files = written(project(tmp_path, MODES["short"]))
    workflow: dict[str, Any] = yaml.safe_load(files[".github/workflows/images.yml"])
    assert len(workflow["jobs"]) > 2
    assert any("needs" in job for job in workflow["jobs"].values())
    circle = yaml.safe_load(files[".circleci/config.yml"])
    flow = circle["workflows"]["images"]["jobs"]
    assert {next(iter(job)) if isinstance(job, dict) else job for job in flow} == set(circle["jobs"])


def test_caches_are_saved_after_a_failed_step_and_never_by_a_fork(tmp_path: Path) -> None:
    files = written(project(tmp_path, MODES["caches"]))
    job = next(iter(yaml.safe_load(files[".github/workflows/images.yml"])["jobs"].values()))
    save = next(step for step in job["steps"] if "cache/save" in step.get("uses", ""))
    assert "always()" in save["if"]
    assert "!(github.event_name == 'pull_request' && " in save["if"]
    job = next(iter(yaml.safe_load(files[".circleci/config.yml"])["jobs"].values()))
    save = next(s["save_cache"] for s in job["steps"] if isinstance(s, dict) and "save_cache" in s)
    restore = next(s["restore_cache"] for s in job["steps"] if isinstance(s, dict) and "restore_cache" in s)
    assert save["when"] == "always"
    assert [save["key"].startswith(prefix) for prefix in restore["keys"]] == [True, True, False, False]
    assert restore["keys"][2:] == [key.replace("whose", "own") for key in restore["keys"][:2]]


def test_defaults_and_forms_of_the_table(tmp_path: Path) -> None:
    folder = project(tmp_path, MODES["caches"] + 'prepare = "cat <<X\\nX"\n')
    toml = (folder / "stages.toml").read_text()
    write(folder, {"stages.toml": toml.replace('runs_on = "a"', 'runs_on = ["self-hosted", "linux"]')})
    plans = Plans(graph(folder))
    prices = [each.price for found in plans.config.services.values() for each in found]
    assert plans.config.waiting == min(prices) > 0  # a minute of waiting costs a minute of a machine
    files = {name: yaml.safe_load(text) for name, (text, _) in plans.files().items()}
    for name, text in plans.files().items():
        validate(tmp_path, name, text[0])
    jobs = files[".github/workflows/images.yml"]["jobs"].values()
    assert ["self-hosted", "linux"] in [job["runs-on"] for job in jobs]
    steps = [step for job in files[".circleci/config.yml"]["jobs"].values() for step in job["steps"]]
    said = [step["run"]["command"] for step in steps if "run" in step and "cat" in step["run"]["command"]]
    assert said and all(command.startswith("cat \\<<X") for command in said)


def test_one_job_shows_whether_all_jobs_passed(tmp_path: Path) -> None:
    """The job ``all`` needs every job except ``publish``, whatever their names are."""
    jobs = yaml.safe_load(written(project(tmp_path, MODES["dynamic"]))[".github/workflows/images.yml"])[
        "jobs"
    ]
    assert {*jobs["all"]["needs"]} == {*jobs} - {"all", "publish"}
    assert jobs["all"]["if"] == "always()" and "'failure'" in jobs["all"]["steps"][0]["if"]


def test_the_user_name_may_be_a_variable(tmp_path: Path) -> None:
    """GitHub removes secrets from outputs and from the names of jobs, so the name may be a variable."""
    text = written(project(tmp_path, MODES["dynamic"]))[".github/workflows/images.yml"]
    assert "REGISTRY_USER: ${{ vars.REGISTRY_USER || secrets.REGISTRY_USER }}" in text
    assert "REGISTRY_PASSWORD: ${{ secrets.REGISTRY_PASSWORD }}" in text


def test_the_limit_of_a_call_also_applies_to_later_calls(tmp_path: Path) -> None:
    """Jobs that are planned while the pipeline runs have the same limit as the jobs before them."""
    project(tmp_path, MODES["dynamic"])
    plans = Plans(graph(tmp_path), limit="250")
    for text, _ in plans.files().values():
        assert "doit ci --limit 250`" in text.splitlines()[0]
        assert text.count("doit ci --limit 250 --") == 1
    assert "doit ci --limit 250 --continuation`" in plans.continuation(lambda _: False).splitlines()[0]


def test_build_secrets_and_contexts_reach_jobs_that_build(tmp_path: Path) -> None:
    ci = MODES["registry"].replace("[ci]", '[secrets.a]\nenv = "TOKEN"\n[secrets.b]\nfile = "x"\n[ci]')
    files = written(project(tmp_path, ci + 'contexts = ["builds"]\n'))
    for name, job in yaml.safe_load(files[".github/workflows/images.yml"])["jobs"].items():
        given = {
            step["name"]: step["env"]["TOKEN"] for step in job["steps"] if "TOKEN" in step.get("env", {})
        }
        builds = ["Fetch the images"] if name == "publish" else ["Show the plan", "Build and test"]
        assert given == dict.fromkeys([] if name in ("check", "all") else builds, "${{ secrets.TOKEN }}")
    for entry in yaml.safe_load(files[".circleci/config.yml"])["workflows"]["images"]["jobs"]:
        name, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        assert options.get("context") == (None if name == "check" else ["builds"])


@pytest.mark.parametrize(("level", "signs"), [("required", True), ("warn", True), ("none", False)])
def test_jobs_that_build_get_the_key_that_signs(tmp_path: Path, level: str, signs: bool) -> None:
    key = f'[trust]\nlevel = "{level}"\n[trust.keys.ci]\npublic = "MCowBQYDK2VwAyEA{"A" * 43}="\n'
    files = written(project(tmp_path, key + MODES["registry"]))
    for name, job in yaml.safe_load(files[".github/workflows/images.yml"])["jobs"].items():
        given = {step["env"].get("STAGEGRAPH_SIGNING_KEY") for step in job["steps"] if "env" in step} - {None}
        builds = signs and name not in ("check", "all")
        assert given == ({"${{ secrets.STAGEGRAPH_SIGNING_KEY }}"} if builds else set()), name


def test_only_nodes_that_must_be_built_get_a_job(tmp_path: Path) -> None:
    plans = Plans(graph(project(tmp_path, MODES["dynamic"])))
    lines = plans.matrix(lambda node: node.stage == "app" and node.platform == "amd64").splitlines()
    rows = [json.loads(line.partition("=")[2]) for line in lines]
    assert [row["words"] for level in rows for row in level] == ["app:amd64"]
    count = len(github.levels(plans.pipeline("github")))
    assert [line.partition("=")[0] for line in lines] == [f"level-{n + 1}" for n in range(count)]
    nothing = plans.matrix(lambda _: False).splitlines()
    assert [line.partition("=")[2] for line in nothing] == ["[]"] * count
    validate(tmp_path, ".circleci/config.yml", text := plans.continuation(lambda _: False))
    jobs = yaml.safe_load(text)["jobs"]
    assert list(jobs) == ["check", "publish"]
    # the job publishes all images on all platforms, also those that this pipeline did not build
    commands = [step["run"]["command"] for step in jobs["publish"]["steps"] if "run" in step]
    assert commands[-2:] == ["doit app:amd64 app:aarch64", "doit publish app"]
    assert jobs["publish"]["environment"]["STAGEGRAPH_PUSH"] == "built"


def test_a_matrix_has_no_more_levels_than_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan for fewer nodes may have more levels than the whole plan. Then the whole plan is used."""
    shallow = jobs.plan("github", problem((5, 5, ())), (AMD,), TABLE)
    deep = jobs.plan("github", problem((60, math.inf, ()), (60, math.inf, (0,))), (AMD,), TABLE)
    plans = Plans(graph(project(tmp_path, MODES["dynamic"])))
    monkeypatch.setattr(plans, "pipeline", lambda _, needed=None: deep if needed else shallow)
    (line,) = plans.matrix(lambda _: True).splitlines()
    assert [row["words"] for row in json.loads(line.partition("=")[2])] == ["u0"]


def test_services_are_those_that_can_be_declared() -> None:
    assert tuple(WRITERS) == config.SERVICES


def test_builds_end_before_their_jobs_and_only_the_main_branch_publishes(tmp_path: Path) -> None:
    """A build ends before its job. Forks only read. Only the main branch publishes.

    The simulated services cannot show this.
    """
    files = written(project(tmp_path, MODES["registry"]))
    circle = yaml.safe_load(files[".circleci/config.yml"])
    for name, job in circle["jobs"].items():
        runs = [step["run"] for step in job["steps"] if isinstance(step, dict) and "run" in step]
        assert sum("no_output_timeout" in run for run in runs) == 1
        if name not in ("check", "publish"):
            assert sum(run["command"].startswith("timeout --kill-after=60 282m doit ") for run in runs) == 1
            never = next(run for run in runs if run["name"] == "Forks only read")
            assert "STAGEGRAPH_PUSH=never" in never["command"] and "CIRCLE_PR_NUMBER" in never["command"]
    entries = {
        n: o for e in circle["workflows"]["images"]["jobs"] if isinstance(e, dict) for n, o in e.items()
    }
    assert entries["publish"]["filters"] == {"branches": {"only": "main"}}
    publish = yaml.safe_load(files[".github/workflows/images.yml"])["jobs"]["publish"]
    assert publish["concurrency"] == {"group": "images-publish", "cancel-in-progress": False}
    assert "github.ref_name == 'main' && !(" in publish["if"]  # a run without secrets cannot publish


def test_a_goal_stays_a_target_although_its_child_is_in_the_same_job() -> None:
    """A goal stays a target, even if its child is in the same job. Otherwise its test would not run."""
    below, above = problem((5, 5, ()), (5, 5, (0,)))
    for goal, words in ((True, ("u0", "u1")), (False, ("u1",))):
        (job,) = jobs.plan("github", [replace(below, goal=goal), above], (AMD,), TABLE).jobs
        assert job.targets == words


def test_publishing_an_image_of_only_some_platforms_is_an_error(tmp_path: Path) -> None:
    folder = project(tmp_path, MODES["registry"] + 'images = ["app:amd64"]\n')
    with pytest.raises(
        ProjectError,
        match=r"stages.toml:\d+: image app is to be published, but is built only for linux/amd64",
    ):
        Plans(graph(folder))


def test_groups_in_the_images_of_ci(tmp_path: Path) -> None:
    ci = MODES["registry"].replace("publish = true", "")
    groups = '[groups]\nall = ["*"]\narm = ["app:aarch64"]\n'
    every = Plans(graph(project(tmp_path / "every", f'{ci}images = ["all"]\n{groups}')))
    default = Plans(graph(project(tmp_path / "default", ci)))
    assert (every.images, every.goals) == (default.images, default.goals)
    arm = Plans(graph(project(tmp_path / "arm", f'{ci}images = ["arm", "all:aarch64"]\n{groups}')))
    assert arm.images.targets == ("app:aarch64",)
    with pytest.raises(ProjectError, match="no image 'al'\n  did you mean 'all'"):
        Plans(graph(project(tmp_path / "slip", f'{ci}images = ["al"]\n{groups}')))


def test_only_the_job_that_publishes_sets_tags(tmp_path: Path) -> None:
    files = written(project(tmp_path, MODES["registry"]))
    for name, job in yaml.safe_load(files[".circleci/config.yml"])["jobs"].items():
        pushes = {"check": None, "publish": "built"}.get(name, "nodes")
        assert job.get("environment", {}).get("STAGEGRAPH_PUSH") == pushes
    for name, job in yaml.safe_load(files[".github/workflows/images.yml"])["jobs"].items():
        said = job.get("env", {}).get("STAGEGRAPH_PUSH", "")
        others = {"check": "", "all": "", "publish": "|| 'built' }}"}
        assert said.endswith(others.get(name, "|| 'nodes' }}"))


@pytest.mark.parametrize(("limit", "setup"), [(300, 3), (20, 3), (60, 10), (2, 1)])
def test_a_build_ends_before_its_job(limit: int, setup: int) -> None:
    table = replace(TABLE, limit=limit, setup=setup)
    assert setup + table.stopped <= max(limit * 0.95, setup + 1)


def doit(folder: Path, *words: str, python: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command, env = [python or sys.executable, "-m", "doit", "ci", *words], {**os.environ, **env}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


OWN = """\
[project]
repo = "example/own"
[platforms.amd64]
docker = "linux/amd64"
[base]
bootstrap = "trixie"
[stages.app]
path = "app"
[images.app]
[ci]
"""


def offline_project(folder: Path) -> Path:
    """Write a project whose keys need nothing external. Return its folder."""
    dodo = "from stagegraph.tasks import *\n"
    lock = 'version = 1\narchive = "2026-01-01"\n'
    files = {"stages.toml": OWN + GITHUB, "app/Dockerfile": "FROM scratch\n", "dodo.py": dodo}
    return write(folder, {**files, "stages.lock": lock})


def test_check_reports_a_file_that_is_out_of_date(tmp_path: Path) -> None:
    folder = offline_project(tmp_path)
    assert doit(folder, "--check").returncode == 1
    done = doit(folder)
    assert done.returncode == 0, done.stderr
    assert "  1 job from nothing: " in done.stdout
    assert doit(folder, "--check").returncode == 0
    (folder / "stages.toml").write_text(OWN + "limit = 200\n" + GITHUB)
    done = doit(folder, "--check")
    assert done.returncode == 1
    assert ".github/workflows/images.yml is not up to date" in done.stderr
    assert doit(folder, "--limit=100").returncode == 0
    done = doit(folder, "--check")
    assert done.returncode == 1
    assert "doit ci writes it (it was made by doit ci --limit 100)" in done.stderr
    assert doit(folder, "--check", "--limit=100").returncode == 0


def test_check_writes_nothing(tmp_path: Path) -> None:
    folder = write(offline_project(tmp_path), {"app/Dockerfile": "FROM base\nRUN true\n"})
    (folder / "stages.lock").unlink()
    done = doit(folder, "--check")
    assert done.returncode == 13, done.stderr
    assert not (folder / "stages.lock").exists()
    for words in (("--check", "--times"), ("--check", "--matrix"), ("--times", "--continuation=x")):
        done = doit(folder, *words)
        assert done.returncode == 10 and "does not go with" in done.stderr
    assert not (folder / durations.FILE).exists()


def test_nodes_without_a_recorded_time_are_named(tmp_path: Path) -> None:
    folder = offline_project(tmp_path)
    write(folder, {"app/Dockerfile": "FROM base\nRUN true\n"})
    said = "taken to need 60 minutes, as stages.times has no time: base:amd64 app:amd64\n"
    assert said in doit(folder).stdout
    write(folder, {durations.FILE: 'machine = "linux/amd64"\n[seconds]\n"base:amd64" = 9\n"app:amd64" = 9\n'})
    assert "taken to need" not in doit(folder).stdout


def test_times_belong_to_one_kind_of_machine(tmp_path: Path) -> None:
    """Times of builders of another or unknown kind do not count."""
    folder = offline_project(tmp_path)
    node = Node("app", "amd64")
    made, store = graph(folder), LayoutStore(folder / "cache")
    for machine, noted in (("linux/s390x", False), ("", False), (host_platform(), True)):
        (folder / durations.FILE).unlink(missing_ok=True)
        record = image(store, "app", (b"files",))._replace(
            key=made.key(node), inputs=tuple(made.inputs(node))
        )
        store.commit(record._replace(node=str(node), machine=OciPlatform(machine)))
        assert doit(folder, "--times").returncode == 0
        assert ("app:amd64" in durations.read(folder, "").seconds) == noted
    write(folder, {durations.FILE: 'machine = "linux/s390x"\n[seconds]\n'})  # a file without times
    done = doit(folder, "--times", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) and "1 nodes, written" in done.stderr
    assert durations.read(folder, "").machine == host_platform()
    write(folder, {durations.FILE: 'machine = "linux/s390x"\n[seconds]\n"app:amd64" = 9\n'})
    done = doit(folder, "--times")
    assert done.returncode == 10
    assert "has times of a linux/s390x machine" in done.stderr


def test_files_do_not_depend_on_the_process(tmp_path: Path) -> None:
    """The addresses of objects and the hashes of strings do not change the files."""
    folder = project(tmp_path, MODES["short"])
    code = "import sys; from pathlib import Path; from helpers import graph; import planned\n"
    code += "print(*planned.written(Path(sys.argv[1])).values())"
    helpers = str(REPOSITORY / "tests/support")
    printed = set()
    for seed in ("1", "2", "3"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": helpers}
        command = [sys.executable, "-c", code, str(folder)]
        printed.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("text", [b"name: mine\n", b"name: \xff\n"])
def test_a_file_that_was_not_generated_is_not_changed(tmp_path: Path, text: bytes) -> None:
    folder = offline_project(tmp_path)
    (folder / github.FILE).parent.mkdir(parents=True)
    (folder / github.FILE).write_bytes(text)
    done = doit(folder)
    assert done.returncode == 10
    assert "was not generated" in done.stderr
    assert (folder / github.FILE).read_bytes() == text


def test_files_of_a_service_without_executors_are_removed(tmp_path: Path) -> None:
    folder = offline_project(tmp_path)
    other = '[ci.circleci.amd64]\ndocker = "linux/amd64"\nresource_class = "medium"\nprice = 1.0\n'
    toml = (folder / "stages.toml").read_text()
    write(folder, {"stages.toml": toml + other})
    assert doit(folder).returncode == 0 and (folder / ".circleci/config.yml").exists()
    write(folder, {"stages.toml": toml})
    done = doit(folder, "--check")
    assert done.returncode == 1
    assert ".circleci/config.yml: no executor is declared for it; doit ci removes it" in done.stderr
    assert "removed" in doit(folder).stderr and not (folder / ".circleci/config.yml").exists()
    assert "up to date: .github/workflows/images.yml" in doit(folder, "--check").stderr


def test_a_command_that_a_machine_of_the_service_lacks_gives_a_warning(tmp_path: Path) -> None:
    folder = offline_project(tmp_path)
    assert "warning: a service's machine has no 'doit'" in doit(folder).stderr
    toml = (folder / "stages.toml").read_text()
    write(folder, {"stages.toml": toml.replace("[ci]", '[ci]\ncommand = "./run doit"')})
    assert "warning" not in doit(folder).stderr
    write(folder, {"stages.toml": toml.replace("[ci]", '[ci]\ncommand = ""')})
    assert "command is empty" in doit(folder).stderr


REPOSITORY = Path(__file__).parents[3]
OTHERS = [f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]


def test_this_projects_files_are_up_to_date() -> None:
    done = doit(REPOSITORY, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OTHERS)
def test_another_python_writes_the_same_files(name: str) -> None:
    """Another version of Python writes the same files.

    From 3.12 on, sums of floats differ. Strings have other hashes in each process.
    """
    packages, python = sysconfig.get_path("purelib"), other_python(name)
    # packages compiled for one version of Python are not needed here
    done = doit(REPOSITORY, "--check", python=python, PYTHONPATH=packages, PYTHONHASHSEED="1")
    if any(error in done.stderr for error in ("ImportError", "ModuleNotFoundError")):
        pytest.skip(f"{name} cannot use the packages in {packages}: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


def other_python(name: str) -> str:
    """Return the path of another Python, from PATH or from pyenv.

    The folders of pyenv are searched, because its commands may be disabled.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(name), *sorted(map(str, pyenv.glob(f"{name.removeprefix('python')}.*/bin/{name}")))]
    for path in filter(None, found):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"no {name} here")
