"""Names that mean a stage of the project: a child always gets the current image of exactly that stage."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import plain
import pytest
from kit import FOREIGN, NATIVE, Project, Registry, header, publish, serving

pytestmark = pytest.mark.engine

APP = "FROM {name} AS start\nFROM scratch\nCOPY --from=start / /from\nCOPY --from={name} / /copy\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry") / "data") as registry:
        yield registry


def write(project: Project, repo: str, name: str, *, more: str = "", app: str = APP) -> None:
    project.write(
        {
            "stages.toml": f'{header(repo)}[stages.core]\npath = "core"\n{more}[stages.app]\npath = "app"\n'
            "[images.core]\n[images.app]\n",
            "core/Dockerfile": "FROM scratch\nCOPY file /\n",
            "core/file": "old",
            "app/Dockerfile": app.format(name=name),
        }
    )


def files_of(project: Project, node: str = "app:here") -> dict[str, str]:
    """Return the files of a node's image with the digests of their content."""
    run = project.built(node)
    files = plain.read(project.folder / "cache", run.digests[node]).files
    return {path: said for path, _, said in files}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("{repo}:core-here", ""),
        ("docker.io/{repo}:core", ""),
        ("ros:humble-core", 'names = ["ros:humble-core"]\n'),
        ("registry.example/x/y:tag", 'names = ["registry.example/x/y:tag"]\n'),
        ("registry.example/x/y", 'names = ["registry.example/x/y:latest"]\n'),
        ("quay.io/other/thing:1", '[contexts]\n"quay.io/other/thing:1" = "core"\n'),
    ],
)
def test_an_edited_parent_rebuilds_the_child_that_names_its_tag(
    project: Project, repo: str, name: str, more: str
) -> None:
    write(project, repo, name.format(repo=repo), more=more)
    before = files_of(project)
    project.write({"core/file": "new"})
    run = project.built("core:here", "app:here")
    assert run.built == {"core:here", "app:here"}
    after = files_of(project)
    for path in ("from/file", "copy/file"):
        assert before[path] != after[path]
    assert after["from/file"] == files_of(project, "core:here")["file"]


def test_the_name_of_a_parent_may_contain_arguments(project: Project, repo: str) -> None:
    app = "ARG REPO\nARG OS=noble\nFROM $REPO:8.0-$OS\n"
    more = 'names = ["mcr.example/dotnet:8.0-noble"]\n'
    write(project, repo, "", more=more, app=app)
    text = (project.folder / "stages.toml").read_text()
    project.write(
        {"stages.toml": text.replace('path = "app"\n', 'path = "app"\nargs.REPO = "mcr.example/dotnet"\n')}
    )
    before = files_of(project)
    project.write({"core/file": "new"})
    assert before != files_of(project) == files_of(project, "core:here")


def test_a_mirror_takes_the_place_of_an_external_image(
    project: Project, repo: str, registry: Registry
) -> None:
    mirror = publish(registry, "mirror/thing:1", "mirrored", "mirrored")
    more = f'[contexts]\n"nowhere.example/thing:1" = "{mirror}"\n'
    write(project, repo, "nowhere.example/thing:1", more=more)
    assert "from/base" in files_of(project)
    assert mirror in (project.folder / "stages.lock").read_text()


def test_a_misspelled_stage_is_not_taken_for_a_public_image(project: Project, repo: str) -> None:
    write(project, repo, "cores")
    run = project.doit("app:here")
    assert run.status == 11
    assert "app/Dockerfile:1: no stage is called 'cores'\n  did you mean 'core'?" in run.output


def test_the_builders_own_front_end_reads_the_dockerfile(project: Project, repo: str) -> None:
    """The builder's own front end reads the Dockerfile, although the named one cannot be pulled.

    COPY takes the Dockerfile unchanged.
    """
    app = "# syntax=nowhere.example/frontend:1\n# escape=`\nFROM scratch\nLABEL a=b `\n  c=d\nCOPY . /\n"
    write(project, repo, "", app=app)
    assert project.doit("app:here").status == 14
    text = (project.folder / "stages.toml").read_text()
    project.write({"stages.toml": text.replace('path = "app"\n', 'path = "app"\nfrontend = "builder"\n')})
    run = project.built("app:here")
    built, _ = plain.build(_without_syntax(project.folder / "app"))
    assert built is not None
    own = plain.read(project.folder / "cache", run.digests["app:here"])
    assert [f for f in own.files if f[0] != "Dockerfile"] == [f for f in built.files if f[0] != "Dockerfile"]
    assert own.config == built.config
    assert "Dockerfile" in own.paths


def _without_syntax(folder: Path) -> Path:
    copy = folder.parent.parent / "plain"
    copy.mkdir()
    (copy / "Dockerfile").write_text((folder / "Dockerfile").read_text().partition("\n")[2])
    return copy


