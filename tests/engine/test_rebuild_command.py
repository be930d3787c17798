"""``doit rebuild``: another image under the same key; what uses it is decided by content."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from kit import Project, Registry, header, image_id, until

pytestmark = pytest.mark.engine

STAGES = """
[stages.even]
path = "even"
[stages.noisy]
path = "noisy"
[stages.copier]
path = "copier"
[stages.top]
path = "top"
[images.top]
test = "test"
"""


@pytest.fixture
def built(project: Project, repo: str, program: Path) -> Project:
    """Stages even <- noisy <- top (an image with a test), and noisy <- copier; all built."""
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "even/Dockerfile": "FROM scratch\nCOPY program /\n",
            "noisy/Dockerfile": 'FROM even\nRUN ["/program", "noise", "/random"]\n',
            "copier/Dockerfile": "FROM scratch\nCOPY --from=noisy /program /\n",
            "top/Dockerfile": "FROM noisy\nCOPY file /top\n",
            "top/file": "y\n",
            "test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "fine"]\n',
        }
    )
    shutil.copytree(program, project.folder / "even/program")
    project.built("top:here", "copier:here")
    return project


def record(project: Project, node: str) -> str:
    """Return the digest of the image that a run reuses or builds for a node."""
    return project.built(node).digests[node]


def test_a_rebuilt_node_gets_another_image_and_the_next_run_builds_on_it(built: Project, repo: str) -> None:
    old = record(built, "noisy:here")
    image = image_id(f"{repo}:top-here")
    run = built.built("rebuild", "noisy:here")
    assert run.built == {"noisy:here"}
    assert "built: noisy:here in " in run.output and "rebuilt: 1 file differs: /random" in run.output
    assert "the next run decides by content about copier:here, top-test:here, top:here" in run.output
    assert record(built, "noisy:here") == run.digests["noisy:here"] != old
    plan = built.built("plan", "top:here").output
    assert "build  top:here" in plan and "was built on other content of its parents" in plan
    assert image_id(f"{repo}:top-here") == image
    after = built.built("top:here", "copier:here")
    assert after.built == {"top:here", "copier:here", "top-test:here"}
    assert image_id(f"{repo}:top-here") != image
    assert after.digests["top:here"] == built.built("top:here").digests["top:here"]
    assert not list((built.folder / "cache/withdrawn").iterdir())


def test_the_same_content_leaves_children_alone(built: Project) -> None:
    run = built.built("rebuild", "even:here")
    assert run.built == {"even:here"} and "rebuilt: the same image as before" in run.output
    assert "decides by content" not in run.output
    again = built.built("top:here", "copier:here")
    assert not again.built


def test_an_image_is_tested_loaded_and_tagged_again(built: Project, repo: str) -> None:
    built.write({"top/Dockerfile": 'FROM noisy\nRUN ["/program", "noise", "/own"]\n'})
    before = built.built("top:here")
    run = built.built("rebuild", "top:here")
    assert run.built == {"top:here", "top-test:here"}
    assert "top:here in " in run.output and "1 file differs: /own" in run.output
    assert run.last["images"] != before.last["images"]
    assert image_id(f"{repo}:top-here") == run.last["images"][f"{repo}:top-here"]
    assert "decides by content" not in run.output


def test_several_nodes_are_rebuilt_parents_first(built: Project) -> None:
    run = built.built("rebuild", "top:here", "noisy:here")
    assert run.built == {"noisy:here", "top:here", "top-test:here"}
    assert "the next run decides by content about copier:here" in run.output


def test_missing_parents_are_built_first(built: Project) -> None:
    shutil.rmtree(built.folder / "cache")
    run = built.built("rebuild", "noisy:here")
    assert run.built == {"even:here", "noisy:here"} and "no earlier image of this key" in run.output


def test_a_failed_test_of_a_rebuilt_image_leaves_the_tag(built: Project, repo: str) -> None:
    image = image_id(f"{repo}:top-here")
    built.write({"test/Dockerfile": 'ARG IMAGE\nFROM ${IMAGE}\nRUN ["/program", "fail", "3"]\n'})
    assert built.doit("rebuild", "top:here").status == 15
    assert image_id(f"{repo}:top-here") == image


def test_a_stopped_rebuild_keeps_the_old_image(built: Project) -> None:
    built.write(
        {"noisy/Dockerfile": 'FROM even\nRUN ["/program", "noise", "/a"]\nRUN ["/program", "sleep", "3"]\n'}
    )
    old = record(built, "noisy:here")
    logs = built.folder / "cache/logs"
    shutil.rmtree(logs)
    process = built.start("rebuild", "noisy:here")
    until(lambda: logs.exists() and any(logs.iterdir()), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output, output
    assert record(built, "noisy:here") == old


def test_a_run_that_used_the_old_image_meanwhile_leaves_nothing_stale(built: Project) -> None:
    """The run builds the child of the old image, and ends after the rebuild."""
    slow = 'FROM noisy\nRUN ["/program", "sleep", "9"]\nCOPY file /top\n'
    built.write({"top/Dockerfile": slow, "copier/Dockerfile": "FROM scratch\nCOPY --from=top /random /\n"})
    log = built.folder / "cache/logs/top--here.log"
    log.unlink()
    run = built.start("copier:here")
    until(log.exists, run)
    built.built("rebuild", "noisy:here")
    assert run.poll() is None
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 0 and "built: copier:here" in output, output
    assert built.built("copier:here").built == {"top:here", "copier:here"}
    assert not built.built("copier:here").built


def test_the_registry_gets_the_new_image_and_the_old_children_are_not_pulled(
    built: Project, registry: Registry
) -> None:
    setting = f"registry={registry.host}"
    built.built(setting, "push=all", "top:here", "copier:here")
    old = record(built, "top:here")
    run = built.built(setting, "rebuild", "noisy:here")
    shutil.rmtree(built.folder / "cache/records")  # the registry still has the old image of top
    again = built.built(setting, "top:here")
    assert again.built == {"top:here", "top-test:here"} and again.nodes("pull") == {"noisy:here"}
    assert again.digests["noisy:here"] == run.digests["noisy:here"]
    shutil.rmtree(built.folder / "cache")  # another machine
    elsewhere = built.built(setting, "top:here")
    assert elsewhere.nodes("pull") == {"top:here"}
    assert elsewhere.digests["top:here"] == again.digests["top:here"] != old


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rebuild",), "rebuild takes the nodes to build again"),
        (("rebuild", "nosy:here"), "did you mean 'noisy:here'?"),
        (("run", "-a", "top:here"), "to build a node again: doit rebuild NODE"),
        (("rebuild", "-a", "top:here"), "-a has no meaning here"),
    ],
)
def test_what_rebuild_refuses(built: Project, words: tuple[str, ...], message: str) -> None:
    run = built.doit(*words)
    assert run.status == 10 and message in run.output, run.output
