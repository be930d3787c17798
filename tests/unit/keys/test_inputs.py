"""Keys are unambiguous and contain the right inputs only. Differences between keys are readable."""

from __future__ import annotations

import json

import pytest
from helpers import AMD64, ARM64, facts, sha
from hypothesis import given
from hypothesis import strategies as st

from stagegraph.context.entry import Entry
from stagegraph.keys.explain import Change, diff
from stagegraph.keys.inputs import Ancestor, Input, digest, inputs
from stagegraph.keys.key import Key
from stagegraph.keys.spec import NodeSpec
from stagegraph.oci.digest import is_digest, sha256
from stagegraph.project import bootstrap
from stagegraph.project.model import Bootstrap, Node, Platform, RunOptions, StageConfig

pytestmark = pytest.mark.unit


SIMPLE = facts("FROM base\nARG A\nCOPY f /\n", args={"A": "1"})


def spec(**changes: object) -> NodeSpec:
    node = NodeSpec(
        Node("x", "amd64"),
        Platform("amd64", AMD64),
        StageConfig("x", declared_at="stages.toml:7"),
        5,
        analysis=SIMPLE,
        entries=(Entry("f", "file", sha("f")[7:], 1),),
        package_date="2025-01-31",
    )
    return node._replace(**changes)  # type: ignore[arg-type]


def running(**options: object) -> NodeSpec:
    """Return a node that runs something, with these options for it."""
    config = StageConfig("x", declared_at="stages.toml:7", run_options=RunOptions(**options))  # type: ignore[arg-type]
    return spec(config=config, analysis=SIMPLE._replace(has_run=True))


PARENT = Ancestor("parent", "0", sha("base"), "x/Dockerfile:1", "base")


def key_digest(node: NodeSpec, *ancestors: Ancestor, content: bool = False) -> str:
    return digest(inputs(node, ancestors or [PARENT], content=content))


# -- digests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (sha("x"), True),
        (sha("x").upper(), False),
        (sha("x")[:-1], False),
        (sha("x") + "0", False),
        (sha("x") + "\n", False),
        ("sha512:" + "0" * 64, False),
        (sha("x")[7:], False),
        (None, False),
        (3, False),
    ],
)
def test_is_digest(text: object, good: bool) -> None:
    assert is_digest(text) is good


def test_digest_is_fixed() -> None:
    canonical = b'[["a","b","c"],["d","","\\u00e4"]]'
    assert digest([Input("a", "b", "c", "not hashed"), Input("d", "", "ä")]) == Key(sha256(canonical))


WORDS = st.text(alphabet=st.sampled_from('ab",[]\\ \n\udcff'), max_size=4)
LISTS = st.lists(st.builds(Input, WORDS, WORDS, WORDS, st.just(""), st.just("")), max_size=4)


@given(LISTS, LISTS)
def test_different_inputs_have_different_digests(one: list[Input], other: list[Input]) -> None:
    assert (digest(one) == digest(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Input("a", "b", "c")], [Input("a", "bc", "")]),
        ([Input("a", "b", "c")], [Input("ab", "", "c")]),
        ([Input("a", "", "b"), Input("a", "", "c")], [Input("a", "", "c"), Input("a", "", "b")]),
        ([Input("a", "", "b")], [Input("a", "", "b"), Input("a", "", "b")]),
        ([Input("a", "", '","')], [Input("a", '","', "")]),
        ([], [Input("", "", "")]),
    ],
)
def test_inputs_that_are_equal_when_concatenated_have_different_digests(
    one: list[Input], other: list[Input]
) -> None:
    assert digest(one) != digest(other)


def test_the_line_of_an_input_is_not_hashed() -> None:
    assert digest([Input("a", "b", "c", "here")]) == digest([Input("a", "b", "c", "there")])


# -- what is in a key --------------------------------------------------------------------------------

