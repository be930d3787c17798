"""The dependencies of a Dockerfile, by the rules of BuildKit and the Dockerfile reference."""

from __future__ import annotations

import pytest
from helpers import ARM64, facts, sha

from stagegraph.dockerfile.dependencies import Edge
from stagegraph.dockerfile.directives import without_syntax
from stagegraph.dockerfile.triggers import triggers
from stagegraph.errors import DockerfileError
from stagegraph.oci.platform import NO_PLATFORM

pytestmark = pytest.mark.unit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fault(text: str, **given: object) -> str:
    with pytest.raises(DockerfileError) as error:
        facts(text, **given)  # type: ignore[arg-type]
    return str(error.value)


def names(text: str, **given: object) -> list[tuple[str, str, bool]]:
    found = facts(text, **given)  # type: ignore[arg-type]
    return [(edge.name, edge.platform, edge.is_from) for edge in found.edges]


def sources(text: str, **given: object) -> list[str] | None:
    found = facts(text, **given).sources  # type: ignore[arg-type]
    return None if found is None else [source for source, _ in found]


def canonical(text: str) -> list[tuple[object, ...]]:
    return [step.canonical for step in facts(text).instructions]


# -- names in FROM and from= -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("FROM base", [("base", "", True)]),
        ("FROM scratch", []),
        ("FROM scratch\nCOPY --from=scratch / /", []),
        ("FROM base\nCOPY --from=blas / /", [("base", "", True), ("blas", "", False)]),
        (
            "FROM base\nCOPY --link --from=blas / /\nCOPY --from=blas /a /b",
            [("base", "", True), ("blas", "", False)],
        ),
        ("FROM blas\nCOPY --from=blas / /", [("blas", "", True), ("blas", "", False)]),
        ("FROM base\nRUN --mount=from=tools,target=/t x", [("base", "", True), ("tools", "", False)]),
        (
            "FROM base\nRUN --mount=type=cache,from=tools,target=/t x",
            [("base", "", True), ("tools", "", False)],
        ),
        (
            'FROM base\nRUN --mount="type=bind,from=tools,target=/t" x',
            [("base", "", True), ("tools", "", False)],
        ),
        ("FROM base\nRUN --mount=type=bind,from=,target=/t x", [("base", "", True)]),
        ('FROM base\nCOPY --from="" a /a', [("base", "", True)]),
        ("FROM base AS one\nFROM one\nCOPY --from=one / /", [("base", "", True)]),
        ("FROM base AS one\nFROM scratch\nCOPY --from=ONE / /", [("base", "", True)]),
        ("FROM base AS one\nFROM scratch\nCOPY --from=0 / /", [("base", "", True)]),
        ("FROM a AS x\nFROM b AS x\nFROM scratch\nCOPY --from=x / /", [("b", "", True)]),
        # FROM reads a number as the name of an image
        ("FROM a\nFROM 0", [("0", "", True)]),
    ],
)
def test_edges(text: str, edges: list[tuple[str, str, bool]]) -> None:
    assert names(text) == edges


def test_each_edge_has_its_line() -> None:
    found = facts("# one\nFROM base\n\nCOPY --from=blas \\\n  /a \\\n  /b\n").edges
    assert found == (
        Edge("base", NO_PLATFORM, 2, True, bare=True),
        Edge("blas", NO_PLATFORM, 4, False, bare=True),
    )


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("debian", "debian"),
        ("debian:latest", "debian"),
        ("docker.io/library/debian:12", "debian:12"),
        ("index.docker.io/library/debian", "debian"),
        ("library/debian", "debian"),
        ("docker.io/grafana/grafana", "grafana/grafana"),
        ("library/a/b", "library/a/b"),
        ("quay.io/a/b:latest", "quay.io/a/b"),
        (f"debian:12@{sha('x')}", f"debian:12@{sha('x')}"),
    ],
)
def test_names_are_compared_as_buildkit_compares_them(said: str, name: str) -> None:
    assert names(f"FROM {said}") == [(name, "", True)]
    assert names(f"FROM scratch\nCOPY --from={said} / /") == [(name, "", False)]


@pytest.mark.parametrize(
    ("platform", "asked"),
    [
        ("linux/amd64", ""),
        ("$TARGETPLATFORM", ""),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/x86_64", ""),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/${TARGETARCH}", ""),
    ],
)
def test_platform_of_from(platform: str, asked: str) -> None:
    assert names(f"FROM --platform={platform} base") == [("base", asked, True)]


def test_copy_from_an_image_takes_the_target_platform_not_that_of_the_build_stage() -> None:
    text = "FROM --platform=linux/arm64 base\nCOPY --from=blas / /"
    assert names(text) == [("base", "linux/arm64", True), ("blas", "", False)]


