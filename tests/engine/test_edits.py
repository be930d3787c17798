"""One change rebuilds exactly these nodes."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit import DODO, NATIVE, Project, Registry, header, publish

pytestmark = pytest.mark.engine

#: part <- left, right <- top. ``left`` and ``top`` inherit by FROM; the other edges only copy files.
STAGES = """
[stages.part]
path = "part"
args = { COLOUR = "red" }
[stages.left]
path = "left"
[stages.right]
path = "right"
[stages.top]
path = "top"
"""

FILES = {
    "part/Dockerfile": """\
        FROM scratch
        ARG COLOUR=none
        # the folder is copied, single is too
        COPY folder /folder
        COPY single* link /
        LABEL colour=$COLOUR
        """,
    "part/folder/one": "1\n",
    "part/folder/two": "2\n",
    "part/folder/hidden.tmp": "x\n",
    "part/single": "s\n",
    "part/other": "o\n",
    "part/unreached": "u\n",
    "part/.dockerignore": "**/*.tmp\n",
    "left/Dockerfile": "FROM part\nCOPY file /left\n",
    "left/file": "l\n",
    "right/Dockerfile": "FROM scratch\nCOPY --from=part /folder /copied\nCOPY file /right\n",
    "right/file": "r\n",
    "top/Dockerfile": "FROM left\nCOPY --from=right / /\nCOPY --chmod=644 moded /\n",
    "top/moded": "m\n",
}

Edit = Callable[[Path], object]


def rewrite(name: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def chmod(name: str, mode: int) -> Edit:
    return lambda folder: (folder / name).chmod(mode)


def fresh_clone_with_another_umask(folder: Path) -> None:
    for path in folder.rglob("*"):
        if "cache" not in path.parts and not path.is_symlink():
            path.chmod(0o775 if path.is_dir() else 0o664)


def relink(folder: Path) -> None:
    (folder / "part/link").unlink()
    (folder / "part/link").symlink_to("other")


def rename(folder: Path) -> None:
    (folder / "part/folder/one").rename(folder / "part/folder/uno")


def touch_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if "cache" not in path.parts and not path.is_symlink():
            path.touch()


def renamed(folder: Path) -> None:
    (folder / "part").rename(folder / "teil")
    for path in (folder / "stages.toml", *folder.glob("*/Dockerfile")):
        path.write_text(path.read_text().replace("part", "teil"))


def given_as_an_argument(folder: Path) -> None:
    rewrite("left/Dockerfile", "FROM part", "ARG PARENT\nFROM $PARENT")(folder)
    rewrite("stages.toml", 'path = "left"', 'path = "left"\nargs = { PARENT = "part" }')(folder)


TABLE: dict[str, tuple[Edit, set[str]]] = {
    "nothing": (lambda _: None, set()),
    "times": (touch_all, set()),
    "umask of a fresh clone": (fresh_clone_with_another_umask, set()),
    "comment": (rewrite("part/Dockerfile", "# the folder", "# the whole folder"), set()),
    "blank lines and indentation": (rewrite("part/Dockerfile", "COPY folder", "\n\n   COPY folder"), set()),
    "file that COPY does not reach": (rewrite("part/unreached", "u", "v"), set()),
    "file that .dockerignore excludes": (rewrite("part/folder/hidden.tmp", "x", "y"), set()),
    "argument that no Dockerfile declares": (
        rewrite("stages.toml", "[platforms.here]\n", "[platforms.here]\nargs = { SHAPE = 'round' }\n"),
        set(),
    ),
    # FROM inherits labels; COPY --from does not see them
    "argument": (rewrite("stages.toml", "red", "blue"), {"part", "left", "top"}),
    "file that COPY of a folder reaches": (
        rewrite("part/folder/one", "1", "9"),
        {"part", "left", "right", "top"},
    ),
    "file that COPY of a pattern reaches": (
        rewrite("part/single", "s", "t"),
        {"part", "left", "right", "top"},
    ),
    "executable bit": (chmod("part/folder/one", 0o755), {"part", "left", "right", "top"}),
    "symlink's target": (relink, {"part", "left", "right", "top"}),
    "renamed file, same content": (rename, {"part", "left", "right", "top"}),
    "file that .dockerignore no longer excludes": (
        rewrite("part/.dockerignore", "tmp", "bak"),
        {"part", "left", "right", "top"},
    ),
    "instruction": (rewrite("right/Dockerfile", "/right", "/wrong"), {"right", "top"}),
    "sibling": (rewrite("left/file", "l", "m"), {"left", "top"}),
    "last stage": (rewrite("top/Dockerfile", "--from=right / /", "--from=right / /x/"), {"top"}),
    "another name for a stage and a build stage": (renamed, set()),
    "name of a stage as an argument": (given_as_an_argument, set()),
    "executable bit if COPY sets the mode": (chmod("top/moded", 0o755), set()),
    # early cutoff: part is built with the same content, so its children are not built
    "parent with the same content": (
        rewrite("part/Dockerfile", "ARG COLOUR=none", "ARG COLOUR=some"),
        {"part"},
    ),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("edits") / "project"
    folder.mkdir()
    project = Project(folder)
    project.write({"dodo.py": DODO, "stages.toml": header("stagegraph-test/edits") + STAGES, **FILES})
    (folder / "part/link").symlink_to("single")
    run = project.built("top:here")
    assert run.built == {"part:here", "left:here", "right:here", "top:here"}
    yield project
    shutil.rmtree(folder)


@pytest.mark.parametrize("case", TABLE)
def test_an_edit_builds_exactly_these_nodes(template: Project, tmp_path: Path, case: str) -> None:
    project = template.copy(tmp_path / "project")
    edit, expected = TABLE[case]
    edit(project.folder)
    run = project.built("top:here")
    assert run.built == {f"{stage}:here" for stage in expected}, run.output


@pytest.mark.parametrize("case", TABLE)
def test_plan_names_every_node_that_the_run_builds(template: Project, tmp_path: Path, case: str) -> None:
    """The plan contains every node that is built; it has others only if a content may come out the same."""
    project = template.copy(tmp_path / "project")
    edit, expected = TABLE[case]
    edit(project.folder)
    done = project.doit("plan", "top:here")
    planned = {line.split()[1] for line in done.output.splitlines() if line.startswith("build ")}
    assert planned >= {f"{stage}:here" for stage in expected}
    assert bool(planned) == bool(expected)


def test_another_platform_is_built_separately(template: Project, tmp_path: Path) -> None:
    project = template.copy(tmp_path / "project")
    assert project.built("top:there").built == {f"{s}:there" for s in ("part", "left", "right", "top")}
    assert project.built("top:there", "top:here").built == set()


def test_the_reason_names_the_line_of_the_change(template: Project, tmp_path: Path) -> None:
    project = template.copy(tmp_path / "project")
    rewrite("part/Dockerfile", "COPY folder /folder", "COPY folder /ordner")(project.folder)
    expected = "part/Dockerfile:4: instruction changed: COPY folder /folder -> COPY folder /ordner"
    assert expected in project.doit("plan", "top:here").output
    assert expected in project.doit("part:here").output


def test_platforms_share_every_node_if_no_argument_differs(template: Project, tmp_path: Path) -> None:
    project = template.copy(tmp_path / "project")
    text = (project.folder / "stages.toml").read_text()
    docker = text.split('docker = "')[1].split('"')[0]
    (project.folder / "stages.toml").write_text(
        text + f'[platforms.twin]\ndocker = "{docker}"\nargs = {{ X = "1" }}\n'
    )
    assert project.built("top:twin").built == set()


TWINS = """
[stages.lib]
path = "part"
[stages.twin]
path = "part"
[stages.top]
path = "top"
[platforms.board]
docker = "{docker}"
"""


@pytest.fixture
def twins(project: Project, registry: Registry, repo: str) -> Project:
    """Two stages and two platforms with the same key, and a stage based on one of the stages."""
    part = {"part/Dockerfile": "FROM scratch\nCOPY file /\n", "part/file": "p\n"}
    project.write({"stages.toml": header(repo) + TWINS.format(docker=NATIVE), **part})
    project.write({"top/Dockerfile": "FROM twin\nWORKDIR /top\n"})
    project.env["STAGEGRAPH_REGISTRY"] = registry.host
    return project


def test_a_node_with_the_same_key_is_found_in_the_registry(twins: Project) -> None:
    assert twins.built("lib:here").built == {"lib:here"}
    shutil.rmtree(twins.folder / "cache")
    assert twins.built("top:board").built == {"top:board"}


def test_push_all_pushes_an_image_that_was_built_as_another_node_with_the_same_key(
    twins: Project, registry: Registry, repo: str
) -> None:
    twins.built("push=never", "lib:here")
    run = twins.built("push=all", "lib:board")
    assert run.nodes("reuse") == {"lib:board"}
    assert {tag.rpartition("-")[0] for tag in registry.tags(repo)} == {f"lib-{NATIVE.partition('/')[2]}"}
    shutil.rmtree(twins.folder / "cache")
    assert not twins.built("twin:here").built


BASED = """
[stages.lower]
path = "lower"
[stages.upper]
path = "upper"
[stages.apart]
path = "apart"
"""


def test_a_new_digest_of_the_base_rebuilds_only_its_platform(
    project: Project, registry: Registry, repo: str
) -> None:
    """A new digest of a base rebuilds only the nodes of its platform, and only after the lock changed."""
    reference = publish(registry, "base:1", "n1", "f1")
    project.write(
        {
            "stages.toml": header(repo, f'image = "{reference}"') + BASED,
            "lower/Dockerfile": "FROM base\nCOPY file /lower\n",
            "lower/file": "l\n",
            "upper/Dockerfile": "FROM lower\nCOPY file /upper\n",
            "upper/file": "u\n",
            "apart/Dockerfile": "FROM scratch\nCOPY file /apart\n",
            "apart/file": "a\n",
        }
    )
    goals = [f"{stage}:{platform}" for platform in ("here", "there") for stage in ("upper", "apart")]
    here, there = {"lower:here", "upper:here"}, {"lower:there", "upper:there"}
    assert project.built(*goals).built == here | there | {"apart:here", "apart:there"}
    lock = project.folder / "stages.lock"
    for native, foreign, expected in (("n2", "f1", here), ("n2", "f2", there), ("n3", "f3", here | there)):
        publish(registry, "base:1", native, foreign)
        assert project.built(*goals).built == set()  # the tag moves, the lock does not
        lock.unlink()
        assert project.built(*goals).built == expected
    # the images of an earlier digest are found again
    publish(registry, "base:1", "n1", "f1")
    lock.unlink()
    assert project.built(*goals).built == set()


def test_a_base_that_only_the_engine_has_needs_no_registry(project: Project, repo: str) -> None:
    """A base that only the engine has, for example loaded from a file, needs no registry."""
    tag = f"{repo}:base"

    def load(text: str) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            info = tarfile.TarInfo("base")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        subprocess.run(["docker", "import", "-", tag], input=data.getvalue(), check=True, capture_output=True)

    load(repo)
    project.write(
        {
            "stages.toml": header(repo, f'image = "{tag}"') + '[stages.lower]\npath = "lower"\n',
            "lower/Dockerfile": "FROM base\nCOPY file /lower\n",
            "lower/file": "l\n",
        }
    )
    assert project.built("lower:here").built == {"lower:here"}
    load(f"{repo} moved")
    assert project.built("lower:here").built == set()
    (project.folder / "stages.lock").unlink()
    assert project.built("lower:here").built == {"lower:here"}
