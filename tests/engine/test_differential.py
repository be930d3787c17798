"""Random edits to random small graphs, built by BuildKit from the plain folders.

If the content differs, the key must differ. In other words: if the key is the same, the content must be the
same. In every second case, the program's own build must have the same content as BuildKit's build of the
plain folder. The test counts and prints needless changes of a key. It runs 50 cases, or as many as
``STAGEGRAPH_DIFFERENTIAL_CASES`` says. They are the same ones each time; another
``STAGEGRAPH_DIFFERENTIAL_SEED`` gives others:

    STAGEGRAPH_DIFFERENTIAL_CASES=1000 STAGEGRAPH_DIFFERENTIAL_SEED=$RANDOM \\
        ./run pytest -m engine tests/engine/test_differential.py
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from kit import SUMMARY, header
from plain import Content, build, digest, read

from stagegraph.errors import StagegraphError
from stagegraph.execution.workspace import Workspace
from stagegraph.graph.graph import Graph
from stagegraph.graph.lock import Lock
from stagegraph.oci.reference import ResolvedReference
from stagegraph.project import loader
from stagegraph.project.model import Node

pytestmark = pytest.mark.engine

CASES = int(os.environ.get("STAGEGRAPH_DIFFERENTIAL_CASES", "50"))
SEED = int(os.environ.get("STAGEGRAPH_DIFFERENTIAL_SEED", "1"))

NAMES = ("a", "ab", "b", "d/x", "d/y.tmp", "d/e/z", "$S")
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
    "ARG V=0\nENV V=$V",
    'COPY ["b", "/json"]',
    "COPY <<END /here\n# kept\n  text\nEND",
    "LABEL x=y",
    "ENV P=1  Q='a b'",
    "WORKDIR /w",
    "COPY b here",
    "COPY a \\\n  # between\n  b /two/",
    "# a comment",
    "",
    # variables of other build stages, or of the parent image
    "COPY $S* /v1/",
    "COPY ${E:-b}* /v2/",
    "COPY a${V}* ${U:-b}* /v3/",
    "ENV S=b",
    "ARG E=d\nCOPY $E /v4",
    "ARG E\nCOPY ${E:-a} /v5/",
    # substitutions; a pattern is never empty
    "ARG S=d/x\nCOPY ${S%/*} /s1/",
    "ARG S=xab\nCOPY ${S#?}* /s2/",
    "COPY ${U/b/a}* /s3/",
    "COPY ${S//[a]/b}* ${E:+b} /s4/",
    "ENV W=${S:+b}\nCOPY ${W:-a} /s5/",
    "COPY \\$S* '$S'* /s6/",
    # patterns beside links
    "COPY */* /p1/",
    "COPY l* /p2/",
    "COPY link/* /p3/",
    "COPY d/*/z */x /p4/",
    "COPY [^a]* /p5/",
    # triggers
    "ONBUILD COPY own /t1",
    "ONBUILD ARG S=own\nONBUILD COPY $S* /t2/",
    "ONBUILD COPY <<END /t3\n# kept\nEND",
    "ONBUILD ENV E=own",
)
#: Steps of the build stages below the last one.
BELOW = (
    "ARG S=a",
    "ENV S=b",
    "ARG E=b",
    "ENV E=d",
    "ARG U",
    "ARG V=a\nENV V=$V",
    "ARG V=b",
    "COPY $S* /i1/",
    "ONBUILD COPY a /i2",
    "ONBUILD ARG S=d",
    "ONBUILD ENV S=a",
    "ONBUILD ARG U=b\nONBUILD COPY $U* /i3/",
    "ONBUILD COPY <<END $S* /i4/\ntext\nEND",
    "LABEL l=$S",
    "",
)
FIRST_LINES = (
    "",
    "",
    "",
    "# escape=`\n",
    "#!/bin/x\n# escape=`\n",
    "# other=x\n# escape=`\n",
    "# escape=\\\n",
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
#: The last target cannot be copied, so it is rare.
TARGETS = (*("a", "d/x", "d", "b") * 2, "/d/e", "../gone")
CHILDREN = (
    "",
    "FROM part\nCOPY own /own\n",
    "FROM scratch\nCOPY --from=part / /p\n",
    "FROM part\nARG S=own\nCOPY $S* /own/\n",
    "FROM part AS x\nARG E=own\nFROM x\nCOPY ${E}* /own/\n",
    "ARG P=part\nFROM ${P}\nARG V=own\nCOPY ${V}* /own/\n",
)
#: Targets of a link called .dockerignore; "" for a regular file.
IGNORE_LINKS = ("", "", "", "", "", "d/ignore", "/ignore", "missing", "../common")


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
    spare_is_used: bool = False
    numbered: bool = False
    below: list[list[str]] = field(default_factory=list)
    alias: str = "lower"
    name: str = "part"
    first_line: str = ""
    ignore_link: str = ""
    args: dict[str, str] = field(default_factory=dict)

    def write(self, root: Path) -> None:
        stages = f'[stages.{self.name}]\npath = "part"\n' + (
            '[stages.child]\npath = "child"\n' if self.child else ""
        )
        part = root / "part"
        part.mkdir(parents=True)
        args = ", ".join(f'{name} = "{value}"' for name, value in self.args.items())
        head = header("differential/test").replace(
            "[platforms.there]", f"args = {{ {args} }}\n[platforms.there]"
        )
        (root / "stages.toml").write_text(head + stages)
        for name, text in self.files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(text)
            (part / name).chmod(
                (0o755 if name in self.executable else 0o644) | (0o020 if self.group_writable else 0)
            )
        (part / "link").symlink_to(self.link)
        spare = f"FROM scratch AS spare\nCOPY {self.spare} /\n" if self.spare else ""
        use = "COPY --from=spare / /spare\n" if self.spare and self.spare_is_used else ""
        first = "FROM scratch AS first\nCOPY d/x /\n" if self.numbered else ""
        use += "COPY --from=0 / /0/\nCOPY --from=first / /f/\n" if self.numbered else ""
        start, parts = "scratch", ""
        for number, steps in enumerate(self.below):
            parts += f"FROM {start} AS {self.alias}{number}\n" + "\n".join(steps) + "\n"
            start = f"{self.alias}{number}"
        text = f"{spare}{first}{parts}FROM {start}\n" + "\n".join(self.steps) + "\n" + use
        (part / "Dockerfile").write_text(self.first_line + text)
        if self.ignore:
            ignore = part / ".dockerignore"
            if self.ignore_link:
                ignore.symlink_to(self.ignore_link)
                ignore = (
                    part / self.ignore_link.lstrip("/") if self.ignore_link != "missing" else part / "other"
                )
            ignore.write_text("\n".join(self.ignore) + "\n")
        if self.child:
            (root / "child").mkdir()
            (root / "child/Dockerfile").write_text(self.child.replace("part", self.name))
            for name in ("own", "a", "b"):
                (root / "child" / name).write_text(name)


variants = st.builds(
    Variant,
    files=st.fixed_dictionaries(
        {name: st.sampled_from(("1", "2")) for name in ("a", "b", "d/x", "d/e/z")},
        optional={name: st.just("1") for name in ("ab", "d/y.tmp", "$S")},
    ),
    link=st.sampled_from(TARGETS),
    steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=4),
    ignore=st.just([]) | st.lists(st.sampled_from(IGNORED), max_size=2),
    executable=st.sets(st.sampled_from(NAMES), max_size=2),
    child=st.sampled_from(CHILDREN),
    spare=st.sampled_from(("", "", "a")),
    numbered=st.booleans(),
    below=st.lists(st.lists(st.sampled_from(BELOW), min_size=1, max_size=3), max_size=2),
    first_line=st.sampled_from(FIRST_LINES),
    ignore_link=st.sampled_from(IGNORE_LINKS),
    args=st.dictionaries(st.sampled_from(("S", "U", "V")), st.sampled_from(("a", "b", "d")), max_size=2),
)

#: Kinds of edits. Those that reach the image more often occur twice.
KINDS = (
    *("content", "mode", "rename", "link", "ignore", "step", "arg") * 2,
    *("umask", "order", "spare", "below", "below", "alias", "name"),
)


#: Steps through which an edit of a kind reaches the image. About every second case adds one.
WAYS = {
    "content": ("COPY . /all", "COPY d/e d/x a* /c/"),
    "mode": ("COPY . /all", "COPY d/e d/x a* /c/"),
    "rename": ("COPY . /all", "COPY d /d"),
    "link": ("COPY . /all", "COPY link /"),
    "ignore": ("COPY . /all", "COPY d /d"),
    "arg": ("ARG S=d\nCOPY $S /s", "ARG U\nCOPY a /$U/u", "ARG V=0\nENV V=$V", "ARG V\nLABEL v=$V"),
}


def edited(variant: Variant, draw: Callable[[Any], Any]) -> tuple[str, Variant, Variant]:
    """Return the kind of an edit, the state before it, and the state after it."""
    old = copy.deepcopy(variant)
    kind: str = draw(st.sampled_from(KINDS))
    if draw(st.booleans()):
        old.spare_is_used = kind == "spare"
        if kind in WAYS:
            old.steps.append(draw(st.sampled_from(WAYS[kind])))
    if kind == "below":
        old.below = old.below or [[]]
    new = copy.deepcopy(old)
    _edit_files(new, kind, draw)
    _edit_text(new, kind, draw)
    return kind, old, new


def _edit_files(new: Variant, kind: str, draw: Callable[[Any], Any]) -> None:
    name = draw(st.sampled_from(sorted(new.files)))
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


def _edit_text(new: Variant, kind: str, draw: Callable[[Any], Any]) -> None:
    match kind:
        case "step":
            new.steps.insert(draw(st.integers(0, len(new.steps))), draw(st.sampled_from(STEPS)))
        case "order":
            new.steps = draw(st.permutations(new.steps))
        case "arg":
            declared = [arg for arg in ("S", "U", "V") if any(f"ARG {arg}" in step for step in new.steps)]
            name = draw(st.sampled_from(declared or ("S", "U", "V")))
            new.args[name] = draw(st.sampled_from(("a", "b", "d")))
        case "spare":
            new.spare = "b" if new.spare else "a"
        case "below":
            steps = draw(st.sampled_from(new.below))
            steps.insert(draw(st.integers(0, len(steps))), draw(st.sampled_from(BELOW)))
        case "alias":
            new.alias = "other"
        case "name":
            new.name = "teil"


def no_external_image(reference: str, platforms: object) -> ResolvedReference:
    raise AssertionError(f"{reference} is not part of the test")


def keys_of(root: Path, stages: list[str], name: str) -> dict[str, str | None]:
    """Return the recipe keys, or None if the program refuses. The stage ``part`` is called ``name``."""
    found: dict[str, str | None] = {}
    for stage in stages:
        try:
            graph = Graph(loader.load(root, {}, {}), Lock(root, no_external_image))
            found[stage] = graph.key(Node(name if stage == "part" else stage, "here"))
        except StagegraphError:
            found[stage] = None
    return found


def contents_of(
    root: Path, stages: list[str], args: dict[str, str], name: str, *, no_cache: bool = False
) -> dict[str, Content | None]:
    """Build the plain folders with BuildKit. Return None for a stage that BuildKit refuses."""
    part, layout = build(root / "part", args, no_cache=no_cache)
    found = {"part": part}
    if "child" in stages and part is None:
        found["child"] = None
    elif "child" in stages:
        base = {name: Path(f"{layout}@{digest(layout)}")}
        found["child"] = build(root / "child", args, no_cache=no_cache, **base)[0]
    return found


def refused_only_by_doit(keys: dict[str, str | None], contents: dict[str, Content | None]) -> bool:
    """Return true if the program refuses a stage that BuildKit builds."""
    return any(key is None and contents[stage] is not None for stage, key in keys.items())


def build_stages(root: Path, stages: list[str], name: str) -> dict[str, Content]:
    """Build the stages with the program. Return the content of their images."""
    session = Workspace.open(root, {})
    nodes = {stage: Node(name if stage == "part" else stage, "here") for stage in stages}
    for node in nodes.values():
        session.nodes.build_or_reuse(node)
    return {
        stage: read(session.layout.root, session.results.record(node).digest) for stage, node in nodes.items()
    }


@pytest.fixture(scope="module")
def counts() -> Counter[str]:
    return Counter()


@seed(SEED)
@settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def _compare(counts: Counter[str], data: st.DataObject) -> None:
    kind, before, after = edited(data.draw(variants), data.draw)
    assume(after != before)
    stages = ["part", "child"] if before.child else ["part"]
    keys, contents = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, variant in enumerate((before, after)):
            root = Path(folder) / str(number)
            variant.write(root)
            keys.append(keys_of(root, stages, variant.name))
            contents.append(contents_of(root, stages, variant.args, variant.name))
            if variant.ignore and variant.ignore_link == "../common":
                assert keys[-1]["part"] is None, "a link that BuildKit takes no notice of is followed"
                return
            if refused_only_by_doit(keys[-1], contents[-1]):
                # BuildKit may have reused a step of another build. COPY link/* has the same cache key if link
                # leads to a file and if it leads nowhere. Without the cache, BuildKit refuses the latter.
                contents[-1] = contents_of(root, stages, variant.args, variant.name, no_cache=True)
                counts["stages that BuildKit refuses without its cache"] += 1
            assert not refused_only_by_doit(keys[-1], contents[-1]), f"refused, but can be built: {variant}"
        counts["cases"] += 1
        if counts["cases"] % 2 == 0 and None not in contents[-1].values():
            counts["cases compared with what the program builds"] += 1
            assert build_stages(root, stages, after.name) == contents[-1], f"built otherwise: {after}"
    for stage in stages:
        same_key, same = keys[0][stage] == keys[1][stage], contents[0][stage] == contents[1][stage]
        if None in (contents[0][stage], contents[1][stage]):
            counts["nodes that cannot be built"] += 1
            continue
        assert same or not same_key, f"{stage} is stale after {kind}: {before} -> {after}"
        counts["nodes of the same content" if same else "nodes of other content, and other key"] += 1
        if same and not same_key:
            counts[f"needless changes of a key: {stage}, {kind}"] += 1
            print(f"needless for {stage} after {kind}: {before} -> {after}")


def test_no_edit_is_missed(
    counts: Counter[str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagegraph.build.command.COMPRESSION", "gzip")  # tarfile reads gzip
    lines = request.config.stash.setdefault(SUMMARY, [])
    try:
        _compare(counts)
    finally:
        lines.append(f"differential against BuildKit, seed {SEED}:")
        lines += [f"    {count:4} {what}" for what, count in sorted(counts.items())]
        needless = sum(count for what, count in counts.items() if what.startswith("needless"))
        lines.append(f"    {needless:4} needless changes of a key in all")
    assert counts["nodes of other content, and other key"] > counts["cases"] // 4
    assert counts["nodes of the same content"] > counts["cases"] // 6