# -- arguments in names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args", "name"),
    [
        ("ARG BASE_IMAGE=debian:12\nFROM ${BASE_IMAGE}", {}, "debian:12"),
        ("ARG BASE_IMAGE=debian:12\nFROM $BASE_IMAGE", {"BASE_IMAGE": "blas"}, "blas"),
        ("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}", {"BASE_IMAGE": "blas"}, "blas"),
        ("ARG A=blas\nARG B=$A\nFROM $B", {}, "blas"),
        ("ARG A=blas B=$A\nFROM $B", {}, "blas"),
        ("ARG A\nFROM ${A:-blas}", {}, "blas"),
        ("ARG A=x\nFROM ${A:+blas}", {}, "blas"),
        ("FROM tool-$TARGETARCH", {}, "tool-amd64"),
        ("ARG TARGETARCH=mine\nFROM tool-$TARGETARCH", {}, "tool-mine"),
        ('ARG A="blas"\nFROM $A', {}, "blas"),
    ],
)
def test_argument_in_from(text: str, args: dict[str, str], name: str) -> None:
    assert names(text, args=args) == [(name, "", True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ARG A\nFROM $A", "FROM $A"),
        ("FROM $A", "FROM $A"),
        ("ARG HTTP_PROXY\nFROM $HTTP_PROXY", "FROM $HTTP_PROXY"),
        ("ARG SOURCE_DATE_EPOCH=1\nFROM a-$SOURCE_DATE_EPOCH", "FROM a-$SOURCE_DATE_EPOCH"),
        ("ARG A=$SOURCE_DATE_EPOCH\nARG SOURCE_DATE_EPOCH\nARG B=x$SOURCE_DATE_EPOCH\nFROM $B", "FROM $B"),
        ("FROM --platform=$A base", "FROM --platform=$A"),
    ],
)
def test_a_name_that_is_known_only_during_the_build_is_an_error(text: str, said: str) -> None:
    line = text.count("\n") + 1
    assert fault(text) == (
        f"x/Dockerfile:{line}: {said}: the name is empty, or only known during the build\n"
        "  give the argument a value in stages.toml, or a default before the first FROM"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ARG N=x\nFROM scratch\nCOPY --from=$N / /",
            "x/Dockerfile:3: from=$N: BuildKit does not expand variables here\n"
            "  name it first: FROM $NAME AS alias, then from=alias",
        ),
        (
            "FROM scratch\nFROM scratch\nRUN --mount=from=0,target=/x x",
            "x/Dockerfile:3: from=0: a mount cannot use a number\n"
            "  name the build stage with FROM ... AS NAME",
        ),
        ("FROM scratch\nCOPY --from=0 / /", "x/Dockerfile:2: from=0: no earlier build stage has this number"),
        (
            "FROM scratch\nCOPY --from=a --from=b / /",
            "x/Dockerfile:2: --from is written twice\n  remove one of the two",
        ),
        (
            "FROM scratch\nFROM scratch\nCOPY --from=+0 / /",
            "x/Dockerfile:3: from=+0: the number has a sign\n  write only the digits",
        ),
        (
            "FROM scratch\nCOPY --from=later / /\nFROM scratch AS later\nFROM scratch\nCOPY --from=0 / /",
            "x/Dockerfile:2: from=later: the build stage is defined here or later\n  move it up",
        ),
        (
            "FROM scratch AS own\nCOPY --from=own / /",
            "x/Dockerfile:2: from=own: the build stage is defined here or later\n  move it up",
        ),
    ],
)
def test_an_invalid_from_is_an_error(text: str, said: str) -> None:
    assert fault(text) == said


@pytest.mark.parametrize(
    ("text", "where"),
    [
        # BuildKit would use the context named base, not the build stage, and the COPY would be lost
        ("FROM base AS base\nCOPY a /a\nFROM base\n", "1"),
        ("FROM base AS x\nFROM x AS BASE\n", "2"),
        ("FROM docker.io/library/base:latest AS base\n", "1"),
        ("FROM scratch AS x\nCOPY --from=y / /\nFROM x AS y\n", ""),
    ],
)
def test_a_build_stage_named_like_an_external_image_is_an_error(text: str, where: str) -> None:
    said = fault(text)
    assert said.startswith("x/Dockerfile:")
    if where:
        assert said == (
            f"x/Dockerfile:{where}: AS base hides the external image of the same name in line 1\n"
            "  rename this build stage"
        )


def test_an_unused_build_stage_may_be_named_like_an_external_image() -> None:
    assert names("FROM other AS base\nFROM scratch AS last\nFROM last") == []


# -- build stages ------------------------------------------------------------------------------------


THREE = "FROM a AS one\nRUN 1\nFROM b AS two\nCOPY f /\nFROM c AS three\nRUN 3\n"


@pytest.mark.parametrize(
    ("target", "edges", "steps"),
    [("", ["c"], ["FROM", "RUN"]), ("two", ["b"], ["FROM", "COPY"]), ("ONE", ["a"], ["FROM", "RUN"])],
)
def test_only_build_stages_that_the_target_reaches_count(
    target: str, edges: list[str], steps: list[str]
) -> None:
    found = facts(THREE, target=target)
    assert [edge.name for edge in found.edges] == edges
    assert [step.cmd for step in found.instructions] == steps


def test_unreached_build_stage_needs_no_argument_file_or_archive() -> None:
    found = facts(
        "ARG G=1\nFROM a\nARG A\nCOPY x /\nRUN apt-get update\nFROM b\nARG B\n", args={"A": "1", "B": "2"}
    )
    assert dict(found.args) == {"B": "2"}
    assert found.sources == ()
    assert not found.installs_packages


@pytest.mark.parametrize("flag", ["--parents", "--parents=true"])
def test_a_pattern_with_the_option_parents_takes_the_whole_context(flag: str) -> None:
    assert facts(f"FROM base\nCOPY {flag} **/*.txt /o/").sources is None