MOVES = {
    "OCI platform": spec(platform=Platform("amd64", ARM64)),
    "epoch": spec(epoch=6),
    "network": spec(config=StageConfig("x", network="none"), analysis=SIMPLE._replace(has_run=True)),
    "label": spec(config=StageConfig("x", labels={"a": "1"})),
    "value of a label": spec(config=StageConfig("x", labels={"a": "2"})),
    "name of a label": spec(config=StageConfig("x", labels={"b": "1"})),
    "extra host": running(extra_hosts=(("a", "1.1.1.1"),)),
    "address of an extra host": running(extra_hosts=(("a", "1.1.1.2"),)),
    "name of an extra host": running(extra_hosts=(("b", "1.1.1.1"),)),
    "two addresses": running(extra_hosts=(("a", "1.1.1.1"), ("a", "1.1.1.2"))),
    "order of addresses": running(extra_hosts=(("a", "1.1.1.2"), ("a", "1.1.1.1"))),
    "shm size": running(shm_size=1),
    "ulimit": running(ulimits=(("core", "0:0"),)),
    "value of a ulimit": running(ulimits=(("core", "0:1"),)),
    "argument": spec(analysis=facts("FROM base\nARG A\nCOPY f /\n", args={"A": "2"})),
    "instruction": spec(analysis=facts("FROM base\nARG A\nCOPY f /g\n", args={"A": "1"})),
    "order of instructions": spec(analysis=facts("FROM base\nCOPY f /\nARG A\n", args={"A": "1"})),
    "directive": spec(analysis=facts("# escape=`\nFROM base\nARG A\nCOPY f /\n", args={"A": "1"})),
    "content of a file": spec(entries=(Entry("f", "file", sha("g")[7:], 1),)),
    "name of a file": spec(entries=(Entry("g", "file", sha("f")[7:], 1),)),
    "kind of a file": spec(entries=(Entry("f", "exec", sha("f")[7:], 1),)),
    "one more file": spec(entries=(*spec().entries, Entry("g", "dir", ""))),
    "no file": spec(entries=()),
    "package date": spec(package_date="2025-02-01"),
    "no package date": spec(package_date=""),
    "bootstrap": spec(bootstrap=Bootstrap("trixie")),
}
EVERY_OPTION = RunOptions(
    {"default": ()}, frozenset({"network.host"}), (("a", "1.1.1.1"),), 1, (("core", "0:0"),), "slow"
)
STAYS = {
    "options if nothing runs": spec(config=StageConfig("x", run_options=EVERY_OPTION)),
    "name of the target": spec(config=StageConfig("x", target="t")),
    "network if nothing runs": spec(config=StageConfig("x", network="none")),
    "name of a parent": spec(analysis=facts("FROM other AS x\nARG A\nCOPY f /\n", args={"A": "1"})),
    "argument of FROM": spec(
        analysis=facts("ARG B=base\nFROM $B\nARG A\nCOPY f /\n", args={"A": "1", "B": "o"})
    ),
    "name of the node": spec(node=Node("y", "jetson")),
    "name of the platform": spec(platform=Platform("jetson", AMD64, {"B": "1"})),
    "builder": spec(platform=Platform("amd64", AMD64, {}, ("arm-farm", "default"))),
    "folder": spec(config=StageConfig("elsewhere", dockerfile="Other")),
    "line in stages.toml": spec(config=StageConfig("x", declared_at="stages.toml:99")),
    "argument that is not declared": spec(config=StageConfig("x", args={"B": "1"})),
    "comment": spec(analysis=facts("# c\nFROM base\n\n  ARG A\n# c\nCOPY f /\n", args={"A": "1"})),
    "proxy": spec(analysis=facts("FROM base\nARG A\nCOPY f /\n", args={"A": "1", "HTTP_PROXY": "x"})),
    "content of a file in memory": spec(entries=(Entry("f", "file", sha("f")[7:], 99, b"x"),)),
    "text of the Dockerfile": spec(text="FROM base"),
}


@pytest.mark.parametrize("name", MOVES)
def test_these_changes_change_the_key(name: str) -> None:
    assert key_digest(MOVES[name]) != key_digest(spec())


@pytest.mark.parametrize(
    "options",
    [{"ssh": {"default": ()}}, {"allow": frozenset({"network.host"})}, {"cgroup_parent": "slow"}],
)
def test_options_that_change_no_result_do_not_change_the_key(options: dict[str, object]) -> None:
    assert key_digest(running(**options)) == key_digest(running())


def test_the_order_of_labels_does_not_change_the_key() -> None:
    one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert key_digest(spec(config=StageConfig("x", labels=one))) == key_digest(
        spec(config=StageConfig("x", labels=other))
    )


def test_each_of_these_changes_gives_another_key() -> None:
    assert len({key_digest(node) for node in MOVES.values()}) == len(MOVES)


@pytest.mark.parametrize("name", STAYS)
def test_these_changes_do_not_change_the_key(name: str) -> None:
    assert key_digest(STAYS[name]) == key_digest(spec())


