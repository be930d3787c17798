"""What stands between doit and the session: tags of one run, doit's memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stagegraph import tasks
from stagegraph.errors import ProjectError
from stagegraph.memory import MemoryDB
from stagegraph.model import Bootstrap, ExternalBase, Node, Platform, Stage

pytestmark = pytest.mark.unit


class _Session:
    """Names every image as ``tag=x`` or no tag does."""

    def __init__(self, tag: str) -> None:
        self.project, self._tag = self, tag

    def tag(self, image: str, platform: str) -> str:
        return f"repo:{self._tag or f'{image}-{platform}'}"


def metas(*names: str) -> list[dict[str, Any]]:
    return [
        {},
        *({"image": name, "node": Node(name, platform)} for name in names for platform in ("amd64", "arm")),
    ]


def test_two_images_of_one_run_cannot_have_one_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "session", lambda: _Session(""))
    tasks._check_tags(metas("stock", "dev"))
    monkeypatch.setattr(tasks, "session", lambda: _Session("x"))
    tasks._check_tags(metas("stock")[:2] * 2)  # the same one twice
    with pytest.raises(ProjectError, match="stock:amd64 and stock:arm would both be called repo:x"):
        tasks._check_tags(metas("stock"))


def test_doit_remembers_nothing_after_the_end(tmp_path: Any) -> None:
    file = tmp_path / "db"
    memory = MemoryDB(str(file), None)
    memory.set("a", "b", 1)
    assert memory.get("a", "b") == 1
    memory.dump()
    assert not file.exists()


def test_an_unknown_platform_is_told_by_its_name_here(monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = {"amd64": Platform("amd64", "linux/amd64"), "aarch64": Platform("aarch64", "linux/arm64")}
    top = Stage("low--top", "", {}, below="low")
    bases = {"amd64": Bootstrap("trixie"), "aarch64": ExternalBase("debian")}
    project = SimpleNamespace(platforms=platforms, stages={"low--top": top}, bases=bases)
    monkeypatch.setattr(tasks, "session", lambda: SimpleNamespace(project=project))
    words = ["stock", "stock:amd64", "stock:aarch64"]
    assert str(tasks.unknown_goal("stock:arm64", words)) == (
        "command line: no platform 'arm64'\n  arm64 is called aarch64 here"
    )
    assert tasks.unknown_goal("stock:x", words).hint == "known here: aarch64, amd64"
    assert tasks.unknown_goal("stick:x", words).what == "no stage or image 'stick:x'"
    assert tasks.unknown_goal("base:aarch64", words).what == "base:aarch64 is the image debian"
    assert tasks.unknown_goal("plann", words).hint == "did you mean 'plan'?"
    assert tasks.unknown_goal("top:amd64", words).hint == "it stands on others, as low--top"