def test_the_number_of_a_build_stage_is_hashed_as_a_place() -> None:
    """An unused build stage changes the numbers of the others. The key stays the same."""
    stages = "FROM scratch AS a\nCOPY a /f\nFROM scratch AS b\nCOPY b /f\nFROM b\nCOPY --from=a /f /g\n"

    def found(text: str) -> list[tuple[object, ...]]:
        return [step.placed or step.canonical for step in facts(text).instructions]

    whole = found(f"{stages}COPY --from=1 /f /h")
    unused = "FROM scratch AS u\nCOPY u /u\n"
    assert found(f"{unused}{stages}COPY --from=1 /f /h") != whole
    assert found(f"{unused}{stages}COPY --from=2 /f /h") == whole
    assert found(f"{stages}COPY --from=0 /f /h") == found(f"{unused}{stages}COPY --from=1 /f /h")


def test_unknown_target() -> None:
    assert fault(THREE, target="tow") == "x/Dockerfile: has no stage 'tow'\n  did you mean 'two'?"


# -- arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("FROM a\nARG A", {"A": "1"}),
        ("FROM a\nARG A=x B=y", {"A": "1", "B": "2"}),
        ("ARG A\nFROM a", {"A": "1"}),
        ("FROM a", {}),
        ("FROM a\nARG a", {}),
        ("FROM a\nENV A=1", {}),
        ("FROM a\nARG HTTP_PROXY\nARG no_proxy\nARG SOURCE_DATE_EPOCH", {}),
        ("FROM a\nONBUILD ARG A", {}),
    ],
)
def test_only_declared_arguments_count(text: str, args: dict[str, str]) -> None:
    given = {"A": "1", "B": "2", "HTTP_PROXY": "p", "no_proxy": "p", "SOURCE_DATE_EPOCH": "5"}
    assert dict(facts(text, args=given).args) == args


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("FROM --platform=$BUILDPLATFORM base", {"BUILDPLATFORM": "linux/amd64"}),
        ("FROM base\nARG BUILDARCH", {"BUILDARCH": "amd64"}),
        ("ARG P=$BUILDPLATFORM\nFROM --platform=$P base", {"BUILDPLATFORM": "linux/amd64"}),
        ("ARG BUILDPLATFORM\nFROM --platform=$BUILDPLATFORM base", {"BUILDPLATFORM": "linux/amd64"}),
        # not with a default in the Dockerfile, and not in a build stage that the target does not need
        ("ARG BUILDPLATFORM=linux/arm64\nFROM --platform=$BUILDPLATFORM base", {}),
        ("FROM --platform=$BUILDPLATFORM base\nFROM base", {}),
        ("FROM base\nARG BUILDARCH=x", {}),
        ("FROM base\nRUN echo $BUILDARCH", {}),
        ("FROM base\nARG TARGETARCH", {}),
    ],
)
def test_the_build_platform_counts_only_where_it_is_used(text: str, args: dict[str, str]) -> None:
    assert dict(facts(text, docker=ARM64).args) == args


def test_a_default_for_an_argument_that_doit_sends_is_an_error() -> None:
    """A default in a build stage is an error. BuildKit uses it, but a value that doit sends overrides it."""
    said = fault("FROM --platform=$BUILDPLATFORM base\nARG BUILDPLATFORM=x")
    assert said.startswith("x/Dockerfile:2: ARG BUILDPLATFORM has a default here")
    assert "ARG BUILDARCH has a default" in fault(
        "FROM base AS a\nARG BUILDARCH\nFROM base\nARG A BUILDARCH=x\nCOPY --from=a / /"
    )
    text = "FROM --platform=$BUILDPLATFORM base\nARG BUILDPLATFORM=x"
    assert facts(text, args={"BUILDPLATFORM": "linux/arm64"}).args == {"BUILDPLATFORM": "linux/arm64"}


@pytest.mark.parametrize(
    "head",
    [
        "ARG BUILDARCH=foo\nARG BUILDARCH",
        "ARG TARGETARCH",
        "ARG A=amd64\nARG A",
        "ARG TARGETARCH\nARG A=$TARGETARCH",
        "ARG A=x\nARG A B",
    ],
)
def test_a_global_argument_that_is_declared_again(head: str) -> None:
    """The value depends on the version of BuildKit: empty, or the value before."""
    name = "A" if "A=" in head else head.rpartition(" ")[2]
    said = fault(f"{head}\nFROM base-${{{name}:-bar}}")
    assert "the name is empty, or only known during the build" in said
    assert (f"remove ARG {name}" in said) == (name != "A")
    assert facts(f"{head}\nFROM base-${{{name}:-bar}}", args={"A": "x", name: "x"}).edges