@pytest.mark.parametrize(
    "ancestor",
    [
        PARENT._replace(digest=sha("other")),
        PARENT._replace(name="1"),
        PARENT._replace(role="image"),
    ],
)
def test_an_ancestor_changes_the_key(ancestor: Ancestor) -> None:
    assert key_digest(spec(), ancestor) != key_digest(spec())


def test_the_name_of_an_ancestor_does_not_change_the_key() -> None:
    assert key_digest(spec(), PARENT._replace(shown="bass")) == key_digest(spec())


def test_order_of_ancestors_does_not_count() -> None:
    other = Ancestor("image", "z", sha("z"))
    assert key_digest(spec(), PARENT, other) == key_digest(spec(), other, PARENT)


def test_recipe_and_content_keys_are_never_equal() -> None:
    assert key_digest(spec()) != key_digest(spec(), content=True)


@pytest.mark.parametrize(
    "changes",
    [{"suite": "sid"}, {"include": ("a",)}, {"include": ("a", "b")}, {"include": ("ab",)}],
)
def test_a_bootstrap_changes_the_key(changes: dict[str, object]) -> None:
    one = Bootstrap("trixie")
    other = one._replace(**changes)  # type: ignore[arg-type]
    assert key_digest(spec(bootstrap=one)) != key_digest(spec(bootstrap=other))


def test_order_of_packages_does_not_count() -> None:
    assert key_digest(spec(bootstrap=Bootstrap("x", ("a", "b")))) == key_digest(
        spec(bootstrap=Bootstrap("x", ("b", "a"), "f:1"))
    )


def test_the_way_to_make_a_base_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_digest(spec(bootstrap=Bootstrap("trixie")))
    monkeypatch.setattr(bootstrap, "DOCKERFILE", "FROM scratch\n")
    assert key_digest(spec(bootstrap=Bootstrap("trixie"))) != before


def test_inputs_are_ordered_by_role_and_have_their_lines() -> None:
    assert [(i.role, i.name, i.where) for i in inputs(spec(), [PARENT])] == [
        ("schema", "", ""),
        ("platform", "", ""),
        ("option", "epoch", ""),
        ("instruction", "", "x/Dockerfile:1"),
        ("instruction", "", "x/Dockerfile:2"),
        ("instruction", "", "x/Dockerfile:3"),
        ("argument", "A", "stages.toml:7"),
        ("file", "f", "x/f"),
        ("parent", "0", "x/Dockerfile:1"),
        ("archive", "", "stages.lock"),
    ]


# -- explanation -------------------------------------------------------------------------------------


def explained(old: NodeSpec, new: NodeSpec, *ancestors: Ancestor) -> list[str]:
    return [str(change) for change in diff(inputs(old, [PARENT]), inputs(new, ancestors or [PARENT]))]


def step(text: str, **args: str) -> NodeSpec:
    return spec(analysis=facts(text, args=args))


