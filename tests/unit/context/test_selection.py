"""The files that are hashed and the files that are sent are the same."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from helpers import sha, write

from stagegraph.context import selection as context
from stagegraph.context.archive import write_tar
from stagegraph.context.entry import Entry
from stagegraph.context.selection import ContextSelection, ignore_file
from stagegraph.errors import ContextError

pytestmark = pytest.mark.unit

TREE = {
    "Dockerfile": "FROM base\n",
    "a": "a\n",
    "dir/b": "b\n",
    "dir/sub/c.txt": "c\n",
    "dir/sub/d.txt": "d\n",
    "[0]/e": "e\n",
}


def select(root: Path, *sources: str, ignore: str = "") -> tuple[Entry, ...]:
    if ignore:
        write(root, {".dockerignore": ignore})
    pairs = [(source, line) for line, source in enumerate(sources, 2)]
    return ContextSelection(root, "x/Dockerfile", ignore_file(root, "Dockerfile")).select(pairs or None)


def paths(root: Path, *sources: str, ignore: str = "") -> list[str]:
    return [entry.path for entry in select(root, *sources, ignore=ignore)]


def fault(root: Path, *sources: str, ignore: str = "") -> str:
    with pytest.raises(ContextError) as error:
        select(root, *sources, ignore=ignore)
    return str(error.value)


def sent(entries: Iterable[Entry], root: Path, **extra: bytes) -> bytes:
    out = io.BytesIO()
    write_tar(entries, root, extra, 1735689600, out)
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "x", TREE)


# -- sources -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "chosen"),
    [
        (["a"], ["a"]),
        (["/a"], ["a"]),
        (["./dir/../a"], ["a"]),
        (["dir/b"], ["dir", "dir/b"]),
        (["dir/sub"], ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt"]),
        (["dir/sub/"], ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt"]),
        (["dir/*/c*"], ["dir", "dir/sub", "dir/sub/c.txt"]),
        (["d*/s?b/[c-d].txt"], ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt"]),
        (["no*such"], []),
        (["[[]0]/e"], ["[0]", "[0]/e"]),
        (["a", "a", "?"], ["a"]),
        (["dir/b", "a"], ["a", "dir", "dir/b"]),
    ],
)
def test_sources(root: Path, sources: list[str], chosen: list[str]) -> None:
    assert paths(root, *sources) == chosen


@pytest.mark.parametrize("source", [".", "./", "/", "*"])
def test_everything(root: Path, source: str) -> None:
    everything = [
        "Dockerfile",
        "[0]",
        "[0]/e",
        "a",
        "dir",
        "dir/b",
        "dir/sub",
        "dir/sub/c.txt",
        "dir/sub/d.txt",
    ]
    assert paths(root, source) == everything
    assert paths(root) == everything


def test_an_empty_folder_is_selected(root: Path) -> None:
    (root / "empty").mkdir()
    assert paths(root, "empty") == ["empty"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "nothing",
            "x/Dockerfile:2: nothing: no such file in x/\n  sources are relative to the stage's folder",
        ),
        (
            "dir/nothing/b",
            "x/Dockerfile:2: dir/nothing/b: no such file in x/\n  sources are relative to the stage's folder",
        ),
        ("a/b", "x/Dockerfile:2: a/b: no such file in x/\n  sources are relative to the stage's folder"),
        (
            "br\\[0]/e",
            "x/Dockerfile:2: br\\[0]/e: no such file in x/\n  sources are relative to the stage's folder",
        ),
        (
            "../y",
            "x/Dockerfile:2: ../y leaves the stage's folder\n"
            "  copy the file into the folder, or take it from a stage of its own",
        ),
        (
            "dir/../../y",
            "x/Dockerfile:2: dir/../../y leaves the stage's folder\n"
            "  copy the file into the folder, or take it from a stage of its own",
        ),
    ],
)
def test_an_invalid_source_is_an_error(root: Path, source: str, said: str) -> None:
    assert fault(root, source) == said


@pytest.mark.parametrize("source", ["!a", "./!a*", "/!dir/b"])
def test_a_source_that_begins_with_an_exclamation_mark_is_an_error(root: Path, source: str) -> None:
    write(root, {"!a": "", "dir/!a": ""})
    said = f"x/Dockerfile:2: {source}: BuildKit does not find names that begin with !\n  rename it"
    assert fault(root, source) == said
    assert paths(root, "dir/!a") == ["dir", "dir/!a"]
    assert "!a" in paths(root, ".")


def test_name_too_long(root: Path) -> None:
    assert "cannot be read: File name too long" in fault(root, "n" * 300)


# -- ignore files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ignore", "sources", "chosen"),
    [
        ("dir\n", [], [".dockerignore", "Dockerfile", "[0]", "[0]/e", "a"]),
        ("*\n!a\n", [], ["a"]),
        ("dir/sub\n!dir/sub/c.txt\n", ["dir"], ["dir", "dir/b", "dir/sub", "dir/sub/c.txt"]),
        ("dir\n!dir/sub/c.txt\n", ["dir/sub/c.txt"], ["dir", "dir/sub", "dir/sub/c.txt"]),
        ("**/*.txt\n", ["dir/sub"], ["dir", "dir/sub"]),
        ("dir/sub/*\n!**/d.txt\n", ["dir/sub"], ["dir", "dir/sub", "dir/sub/d.txt"]),
        ("dir\n", ["d*"], []),
        ("*\n", ["."], []),
    ],
)
def test_ignored_files_are_not_selected(
    root: Path, ignore: str, sources: list[str], chosen: list[str]
) -> None:
    assert paths(root, *sources, ignore=ignore) == chosen


@pytest.mark.parametrize(
    ("ignore", "source"), [("a\n", "a"), ("dir\n", "dir"), ("dir\n", "dir/b"), ("*\n", "a")]
)
def test_a_source_that_dockerignore_excludes_is_an_error(root: Path, ignore: str, source: str) -> None:
    said = f"x/Dockerfile:2: {source} is hidden by .dockerignore\n  allow it with a line !PATH"
    assert fault(root, source, ignore=ignore) == said


def test_ignore_file_of_the_dockerfile_comes_first(root: Path) -> None:
    assert ignore_file(root, "Dockerfile") is None
    write(root, {".dockerignore": "a\n"})
    assert ignore_file(root, "Dockerfile") == root / ".dockerignore"
    write(root, {"Dockerfile.dockerignore": "dir\n", "sub/My.dockerignore": ""})
    assert ignore_file(root, "Dockerfile") == root / "Dockerfile.dockerignore"
    assert ignore_file(root, "sub/My") == root / "sub" / "My.dockerignore"
    assert "a" in paths(root, ".")
    assert "dir" not in paths(root, ".")


@pytest.mark.parametrize(
    ("links", "name"),
    [
        ({".dockerignore": "dir/ignore"}, "dir/ignore"),
        ({".dockerignore": "/dir/ignore"}, "dir/ignore"),
        ({".dockerignore": "l", "l": "dir/../dir/ignore"}, "dir/ignore"),
        ({".dockerignore": "d/ignore", "d": "dir"}, "dir/ignore"),
        ({".dockerignore": "nothing"}, None),
        ({".dockerignore": ".dockerignore"}, None),
        ({".dockerignore": "dir"}, None),
        ({"Dockerfile.dockerignore": "nothing", ".dockerignore": "dir/ignore"}, "dir/ignore"),
    ],
)
def test_ignore_file_that_is_a_link(root: Path, links: dict[str, str], name: str | None) -> None:
    write(root, {"dir/ignore": "a\n"})
    for link, target in links.items():
        (root / link).symlink_to(target)
    assert ignore_file(root, "Dockerfile") == (root / name if name else None)


def test_ignore_file_of_a_dockerfile_in_a_folder(root: Path) -> None:
    """A link is resolved in the Dockerfile's folder. buildx sends this folder separately from the context."""
    write(root, {"dir/ignore": "", "ignore": ""})
    (root / "dir/D.dockerignore").symlink_to("/ignore")
    assert ignore_file(root, "dir/D") == root / "dir/ignore"
    (root / "dir/E.dockerignore").symlink_to("../ignore")
    with pytest.raises(ContextError, match=r"dir/E\.dockerignore: the link leaves"):
        ignore_file(root, "dir/E")