# -- paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("COPY a b /x/", ["a", "b"]),
        ('COPY ["a b", "c", "/x/"]', ["a b", "c"]),
        ("COPY --chmod=u+x --link a /x", ["a"]),
        ("ADD a.tar /", ["a.tar"]),
        ("ADD github.com/a/b /", ["github.com/a/b"]),
        # a backslash does not join words, as in BuildKit
        ("COPY a\\ b /x", ["a", "b"]),
        ("COPY <<E /x\nhi\nE", []),
        ("COPY <<E a /x/\nhi\nE", ["a"]),
        ('COPY <<-"E" <<F /x/\nhi\nE\nCOPY b /\nF', []),
        ("COPY *.txt dir/ /x/", ["*.txt", "dir/"]),
        ("COPY --from=other a /x", []),
        ("ARG A=f\nCOPY $A /", ["f"]),
        ("ARG A\nCOPY ${A:-f} /", None),
        ("ENV A=f\nCOPY ${A}.txt /", ["f.txt"]),
        ("COPY $A /", None),
        ("COPY $HOME/x /", None),
        ("COPY '$A' /", ["$A"]),
        ("ARG A=f\nCOPY ${A:-$B} /", ["f"]),
        ("ARG A=f\nCOPY ${A:+$B} /", None),
        ("ENV A=$PATH\nCOPY $A /", None),
        ("ENV A=f\nENV A=g B=$A\nCOPY $B /", ["f"]),
        ("ARG A=f\nARG A=g B=$A\nCOPY $B /", None),
        ("ENV A=f\nARG A=g\nCOPY $A /", ["g"]),
        ("ARG A=g\nENV A=f\nARG A\nCOPY $A /", ["f"]),
        ("ENV A f g\nCOPY $A /", ["f g"]),
        ("ENV $X=f\nCOPY g /", None),
        ("ARG HTTP_PROXY=x\nCOPY $HTTP_PROXY /", None),
        ("ARG TARGETARCH\nCOPY $TARGETARCH /", ["amd64"]),
        ("COPY $TARGETARCH /", None),
        ("RUN --mount=target=/x x", ["."]),
        ("RUN --mount=type=bind,source=a,target=/x x", ["a"]),
        ("RUN --mount=type=bind,src=a,dst=/x,ro x", ["a"]),
        ("ARG A=f\nRUN --mount=type=bind,src=$A,dst=/x x", ["f"]),
        ("RUN --mount=type=bind,src=$A,dst=/x x", None),
        ("RUN --mount=type=cache,target=/x x", []),
        ("RUN --mount=type=tmpfs,target=/x --mount=type=ssh --mount=type=secret,id=a x", []),
        ("RUN cat a", []),
        ("COPY a /\nCOPY a /", ["a", "a"]),
    ],
)
def test_paths(text: str, paths: list[str] | None) -> None:
    assert sources(f"FROM base\n{text}\n") == paths


def test_argument_of_the_project_in_a_path() -> None:
    assert sources("FROM base\nARG A=f\nCOPY $A /", args={"A": "g"}) == ["g"]


def test_a_global_argument_in_a_path() -> None:
    assert sources("ARG A=f\nFROM base\nARG A\nCOPY $A /") == ["f"]
    assert sources("ARG A=f\nFROM base\nCOPY $A /") is None


SCOPES = [
    # FROM a build stage: its arguments and its ENV are set; ENV wins, in any order
    ("FROM scratch AS x\nARG A=f\nFROM x\nCOPY $A /", ["f"]),
    ("FROM base AS x\nENV A=f\nFROM x\nCOPY $A /", ["f"]),
    ("FROM scratch AS x\nENV A=f\nARG A=g\nCOPY $A /\nFROM x\nCOPY $A /", ["g", "f"]),
    ("FROM scratch AS x\nARG A=g\nENV A=f\nFROM x\nCOPY $A /", ["f"]),
    ("FROM scratch AS x\nENV A=f\nFROM x AS y\nARG A=g\nFROM y\nCOPY $A /", ["f"]),
    ("FROM scratch AS x\nENV A=f\nARG A=g\nFROM x AS y\nENV A=$A\nFROM y\nCOPY $A /", ["f"]),
    ("FROM scratch AS x\nARG A=f\nENV A=$A\nARG A=g\nFROM x\nCOPY $A /", ["f"]),
    ("FROM base AS x\nENV A=$B\nARG A=g\nFROM x\nCOPY $A /", None),
    # the external image may set the variable by ENV, which wins, too
    ("FROM base AS x\nARG A=f\nCOPY $A /\nFROM x\nRUN y", ["f"]),
    ("FROM base AS x\nARG A=f\nFROM x\nCOPY $A /", None),
    ("FROM base AS x\nARG A=f\nFROM x\nARG A=g\nCOPY $A /", ["g"]),
    ("ARG A=f\nFROM base AS x\nARG A\nFROM x\nARG A\nCOPY $A /", ["f"]),
    # FROM scratch: only PATH is set
    ("FROM scratch\nARG W\nCOPY ${W:-a} /", ["a"]),
    ("FROM scratch AS x\nFROM x\nCOPY ${W:-a} /", ["a"]),
    ("FROM scratch\nCOPY ${PATH:-a} /", None),
    ("FROM scratch\nENV PATH=a\nCOPY ${PATH} /", ["a"]),
    ("FROM scratch\nARG HTTP_PROXY\nCOPY a$HTTP_PROXY /", None),
    # some versions of BuildKit set these arguments
    ("FROM scratch\nARG TARGETSTAGE\nCOPY ${TARGETSTAGE:-a} /", None),
    ("FROM scratch\nARG TARGETSTAGE=f\nCOPY $TARGETSTAGE /", ["f"]),
    ("FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=f\nCOPY ${BUILDKIT_SBOM_SCAN_STAGE:-a} /", None),
]