OLD, NEW = sha("f")[7:19], sha("g")[7:19]


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (spec(), spec(), []),
        (spec(), MOVES["epoch"], ["option epoch changed: 5 -> 6"]),
        (spec(), MOVES["OCI platform"], ["platform changed: linux/amd64 -> linux/arm64"]),
        (
            spec(),
            spec(
                config=StageConfig("x", network="none", declared_at="stages.toml:7"),
                analysis=SIMPLE._replace(has_run=True),
            ),
            ["stages.toml:7: option network is new: none"],
        ),
        (
            running(),
            running(extra_hosts=(("a", "1.1.1.1"),), ulimits=(("core", "0:0"),)),
            [
                "stages.toml:7: option extra host a is new: 1.1.1.1",
                "stages.toml:7: option ulimit core is new: 0:0",
            ],
        ),
        (MOVES["label"], MOVES["value of a label"], ["label a changed: 1 -> 2"]),
        (MOVES["label"], MOVES["name of a label"], ["label b is new: 1", "label a is gone (was 1)"]),
        (spec(), MOVES["argument"], ["stages.toml:7: argument A changed: 1 -> 2"]),
        (
            spec(),
            step("FROM base\nARG A\nCOPY f /\nARG B", A="1", B="2"),
            ["x/Dockerfile:4: instruction is new: ARG B", "stages.toml:7: argument B is new: 2"],
        ),
        (
            step("FROM base\nARG B\nARG A\nCOPY f /", A="1", B=""),
            spec(),
            ["instruction is gone (was ARG B)", "argument B is gone"],
        ),
        (spec(), MOVES["content of a file"], [f"x/f: file f changed: {OLD} -> {NEW}"]),
        (spec(), MOVES["kind of a file"], ["x/f: file f was a file and is an executable file"]),
        (spec(), spec(entries=(Entry("f", "link", "0"),)), ["x/f: file f was a file and is a link"]),
        (spec(), MOVES["one more file"], ["x/g: folder g is new"]),
        (spec(), MOVES["no file"], ["file f is gone"]),
        (
            spec(),
            spec(entries=(*spec().entries, Entry("li\nne \udcff", "dir", ""))),
            ["x/li\\nne \\xff: folder li\\nne \\xff is new"],
        ),
        (spec(), spec(package_date="2025-02-01"), ["stages.lock: archive changed: 2025-01-31 -> 2025-02-01"]),
        (spec(), spec(package_date=""), ["archive is gone (was 2025-01-31)"]),
        (
            step("FROM base\nRUN a\nRUN b"),
            step("FROM base\nRUN x\nRUN a\nRUN c"),
            [
                "x/Dockerfile:2: instruction is new: RUN x",
                "x/Dockerfile:4: instruction changed: RUN b -> RUN c",
            ],
        ),
        (
            step("FROM base\nRUN <<E\na\nE"),
            step("FROM base\nRUN --network=none <<E\nb\nE"),
            ["x/Dockerfile:2: instruction changed: RUN <<E 'a\\n' -> RUN --network=none <<E 'b\\n'"],
        ),
        (
            step("FROM base\nONBUILD COPY a b"),
            step("FROM base\nONBUILD COPY --link a b"),
            ["x/Dockerfile:2: instruction changed: ONBUILD COPY a b -> ONBUILD COPY --link a b"],
        ),
        (
            step("FROM base\nRUN make all\n"),
            step('FROM base\nRUN ["make", "all"]\n'),
            ['x/Dockerfile:2: instruction changed: RUN make all -> RUN ["make", "all"]'],
        ),
        (
            step("FROM base\nENV a=1 b=2\nLABEL c=1\n"),
            step("FROM base\nENV a=1 b=3\nLABEL c=2\n"),
            [
                "x/Dockerfile:2: instruction changed: ENV a=1 b=2 -> ENV a=1 b=3",
                "x/Dockerfile:3: instruction changed: LABEL c=1 -> LABEL c=2",
            ],
        ),
        (
            step("FROM base\nRUN " + "x" * 200),
            step("FROM base"),
            ["instruction is gone (was RUN " + "x" * 155 + "…)"],
        ),
        (
            spec(bootstrap=Bootstrap("a", ("curl", "gone"), "f:1")),
            spec(bootstrap=Bootstrap("a", ("curl", "new"), "f:1")),
            ["f:1: package new is new", "package gone is gone"],
        ),
    ],
)
def test_sentences(old: NodeSpec, new: NodeSpec, sentences: list[str]) -> None:
    assert explained(old, new) == sentences


@pytest.mark.parametrize(
    ("ancestor", "sentences"),
    [
        (
            PARENT._replace(digest=sha("new")),
            [f"x/Dockerfile:1: parent base changed: {sha('base')[7:19]} -> {sha('new')[7:19]}"],
        ),
        (
            Ancestor("image", "0", sha("d"), "x/Dockerfile:1", "debian"),
            ["x/Dockerfile:1: parent base is now image debian"],
        ),
    ],
)
def test_sentences_about_ancestors(ancestor: Ancestor, sentences: list[str]) -> None:
    assert explained(spec(), spec(), ancestor) == sentences


def test_every_difference_is_explained() -> None:
    """Each change that changes the key is explained by a sentence."""
    for name, node in MOVES.items():
        assert explained(spec(), node), name


@given(LISTS, LISTS)
def test_equal_digests_and_no_differences_are_the_same(one: list[Input], other: list[Input]) -> None:
    # in a recipe, role and name identify an input
    one = list({(i.role, i.name): i for i in one}.values())
    other = sorted({(i.role, i.name): i for i in other}.values())
    one.sort()
    changes = diff(one, other)
    assert (not changes) == (digest(one) == digest(other))
    assert all("\n" not in str(change) and str(change).encode() for change in changes)


def test_a_record_of_another_version_is_explained_as_far_as_possible() -> None:
    old = [Input("instruction", "", "RUN x"), Input("weather", "today", "rain")]
    assert [str(change) for change in diff(old, [])] == [
        "instruction is gone (was RUN x)",
        "weather today is gone (was rain)",
    ]


OLDER = [
    Input("schema", "", "1"),
    Input("instruction", "", '["FROM","",false,[],["base"],[],""]'),
    Input("instruction", "", '["COPY","",false,["--from=b"],["/","/"],[],""]'),
    Input("parent", "b files", sha("b")),
    Input("parent", "base", sha("base")),
]