@pytest.mark.parametrize("app", ["FROM scratch\nCOPY . /\n", "FROM core\nCOPY . /\n"])
def test_the_front_end_that_the_dockerfile_names_is_pulled_by_digest(
    project: Project, repo: str, registry: Registry, app: str
) -> None:
    """The named image is no front end, so the build fails. BuildKit's log shows which image it tried."""
    frontend = publish(registry, "some/frontend:1", "x", "x")
    write(project, repo, "", app=f"# syntax={frontend}\n{app}")
    run = project.doit("app:here")
    assert run.status == 11
    assert f"{frontend} reads this Dockerfile" in run.output
    log = (project.folder / "cache/logs/app--here.log").read_text()
    assert f"{frontend.removesuffix(':1')}@sha256:" in log
    # send no tar: the own front end of an older builder reads it, and it can be read only once
    assert "load remote build context" not in log


def test_the_builder_finds_a_front_end_that_only_the_engine_has(project: Project, repo: str) -> None:
    """The builder finds a front end that only the engine has.

    BuildKit looks for a digest in the registry unless it has seen the name before.
    """
    frontend = f"{repo}:front"
    build = ["docker", "buildx", "build", "--provenance=false", "--load", f"--tag={frontend}", "-"]
    dockerfile = f"FROM scratch\nLABEL of={repo}\n".encode()
    subprocess.run(build, input=dockerfile, check=True, capture_output=True)
    write(project, f"{repo}-own", "", app=f"# syntax={frontend}\nFROM scratch\nCOPY . /\n")
    run = project.doit("app:here")
    assert (run.status, "exit code: 1" in run.output) == (11, True), run.output


@pytest.mark.parametrize(
    ("where", "docker"), [("registry", NATIVE), ("registry", f"{NATIVE},{FOREIGN}"), ("engine", NATIVE)]
)
def test_triggers_of_an_external_image_copy_files_of_the_child(
    project: Project, repo: str, registry: Registry, tmp_path: Path, where: str, docker: str
) -> None:
    """A trigger of an external image copies files that the child's Dockerfile does not name.

    A trigger that copies from another image is refused.
    """
    image = f"{registry.host}/{repo}:triggers" if where == "registry" else f"{repo}:triggers"
    _with_trigger(image, "COPY . .", tmp_path / "a", docker)
    write(project, f"{repo}-own", "", app=f"FROM {image}\n")
    project.write({"app/file": "old"})
    before = files_of(project)
    project.write({"app/file": "new"})
    assert before["w/file"] != files_of(project)["w/file"]
    other = image.replace("triggers", "others")
    _with_trigger(other, "COPY --from=127.0.0.1:1/other:1 / /", tmp_path / "b", docker)
    project.write({"app/Dockerfile": f"FROM {other}\n"})
    run = project.doit("app:here")
    assert run.status == 11
    assert f"app/Dockerfile:1: triggers (ONBUILD) of {other} take from another image" in run.output


def _with_trigger(image: str, trigger: str, layout: Path, docker: str) -> None:
    """Put an image with a trigger into a registry, or into the engine if its name has no host."""
    dockerfile = f"FROM scratch\nWORKDIR /w\nONBUILD {trigger}\n".encode()
    build = ["docker", "buildx", "build", "--provenance=false", f"--platform={docker}", "-"]
    local = not image.startswith("127.")
    out = ["--load", f"--tag={image}"] if local else [f"--output=type=oci,dest={layout},tar=false"]
    subprocess.run([*build, *out], input=dockerfile, check=True, capture_output=True)
    if not local:
        push = ["skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{image}"]
        subprocess.run(push, check=True, capture_output=True)


def test_commands_fail_if_no_node_can_be_resolved(project: Project, repo: str) -> None:
    write(project, repo, "", app="FROM base\nUSER 1\n")
    text = (project.folder / "stages.toml").read_text()
    project.write(
        {"stages.toml": text.replace('[stages.core]\npath = "core"\n', "").replace("[images.core]\n", "")}
    )
    run = project.doit("plan")
    assert run.status == 14
    assert run.output.endswith("0 to build, 0 to pull, 0 to reuse, 2 left out\n")
    assert project.doit("keys", "--json").status == 14
    assert '"left_out"' in project.doit("plan", "--json").output


def test_keep_going_leaves_out_a_broken_dockerfile(project: Project, repo: str) -> None:
    write(project, repo, "", app="FROM scratch\nRUNN x\n")
    assert project.doit("keys").status == 11
    run = project.doit("keys", "--keep-going")
    assert run.status == 11
    assert "warning: app:here has no key: app/Dockerfile:2: unknown instruction" in run.output
    assert "left out: app:here, app:there\n" in run.output
    assert "core:here" in run.output


def test_a_cycle_by_final_tags_fails_only_goals_that_need_it(project: Project, repo: str) -> None:
    write(project, repo, "", app=f"FROM {repo}:core\n")
    project.write(
        {
            "stages.toml": (project.folder / "stages.toml").read_text() + '[stages.good]\npath = "good"\n',
            "core/Dockerfile": f"FROM {repo}:app\n",
            "good/Dockerfile": "FROM scratch\nCOPY . /\n",
        }
    )
    for words in (("plan",), ("app:here",), ("core:there",)):
        run = project.doit(*words)
        assert (run.status, "stages.toml: a cycle: app -> core -> app\n" in run.output) == (10, True)
    run = project.doit("plan", "--keep-going")
    assert (run.status, run.output.count("a cycle")) == (10, 1)
    assert "build  good:here" in run.output
    assert project.doit("keys", "good:here").status == 0