@pytest.mark.parametrize(("text", "paths"), SCOPES)
def test_variables_of_one_build_stage_in_the_next(text: str, paths: list[str] | None) -> None:
    assert sources(text) == paths


TRIGGERS = [
    ("FROM base AS x\nONBUILD COPY a /\nFROM x", ["a"]),
    ("FROM base\nONBUILD COPY a /", []),
    ("FROM base AS x\nONBUILD COPY a /\nFROM x AS y\nFROM y", ["a"]),
    ("FROM base AS x\nONBUILD COPY a /\nFROM x AS y\nONBUILD COPY b /\nFROM y", ["a", "b"]),
    ("FROM base AS x\nONBUILD COPY a /\nFROM scratch\nCOPY --from=x / /", []),
    ("FROM scratch AS x\nONBUILD ARG V=a\nONBUILD COPY $V* /o/\nFROM x", ["a*"]),
    ("FROM scratch AS x\nONBUILD ENV V=a\nFROM x\nCOPY $V /", ["a"]),
    ("FROM scratch AS x\nONBUILD ENV V=a\nFROM x AS y\nARG V=b\nFROM y\nCOPY $V /", ["a"]),
    ("FROM base AS x\nENV V=a\nONBUILD COPY $V /\nFROM x\nENV V=b", ["a"]),
    ("FROM base AS x\nONBUILD RUN --mount=type=bind,source=a,target=/a x\nFROM x", ["a"]),
    ("FROM base AS x\nONBUILD ENV $Q=a\nFROM x", None),
    ("FROM base AS x\nONBUILD COPY <<E a /o/\nx\nE\nFROM x", ["a"]),
]


@pytest.mark.parametrize(("text", "paths"), TRIGGERS)
def test_triggers_of_a_build_stage(text: str, paths: list[str] | None) -> None:
    """Triggers run first in its child build stages, with its variables. Grandchildren do not run them."""
    assert sources(text) == paths


def test_arguments_of_a_trigger_of_a_build_stage() -> None:
    text = "FROM base AS x\nONBUILD ARG V\nONBUILD ARG BUILDARCH\n"
    assert dict(facts(f"{text}FROM x", args={"V": "1"}).args) == {"V": "1", "BUILDARCH": "amd64"}
    assert not facts(text, args={"V": "1"}).args
    assert "ARG BUILDARCH has a default here" in fault(f"{text}FROM x AS y\nARG BUILDARCH=x\nFROM y")
    assert facts("FROM a AS x\nONBUILD RUN --mount=type=secret,id=s x\nFROM x").secrets == {"s"}


def test_inline_file_of_a_trigger() -> None:
    one = "FROM scratch\nONBUILD COPY \\\n  <<E <<-'F' /o/\nx\nE\n\ty\nF\n"
    assert canonical(one) != canonical(one.replace("x\n", "z\n"))
    assert canonical(one) != canonical(one.replace("y", "z"))
    assert triggers(one, "x")[0].heredocs == (("E", 0, "x\n"), ("F", 0, "\ty\n"))
    assert canonical("# escape=`\nFROM scratch\nonbuild RUN `\n  <<E\nx\nE\nCOPY a /")[2][0] == "COPY"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ONBUILD COPPY a /", "unknown instruction COPPY"),
        ("ONBUILD", "ONBUILD"),
        ("ONBUILD RUN <<E", "unterminated heredoc"),
    ],
)
def test_an_invalid_trigger_is_an_error(line: str, said: str) -> None:
    assert said in fault(f"FROM a AS x\n\n{line}")
    assert said in fault(f"FROM a AS x\n\n{line}\nFROM x")


@pytest.mark.parametrize(
    ("line", "moded"),
    [
        ("COPY --chmod=644 a /", ["a"]),
        ("ADD --chmod=0755 a b /", ["a", "b"]),
        ("COPY --chmod=u+x a /", []),
        ("COPY --chmod=$M a /", []),
        ("COPY --chmod=644 --from=x a /", []),
        ("COPY --chown=1 a /", []),
        ("COPY --chmod=644 $X /", []),
    ],
)
def test_paths_whose_mode_the_instruction_sets(line: str, moded: list[str]) -> None:
    found = facts(f"FROM base AS x\nFROM base\n{line}\nCOPY c /")
    assert [source for source, _ in found.chmod_sources] == moded
    assert found.sources is None or [s for s, _ in found.sources if s in moded] == []


def test_lines_of_paths() -> None:
    assert facts("FROM a\nCOPY x /\n\nCOPY y /\n").sources == (("x", 2), ("y", 4))


def test_escape() -> None:
    found = facts("# escape=`\nFROM base\nRUN a `\n  b\nCOPY a\\b c`d /\n")
    assert found.instructions[1].value == ("a   b",)
    assert found.sources == (("a\\b", 5), ("cd", 5))
    assert dict(found.directives) == {"escape": "`"}