def newer(text: str, **names: str) -> list[Input]:
    """Return the inputs of a Dockerfile. ``names`` maps names of edges to the words that are hashed."""
    found = facts(text)
    ancestors = [
        Ancestor(
            "parent",
            f"{place}{'' if edge.is_from else ' files'}",
            sha(names.get(edge.name, edge.name)),
            f"x/Dockerfile:{edge.line}",
            f"{edge.name}{'' if edge.is_from else ' files'}",
        )
        for place, edge in enumerate(found.edges)
    ]
    bare = StageConfig("x", declared_at="stages.toml:7")
    return [
        i
        for i in inputs(spec(analysis=found, entries=(), package_date="", config=bare), ancestors)
        if i.role not in ("option", "platform")
    ]


TWO = "FROM base\nCOPY --from=b / /\n"


def test_a_record_without_places_is_explained_by_names() -> None:
    assert [str(change) for change in diff(OLDER, newer(TWO))] == ["schema changed: 1 -> 2"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (TWO, []),
        (
            "FROM base\nCOPY --from=c / /\n",
            [
                "x/Dockerfile:2: instruction changed: COPY --from=b / / -> COPY --from=c / /",
            ],
        ),
        (
            "FROM base\nCOPY --from=a /a /\nCOPY --from=b / /\n",
            [
                "x/Dockerfile:2: instruction is new: COPY --from=a /a /",
            ],
        ),
        (
            "FROM b\nCOPY --from=base / /\n",
            [
                "x/Dockerfile:1: instruction changed: FROM base -> FROM b",
                "x/Dockerfile:2: instruction changed: COPY --from=b / / -> COPY --from=base / /",
            ],
        ),
    ],
)
def test_places_are_explained_by_names(text: str, sentences: list[str]) -> None:
    assert [str(change) for change in diff(newer(TWO), newer(text))] == sentences


def test_a_name_that_an_argument_changed_is_one_change() -> None:
    """The line of FROM is the same, so no instruction tells of it."""
    old = [Input("image", "0", sha("a"), "x/Dockerfile:2", "debian:12")]
    new = [Input("image", "0", sha("b"), "x/Dockerfile:2", "debian:13")]
    (change,) = diff(old, new)
    assert str(change) == "x/Dockerfile:2: image debian:12 is now debian:13"


def test_a_change_of_only_the_places_is_explained() -> None:
    one = [Input("parent", "0", sha("a"), "", "a"), Input("parent", "1", sha("b"), "", "b")]
    other = [Input("parent", "0", sha("b"), "", "b"), Input("parent", "1", sha("a"), "", "a")]
    assert digest(one) != digest(other)
    assert len(diff(one, other)) == 2
    assert not diff(one, one)


def test_role_of_a_change() -> None:
    assert Change(None, Input("file", "f", "")).role == "file"
    assert Change(Input("file", "f", ""), None).role == "file"


def test_instructions_are_stored_readably() -> None:
    stored = [i.value for i in inputs(spec(), []) if i.role == "instruction"]
    assert json.loads(stored[2])[:5] == ["COPY", "", False, [], ["f", "/"]]


def test_another_name_of_the_same_parent_is_not_a_reason() -> None:
    """The same parent by another name is no reason. A different parent is reported with its name."""

    def inputs(name: str, content: str) -> list[Input]:
        start = json.dumps(["FROM", "", False, [], ["edge 0"], [], ""])
        written = json.dumps(["FROM", "", False, [], [name], [], ""])
        return [
            Input("instruction", "", start, "x/Dockerfile:1", written),
            Input("parent", "0", sha(content), "x/Dockerfile:1", name),
        ]

    assert diff(inputs("old", "a"), inputs("new", "a")) == []
    (change,) = diff(
        [*inputs("old", "a"), Input("archive", "", "1")], [*inputs("new", "a"), Input("archive", "", "2")]
    )
    assert change.role == "archive"
    assert diff(inputs("old", "a"), inputs("new", "b"))[0].role == "instruction"


def test_a_change_of_white_space_is_shown() -> None:
    """The texts are quoted. Without quotes, they would look the same."""
    old, new = (
        inputs(spec(analysis=facts(f"FROM base\nRUN echo a{space}b\n")), [PARENT]) for space in ("  ", " ")
    )
    (change,) = diff(old, new)
    assert str(change).endswith("changed: 'RUN echo a  b' -> 'RUN echo a b'")
