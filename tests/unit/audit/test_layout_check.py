"""``doit verify`` finds everything in ``cache/`` that is not as it should be; ``--repair`` drops it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from derived import differences
from helpers import image, sha, stages, write

from stagegraph.audit.layout_check import Checked, Mismatch, Repaired, check_layout, check_rest, repair
from stagegraph.audit.registry_check import check_registry
from stagegraph.audit.verify import Finding
from stagegraph.cli import app
from stagegraph.cli.commands.verify import Options, Results, render_text
from stagegraph.cli.main import main
from stagegraph.errors import RegistryError, StoreError
from stagegraph.execution.workspace import Workspace
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.keys.key import digits
from stagegraph.oci.digest import encoded
from stagegraph.project import loader
from stagegraph.project.model import Node
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.repository import RemoteRepository
from stagegraph.store.skopeo import SkopeoResult

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayoutStore:
    monkeypatch.chdir(tmp_path)
    return LayoutStore(tmp_path / "cache")


def put(store: LayoutStore, *names: str) -> list[Record]:
    """Images with a layer of their own and one that they share."""
    made = []
    for name in names:
        inputs = (Input("schema", "", name),)
        record = image(store, name, (name.encode(), b"shared"))
        made.append(record._replace(key=keys.digest(inputs), inputs=inputs))
        store.commit(made[-1])
    return made


def found(store: LayoutStore) -> dict[str, tuple[str, ...]]:
    return dict([*check_layout(store), *check_rest(store, Checked())])


def blob(store: LayoutStore, name: str) -> Path:
    return store.blobs.path(sha(name.encode()))


Damage = Callable[[LayoutStore, Record], object]

DAMAGES: dict[str, tuple[Damage, str, str]] = {
    # what is done to the store, and the place and a note of what is found
    "no marker": (lambda s, _: (s.root / "oci-layout").unlink(), "oci-layout", "is missing"),
    "another marker": (
        lambda s, _: (s.root / "oci-layout").write_text('{"imageLayoutVersion":"9"}'),
        "oci-layout",
        "is not the marker of an OCI layout",
    ),
    "no index": (lambda s, _: (s.root / "index.json").unlink(), "index.json", "is missing"),
    "half an index": (
        lambda s, _: os.truncate(s.root / "index.json", 50),
        "index.json",
        "cannot be read: JSONDecodeError",
    ),
    "an index of nothing": (
        lambda s, _: write(s.root, {"index.json": '{"schemaVersion": 2, "manifests": []}'}),
        "index.json",
        "cannot be read: ValueError",
    ),
    "an empty record": (
        lambda s, r: (s.records.path / digits(r.key)).write_bytes(b""),
        "records/KEY",
        "is damaged: its inputs do not hash to its key",
    ),
    "a record of another image": (
        lambda s, r: s.records.write(digits(r.key), s.document(r._replace(files=sha("x")))),
        "records/KEY",
        "the record does not match the image's files or configuration",
    ),
    "a layer that is gone": (lambda s, r: blob(s, r.node[:3]).unlink(), "records/KEY", "is missing"),
    "a layer that is damaged": (
        lambda s, r: blob(s, r.node[:3]).write_bytes(b"onE"),
        "records/KEY",
        "does not match its digest",
    ),
    "a manifest that is damaged": (
        lambda s, r: s.blobs.path(r.digest).write_bytes(b"{}"),
        "records/KEY",
        "does not match its digest",
    ),
    "a blob of no record": (
        lambda s, _: (s.blobs.folder.path / ("0" * 64)).write_bytes(b"x"),
        f"blobs/sha256/{'0' * 64}",
        "does not match its digest",
    ),
    "a link of no record": (
        lambda s, _: (s.blobs.folder.path / ("0" * 64)).symlink_to("/etc/passwd"),
        f"blobs/sha256/{'0' * 64}",
        "is a link or a special file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found_and_repaired(store: LayoutStore, damage: str) -> None:
    one, two = put(store, "one", "two")
    assert found(store) == {} and repair(store) == ((), (), ())
    harm, place, note = DAMAGES[damage]
    harm(store, one)
    place = f"cache/{place.replace('KEY', digits(one.key))}"
    mismatches = found(store)
    assert [note in told for told in mismatches[place]] == [True]
    # an index that names a damaged image is told, too
    assert mismatches.keys() - {place} <= {"cache/index.json"}
    done = repair(store)
    assert found(store) == {} and repair(store) == ((), (), ())
    assert store.find(two.key) == two
    is_of_record = "KEY" in DAMAGES[damage][1]
    assert (store.find(one.key) is None) == is_of_record
    gone = place in done.deleted
    assert store.has_record(one.key) == (not gone)
    assert gone == (damage in ("an empty record", "a record of another image"))
    assert done.dropped == ((one,) if is_of_record and not gone else ())


def test_all_mismatches_are_found_together(store: LayoutStore) -> None:
    put(store, *"abcdef")
    (store.root / "oci-layout").unlink()
    (store.root / "index.json").unlink()
    for name, path in zip("abc", sorted(store.records.path.iterdir()), strict=False):
        path.write_text(name)
    (store.blobs.folder.path / ("0" * 64)).write_bytes(b"x")
    assert len(found(store)) == 6
    repair(store)
    assert found(store) == {} and len(list(store.list())) == 3


def contents(store: LayoutStore) -> dict[Path, bytes]:
    """The content of all files but locks."""
    files = (path for path in store.root.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {path: path.read_bytes() for path in files}


def test_what_is_no_fault(store: LayoutStore) -> None:
    """Records without their images, records of a newer version, and files with other names."""
    assert found(store) == {}
    one, two = put(store, "one", "two")
    store.blobs.path(one.digest).unlink()
    newer = store.records.path / digits(two.key)
    newer.write_bytes(newer.read_bytes().replace(b'"stagegraph.schema":"1"', b'"stagegraph.schema":"2"'))
    for folder in (store.root, store.records.path, store.blobs.folder.path):
        (folder / "README").write_text("mine")
    store.index.rebuild()
    before = contents(store)
    assert found(store) == {} and repair(store) == ((), (), ())
    assert contents(store) == before


def test_a_repair_is_refused_while_a_run_uses_the_store(store: LayoutStore) -> None:
    put(store, "one")
    (store.root / "index.json").unlink()
    other = LayoutStore(store.root)
    other.locks.shared()
    with pytest.raises(StoreError, match="a run is using it"):
        repair(store)
    assert not (store.root / "index.json").exists()


def test_a_folder_that_is_a_link_is_one_mismatch(store: LayoutStore, tmp_path: Path) -> None:
    put(store, "one")
    store.records.path.rename(tmp_path / "elsewhere")
    store.records.path.symlink_to(tmp_path / "elsewhere")
    mismatches = found(store)
    assert list(mismatches) == [str(store.records.path)]
    assert "is a link" in mismatches[str(store.records.path)][0]


# -- the command -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    stages(tmp_path, {"low": "FROM scratch\nENV A=1\n", "high": "FROM low\nENV B=1\n"})
    write(tmp_path, {"dodo.py": "from stagegraph.tasks import *\n"})
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(loader.load(tmp_path, {}, {}))
    for node in workspace.graph.nodes:
        if node.platform == "amd64":
            record = image(workspace.layout, node.stage, (node.stage.encode(),))
            key, inputs = workspace.graph.key(node), tuple(workspace.graph.inputs(node))
            workspace.layout.commit(record._replace(key=key, node=str(node), inputs=inputs))
    return workspace


def doit(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = 0
    app.current.cache_clear()
    with contextlib.suppress(SystemExit):
        status = main(list(words))
    out, err = capfd.readouterr()
    return status, out + err


def test_the_command_says_all_in_one_list_and_repairs(
    project: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    layout = project.layout
    (old,) = put(layout, "old")
    assert doit(capfd, "verify", "low:amd64")[0] == 0
    (layout.root / "index.json").unlink()
    blob(layout, "high").unlink()
    (layout.records.path / digits(old.key)).write_bytes(b"")
    # what is of no node counts only without names; the layout counts always
    status, said = doit(capfd, "verify", "low:amd64")
    assert (status, said.count("bad")) == (1, 2) and "bad  cache/index.json\n  is missing\n" in said
    status, said = doit(capfd, "verify")
    assert status == 1 and "3 bad" in said
    assert "bad  high:amd64\n" in said and f"bad  cache/records/{digits(old.key)}\n" in said
    status, said = doit(capfd, "verify", "--repair")
    assert status == 0 and "written  cache/index.json\n" in said
    assert f"deleted  cache/records/{digits(old.key)}\n" in said
    assert "dropped  the image of high:amd64 under the key sha256:" in said
    assert "the next run that needs them pulls or builds again: high:amd64\n" in said
    status, said = doit(capfd, "verify", "--json")
    document = json.loads(said[said.index("{") : said.rindex("}") + 1])
    results = {node["node"]: node["result"] for node in document["nodes"] if "amd64" in node["node"]}
    assert results == {"low:amd64": "good", "high:amd64": "unchecked"}
    assert (status, document["layout"], document["repaired"]) == (0, [], None)


def test_the_index_follows_a_manifest_that_a_check_sets_aside(
    project: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    low = next(record for record in project.layout.list() if record.node == "low:amd64")
    project.layout.blobs.path(low.digest).write_bytes(b"{}")
    status, said = doit(capfd, "verify")
    assert status == 1 and "bad  low:amd64" in said and "index.json" not in said
    assert project.layout.index.faults() == []


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (["--rebuild", "--repair"], 10, "--rebuild and --repair are two calls"),
        (["--rebuild", "--registry"], 10, "--rebuild and --registry are two calls"),
        (["--registry"], 10, "no registry is set"),
    ],
)
def test_options_that_do_not_fit(
    project: Workspace, capfd: pytest.CaptureFixture[str], words: list[str], status: int, what: str
) -> None:
    found_status, said = doit(capfd, "verify", *words)
    assert found_status == status and what in said


# -- the registry ------------------------------------------------------------------------------------


class Remote(RemoteRepository):
    """A registry: documents by reference, and the store whose blobs it serves."""

    def __init__(self, store: LayoutStore) -> None:
        super().__init__("h/a", store.root)
        self.store, self.documents, self.answer = store, dict[str, bytes](), "ok"

    def inspect(self, reference: str) -> SkopeoResult:
        found = self.documents.get(reference)
        return SkopeoResult("absent") if found is None else SkopeoResult("ok", found)

    def fetch(self, reference: str, layout: LayoutStore) -> SkopeoResult:
        assert reference.startswith("h/a@sha256:")
        layout.prepare()
        shutil.copytree(self.store.blobs.folder.path, layout.blobs.folder.path, dirs_exist_ok=True)
        return SkopeoResult(self.answer, message="it said so")  # type: ignore[arg-type]


LOW, HIGH = Node("low", "amd64"), Node("high", "amd64")


@pytest.fixture
def remote(project: Workspace, tmp_path: Path) -> Remote:
    """A registry that has what ``cache/`` has."""
    there = Remote(LayoutStore(tmp_path / "there"))
    shutil.copytree(project.layout.root, there.store.root)
    for record in there.store.list():
        there.documents[f"h/a:{record.tag}"] = there.store.document(record)
    return there


def results(project: Workspace, remote: Remote) -> list[tuple[str, str]]:
    findings = list(check_registry(project.graph, project.layout, remote, [HIGH]))
    assert all("in the registry, h/a:" in render_text(finding) for finding in findings)
    assert not list((project.layout.root / "tmp").iterdir())
    return [(finding.result, " ".join(finding.notes)) for finding in findings]


def test_json_is_as_documented(project: Workspace, remote: Remote) -> None:
    """The fields of a rebuild are those of an engine test."""
    low = next(record for record in project.layout.list() if record.node == str(LOW))
    found: list[Finding | Mismatch] = [
        Finding(LOW, low.key, "bad", ("note",)),
        Mismatch("cache/x", ("note",)),
    ]
    remote.documents[f"h/a:{low.tag}"] = b"damaged"
    listed = Results(Options(json=True))
    for each in [*found, *check_registry(project.graph, project.layout, remote, [LOW])]:
        listed.add(each)
    listed.repaired = Repaired(("cache/index.json",), ("cache/records/x",), (low,))
    of_rebuild = {name for name in differences("doit verify --json", {}) if "differences[]" in name}
    assert differences("doit verify --json", listed.to_json(), optional=of_rebuild) == set()


def test_a_registry_that_has_all_is_good(project: Workspace, remote: Remote) -> None:
    assert results(project, remote) == [("good", ""), ("good", "")]


def test_mismatches_of_a_registry_are_found_together(project: Workspace, remote: Remote) -> None:
    low, high = (next(r for r in remote.store.list() if r.node == str(n)) for n in (LOW, HIGH))
    remote.documents[f"h/a:{low.tag}"] = remote.documents[f"h/a:{high.tag}"]
    blob(remote.store, "high").write_bytes(b"hIgh")
    (first, why), (second, lost) = results(project, remote)
    assert (first, second) == ("bad", "bad")
    assert "is of another key" in why and "does not match its digest" in lost
    assert project.layout.find(high.key) == high  # cache/ is as it was


def test_another_image_under_the_same_key_differs(project: Workspace, remote: Remote) -> None:
    low = next(record for record in remote.store.list() if record.node == str(LOW))
    other = image(remote.store, "low", (b"other",))
    false = low._replace(digest=other.digest, size=other.size, files=other.files, image=other.image)
    remote.documents[f"h/a:{low.tag}"] = remote.store.document(false)
    assert results(project, remote)[0] == ("differs", "cache/ has another image under the same key")


def test_what_a_registry_lacks_is_unchecked(project: Workspace, remote: Remote) -> None:
    for reference, document in [*remote.documents.items()][:1]:
        remote.documents[reference] = document.replace(b'schema":"1"', b'schema":"2"')
    del remote.documents[[*remote.documents][1]]
    assert [result for result, _ in results(project, remote)] == ["unchecked", "unchecked"]


def test_an_image_that_is_gone_is_bad_and_a_registry_that_is_gone_is_an_error(
    project: Workspace, remote: Remote
) -> None:
    remote.answer = "absent"
    assert results(project, remote)[0] == ("bad", "its image cannot be downloaded: it said so")
    remote.answer = "down"
    with pytest.raises(RegistryError, match="does not answer"):
        results(project, remote)


def test_what_was_dropped_is_nowhere(store: LayoutStore) -> None:
    """A manifest in quarantine would count as an image that is there and bad."""
    (one,) = put(store, "one")
    store.blobs.path(one.digest).write_bytes(b"{}")
    assert found(store) and (store.root / "damaged" / encoded(one.digest)).exists()
    repair(store)
    assert store.blobs.is_missing(one.digest) and store.read(one.key) == one