# -- sources on the network --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        f"ADD --checksum={sha('x')} https://example.org/a /",
        f"ADD https://example.org/a.git#{COMMIT} /",
        f"ADD https://example.org/a.git#{COMMIT}:sub /",
        f"ADD git@example.org:a/b.git#{COMMIT} /",
        f"ARG S={sha('x')}\nADD --checksum=$S https://example.org/a /",
        "ADD ./https:/a /",
        "ADD HTTP://is-a-path /",
    ],
)
def test_a_pinned_source_is_accepted(line: str) -> None:
    assert facts(f"FROM base\n{line}").edges


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/a",
        "http://example.org/a#" + COMMIT,
        "https://example.org/a.git",
        "https://example.org/a.git#main",
        "https://example.org/a.git#" + COMMIT[:12],
        "git@example.org:a/b.git",
        "someone@example.org:a",
        "git://example.org/a",
        "ssh://git@example.org/a",
    ],
)
def test_an_unpinned_source_is_an_error(source: str) -> None:
    text = f"FROM base\n\nADD {source} /\n"
    hint = "add --checksum=sha256:... (for git: a full commit after #), use COPY for a local file, or set "
    assert (
        fault(text) == f'x/Dockerfile:3: ADD {source} is not pinned\n  {hint}unpinned = "allow" for the stage'
    )
    assert facts(text, unpinned=True).sources == ()
    assert "is not pinned" in fault(f"FROM base\nONBUILD ADD {source} /\n")
    assert "is not pinned" in fault(f"FROM base\nONBUILD\tADD  {source} /\n")


@pytest.mark.parametrize("word", ['"http://a/b"', "h'ttp://a/b'", "ht\\tp://a/b", "$U"])
def test_the_words_of_a_trigger_are_checked_as_the_child_sees_them(word: str) -> None:
    assert "not pinned" in fault(f"FROM base\nONBUILD ADD {word} /u")
    assert facts(f"FROM base\nONBUILD ADD --checksum={sha('x')} {word} /u").edges
    assert facts('FROM base\nONBUILD ADD "a" /u').edges


@pytest.mark.parametrize("before", ["ARG S", "ARG S=", "ENV S=", ""])
def test_an_empty_or_unknown_checksum_is_not_a_pin(before: str) -> None:
    """BuildKit reads an empty checksum as no checksum."""
    text = f"FROM base\n{before}\nADD --checksum=$S https://example.org/a /"
    assert "is not pinned: --checksum=$S has no known value" in fault(text)
    assert facts(text, unpinned=True).edges
    if before.startswith("ARG"):
        assert facts(text, args={"S": sha("x")}).edges
    assert "is not pinned" in fault("FROM base\nARG S=x\nONBUILD ADD --checksum=$S https://example.org/a /")


def test_an_argument_that_may_be_a_url() -> None:
    assert "ADD $U could be a URL that is not pinned" in fault("FROM base\nADD $U /")
    assert sources("FROM base\nARG U=a\nADD $U /") == ["a"]
    assert "is not pinned" in fault("FROM base\nARG U=a\nADD $U /", args={"U": "https://example.org/a"})
    assert sources("FROM base\nADD $U /", unpinned=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=docker/dockerfile:1\nFROM a",
        "#syntax = docker/dockerfile:1\nFROM a",
        "# SYNTAX=docker/dockerfile:1\nFROM a",
        "# escape=`\n# syntax=docker/dockerfile:1\nFROM a",
        "#!/usr/bin/env x\n# syntax=docker/dockerfile:1\nFROM a",
        "\ufeff# syntax=docker/dockerfile:1\nFROM a",
        "# syntax=docker/dockerfile:1\r\nFROM a",
    ],
)
def test_front_end_that_the_dockerfile_names(text: str) -> None:
    assert dict(facts(text).directives)["syntax"] == "docker/dockerfile:1"
    plain = without_syntax(text)
    assert "syntax" not in facts(plain).directives
    assert facts(plain).directives.get("escape") == facts(text).directives.get("escape")
    assert [i.line for i in facts(plain).instructions] == [i.line for i in facts(text).instructions]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("# escape=`\n{}", "\\f"),
        ("  # Escape = ` \r\n{}", "\\f"),
        ("\ufeff# escape=`\n{}", "\\f"),
        ("#!x\n# escape=`\n{}", "$V"),
        ("#\n# escape=`\n{}", "$V"),
        ("\n# escape=`\n{}", "$V"),
        ("# other=x\n# escape=`\n{}", "$V"),
    ],
)
def test_where_the_directives_end(text: str, path: str) -> None:
    r"""After an escape directive, ``\$V`` is a backslash and a variable. Otherwise it is the text ``$V``."""
    text = text.format("FROM scratch\nARG V=f\nCOPY \\$V /\n")
    assert sources(text) == [path]


def test_the_search_for_a_front_end_skips_an_interpreter_line() -> None:
    syntax = f"docker/dockerfile:1@{sha('x')}"
    assert dict(facts(f"#!x\n# syntax={syntax}\n# escape=`\nFROM a").directives) == {"syntax": syntax}


def test_a_directive_after_one_that_only_some_versions_have_is_an_error() -> None:
    said = fault("# check=skip=all\n# escape=`\nFROM a")
    assert said.startswith("x/Dockerfile:1: # escape= after # check= is a directive only for some versions")
    assert facts("# escape=`\n# check=skip=all\nFROM a").directives == {"escape": "`"}


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n# syntax=a\nFROM a",
        "\n# syntax=a\nFROM a",
        "FROM a\n# syntax=a",
        "# a=b\n# syntax=a\nFROM a",
    ],
)
def test_a_comment_that_is_not_a_directive(text: str) -> None:
    assert dict(facts(text).directives) == {}