@pytest.mark.parametrize("target", ["../common", "dir/../../common", "dir/sub/../../../x/a"])
@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_ignore_file_that_is_a_link_out_of_the_folder(root: Path, name: str, target: str) -> None:
    """Such a link is an error. BuildKit ignores it, so the image would contain the hidden files."""
    write(root.parent, {"common": "a\n"})
    (root / name).symlink_to(target)
    with pytest.raises(ContextError) as error:
        ignore_file(root, "Dockerfile")
    assert str(error.value) == (
        f"x/{name}: the link leaves the stage's folder ({target}), so BuildKit ignores it\n"
        "  put a copy of the file there"
    )


@pytest.mark.parametrize(
    ("ignore", "sources", "reached"),
    [
        ("Dockerfile\n", ["."], True),
        ("Dockerfile\n", ["D*"], True),
        ("Dockerfile\n", ["./dir/.."], True),
        ("Dockerfile\n", ["a", "dir"], False),
        ("", ["Dockerfile"], True),
    ],
)
def test_a_source_may_reach_an_ignored_file(
    root: Path, ignore: str, sources: list[str], reached: bool
) -> None:
    write(root, {".dockerignore": ignore})
    selection = ContextSelection(root, "x/Dockerfile", ignore_file(root, "Dockerfile"))
    selection.select([(source, 1) for source in sources])
    assert selection.reaches("Dockerfile") is reached


