"""Random edits to random small graphs, built by BuildKit from the plain folders.

Whenever the content differs, the key must differ; in other words, whenever the key is unchanged, the content
must be the same. Needless changes of a key are counted and printed. Cases: 50, or as many as
``STAGEGRAPH_DIFFERENTIAL_CASES`` says:

    STAGEGRAPH_DIFFERENTIAL_CASES=1000 ./run pytest -m engine tests/engine/test_differential.py -s
"""

from __future__ import annotations

import copy
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kit import header
from plain import Content, build, digest

from stagegraph import config
from stagegraph.errors import StagegraphError
from stagegraph.graph import Graph
from stagegraph.lock import Lock, Resolved
from stagegraph.model import Node

pytestmark = pytest.mark.engine

CASES = int(os.environ.get("STAGEGRAPH_DIFFERENTIAL_CASES", "50"))

NAMES = ("a", "ab", "b", "d/x", "d/y.tmp", "d/e/z")
STEPS = (
    "COPY a /",
    "COPY a* /o/",
    "COPY d /d",
    "COPY . /all",
    "COPY d/e/ /e/",
    "COPY link /",
    "COPY d/*.tmp b /t/",
    "ADD b /b",
    "COPY --chmod=644 a /m",
    "ARG S=d\nCOPY $S /s",
    "ENV E=a\nCOPY ${E} /env",
    "ARG U\nCOPY ${U:-b} /u",
    'COPY ["b", "/json"]',
    "COPY <<END /here\n# kept\n  text\nEND",
    "LABEL x=y",
    "ENV P=1  Q='a b'",
    "WORKDIR /w",
    "COPY a \\\n  # between\n  b /two/",
    "# a comment",
    "",
)
IGNORED = (
    "d",
    "**/*.tmp",
    "!d/y.tmp",
    "d/*",
    "a",
    "*",
    "!b",
    "Dockerfile",
    ".dockerignore",
    "# a",
    "d/**",
    "!d/e",
    "?",
)
TARGETS = ("a", "d/x", "d", "b")
CHILDREN = ("", "FROM part\nCOPY own /own\n", "FROM scratch\nCOPY --from=part / /p\n")


@dataclass
class Variant:
    """One state of a small project: the stage ``part`` and, if it has a Dockerfile, the stage ``child``."""

    files: dict[str, str]
    link: str
    steps: list[str]
    ignore: list[str] = field(default_factory=list)
    executable: set[str] = field(default_factory=set)
    group_writable: bool = False
    child: str = ""
    spare: str = ""

    def write(self, root: Path) -> None:
        stages = '[stages.part]\npath = "part"\n' + ('[stages.child]\npath = "child"\n' if self.child else "")
        part = root / "part"
        part.mkdir(parents=True)
        (root / "stages.toml").write_text(header("differential/test") + stages)
        for name, text in self.files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(text)
            (part / name).chmod(
                (0o755 if name in self.executable else 0o644) | (0o020 if self.group_writable else 0)
            )
        (part / "link").symlink_to(self.link)
        spare = f"FROM scratch AS spare\nCOPY {self.spare} /\n" if self.spare else ""
        (part / "Dockerfile").write_text(spare + "FROM scratch\n" + "\n".join(self.steps) + "\n")
        if self.ignore:
            (part / ".dockerignore").write_text("\n".join(self.ignore) + "\n")
        if self.child:
            (root / "child").mkdir()
            (root / "child/Dockerfile").write_text(self.child)
            (root / "child/own").write_text("own")


variants = st.builds(
    Variant,
    files=st.fixed_dictionaries(
        {name: st.sampled_from(("1", "2")) for name in ("a", "b", "d/x", "d/e/z")},
        optional={name: st.just("1") for name in ("ab", "d/y.tmp")},
    ),
    link=st.sampled_from(TARGETS),
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4),
    ignore=st.lists(st.sampled_from(IGNORED), max_size=2),
    executable=st.sets(st.sampled_from(NAMES), max_size=2),
    child=st.sampled_from(CHILDREN),
    spare=st.sampled_from(("", "", "a")),
)


def edited(variant: Variant, draw: Callable[[Any], Any]) -> tuple[str, Variant]:
    """Another state, one edit away."""
    new = copy.deepcopy(variant)
    name = draw(st.sampled_from(sorted(new.files)))
    kind = draw(
        st.sampled_from(("content", "mode", "umask", "rename", "link", "ignore", "step", "order", "spare"))
    )
    match kind:
        case "content":
            new.files[name] += "!"
        case "mode":
            new.executable ^= {name}
        case "umask":
            new.group_writable = True
        case "rename":
            new.files[draw(st.sampled_from((*NAMES, "new", "d/new")))] = new.files.pop(name)
        case "link":
            new.link = draw(st.sampled_from(TARGETS))
        case "ignore":
            new.ignore.insert(draw(st.integers(0, len(new.ignore))), draw(st.sampled_from(IGNORED)))
        case "step":
            new.steps.insert(draw(st.integers(0, len(new.steps))), draw(st.sampled_from(STEPS)))
        case "order":
            new.steps = draw(st.permutations(new.steps))
        case "spare":
            new.spare = "b" if new.spare else "a"
    return kind, new


def nothing_outside(reference: str) -> Resolved:
    raise AssertionError(f"{reference} is not part of the test")


def key(root: Path, stage: str) -> str | None:
    """The recipe key, or None where the program refuses."""
    try:
        return Graph(config.load(root, {}, {}), Lock(root, nothing_outside)).key(Node(stage, "here"))
    except StagegraphError:
        return None


def content(root: Path, stage: str) -> Content | None:
    part, layout = build(root / "part")
    if stage == "part" or part is None:
        return part
    return build(root / "child", part=Path(f"{layout}@{digest(layout)}"))[0]


@pytest.fixture(scope="module")
def counts() -> Counter[str]:
    return Counter()


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def _compare(counts: Counter[str], data: st.DataObject) -> None:
    before = data.draw(variants)
    kind, after = edited(before, data.draw)
    stage = "child" if before.child else "part"
    with tempfile.TemporaryDirectory() as folder:
        keys, contents = [], []
        for number, variant in zip(itertools.count(), (before, after), strict=False):
            root = Path(folder) / str(number)
            variant.write(root)
            keys.append(key(root, stage))
            contents.append(content(root, stage))
            # what is known only to the build is refused by the build
            assert keys[-1] is not None or contents[-1] is None, f"refused, but can be built: {variant}"
    counts["cases"] += 1
    if None in contents:
        counts["cannot be built"] += 1
        return
    stale = keys[0] == keys[1] and contents[0] != contents[1]
    assert not stale, f"stale after {kind}: {before} -> {after}"
    if contents[0] == contents[1]:
        counts["same content"] += 1
        if keys[0] != keys[1]:
            counts[f"needless change of key ({kind})"] += 1
    else:
        counts["other content, other key"] += 1


def test_no_edit_is_missed(counts: Counter[str], capsys: pytest.CaptureFixture[str]) -> None:
    _compare(counts)
    with capsys.disabled():
        print("\n" + "\n".join(f"    {count:4} {what}" for what, count in sorted(counts.items())))
    assert counts["other content, other key"] > counts["cases"] // 10
    assert counts["same content"] > counts["cases"] // 10