def test_text_that_only_looks_like_a_syntax_line_is_kept() -> None:
    for text in ("FROM a\n# syntax=b\n", "FROM a\nCOPY <<E /\n# syntax=b\nE\n", "#\n# syntax=a\nFROM b\n"):
        assert without_syntax(text) == text


@pytest.mark.parametrize(
    ("line", "uses"),
    [
        ("RUN apt-get update", True),
        ("RUN <<E\nset -e\napk add x\nE", True),
        ('RUN ["dnf", "install", "x"]', True),
        ("ONBUILD RUN apt-get update", True),
        ("RUN --network=none apt-get install ./x.deb", False),
        ("RUN captain adapt", False),
        ("COPY <<E /x\napt-get update\nE", False),
    ],
)
def test_package_manager(line: str, uses: bool) -> None:
    assert facts(f"FROM base\n{line}").installs_packages is uses


def test_secrets() -> None:
    text = (
        "FROM a\nRUN --mount=type=secret,id=one --mount=type=secret,target=/run/two x\nRUN --mount=type=ssh x"
    )
    assert facts(text).secrets == {"one", "two"}


@pytest.mark.parametrize(
    "line",
    [
        "ONBUILD COPY --from=x / /",
        "ONBUILD RUN --mount=type=bind,from=x,target=/x x",
        "ONBUILD RUN --mount=type=bind,FROM=x,target=/x x",
        "onbuild copy --from=x / /",
    ],
)
def test_a_trigger_that_copies_from_another_image_is_an_error(line: str) -> None:
    assert fault(f"FROM a\n{line}") == (
        "x/Dockerfile:2: ONBUILD takes from another image, which no key can hold\n"
        "  move it into the Dockerfiles of the children"
    )


@pytest.mark.parametrize(
    ("text", "target", "left"),
    [
        ("FROM a\nONBUILD RUN x", "", ["RUN"]),
        ("FROM a\nonb\\\nuild RUN x", "", ["RUN"]),
        ("FROM a\nRUN <<E\nONBUILD x\nE", "", []),
        ("FROM a AS X\nONBUILD RUN x\nFROM a", "", []),
        ("FROM a AS X\nONBUILD RUN x\nFROM a", "x", ["RUN"]),
        ("ARG A\nFROM a\nONBUILD ADD a /\nONBUILD LABEL a=b", "", ["ADD", "LABEL"]),
    ],
)
def test_triggers_that_an_image_leaves(text: str, target: str, left: list[str]) -> None:
    assert [trigger.cmd for trigger in triggers(text, "x", target)] == left


def test_only_names_of_images_are_refused_in_a_trigger() -> None:
    assert facts("FROM a\nONBUILD RUN echo from=x\nONBUILD COPY <<E /\n--from=x\nE\n").edges


# -- parts of an instruction that count --------------------------------------------------------------

PLAIN = "FROM base\nENV A=1 B=2\nRUN make \\\n  && make install\nCOPY a b /\n"