def test_a_folder_reaches_the_files_in_it(root: Path) -> None:
    selection = ContextSelection(root, "x/Dockerfile")
    selection.select([("dir", 1)])
    assert selection.reaches("dir/sub/Dockerfile")
    assert not selection.reaches("directory/Dockerfile")


@pytest.mark.parametrize(
    ("moded", "sources", "executable"),
    [
        (["dir"], [], []),
        (["dir"], ["dir/b"], ["dir/b"]),
        (["dir/b", "a"], ["dir/sub"], ["dir/sub/c.txt"]),
        (["d*/b"], ["."], ["dir/b", "dir/sub/c.txt"]),
    ],
)
def test_the_executable_bit_does_not_count_if_the_instruction_sets_the_mode(
    root: Path, moded: list[str], sources: list[str], executable: list[str]
) -> None:
    for name in ("dir/b", "dir/sub/c.txt"):
        (root / name).chmod(0o755)
    selection = ContextSelection(root, "x/Dockerfile")
    entries = selection.select([(source, 1) for source in sources], [(source, 2) for source in moded])
    assert [entry.path for entry in entries if entry.kind == "exec"] == executable


# -- links -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "target", "source", "chosen"),
    [
        ("l", "a", "l", ["a", "l"]),
        ("l", "/a", "l", ["a", "l"]),
        ("l", "dir", "l", ["dir", "dir/b", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt", "l"]),
        ("l", "dir", "l/b", ["dir", "dir/b", "l"]),
        ("dir/l", "../a", "dir/l", ["a", "dir", "dir/l"]),
        ("dir/l", "sub/../../a", "dir/l", ["a", "dir", "dir/l"]),
        # a link in a folder is sent as a link; its target does not count
        (
            "dir/sub/l",
            "../../a",
            "dir/sub",
            ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt", "dir/sub/l"],
        ),
        (
            "dir/sub/l",
            "/nowhere",
            "dir/sub",
            ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt", "dir/sub/l"],
        ),
        (
            "dir/sub/l",
            "../../../..",
            "dir/sub",
            ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt", "dir/sub/l"],
        ),
        ("l", ".", "l/a", ["a", "l"]),
        # after a wildcard, no link to a folder is entered, but a link that matches is followed
        ("l", "dir", "?/b", []),
        ("l", "../outside", "*/b", ["dir", "dir/b"]),
        (
            "l",
            "/nowhere",
            "*/*",
            ["[0]", "[0]/e", "dir", "dir/b", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt"],
        ),
        ("dir/l", "../a", "dir/l*", ["a", "dir", "dir/l"]),
        ("dir/l", "../a", "*/l", ["a", "dir", "dir/l"]),
        ("l", "dir", "l/s*", ["dir", "dir/sub", "dir/sub/c.txt", "dir/sub/d.txt", "l"]),
        # a character class matches "/", too
        ("l", "a", "dir[^a]b", ["dir", "dir/b"]),
        (
            "l",
            "a",
            "[^.]*",
            [
                "Dockerfile",
                "[0]",
                "[0]/e",
                "a",
                "dir",
                "dir/b",
                "dir/sub",
                "dir/sub/c.txt",
                "dir/sub/d.txt",
                "l",
            ],
        ),
    ],
)
def test_links(root: Path, link: str, target: str, source: str, chosen: list[str]) -> None:
    (root / link).symlink_to(target)
    assert paths(root, source) == chosen


def test_chain_of_links(root: Path) -> None:
    for name, target in (("l1", "l2"), ("l2", "dir/l3"), ("dir/l3", "../a")):
        (root / name).symlink_to(target)
    assert paths(root, "l1") == ["a", "dir", "dir/l3", "l1", "l2"]


@pytest.mark.parametrize("target", ["..", "../y", "dir/../../x/a", "../x/a"])
def test_a_link_that_leaves_the_folder_is_an_error(root: Path, target: str) -> None:
    (root / "l").symlink_to(target)
    said = (
        f"x/Dockerfile:2: l -> {target}: the link leaves the stage's folder\n  copy the file into the folder"
    )
    assert fault(root, "l") == said


def test_a_pattern_that_matches_a_link_out_of_the_folder_is_an_error(root: Path) -> None:
    (root / "dir/l").symlink_to("../../y")
    assert "dir/l -> ../../y: the link leaves the stage's folder" in fault(root, "*/l")


def test_loop_of_links(root: Path) -> None:
    (root / "l1").symlink_to("l2")
    (root / "l2").symlink_to("l1")
    assert fault(root, "l1").endswith("too many links, or a loop of links")
    # in a folder, they are sent like other links
    assert "l1" in paths(root, ".")


def test_dangling_and_hidden_links(root: Path) -> None:
    (root / "l").symlink_to("nowhere")
    assert "no such file" in fault(root, "l")
    (root / "m").symlink_to("a")
    assert "no such file" in fault(root, "m", ignore="m\n")


def test_target_of_a_link_counts(root: Path) -> None:
    (root / "l").symlink_to("a")
    before = select(root, "l", "dir")
    (root / "l").unlink()
    (root / "l").symlink_to("/a")
    after = select(root, "l", "dir")
    assert {e.path: e.digest for e in before}["l"] != {e.path: e.digest for e in after}["l"]


# -- kinds and names ---------------------------------------------------------------------------------


def test_an_entry_has_path_kind_digest_and_size(root: Path) -> None:
    write(root, {"run": "x"})
    (root / "run").chmod(0o4701)
    (root / "link").symlink_to("run")
    by_path = {entry.path: entry for entry in select(root)}
    assert by_path["run"] == Entry("run", "exec", sha("x")[7:], 1, b"x")
    assert by_path["a"] == Entry("a", "file", sha("a\n")[7:], 2, b"a\n")
    assert by_path["dir"] == Entry("dir", "dir", "")
    assert by_path["link"] == Entry("link", "link", sha("run")[7:], link="run")


@pytest.mark.parametrize(
    ("one", "other"), [(0o644, 0o600), (0o755, 0o700), (0o644, 0o666), (0o644, 0o655), (0o4755, 0o755)]
)
def test_umask_and_owner_do_not_count(root: Path, one: int, other: int) -> None:
    (root / "a").chmod(one)
    before = select(root)
    (root / "a").chmod(other)
    (root / "dir").chmod(0o700)
    os.utime(root / "a", (1, 1))
    assert select(root) == before
    assert sent(select(root), root) == sent(before, root)


def test_executable_bit_counts(root: Path) -> None:
    before = select(root)
    (root / "a").chmod(0o744)
    assert select(root) != before


def test_hard_links_are_files(root: Path) -> None:
    (root / "h").hardlink_to(root / "a")
    assert [entry.kind for entry in select(root, "a", "h")] == ["file", "file"]


def test_sparse_file(root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(context.MAX_HELD_FILE + 1)
    (entry,) = select(root, "sparse")
    assert (entry.size, entry.digest) == (
        context.MAX_HELD_FILE + 1,
        sha(b"\0" * (context.MAX_HELD_FILE + 1))[7:],
    )


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: socket.socket(socket.AF_UNIX).bind(str(path))])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_fifo_and_socket(root: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's path must be short
    make(Path("odd"))
    said = "x/Dockerfile:2: odd is a socket, device or FIFO\n  remove it, or hide it in .dockerignore"
    assert fault(root, ".") == said
    assert paths(root, "a") == ["a"]
    assert "odd" not in paths(root, ".", ignore="odd\n")


NAMES = [
    b"with space",
    b"quo'te\"",
    b"line\nbreak",
    b"\xff\xfe",
    "ä".encode(),
    "a\u0308".encode(),
    b"back\\slash",
    b"-x",
    b"*",
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(root: Path, name: bytes) -> None:
    (root / "odd").mkdir()
    Path(os.fsdecode(os.fsencode(root / "odd") + b"/" + name)).write_text("x")
    entries = select(root, "odd")
    assert [entry.path.encode("utf-8", "surrogateescape") for entry in entries] == [b"odd", b"odd/" + name]
    with tarfile.open(
        fileobj=io.BytesIO(sent(entries, root)), encoding="utf-8", errors="surrogateescape"
    ) as tar:
        assert [member.name.encode("utf-8", "surrogateescape") for member in tar][1] == b"odd/" + name


def test_names_do_not_depend_on_the_locale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, {"ä": "x"})
    before = select(root, ".")
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode("latin-1"))
    assert select(root, ".") == before


def test_long_path(root: Path) -> None:
    name = "/".join(["d" * 100] * 10)
    write(root, {f"{name}/f": "x"})
    entries = select(root, "d" * 100)
    with tarfile.open(fileobj=io.BytesIO(sent(entries, root))) as tar:
        assert tar.getnames()[-1] == f"{name}/f"


# -- changes while files are read --------------------------------------------------------------------


def test_an_unreadable_file_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: bytes, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    what = f"x/Dockerfile:2: {root}/a cannot be read: permission denied"
    said = f"{what}\n  change its permissions, or hide it in .dockerignore"
    assert fault(root, "a") == said


@pytest.mark.parametrize("call", ["open", "listdir"])
def test_a_file_that_vanishes_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def vanish(path: bytes, *_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr(os, call, vanish)
    assert fault(root, "dir").endswith(
        "vanished while it was read\n  run again while nothing changes the folder"
    )


def test_a_fifo_that_replaces_a_file_does_not_hang(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def swap(path: bytes, flags: int) -> int:
        (root / "a").unlink()
        os.mkfifo(root / "a")
        return real(path, flags)

    monkeypatch.setattr(os, "open", swap)
    assert "a was replaced while it was read" in fault(root, "a")


def test_a_link_that_replaces_a_file_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def swap(path: bytes, flags: int) -> int:
        (root / "a").unlink()
        (root / "a").symlink_to("/etc/passwd")
        return real(path, flags)

    monkeypatch.setattr(os, "open", swap)
    assert "cannot be read" in fault(root, "a")


def test_a_change_that_keeps_time_and_size_is_found(root: Path) -> None:
    stamp = (root / "a").stat()
    before = select(root, "a")
    (root / "a").write_text("z\n")
    os.utime(root / "a", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert select(root, "a") != before


def test_edit_between_hashing_and_sending_is_not_sent(root: Path) -> None:
    entries = select(root, "a")
    before = sent(entries, root)
    (root / "a").write_text("edited\n")
    assert sent(entries, root) == before
    (root / "a").unlink()
    assert sent(entries, root) == before


LARGE = context.MAX_HELD_FILE + 1


@pytest.fixture
def large(root: Path) -> Path:
    (root / "large").write_bytes(b"x" * LARGE)
    return root / "large"


def test_large_file(root: Path, large: Path) -> None:
    (entry,) = select(root, "large")
    assert (entry.data, entry.size, entry.digest) == (None, LARGE, sha(b"x" * LARGE)[7:])
    with tarfile.open(fileobj=io.BytesIO(sent([entry], root))) as tar:
        member = tar.extractfile("large")
        assert member is not None
        assert member.read() == b"x" * LARGE


@pytest.mark.parametrize("change", ["edit", "shrink", "empty", "remove", "link", "folder"])
def test_large_file_changed_before_it_is_sent(root: Path, large: Path, change: str) -> None:
    entries = select(root, "large")
    match change:
        case "edit":
            large.write_bytes(b"x" * (LARGE - 1) + b"y")
        case "shrink":
            large.write_bytes(b"x" * (LARGE - 1))
        case "empty":
            large.write_bytes(b"")
        case _:
            large.rename(root / "moved")
    if change == "link":
        large.symlink_to("moved")
    elif change == "folder":
        large.mkdir()
    with pytest.raises(ContextError) as error:
        sent(entries, root)
    assert (
        str(error.value)
        == "x/large: changed while it was being sent\n  run again while nothing changes the folder"
    )


def test_large_file_that_only_grew_is_sent_as_it_was(root: Path, large: Path) -> None:
    entries = select(root, "large")
    before = sent(entries, root)
    with large.open("ab") as file:
        file.write(b"more")
    assert sent(entries, root) == before


def test_no_more_than_the_limit_is_kept_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_HELD", 3)
    held = [entry.path for entry in select(root, "a", "dir/b") if entry.data is not None]
    assert held == ["a"]
    assert sent(select(root, "a", "dir/b"), root)


# -- tar ---------------------------------------------------------------------------------------------


def test_the_tar_has_fixed_modes_owner_and_time(root: Path) -> None:
    (root / "a").chmod(0o700)
    (root / "l").symlink_to("a")
    with tarfile.open(
        fileobj=io.BytesIO(sent(select(root, "a", "dir/b", "l"), root, Dockerfile=b"FROM x"))
    ) as tar:
        members = tar.getmembers()
        assert [(m.name, m.type, oct(m.mode), m.linkname) for m in members] == [
            ("Dockerfile", tarfile.REGTYPE, "0o644", ""),
            ("a", tarfile.REGTYPE, "0o755", ""),
            ("dir", tarfile.DIRTYPE, "0o755", ""),
            ("dir/b", tarfile.REGTYPE, "0o644", ""),
            ("l", tarfile.SYMTYPE, "0o777", "a"),
        ]
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 1735689600)}
        content = tar.extractfile("dir/b")
        assert content is not None
        assert content.read() == b"b\n"


def test_tar_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    one, other = (
        write(tmp_path / name / "x", dict(sorted(TREE.items(), reverse=name == "2"))) for name in "12"
    )
    assert sent(select(one), one) == sent(select(other), other)


def test_a_full_disk_is_not_reported_as_a_changed_file(root: Path, large: Path) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_tar(select(root, "large"), root, {}, 0, Full())