@pytest.mark.parametrize(
    "text",
    [
        "# comment\nFROM base\n\n# comment\nENV A=1 B=2\n   \nRUN make \\\n  && make install\n"
        "COPY a b /\n\n# end\n",
        "from base\n  env A=1 B=2\n\trun make \\\n# inside\n  && make install\n   copy a b /",
        "FROM base\r\nENV A=1 B=2\r\nRUN make \\\r\n  && make install\r\nCOPY a b /\r\n",
        "FROM   base\nENV A=1   B=2\nRUN    make \\\n  && make install\nCOPY  a   b   /  \n",
        "\ufeff" + PLAIN,
    ],
)
def test_comments_blank_lines_and_indentation_do_not_count(text: str) -> None:
    assert canonical(text) == canonical(PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "RUN a b"),
        ("RUN echo 'a  b'", "RUN echo 'a b'"),
        ("RUN a b", 'RUN ["a", "b"]'),
        ("RUN a", 'RUN ["a"]'),
        ("RUN a", "CMD a"),
        ("RUN <<E\na\nE", "RUN <<E\n a\nE"),
        ("RUN <<E\na\nE", "RUN <<E\n# a\na\nE"),
        ("RUN <<E\na\n\nE", "RUN <<E\na\nE"),
        ("RUN <<E\n$a\nE", "RUN <<'E'\n$a\nE"),
        ("RUN <<E\n\ta\nE", "RUN <<-E\n\ta\nE"),
        ("RUN <<E\na\nE", "RUN <<E sh\na\nE"),
        ("COPY <<E /x\na\nE", "COPY <<E /x\na\r\nE"),
        ("COPY <<A /x/\na\nA", "COPY <<B /x/\na\nB"),
        ("COPY a b", "COPY --chmod=755 a b"),
        ("COPY a b", "COPY --link a b"),
        ("COPY a b /", 'COPY ["a b", "/"]'),
        ("RUN a", "RUN --network=none a"),
        ("RUN a", "RUN --mount=type=cache,target=/c a"),
        ("ENV A=1 B=2", "ENV A 1 B=2"),
        ("ENV A=1", "LABEL A=1"),
        ("ENV A='$B'", 'ENV A="$B"'),
        ("HEALTHCHECK CMD a", "HEALTHCHECK --interval=3s CMD a"),
        ("HEALTHCHECK CMD a b", 'HEALTHCHECK CMD ["a", "b"]'),
        ("ONBUILD COPY <<E /x\n1\nE", "ONBUILD COPY <<E /x\n2\nE"),
        ("ONBUILD RUN <<E\n1\nE", "ONBUILD RUN <<E\n1\n\nE"),
        ("ONBUILD COPY a b", "ONBUILD COPY --chmod=755 a b"),
        ("ONBUILD RUN a", 'ONBUILD RUN ["a"]'),
        ("ONBUILD RUN a", "ONBUILD CMD a"),
        ("WORKDIR a", "WORKDIR /a"),
        ("EXPOSE 80", "EXPOSE 80/udp"),
        ('SHELL ["a"]', 'SHELL ["b"]'),
        ("ENTRYPOINT a", "CMD a"),
    ],
)
def test_every_other_change_counts(one: str, other: str) -> None:
    assert canonical(f"FROM base\n{one}\n") != canonical(f"FROM base\n{other}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x/Dockerfile: does not parse: file with no instructions"),
        ("RUN x", "x/Dockerfile:1: RUN before the first FROM\n  only ARG is allowed there"),
        ("ARG A", "x/Dockerfile: has no FROM\n  start with FROM NAME or FROM scratch"),
        ("FROM", "x/Dockerfile:1: FROM takes NAME or NAME AS ALIAS"),
        ("FROM a b", "x/Dockerfile:1: FROM takes NAME or NAME AS ALIAS"),
        ("FROM a TO b", "x/Dockerfile:1: FROM takes NAME or NAME AS ALIAS"),
        ("FROM a\nRUN <<E\nx", "x/Dockerfile:2: does not parse: unterminated heredoc"),
        ("FROM a\nRUN \0x", "x/Dockerfile:2: has a zero byte"),
        ("# escape=x\nFROM a", "x/Dockerfile:1: does not parse: invalid escape token"),
        ("ARG A='x\nFROM a", "x/Dockerfile:1: "),
        ("\\", "x/Dockerfile:1: a continued line is followed by nothing"),
        ("FROM a\n\\", "x/Dockerfile:2: a continued line is followed by nothing"),
        ('FROM a\nRUN --mount="a\rb" x', "x/Dockerfile:2: a --mount cannot be read: "),
        (f"FROM a\nRUN --mount=id={'b' * 140_000} x", "x/Dockerfile:2: a --mount cannot be read: "),
    ],
)
def test_a_wrong_dockerfile_is_an_error(text: str, said: str) -> None:
    assert fault(text).startswith(said)


# -- indirect spellings --------------------------------------------------------------------------


def test_the_name_of_an_argument_may_contain_another_argument() -> None:
    text = "FROM scratch\nARG SRC=a\nARG N=SRC\nARG $N=b\nCOPY ${SRC}* /\n"
    assert sources(text) is None  # from 0.14 on, BuildKit does not expand $N
    assert dict(facts("FROM scratch\nARG N=FOO\nARG $N=1\n", args={"FOO": "2"}).args) == {"FOO": "2"}


@pytest.mark.parametrize("kind", ["BIND", "${T}", "'bind'"])
def test_the_type_of_a_mount_in_other_spellings(kind: str) -> None:
    assert sources(f'FROM scratch\nARG T=bind\nRUN --mount=type={kind},target=/c ["x"]\n') == ["."]


def test_a_type_of_a_mount_that_is_known_only_during_the_build_is_an_error() -> None:
    text = 'FROM base\nRUN --mount=type=$T,target=/c ["x"]\n'
    assert "only the build knows this type, so no key can hold it" in fault(text)
    assert facts('FROM base\nRUN --mount=type=SECRET,id=token ["x"]\n').secrets == {"token"}


def test_triggers_with_inline_files() -> None:
    text = (
        "FROM base\nONBUILD RUN --mount=type=secret,id=a <<E && \\\n  b <<-'F'\nONBUILD RUN\nFROM x\nE\n\tF\n"
        "onbuild \\\n  copy <<G /g\nG\nCOPY <<H /h\nONBUILD RUN --mount=type=secret,id=b x\nH\n"
    )
    found = facts(text)
    assert [(i.line, i.cmd) for i in found.instructions] == [
        (1, "FROM"),
        (2, "ONBUILD"),
        (8, "ONBUILD"),
        (11, "COPY"),
    ]
    run, copy = found.instructions[1:3]
    assert run.original == (
        "ONBUILD RUN --mount=type=secret,id=a <<E &&   b <<-'F'\nONBUILD RUN\nFROM x\nE\nF\n"
    )
    assert run.canonical[5] == (("E", 0, "ONBUILD RUN\nFROM x\n"), ("F", 0, ""))
    assert copy.original == "onbuild   copy <<G /g\nG\n"
    assert found.secrets == {"a"}


def test_words_of_copy_are_divided_at_every_space() -> None:
    """Quotes do not join words, as in BuildKit's parseStringsWhitespaceDelimited."""
    assert facts("FROM base\nCOPY --chown=1 \\'a  b\\' /x\n").instructions[1].value == ("\\'a", "b\\'", "/x")


def test_half_of_a_surrogate_pair_in_json_is_replaced() -> None:
    assert facts('FROM base\nCMD ["\\ud83d", "\\ud83d\\ude00"]').instructions[1].value == (
        "\ufffd",
        "\U0001f600",
    )
